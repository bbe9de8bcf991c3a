-- Members of so many entries each, nearly all of which have been spent: credits and redemptions by turns, after a reserve.
set search_path = jifen, public;
select count(*)
from generate_series(1, :members) m, generate_series(1, :entries, 5000) first,
    lateral post(array(
        select posting('bench', :'entries' || ' entries ' || m,
            case when n = 1 then 'import' when n % 2 = 0 then 'earn' else 'redeem' end,
            case when n = 1 then 100000 else 10 end,
            expires_at => case when n = 1 then timestamptz 'infinity' end)
        from generate_series(first, least(first + 4999, :entries)) n
        order by n))
\g /dev/null
