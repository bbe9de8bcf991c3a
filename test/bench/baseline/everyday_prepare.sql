-- The members of prepare.sql, as the everyday version keeps them.
insert into everyday.member (code, balance) select 'member ' || m, 100030 from generate_series(1, :members) m;
insert into everyday.log (member, points, created_at, reference, idempotency_key)
select 'member ' || m, case month when 4 then 100000 else 10 end, now() - month * interval '1 month', 'order ' || m, 'opening ' || month || ' ' || m
from generate_series(1, :members) m, unnest(array[4, 3, 2, 1]) month
order by m, month desc;
