{{ shared('amount', kind='tax', amount='tax_amount') }}
