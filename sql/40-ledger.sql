-- ledger: the journal, its lots and allocations, and the verbs that write them.

create table entry (
    account_id bigint not null,
    seq bigint not null,
    amount point_amount not null,
    held point_amount not null,
    debt point_amount not null,
    balance point_amount not null,
    event_at timestamptz not null,
    posted_at timestamptz not null,
    expires_at timestamptz,
    available_at timestamptz,
    until timestamptz,
    issued_at timestamptz,
    reverses_seq bigint,
    hold_seq bigint,
    debt_seq bigint,
    counter_account_id bigint,
    counter_seq bigint,
    qualifying point_amount,
    given smallint,
    rule_no smallint,
    kind text collate "C" not null,
    source text,
    funder text,
    partner text,
    reference text,
    reason text,
    idempotency_key text collate "C",
    expiry expiry_policy,
    revenue numeric,
    details jsonb,
    actor text not null,
    hash bytea not null,
    primary key (account_id, seq),
    constraint entry_kind_known check (kind in ('earn', 'redeem', 'expire', 'adjust', 'hold', 'capture', 'release',
        'reverse', 'transfer_out', 'transfer_in', 'import', 'reinstate', 'repay', 'extend'))
);

create index entry_reverses on entry (account_id, reverses_seq) where reverses_seq is not null;
create index entry_ends_hold on entry (account_id, hold_seq) where hold_seq is not null;
create index entry_concerns_debt on entry (account_id, debt_seq) where debt_seq is not null;
-- Where the entries of a time of booking stand, in a few bytes for each 32 pages.
create index entry_posted on entry using brin (posted_at) with (pages_per_range = 32);
-- The key itself is compared in the row: the index keeps eight bytes of it.
create index entry_key on entry (account_id, hashtextextended(idempotency_key, 0)) where idempotency_key is not null;

comment on table entry is 'The journal: immutable lines, numbered without gaps within each account';
comment on column entry.account_id is 'Account';
comment on column entry.seq is 'Number of the entry within the account: 1, 2, 3 …';
comment on column entry.amount is 'Change of the balance in points, signed';
comment on column entry.held is 'Change of the held points, signed';
comment on column entry.debt is 'Change of the debt in points, signed';
comment on column entry.balance is 'Balance after the entry, in booking order';
comment on column entry.event_at is 'Business time: when it happened';
comment on column entry.posted_at is 'Booking time: when the transaction that posted it began, or when the program''s books were last drawn up if that was later (booked_from)';
comment on column entry.expires_at is 'Of a credit: when its points lapse, infinity for never; with a rule_no, not before then';
comment on column entry.available_at is 'Of a credit: from when its points can be spent';
comment on column entry.until is 'Of a hold: its deadline, from which on it counts as released';
comment on column entry.issued_at is 'Of a credit of points that were issued before it: when they were issued first';
comment on column entry.reverses_seq is 'Entry of the account that this one undoes, wholly or in part';
comment on column entry.hold_seq is 'Of a capture or a release: the hold that it ends, wholly or in part';
comment on column entry.debt_seq is 'Entry of the account whose debt this one repays or forgives';
comment on column entry.counter_account_id is 'Of a transfer: the other account';
comment on column entry.counter_seq is 'Of a transfer: entry of the other account, the first one of several';
comment on column entry.qualifying is 'Points that count towards a tier, signed';
comment on column entry.given is 'Of a posting with a key: which optional arguments the caller gave, as bits';
comment on column entry.rule_no is 'Of a credit whose expiry can move: the expiry_rule that it keeps to';
comment on column entry.kind is 'earn, redeem, expire, adjust, hold, capture, release, reverse, transfer_out, transfer_in, import, reinstate, repay or extend';
comment on column entry.source is 'Channel by which the points were earned or spent';
comment on column entry.funder is 'Of a credit: who pays for the points, null for the issuer';
comment on column entry.partner is 'Of a redemption or a capture: who supplies what the points were spent on, null for the issuer';
comment on column entry.reference is 'The caller''s document, such as an order number';
comment on column entry.reason is 'Why, where the caller stated it';
comment on column entry.idempotency_key is 'The caller''s key of the posting, unique in the account';
comment on column entry.expiry is 'Of a credit: the policy that the caller gave or that counts inactivity, null for the program''s otherwise';
comment on column entry.revenue is 'Consideration allocated to the points of an earn or import, in the program''s currency; of a reverse, what that loses, negative; of a credit by transfer or extension, what is carried along, null for free points';
comment on column entry.details is 'Whatever else the caller wants kept';
comment on column entry.actor is 'Role that posted it';
comment on column entry.hash is 'SHA-256 of the entry, its allocations and the hash of the entry before it';

