-- hold: points that are reserved for a purchase in progress.

create table hold (
    account_id bigint not null,
    seq bigint not null,
    until timestamptz not null,
    amount point_amount not null,
    program_id integer not null,
    primary key (account_id, seq),
    constraint hold_amount_positive check (amount > 0)
);

create index hold_due on hold (program_id, until, account_id);

comment on table hold is 'Open holds; one that has ended is deleted';
comment on column hold.account_id is 'Account';
comment on column hold.seq is 'Entry of the hold';
comment on column hold.until is 'Deadline, from which on it counts as released';
comment on column hold.amount is 'Points held';
comment on column hold.program_id is 'Program of the account';

select pg_extension_config_dump('hold', '');

create function hold(
    program text,
    member text,
    amount point_amount,
    until timestamptz,
    reference text default null,
    idempotency_key text default null,
    event_at timestamptz default null,
    details jsonb default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function hold(text, text, point_amount, timestamptz, text, text, timestamptz, jsonb) is
    'Reserves points that are spendable at event_at, by default now, soonest to lapse first, for a purchase in progress until a deadline, and returns the entry, whose seq names the hold; idempotency_key: a repeated request with the same key posts nothing and returns the first entry. Held points do not lapse. Raises JF001 where they do not suffice, JF002, JF003, JF004, JF005, JF008, 22004, 22023. Locks the account';

create function capture(
    program text,
    member text,
    hold_seq bigint,
    amount point_amount default null,
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

comment on function capture(text, text, bigint, point_amount, text, text, timestamptz, jsonb, text, text) is
    'Spends the points of a hold, by default all of them, soonest to lapse first, releases the rest, and returns the entry; source and partner as in redeem(); idempotency_key: a repeated request with the same key posts nothing and returns the first entry. Raises JF007 where the hold has ended, JF001 for more than is held, JF002, JF003, JF004, JF005, JF008, 22004, 22023. Locks the account';

create function release(
    program text,
    member text,
    hold_seq bigint,
    reason text default null,
    idempotency_key text default null,
    event_at timestamptz default null,
    details jsonb default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function release(text, text, bigint, text, text, timestamptz, jsonb) is
    'Ends a hold: its points go back to their lots, where those that have lapsed meanwhile lapse at once. Returns the entry; idempotency_key: a repeated request with the same key posts nothing and returns the first entry. Raises JF007 where the hold has ended, JF002, JF003, JF004, JF005, JF008, 22004, 22023. Locks the account';

revoke all on function hold(text, text, point_amount, timestamptz, text, text, timestamptz, jsonb) from public;
revoke all on function capture(text, text, bigint, point_amount, text, text, timestamptz, jsonb, text, text) from public;
revoke all on function release(text, text, bigint, text, text, timestamptz, jsonb) from public;
