-- The members of wide_prepare.sql, as the careful baseline keeps them.
with opened as (
    insert into careful.member (code, balance) select 'wide ' || n, 10 * :lots from generate_series(1, :members) n
    returning member_id
), posted as (
    insert into careful.journal (member_id, kind, points, balance)
    select member_id, 'earn', 10, 10 * lot from opened, generate_series(1, :lots) lot order by member_id, lot
    returning journal_id, member_id
)
insert into careful.lot (member_id, journal_id, points, remaining, expires_at)
select member_id, journal_id, 10, 10, now() + interval '1 year' from posted order by journal_id;
