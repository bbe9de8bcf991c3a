-- point_amount: an exact 64-bit count of points.
--
-- Stored as int8. What cannot overflow is the server's own int8 function,
-- called by its internal name, so that it is as fast and as exact as bigint.

create type point_amount;

create function point_amount_in(cstring) returns point_amount
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
create function point_amount_out(point_amount) returns cstring
    as 'int8out' language internal immutable strict parallel safe;
create function point_amount_recv(internal) returns point_amount
    as 'int8recv' language internal immutable strict parallel safe;
create function point_amount_send(point_amount) returns bytea
    as 'int8send' language internal immutable strict parallel safe;

comment on function point_amount_in(cstring) is
    'reads points; 22P02 for anything but a whole number, 22003 beyond 64 bits';
comment on function point_amount_out(point_amount) is 'writes points as digits';
comment on function point_amount_recv(internal) is 'reads points in binary, as int8';
comment on function point_amount_send(point_amount) is 'writes points in binary, as int8';

-- Category N, so that coalesce(points, 0), greatest(points, 0) and unions with
-- integers find a common type; never preferred, so that no expression of other
-- numeric types changes its meaning.
create type point_amount (
    input = point_amount_in,
    output = point_amount_out,
    receive = point_amount_recv,
    send = point_amount_send,
    like = int8,
    category = 'N'
);
comment on type point_amount is
    'a count of points: exact, whole, 64 bits; overflow and fractions are errors';

-- Casts. Every integer is a count of points. Back to bigint or numeric takes an
-- assignment or an explicit cast, so that no operator of theirs is picked where
-- points were meant. There is none from or to a float.

create function point_amount(int2) returns point_amount
    as 'int28' language internal immutable strict parallel safe;
create function point_amount(int4) returns point_amount
    as 'int48' language internal immutable strict parallel safe;
create function point_amount(numeric) returns point_amount
    as 'MODULE_PATHNAME', 'point_amount_from_numeric'
    language c immutable strict parallel safe;
create function point_amount_numeric(point_amount) returns numeric
    as 'int8_numeric' language internal immutable strict parallel safe;

comment on function point_amount(int2) is 'an integer as points';
comment on function point_amount(int4) is 'an integer as points';
comment on function point_amount(numeric) is
    'a whole numeric as points; 22023 for a fraction, NaN or infinity, 22003 beyond 64 bits';
comment on function point_amount_numeric(point_amount) is 'points as numeric';

create cast (int2 as point_amount) with function point_amount(int2) as implicit;
create cast (int4 as point_amount) with function point_amount(int4) as implicit;
create cast (int8 as point_amount) without function as implicit;
create cast (point_amount as int8) without function as assignment;
create cast (point_amount as numeric)
    with function point_amount_numeric(point_amount) as assignment;
create cast (numeric as point_amount)
    with function point_amount(numeric) as assignment;

comment on cast (int2 as point_amount) is 'an integer is a count of points';
comment on cast (int4 as point_amount) is 'an integer is a count of points';
comment on cast (int8 as point_amount) is 'an integer is a count of points';
comment on cast (point_amount as int8) is 'the count of points as bigint';
comment on cast (point_amount as numeric) is 'the count of points as numeric';
comment on cast (numeric as point_amount) is
    'whole numbers alone; points(amount, rounding) rounds the others';

-- Comparison

create function point_amount_eq(point_amount, point_amount) returns boolean
    as 'int8eq' language internal immutable strict leakproof parallel safe;
create function point_amount_ne(point_amount, point_amount) returns boolean
    as 'int8ne' language internal immutable strict leakproof parallel safe;
create function point_amount_lt(point_amount, point_amount) returns boolean
    as 'int8lt' language internal immutable strict leakproof parallel safe;
create function point_amount_le(point_amount, point_amount) returns boolean
    as 'int8le' language internal immutable strict leakproof parallel safe;
create function point_amount_gt(point_amount, point_amount) returns boolean
    as 'int8gt' language internal immutable strict leakproof parallel safe;
create function point_amount_ge(point_amount, point_amount) returns boolean
    as 'int8ge' language internal immutable strict leakproof parallel safe;
create function point_amount_cmp(point_amount, point_amount) returns int4
    as 'btint8cmp' language internal immutable strict leakproof parallel safe;
create function point_amount_hash(point_amount) returns int4
    as 'hashint8' language internal immutable strict leakproof parallel safe;
create function point_amount_hash_extended(point_amount, int8) returns int8
    as 'hashint8extended' language internal immutable strict leakproof parallel safe;

