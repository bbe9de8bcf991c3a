-- Members of so many entries each, nearly all of which have been spent: credits and redemptions by turns, after a reserve.
set search_path = jifen, public;
select count(*)
from (
    select array_agg(posting('bench', :'entries' || ' entries ' || m,
        case when n = 1 then 'import' when n % 2 = 0 then 'earn' else 'redeem' end,
        case when n = 1 then 100000 else 10 end,
        expires_at => case when n = 1 then timestamptz 'infinity' end) order by m, n) as postings
    from generate_series(1, :members) m, generate_series(1, :entries) n
    group by (m::bigint * :entries + n) / 10000
    order by min(m::bigint * :entries + n)
) batch, post(postings)
\g /dev/null