create table lot (
    account_id bigint not null,
    expires_at timestamptz not null,
    seq bigint not null,
    available_at timestamptz not null,
    remaining point_amount not null,
    program_id integer not null,
    rule_no smallint,
    counts_from timestamptz,
    expiry expiry_policy,
    pending_until timestamptz,
    primary key (account_id, expires_at, seq),
    constraint lot_remaining_positive check (remaining > 0),
    constraint lot_rule_whole check ((rule_no is null) = (counts_from is null))
) with (fillfactor = 90);

-- Lots whose expiry can move come up by account.due_at. What lapses at the same
-- instant is booked account by account: in the order of the other rows that it
-- touches, and one batch goes on where another left off.
create index lot_due on lot (program_id, expires_at, account_id) where rule_no is null and expires_at < 'infinity';
create index lot_moving on lot (account_id) where rule_no is not null;
-- What is past the instant that it cannot fall below, of the rules that want a notice.
create index lot_rule on lot (program_id, rule_no, expires_at) where rule_no is not null;
create index lot_pending on lot (program_id, pending_until) where pending_until is not null;

comment on table lot is 'What is unspent of each credit; a lot that is used up is deleted';
comment on column lot.account_id is 'Account';
comment on column lot.expires_at is 'When the lot lapses, infinity for never; with a rule_no, not before then';
comment on column lot.seq is 'Entry of the credit';
comment on column lot.available_at is 'From when the lot can be spent';
comment on column lot.remaining is 'Points left';
comment on column lot.program_id is 'Program of the account';
comment on column lot.rule_no is 'The expiry_rule that the lot keeps to, if its expiry can move: by the member''s activity, or for want of a notice';
comment on column lot.counts_from is 'With a rule_no: when its points were issued';
comment on column lot.pending_until is 'available_at, where that was to come when the row was written; else null';
comment on column lot.expiry is 'With a rule_no: its policy, null if expires_at alone counts';

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

create table debt (
    account_id bigint not null,
    seq bigint not null,
    remaining point_amount not null,
    primary key (account_id, seq),
    constraint debt_remaining_positive check (remaining > 0)
);

comment on table debt is 'Open debts; one that is repaid is deleted';
comment on column debt.account_id is 'Account';
comment on column debt.seq is 'Entry that took more points than there were';
comment on column debt.remaining is 'Points still owed by the member';

select pg_extension_config_dump('entry', '');
select pg_extension_config_dump('lot', '');
select pg_extension_config_dump('allocation', '');
select pg_extension_config_dump('debt', '');

create trigger refuse_change before update or delete or truncate on entry
    for each statement execute function refuse_change('Entries and allocations', 'Post another entry: reverse() undoes one.');
create trigger refuse_change before update or delete or truncate on allocation
    for each statement execute function refuse_change('Entries and allocations', 'Post another entry: reverse() undoes one.');
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
    idempotency_key text default null,
    source text default null,
    event_at timestamptz default null,
    expiry expiry_policy default null,
    available_at timestamptz default null,
    qualifying point_amount default null,
    revenue numeric default null,
    details jsonb default null,
    funder text default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function earn(text, text, point_amount, text, text, text, timestamptz, expiry_policy, timestamptz, point_amount, numeric, jsonb, text) is
    'Credits points to the member and returns the entry; debts are repaid first. event_at: when it happened, by default now; expiry: policy of these points, by default the program''s; available_at: from when they can be spent, by default event_at; qualifying: points towards a tier, by default amount; reference, source, funder (who pays for the points, by default the issuer) and details are kept as given; revenue: consideration allocated to the points, in the program''s currency; idempotency_key: a repeated request with the same key posts nothing and returns the first entry. Raises JF002, JF003, JF004, JF005, JF008, 22003, 22004, 22008, 22023. Locks the account';

