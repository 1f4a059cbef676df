{{ shared('amount', kind='tax', amount='case when has_taxes_in_prices then 0 else total_tax end') }}