comment on function point_amount_eq(point_amount, point_amount) is 'implementation of = operator';
comment on function point_amount_ne(point_amount, point_amount) is 'implementation of <> operator';
comment on function point_amount_lt(point_amount, point_amount) is 'implementation of < operator';
comment on function point_amount_le(point_amount, point_amount) is 'implementation of <= operator';
comment on function point_amount_gt(point_amount, point_amount) is 'implementation of > operator';
comment on function point_amount_ge(point_amount, point_amount) is 'implementation of >= operator';
comment on function point_amount_cmp(point_amount, point_amount) is
    'less than 0, 0 or more than 0, as the first is below, equal or above';
comment on function point_amount_hash(point_amount) is 'hash of points';
comment on function point_amount_hash_extended(point_amount, int8) is 'hash of points with a seed';

create operator = (
    leftarg = point_amount, rightarg = point_amount, function = point_amount_eq,
    commutator = =, negator = <>, restrict = eqsel, join = eqjoinsel,
    hashes, merges
);
create operator <> (
    leftarg = point_amount, rightarg = point_amount, function = point_amount_ne,
    commutator = <>, negator = =, restrict = neqsel, join = neqjoinsel
);
create operator < (
    leftarg = point_amount, rightarg = point_amount, function = point_amount_lt,
    commutator = >, negator = >=, restrict = scalarltsel, join = scalarltjoinsel
);
create operator <= (
    leftarg = point_amount, rightarg = point_amount, function = point_amount_le,
    commutator = >=, negator = >, restrict = scalarlesel, join = scalarlejoinsel
);
create operator > (
    leftarg = point_amount, rightarg = point_amount, function = point_amount_gt,
    commutator = <, negator = <=, restrict = scalargtsel, join = scalargtjoinsel
);
create operator >= (
    leftarg = point_amount, rightarg = point_amount, function = point_amount_ge,
    commutator = <=, negator = <, restrict = scalargesel, join = scalargejoinsel
);

comment on operator = (point_amount, point_amount) is 'equal';
comment on operator <> (point_amount, point_amount) is 'not equal';
comment on operator < (point_amount, point_amount) is 'fewer points';
comment on operator <= (point_amount, point_amount) is 'fewer points or equal';
comment on operator > (point_amount, point_amount) is 'more points';
comment on operator >= (point_amount, point_amount) is 'more points or equal';

create operator class point_amount_ops
    default for type point_amount using btree as
        operator 1 <,
        operator 2 <=,
        operator 3 =,
        operator 4 >=,
        operator 5 >,
        function 1 point_amount_cmp(point_amount, point_amount),
        function 2 btint8sortsupport(internal),
        function 4 btequalimage(oid);

create operator class point_amount_ops
    default for type point_amount using hash as
        operator 1 =,
        function 1 point_amount_hash(point_amount),
        function 2 point_amount_hash_extended(point_amount, int8);

comment on operator class point_amount_ops using btree is 'points from few to many';
comment on operator class point_amount_ops using hash is 'points by equality';
comment on operator family point_amount_ops using btree is 'points from few to many';
comment on operator family point_amount_ops using hash is 'points by equality';

-- Arithmetic

create function point_amount_add(point_amount, point_amount) returns point_amount
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
create function point_amount_subtract(point_amount, point_amount) returns point_amount
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
create function point_amount_negate(point_amount) returns point_amount
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
create function point_amount_multiply(point_amount, int8) returns point_amount
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
create function point_amount_multiply(int8, point_amount) returns point_amount
    as 'MODULE_PATHNAME', 'point_amount_multiply_commuted'
    language c immutable strict parallel safe;
create function abs(point_amount) returns point_amount
    as 'MODULE_PATHNAME', 'point_amount_abs'
    language c immutable strict parallel safe;

comment on function point_amount_add(point_amount, point_amount) is 'implementation of + operator';
comment on function point_amount_subtract(point_amount, point_amount) is 'implementation of - operator';
comment on function point_amount_negate(point_amount) is 'implementation of - operator';
comment on function point_amount_multiply(point_amount, int8) is 'implementation of * operator';
comment on function point_amount_multiply(int8, point_amount) is 'implementation of * operator';
comment on function abs(point_amount) is
    'points without their sign; 22003 for the least point_amount';

