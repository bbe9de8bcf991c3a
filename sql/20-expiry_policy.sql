-- expiry_policy: when points lapse, in a readable literal.

create type expiry_policy;

create function expiry_policy_in(cstring) returns expiry_policy
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
create function expiry_policy_out(expiry_policy) returns cstring
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
create function expiry_policy_recv(internal) returns expiry_policy
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
create function expiry_policy_send(expiry_policy) returns bytea
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;

comment on function expiry_policy_in(cstring) is
    'reads an expiry policy; 22P02 for text that is none';
comment on function expiry_policy_out(expiry_policy) is
    'writes an expiry policy in its canonical form';
comment on function expiry_policy_recv(internal) is
    'reads an expiry policy in binary; 22P03 for bytes that are none';
comment on function expiry_policy_send(expiry_policy) is
    'writes an expiry policy in binary';

create type expiry_policy (
    input = expiry_policy_in,
    output = expiry_policy_out,
    receive = expiry_policy_recv,
    send = expiry_policy_send,
    internallength = 16,
    alignment = int4,
    storage = plain
);
comment on type expiry_policy is
    'when points lapse: never, 12 months, 12 months end of month, end of year, 2 years end of march, '
    '1 year end of membership year, on 2030-12-31, 18 months inactive, 48 months or 18 months inactive';

-- Equality is by meaning: 12 months = 1 year, 14 days = 2 weeks. There is no
-- order: whether 1 month is more than 30 days depends on the month.

create function expiry_policy_eq(expiry_policy, expiry_policy) returns boolean
    as 'MODULE_PATHNAME' language c immutable strict leakproof parallel safe;
create function expiry_policy_ne(expiry_policy, expiry_policy) returns boolean
    as 'MODULE_PATHNAME' language c immutable strict leakproof parallel safe;
create function expiry_policy_hash(expiry_policy) returns int4
    as 'MODULE_PATHNAME' language c immutable strict leakproof parallel safe;
create function expiry_policy_hash_extended(expiry_policy, int8) returns int8
    as 'MODULE_PATHNAME' language c immutable strict leakproof parallel safe;

comment on function expiry_policy_eq(expiry_policy, expiry_policy) is 'implementation of = operator';
comment on function expiry_policy_ne(expiry_policy, expiry_policy) is 'implementation of <> operator';
comment on function expiry_policy_hash(expiry_policy) is 'hash of an expiry policy, by meaning';
comment on function expiry_policy_hash_extended(expiry_policy, int8) is
    'hash of an expiry policy, by meaning, with a seed';

create operator = (
    leftarg = expiry_policy, rightarg = expiry_policy, function = expiry_policy_eq,
    commutator = =, negator = <>, restrict = eqsel, join = eqjoinsel, hashes
);
create operator <> (
    leftarg = expiry_policy, rightarg = expiry_policy, function = expiry_policy_ne,
    commutator = <>, negator = =, restrict = neqsel, join = neqjoinsel
);

comment on operator = (expiry_policy, expiry_policy) is
    'the same meaning, whatever the units: 12 months = 1 year';
comment on operator <> (expiry_policy, expiry_policy) is 'another meaning';

create operator class expiry_policy_ops
    default for type expiry_policy using hash as
        operator 1 =,
        function 1 expiry_policy_hash(expiry_policy),
        function 2 expiry_policy_hash_extended(expiry_policy, int8);

comment on operator class expiry_policy_ops using hash is 'expiry policies by meaning';
comment on operator family expiry_policy_ops using hash is 'expiry policies by meaning';

-- Immutable in the sense in which timezone(text, timestamptz) is: no clock, no
-- table and no setting has a say, the zone is an argument; an update of the
-- time zone database may change what lies ahead, and a credit keeps the expiry
-- that it was posted with.
create function expires_at(policy expiry_policy, event_at timestamptz, time_zone text,
    joined_at timestamptz default null)
    returns timestamptz
    as 'MODULE_PATHNAME' language c immutable parallel safe;
comment on function expires_at(expiry_policy, timestamptz, text, timestamptz) is
    'the instant from which on a credit of event_at is lapsed if no activity follows it: the end of its last day in '
    'the time zone, infinity for never, null if one of the first three is null; joined_at: when the member joined, for '
    'membership years; 22004 for a membership year without joined_at, 22023 for an infinite instant or an unknown '
    'time zone, 22008 beyond the last timestamp';
