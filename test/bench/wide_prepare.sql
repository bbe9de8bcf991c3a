-- Members of so many lots each.
set search_path = jifen, public;
select count(*)
from generate_series(1, :members) n,
    lateral post(array(select posting('bench', 'wide ' || n, 'earn', 10) from generate_series(1, :lots) lot where n > 0))
\g /dev/null
