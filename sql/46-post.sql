-- post: many postings in one call.

create type posting as (
    program text,
    member text,
    kind text,
    amount point_amount,
    reference text,
    idempotency_key text,
    source text,
    event_at timestamptz,
    expiry expiry_policy,
    available_at timestamptz,
    qualifying point_amount,
    revenue numeric,
    details jsonb,
    reason text,
    seq bigint,
    until timestamptz,
    to_member text,
    issued_at timestamptz,
    expires_at timestamptz,
    "group" text,
    funder text,
    partner text
);
comment on type posting is 'A request to write an entry: the arguments of one of the functions that post';
comment on column posting.program is 'Program';
comment on column posting.member is 'Member; of a transfer, the one who gives';
comment on column posting.kind is 'Function that posts it: earn, redeem, hold, capture, release, reverse, adjust, transfer or import';
comment on column posting.amount is 'As the argument amount of that function';
comment on column posting.reference is 'As the argument reference of that function';
comment on column posting.idempotency_key is 'As the argument idempotency_key of that function';
comment on column posting.source is 'As the argument source of that function';
comment on column posting.event_at is 'As the argument event_at of that function';
comment on column posting.expiry is 'As the argument expiry of that function';
comment on column posting.available_at is 'As the argument available_at of that function';
comment on column posting.qualifying is 'As the argument qualifying of that function';
comment on column posting.revenue is 'As the argument revenue of that function';
comment on column posting.details is 'As the argument details of that function';
comment on column posting.reason is 'As the argument reason of that function';
comment on column posting.seq is 'Entry to reverse, or hold to capture or release';
comment on column posting.until is 'As the argument until of that function';
comment on column posting.to_member is 'Of a transfer: the member who receives';
comment on column posting.issued_at is 'As the argument issued_at of that function';
comment on column posting.expires_at is 'As the argument expires_at of that function';
comment on column posting.funder is 'As the argument funder of that function';
comment on column posting.partner is 'As the argument partner of that function';
comment on column posting."group" is 'Postings of the same group are posted together or not at all where refused ones are skipped';

-- Arguments that are left out are null, as in the functions that post.
create function posting(
    program text,
    member text,
    kind text,
    amount point_amount default null,
    reference text default null,
    idempotency_key text default null,
    source text default null,
    event_at timestamptz default null,
    expiry expiry_policy default null,
    available_at timestamptz default null,
    qualifying point_amount default null,
    revenue numeric default null,
    details jsonb default null,
    reason text default null,
    seq bigint default null,
    until timestamptz default null,
    to_member text default null,
    issued_at timestamptz default null,
    expires_at timestamptz default null,
    "group" text default null,
    funder text default null,
    partner text default null
) returns posting
language sql immutable parallel safe
as $$
    select row(posting.program, posting.member, posting.kind, posting.amount, posting.reference, posting.idempotency_key, posting.source, posting.event_at, posting.expiry, posting.available_at, posting.qualifying, posting.revenue, posting.details, posting.reason, posting.seq, posting.until, posting.to_member, posting.issued_at, posting.expires_at, posting."group", posting.funder, posting.partner)::jifen.posting
$$;

comment on function posting(text, text, text, point_amount, text, text, text, timestamptz, expiry_policy, timestamptz, point_amount, numeric, jsonb, text, bigint, timestamptz, text, timestamptz, timestamptz, text, text, text) is
    'A posting with the given fields; the others are null';

create function post(
    postings posting[],
    on_refusal text default 'abort',
    out ordinal integer,
    out seq bigint,
    out balance point_amount,
    out sqlstate text,
    out message text,
    out detail text
) returns setof record
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function post(posting[], text) is
    'Posts them in their order and returns a row for each: the seq of its entry and the balance after it, or the SQLSTATE, message and detail of its refusal. on_refusal: abort raises the first refusal, whose detail names the posting, and posts none; skip posts the others, those of a group together or not at all. Raises what the functions that post do, 22004, 22023. Locks the accounts, in account order';

revoke all on function posting(text, text, text, point_amount, text, text, text, timestamptz, expiry_policy, timestamptz, point_amount, numeric, jsonb, text, bigint, timestamptz, text, timestamptz, timestamptz, text, text, text) from public;
revoke all on function post(posting[], text) from public;
