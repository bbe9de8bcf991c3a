-- Members with three lots of 10 points that lapse one after the other, and a reserve that is spent last and never lapses.
create extension if not exists jifen;
set search_path = jifen, public;
select from create_program('bench', time_zone => 'Asia/Shanghai', expiry => '12 months end of month', auto_open => true);
select from create_tier('bench', 'silver', null, 20);
select from create_tier('bench', 'gold', null, 1000);
select count(*)
from generate_series(1, :members, 2500) first,
    lateral post(array(
        select posting('bench', 'member ' || m, case month when 4 then 'import' else 'earn' end,
            case month when 4 then 100000 else 10 end,
            expires_at => case month when 4 then timestamptz 'infinity' end,
            reference => 'order ' || m, idempotency_key => 'opening ' || month, source => case month when 4 then null else 'purchase' end,
            event_at => now() - month * interval '1 month')
        from generate_series(first, least(first + 2499, :members)) m, unnest(array[4, 3, 2, 1]) month
        order by m, month desc))
\g /dev/null
