-- The members of prepare.sql, as the careful baseline keeps them.
insert into careful.member (code, balance) select 'member ' || m, 100030 from generate_series(1, :members) m;
insert into careful.journal (member_id, kind, points, balance, created_at, reference, idempotency_key)
select member_id, case month when 4 then 'import' else 'earn' end, case month when 4 then 100000 else 10 end,
    100000 + 10 * (4 - month), now() - month * interval '1 month', 'order ' || member_id, 'opening ' || month || ' ' || member_id
from careful.member, unnest(array[4, 3, 2, 1]) month
order by member_id, month desc;
insert into careful.lot (member_id, journal_id, points, remaining, expires_at)
select member_id, journal_id, points, points, case kind when 'import' then 'infinity' else
    (date_trunc('month', created_at at time zone 'Asia/Shanghai' + interval '12 months') + interval '1 month') at time zone 'Asia/Shanghai' end
from careful.journal
order by journal_id;
