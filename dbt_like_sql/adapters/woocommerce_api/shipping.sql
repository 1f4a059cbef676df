{{ shared('amount', kind='shipping', amount='shipping_amount') }}