create function redeem(
    program text,
    member text,
    amount point_amount,
    reference text default null,
    idempotency_key text default null,
    event_at timestamptz default null,
    details jsonb default null,
    source text default null,
    partner text default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function redeem(text, text, point_amount, text, text, timestamptz, jsonb, text, text) is
    'Spends points that are spendable at event_at, by default now, soonest to lapse first, and returns the entry; reference, details, source (the channel) and partner (who supplies what they are spent on, by default the issuer) are kept as given; idempotency_key: a repeated request with the same key posts nothing and returns the first entry. Raises JF001 where they do not suffice, JF002, JF003, JF004, JF005, JF008, 22004, 22023. Locks the account';

create function adjust(
    program text,
    member text,
    amount point_amount,
    reason text,
    reference text default null,
    idempotency_key text default null,
    source text default null,
    event_at timestamptz default null,
    expiry expiry_policy default null,
    available_at timestamptz default null,
    qualifying point_amount default null,
    details jsonb default null,
    funder text default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function adjust(text, text, point_amount, text, text, text, text, timestamptz, expiry_policy, timestamptz, point_amount, jsonb, text) is
    'Credits points as goodwill (amount above zero: as earn() does, without qualifying points unless given) or takes them as a penalty (below zero: as redeem() does, and what is missing by the program''s overdraft rule), for a reason that must be stated, and returns the entry; idempotency_key: a repeated request with the same key posts nothing and returns the first entry. Raises JF001, JF002, JF003, JF004, JF005, JF008, JF009, 22003, 22004, 22008, 22023. Locks the account';

create function transfer(
    program text,
    from_member text,
    to_member text,
    amount point_amount,
    reference text default null,
    idempotency_key text default null,
    reason text default null,
    event_at timestamptz default null,
    details jsonb default null
) returns setof entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function transfer(text, text, text, point_amount, text, text, text, timestamptz, jsonb) is
    'Moves spendable points, soonest to lapse first, from one member to another of the program and returns the entries: the transfer_out and a transfer_in for each lot, which keeps its expiry, its source and when it was issued; idempotency_key: a repeated request with the same key posts nothing and returns the first entry, which is one of from_member''s account. Raises JF001, JF002, JF003, JF004, JF005, JF008, 22003, 22004, 22023. Locks both accounts, in account order';

create function import(
    program text,
    member text,
    amount point_amount,
    expires_at timestamptz default null,
    reference text default null,
    idempotency_key text default null,
    source text default null,
    event_at timestamptz default null,
    issued_at timestamptz default null,
    expiry expiry_policy default null,
    available_at timestamptz default null,
    qualifying point_amount default null,
    revenue numeric default null,
    details jsonb default null,
    funder text default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function import(text, text, point_amount, timestamptz, text, text, text, timestamptz, timestamptz, expiry_policy, timestamptz, point_amount, numeric, jsonb, text) is
    'Credits a lot of an opening balance, taken over from another system, and returns the entry. expires_at: when it lapses, infinity for never, or else expiry, by default the program''s, reckoned from issued_at; issued_at: when the points were first issued, by default event_at; qualifying: points towards a tier, by default none; the rest as in earn(). Raises JF002, JF003, JF004, JF005, JF008, 22003, 22004, 22008, 22023. Locks the account';

revoke all on function earn(text, text, point_amount, text, text, text, timestamptz, expiry_policy, timestamptz, point_amount, numeric, jsonb, text) from public;
revoke all on function redeem(text, text, point_amount, text, text, timestamptz, jsonb, text, text) from public;
revoke all on function adjust(text, text, point_amount, text, text, text, text, timestamptz, expiry_policy, timestamptz, point_amount, jsonb, text) from public;
revoke all on function transfer(text, text, text, point_amount, text, text, text, timestamptz, jsonb) from public;
revoke all on function import(text, text, point_amount, timestamptz, text, text, text, timestamptz, timestamptz, expiry_policy, timestamptz, point_amount, numeric, jsonb, text) from public;