create operator + (
    leftarg = point_amount, rightarg = point_amount, function = point_amount_add,
    commutator = +
);
create operator - (
    leftarg = point_amount, rightarg = point_amount, function = point_amount_subtract
);
create operator - (
    rightarg = point_amount, function = point_amount_negate
);
create operator * (
    leftarg = point_amount, rightarg = int8, function = point_amount_multiply,
    commutator = *
);
create operator * (
    leftarg = int8, rightarg = point_amount, function = point_amount_multiply,
    commutator = *
);

comment on operator + (point_amount, point_amount) is 'points added; 22003 on overflow';
comment on operator - (point_amount, point_amount) is 'points taken away; 22003 on overflow';
comment on operator - (none, point_amount) is 'points negated; 22003 for the least point_amount';
comment on operator * (point_amount, int8) is 'points times a whole number; 22003 on overflow';
comment on operator * (int8, point_amount) is 'a whole number times points; 22003 on overflow';

-- Aggregates. sum() and avg() share the server's exact running state, which
-- cannot overflow: only a final sum that does not fit is an error, in whatever
-- order, window or number of workers it was gathered.

create function point_amount_accumulate(internal, point_amount) returns internal
    as 'int8_avg_accum' language internal immutable parallel safe;
create function point_amount_accumulate_inverse(internal, point_amount) returns internal
    as 'int8_avg_accum_inv' language internal immutable parallel safe;
create function point_amount_sum_final(internal) returns point_amount
    as 'MODULE_PATHNAME' language c immutable parallel safe;
create function point_amount_larger(point_amount, point_amount) returns point_amount
    as 'int8larger' language internal immutable strict parallel safe;
create function point_amount_smaller(point_amount, point_amount) returns point_amount
    as 'int8smaller' language internal immutable strict parallel safe;

comment on function point_amount_accumulate(internal, point_amount) is 'aggregate transition function';
comment on function point_amount_accumulate_inverse(internal, point_amount) is 'aggregate transition function';
comment on function point_amount_sum_final(internal) is 'aggregate final function';
comment on function point_amount_larger(point_amount, point_amount) is 'larger of two';
comment on function point_amount_smaller(point_amount, point_amount) is 'smaller of two';

create aggregate sum(point_amount) (
    sfunc = point_amount_accumulate, stype = internal, sspace = 48,
    finalfunc = point_amount_sum_final,
    combinefunc = int8_avg_combine,
    serialfunc = int8_avg_serialize, deserialfunc = int8_avg_deserialize,
    msfunc = point_amount_accumulate, minvfunc = point_amount_accumulate_inverse,
    mstype = internal, msspace = 48, mfinalfunc = point_amount_sum_final,
    parallel = safe
);
create aggregate avg(point_amount) (
    sfunc = point_amount_accumulate, stype = internal, sspace = 48,
    finalfunc = numeric_poly_avg,
    combinefunc = int8_avg_combine,
    serialfunc = int8_avg_serialize, deserialfunc = int8_avg_deserialize,
    msfunc = point_amount_accumulate, minvfunc = point_amount_accumulate_inverse,
    mstype = internal, msspace = 48, mfinalfunc = numeric_poly_avg,
    parallel = safe
);
create aggregate max(point_amount) (
    sfunc = point_amount_larger, stype = point_amount,
    combinefunc = point_amount_larger, sortop = >, parallel = safe
);
create aggregate min(point_amount) (
    sfunc = point_amount_smaller, stype = point_amount,
    combinefunc = point_amount_smaller, sortop = <, parallel = safe
);

comment on aggregate sum(point_amount) is
    'total of the points, null without any; 22003 where the total does not fit';
comment on aggregate avg(point_amount) is
    'average of the points as numeric, null without any';
comment on aggregate max(point_amount) is 'most points, null without any';
comment on aggregate min(point_amount) is 'fewest points, null without any';

-- From money to points, and one total into shares

create function points(amount numeric, rounding text) returns point_amount
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
comment on function points(numeric, text) is
    'a numeric as points, rounded by floor, half_up (ties away from zero), half_even or ceil; '
    '22023 for another rounding, NaN or infinity, 22003 beyond 64 bits';

create function apportion(total point_amount, weights numeric[]) returns point_amount[]
    as 'MODULE_PATHNAME' language c immutable strict parallel safe;
comment on function apportion(point_amount, numeric[]) is
    'the total in shares proportional to the weights, adding up to exactly the total: '
    'largest remainder, the earlier share first among equals; '
    '22023 for weights that are empty, negative, NaN, infinite, all zero or of several dimensions, '
    '22004 for a null weight';
