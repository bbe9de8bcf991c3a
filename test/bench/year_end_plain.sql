-- What expiry writes for the accounts of a range, as plain statements of ready-made rows.
begin;
delete from plain.lot l using plain.year_end y
where l.expires_at <= y.at and l.account_id >= :from_account and l.account_id < :to_account;
insert into plain.entry
select * from plain.new_entry where account_id >= :from_account and account_id < :to_account;
insert into plain.allocation
select * from plain.new_allocation where account_id >= :from_account and account_id < :to_account;
update plain.account a
set balance = c.balance, last_seq = c.last_seq, last_event_at = c.last_event_at, head_hash = c.head_hash
from plain.changed_account c
where a.account_id = c.account_id and c.account_id >= :from_account and c.account_id < :to_account;
commit;
