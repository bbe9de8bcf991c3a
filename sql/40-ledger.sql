-- ledger: the journal, its lots and allocations, and the verbs that write them.

create table entry (
    account_id bigint not null,
    seq bigint not null,
    amount point_amount not null,
    held point_amount not null,
    balance point_amount not null,
    event_at timestamptz not null,
    posted_at timestamptz not null,
    expires_at timestamptz,
    available_at timestamptz,
    reverses_seq bigint,
    qualifying point_amount,
    kind text collate "C" not null,
    source text,
    reference text,
    reason text,
    revenue numeric,
    details jsonb,
    actor text not null,
    primary key (account_id, seq),
    constraint entry_kind_known check (kind in ('earn', 'redeem', 'expire', 'reverse', 'reinstate'))
);

create index entry_reverses on entry (account_id, reverses_seq) where reverses_seq is not null;

comment on table entry is 'The journal: immutable lines, numbered without gaps within each account';
comment on column entry.account_id is 'Account';
comment on column entry.seq is 'Number of the entry within the account: 1, 2, 3 …';
comment on column entry.amount is 'Change of the balance in points, signed';
comment on column entry.held is 'Change of the held points, signed';
comment on column entry.balance is 'Balance after the entry, in booking order';
comment on column entry.event_at is 'Business time: when it happened';
comment on column entry.posted_at is 'Booking time: when the transaction that posted it began';
comment on column entry.expires_at is 'Of a credit: when its points lapse, infinity for never';
comment on column entry.available_at is 'Of a credit: from when its points can be spent';
comment on column entry.reverses_seq is 'Entry of the account that this one undoes, wholly or in part';
comment on column entry.qualifying is 'Points that count towards a tier, signed';
comment on column entry.kind is 'earn, redeem, expire, reverse, or reinstate';
comment on column entry.source is 'Channel by which the points were earned';
comment on column entry.reference is 'The caller''s document, such as an order number';
comment on column entry.reason is 'Why, where the caller stated it';
comment on column entry.revenue is 'Consideration allocated to a credit, in the program''s currency';
comment on column entry.details is 'Whatever else the caller wants kept';
comment on column entry.actor is 'Role that posted it';

create table lot (
    account_id bigint not null,
    expires_at timestamptz not null,
    seq bigint not null,
    available_at timestamptz not null,
    remaining point_amount not null,
    program_id integer not null,
    primary key (account_id, expires_at, seq),
    constraint lot_remaining_positive check (remaining > 0)
) with (fillfactor = 90);

-- Equal keys are stored once: a month's lots cost a few bytes each.
create index lot_due on lot (program_id, expires_at) where expires_at < 'infinity';

comment on table lot is 'What is unspent of each credit; a lot that is used up is deleted';
comment on column lot.account_id is 'Account';
comment on column lot.expires_at is 'When the lot lapses, infinity for never';
comment on column lot.seq is 'Entry of the credit';
comment on column lot.available_at is 'From when the lot can be spent';
comment on column lot.remaining is 'Points left';
comment on column lot.program_id is 'Program of the account';

create table allocation (
    account_id bigint not null,
    seq bigint not null,
    lot_seq bigint not null,
    amount point_amount not null,
    primary key (account_id, seq, lot_seq),
    constraint allocation_amount_not_zero check (amount <> 0)
);

comment on table allocation is 'How much of which lot an entry took, or gave back';
comment on column allocation.account_id is 'Account';
comment on column allocation.seq is 'Entry that took or gave back';
comment on column allocation.lot_seq is 'Entry of the credit whose lot it was';
comment on column allocation.amount is 'Points: taken if positive, given back if negative';

select pg_extension_config_dump('entry', '');
select pg_extension_config_dump('lot', '');
select pg_extension_config_dump('allocation', '');

create function refuse_change() returns trigger
language plpgsql volatile parallel unsafe
set search_path = jifen, pg_temp
as $$
begin
    raise exception using errcode = 'insufficient_privilege',
        message = format('%s of jifen.%s is refused', tg_op, tg_table_name),
        detail = 'Entries and allocations are kept as they were written.',
        hint = 'Post another entry: reverse() undoes one.';
end
$$;

comment on function refuse_change() is 'Trigger function: raises 42501';

create trigger refuse_change before update or delete or truncate on entry
    for each statement execute function refuse_change();
create trigger refuse_change before update or delete or truncate on allocation
    for each statement execute function refuse_change();
-- Also where session_replication_role is replica.
alter table entry enable always trigger refuse_change;
alter table allocation enable always trigger refuse_change;
comment on trigger refuse_change on entry is 'Refuses UPDATE, DELETE and TRUNCATE';
comment on trigger refuse_change on allocation is 'Refuses UPDATE, DELETE and TRUNCATE';

create function earn(
    program text,
    member text,
    amount point_amount,
    reference text default null,
    source text default null,
    event_at timestamptz default null,
    expiry expiry_policy default null,
    available_at timestamptz default null,
    qualifying point_amount default null,
    revenue numeric default null,
    details jsonb default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function earn(text, text, point_amount, text, text, timestamptz, expiry_policy, timestamptz, point_amount, numeric, jsonb) is
    'Credits points to the member and returns the entry. event_at: when it happened, by default now; expiry: policy of these points, by default the program''s; available_at: from when they can be spent, by default event_at; qualifying: points towards a tier, by default amount; reference, source and details are kept as given; revenue: consideration allocated to the points, in the program''s currency. Raises JF002, JF003, JF004, 0A000, 22003, 22004, 22008, 22023. Locks the account';

create function redeem(
    program text,
    member text,
    amount point_amount,
    reference text default null,
    event_at timestamptz default null,
    details jsonb default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function redeem(text, text, point_amount, text, timestamptz, jsonb) is
    'Spends points that are spendable at event_at, by default now, soonest to lapse first, and returns the entry; reference and details are kept as given. Raises JF001 where they do not suffice, JF002, JF003, JF004, 22004, 22023. Locks the account';

create function reverse(
    program text,
    member text,
    seq bigint,
    amount point_amount default null,
    reason text default null,
    event_at timestamptz default null,
    details jsonb default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function reverse(text, text, bigint, point_amount, text, timestamptz, jsonb) is
    'Undoes the earn or redeem of that seq, by amount or by default all that is left of it, at event_at, by default now, and returns the entry; reason and details are kept as given. Redeemed points return to their lots with their own expiry; earned ones are taken from their own lot first. Raises JF001 where the earned points are spent, JF002, JF003, JF004, JF006 beyond what was posted, 22003, 22004, 22023. Locks the account';

revoke all on function refuse_change() from public;
revoke all on function earn(text, text, point_amount, text, text, timestamptz, expiry_policy, timestamptz, point_amount, numeric, jsonb) from public;
revoke all on function redeem(text, text, point_amount, text, timestamptz, jsonb) from public;
revoke all on function reverse(text, text, bigint, point_amount, text, timestamptz, jsonb) from public;
