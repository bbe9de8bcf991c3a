-- account: a member of a program, and whether the account takes postings.

create sequence account_id_seq;
comment on sequence account_id_seq is 'Numbers of accounts';

-- Of accounts, and of each change in their story.
create domain account_status as text collate "C"
    constraint account_status_known check (value in ('open', 'frozen', 'closed'));
comment on domain account_status is 'Whether an account takes postings: open, frozen (not until it is unfrozen) or closed (for good)';

-- No foreign keys here and in the tables below: a parallel restore loads an
-- extension's tables in any order. The functions alone write them, and
-- reconcile() finds whatever does not fit.
--
-- What each posting changes is not indexed, so that an update stays within its
-- page (HOT), where fillfactor leaves it room; and it stands side by side: the log
-- is given the row from the first byte that changed to the last.
create table account (
    account_id bigint primary key default nextval('jifen.account_id_seq'),
    opened_at timestamptz not null default now(),
    held point_amount not null default 0,
    debt point_amount not null default 0,
    due_at timestamptz,
    last_import_at timestamptz,
    last_transfer_in_at timestamptz,
    last_transfer_out_at timestamptz,
    last_capture_at timestamptz,
    last_hold_at timestamptz,
    last_adjust_at timestamptz,
    last_expire_at timestamptz,
    last_redeem_at timestamptz,
    last_earn_at timestamptz,
    balance point_amount not null default 0,
    last_seq bigint not null default 0,
    last_event_at timestamptz,
    program_id integer not null,
    head_hash bytea,
    salt bytea,
    status account_status not null default 'open',
    member text collate "C" not null,
    constraint account_member_key unique (program_id, member)
) with (fillfactor = 80);

create index account_due on account (program_id, due_at, account_id) where due_at < 'infinity';

comment on table account is 'Accounts: one for each member of a program, locked by each posting to it';
comment on column account.account_id is 'Number of the account, internal';
comment on column account.opened_at is 'When the member joined: when the account was opened, unless stated otherwise';
comment on column account.held is 'Points reserved for purchases in progress';
comment on column account.debt is 'Points that the member owes: taken beyond what there was';
comment on column account.due_at is 'Before this no lot of the account lapses whose expiry can move; infinity: none that is known to; null: there never was such a lot';
comment on column account.last_import_at is 'Latest event_at of an import';
comment on column account.last_transfer_in_at is 'Latest event_at of a transfer_in';
comment on column account.last_transfer_out_at is 'Latest event_at of a transfer_out';
comment on column account.last_capture_at is 'Latest event_at of a capture';
comment on column account.last_hold_at is 'Latest event_at of a hold';
comment on column account.last_adjust_at is 'Latest event_at of an adjust';
comment on column account.last_expire_at is 'Latest event_at of an expire';
comment on column account.last_redeem_at is 'Latest event_at of a redeem';
comment on column account.last_earn_at is 'Latest event_at of an earn';
comment on column account.balance is 'Points owed: available, pending, held and lapsed ones, less the debt';
comment on column account.last_seq is 'Number of the account''s latest entry';
comment on column account.last_event_at is 'Latest event_at of the account''s entries';
comment on column account.program_id is 'Program of the account';
comment on column account.head_hash is 'Hash of the account''s latest entry';
comment on column account.salt is 'Random bytes in the digests of its entries'' personal details; others once the member is forgotten';
comment on column account.status is 'open, frozen (no postings until unfrozen) or closed (for good)';
comment on column account.member is 'The issuer''s own identifier of the customer';

create table status_change (
    account_id bigint not null,
    change_no integer not null,
    changed_at timestamptz not null default now(),
    status account_status not null,
    reason text,
    actor text not null,
    primary key (account_id, change_no)
);

comment on table status_change is 'Openings, freezes, unfreezes and closures of accounts';
comment on column status_change.account_id is 'Account';
comment on column status_change.change_no is 'Number of the change within the account, from 1';
comment on column status_change.changed_at is 'When it changed';
comment on column status_change.status is 'Status from then on';
comment on column status_change.reason is 'Why, as the caller stated it; null for an opening';
comment on column status_change.actor is 'Role that changed it';

select pg_extension_config_dump('account_id_seq', '');
select pg_extension_config_dump('account', '');
select pg_extension_config_dump('status_change', '');

create function account_id(program text, member text) returns bigint
language c stable parallel safe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function account_id(text, text) is
    'Number of the member''s account in the program. Raises JF002, JF003, 22004, 22023. Locks nothing';

-- Plain SQL without settings, which the planner puts in place of the call. It
-- reads nothing but its arguments, and open_lot needs it of whoever may read that.
create function activity_at(account account, activity text[]) returns timestamptz
language sql immutable parallel safe
return greatest(
    case when 'earn' = any (activity) then (account).last_earn_at end,
    case when 'redeem' = any (activity) then (account).last_redeem_at end,
    case when 'adjust' = any (activity) then (account).last_adjust_at end,
    case when 'hold' = any (activity) then (account).last_hold_at end,
    case when 'capture' = any (activity) then (account).last_capture_at end,
    case when 'transfer_out' = any (activity) then (account).last_transfer_out_at end,
    case when 'transfer_in' = any (activity) then (account).last_transfer_in_at end,
    case when 'import' = any (activity) then (account).last_import_at end);

comment on function activity_at(account, text[]) is
    'When the member last did one of these kinds of entry; null: never. Locks nothing';

create function last_activity_at(account account) returns timestamptz
language sql stable parallel safe
return activity_at(account, (select p.activity from program p where p.program_id = (account).program_id));

comment on function last_activity_at(account) is
    'When the member was last active, by the kinds of entry that the program counts now; null: never. Locks nothing';

create function open_account(program text, member text, opened_at timestamptz default null) returns account
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function open_account(text, text, timestamptz) is
    'Opens the member''s account in the program and returns it; an open account is returned as it is. opened_at: when the member joined, by default now; membership years are reckoned from it. Raises JF002 for an unknown program, JF004 for an account that is frozen or closed, 22023 for a time to come. Locks the account';

create function freeze_account(program text, member text, reason text) returns account
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function freeze_account(text, text, text) is
    'Refuses postings to the account until unfreeze_account(); points lapse all the same. Raises JF002, JF003, or JF004 if it is not open. Locks the account';

create function unfreeze_account(program text, member text, reason text) returns account
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function unfreeze_account(text, text, text) is
    'Opens a frozen account again. Raises JF002, JF003, or JF004 if it is not frozen. Locks the account';

create function close_account(program text, member text, reason text) returns account
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function close_account(text, text, text) is
    'Closes the account for good, once what has lapsed of it is booked. Raises JF002, JF003, JF004 if it is closed, 55000 if it still holds points. Locks the account';

revoke all on function account_id(text, text) from public;
revoke all on function last_activity_at(account) from public;
revoke all on function open_account(text, text, timestamptz) from public;
revoke all on function freeze_account(text, text, text) from public;
revoke all on function unfreeze_account(text, text, text) from public;
revoke all on function close_account(text, text, text) from public;
