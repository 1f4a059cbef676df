-- The snapshot that the dashboard is about, and the currency of its money.
-- needs: marts.rfm_segments
-- columns: as_of TIMESTAMP, currency VARCHAR
select getvariable('as_of') as as_of, getvariable('currency') as currency
