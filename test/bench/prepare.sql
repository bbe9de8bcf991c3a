-- Members with three lots each, in a program with tiers.
create extension jifen;
set search_path = jifen, public;
select from create_program('bench', time_zone => 'Asia/Shanghai', expiry => '12 months end of month', auto_open => true);
select from create_tier('bench', 'silver', null, 100);
select from create_tier('bench', 'gold', null, 1000);
select count(*)
from (
    select array_agg(posting('bench', 'member ' || m, 'earn', 1000 * month, reference => 'opening', source => 'bench',
        event_at => now() - month * interval '1 month') order by m, month desc) as postings
    from generate_series(1, :members) m, unnest(array[3, 2, 1]) month
    group by m / 10000
) batch, post(postings);
vacuum analyze;
