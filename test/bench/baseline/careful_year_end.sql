-- The members and lots of year_end.sql, as the careful baseline keeps them.
insert into careful.member (code, balance)
select member, balance::bigint from jifen.account order by account_id;
insert into careful.journal (member_id, kind, points, balance, created_at, reference)
select m.member_id, e.kind, e.amount::bigint, e.balance::bigint, e.event_at, e.account_id || ' ' || e.seq
from jifen.entry e join jifen.account a using (account_id) join careful.member m on m.code = a.member
order by e.posted_at, e.event_at, e.account_id, e.seq;
insert into careful.lot (member_id, journal_id, points, remaining, expires_at)
select j.member_id, j.journal_id, j.points, j.points, l.expires_at
from careful.journal j join jifen.lot l on j.reference = l.account_id || ' ' || l.seq
order by j.journal_id;
