-- agreement: who pays for points that are issued, who is paid for points that are redeemed, and budgets paid in advance.

create table agreement (
    program_id integer not null,
    kind text collate "C" not null,
    party text not null,
    agreement_no integer not null,
    valid daterange not null,
    price numeric,
    commission_rate numeric not null,
    role text collate "C",
    is_prepaid boolean not null,
    currency text not null,
    reason text,
    recorded_at timestamptz not null default now(),
    actor text not null,
    primary key (program_id, kind, party, agreement_no),
    constraint agreement_kind_known check (kind in ('funder', 'partner')),
    constraint agreement_party_length check (length(party) between 1 and 256),
    constraint agreement_valid_days check (not isempty(valid) and lower(valid) is not null),
    constraint agreement_price_range check (price >= 0 and price < 'Infinity'),
    constraint agreement_commission_rate_range check (commission_rate between 0 and 1),
    constraint agreement_role_of_partner check ((role in ('principal', 'agent')) is not distinct from
        case when kind = 'partner' then true end),
    constraint agreement_prepaid_by_funder check (kind = 'funder' or not is_prepaid),
    constraint agreement_currency_code check (currency ~ '^[A-Z]{3}$')
);

comment on table agreement is 'Terms agreed with those who pay for points or supply what they are spent on: immutable, numbered for each party; of several for a day the latest one holds';
comment on column agreement.program_id is 'Program';
comment on column agreement.kind is 'funder: the party pays for the points that it funds when they are issued; partner: it is paid for the points that are redeemed with it';
comment on column agreement.party is 'Who: as in entry.funder or entry.partner, case-sensitive';
comment on column agreement.agreement_no is 'Number within the party''s agreements of the kind, from 1';
comment on column agreement.valid is 'Local days for which it is agreed';
comment on column agreement.price is 'Money for one point; null: on these days there is no agreement';
comment on column agreement.commission_rate is 'What the issuer charges for it, as a share of points at price';
comment on column agreement.role is 'Of a partner: principal where the issuer sells what the partner supplies, agent where it arranges the partner''s sale';
comment on column agreement.is_prepaid is 'Of a funder: whether it is taken from a budget paid in advance';
comment on column agreement.currency is 'Currency of price, ISO 4217';
comment on column agreement.reason is 'Why, or the contract, as the caller stated it';
comment on column agreement.recorded_at is 'When it was recorded';
comment on column agreement.actor is 'Role that recorded it';

create table prepayment (
    program_id integer not null,
    party text not null,
    prepayment_no integer not null,
    paid_on date not null,
    amount numeric not null,
    currency text not null,
    reference text,
    idempotency_key text collate "C",
    recorded_at timestamptz not null default now(),
    actor text not null,
    primary key (program_id, party, prepayment_no),
    constraint prepayment_key unique (program_id, party, idempotency_key),
    constraint prepayment_amount_finite check (amount <> 0 and amount > '-Infinity' and amount < 'Infinity')
);

comment on table prepayment is 'What funders paid into their budgets, and what they were paid back: immutable, numbered for each party';
comment on column prepayment.program_id is 'Program';
comment on column prepayment.party is 'Funder';
comment on column prepayment.prepayment_no is 'Number within the party''s payments, from 1';
comment on column prepayment.paid_on is 'Local day from which it counts';
comment on column prepayment.amount is 'Money paid in; below zero: paid back';
comment on column prepayment.currency is 'Currency of amount, that of the party''s agreements';
comment on column prepayment.reference is 'The caller''s document';
comment on column prepayment.idempotency_key is 'The caller''s key of the payment, unique for the party';
comment on column prepayment.recorded_at is 'When it was recorded';
comment on column prepayment.actor is 'Role that recorded it';

select pg_extension_config_dump('agreement', '');
select pg_extension_config_dump('prepayment', '');

create trigger refuse_change before update or delete or truncate on agreement
    for each statement execute function refuse_change('Agreements', 'set_agreement() records other terms, end_agreement() that there are none.');
create trigger refuse_change before update or delete or truncate on prepayment
    for each statement execute function refuse_change('Payments', 'record_prepayment() with the opposite amount takes one back.');
-- Also where session_replication_role is replica.
alter table agreement enable always trigger refuse_change;
alter table prepayment enable always trigger refuse_change;
comment on trigger refuse_change on agreement is 'Refuses UPDATE, DELETE and TRUNCATE';
comment on trigger refuse_change on prepayment is 'Refuses UPDATE, DELETE and TRUNCATE';

-- A range starts wherever an agreement begins or another one ends, so one
-- agreement holds throughout it. OFFSET 0: there are few, and they are looked up
-- once, not for each row that is priced.
create view agreement_term as
select b.program_id, b.kind, b.party, daterange(b.since, b.until) as valid, a.agreement_no, a.price, a.commission_rate, a.role,
    a.is_prepaid, a.currency, b.since, coalesce(b.until, 'infinity') as until
from (
    select b.program_id, b.kind, b.party, b.day as since,
        lead(b.day) over (partition by b.program_id, b.kind, b.party order by b.day) as until
    from (
        select program_id, kind, party, lower(valid) as day from agreement
        union
        select program_id, kind, party, upper(valid) from agreement where upper(valid) is not null
    ) b
) b
cross join lateral (
    select * from agreement a
    where a.program_id = b.program_id and a.kind = b.kind and a.party = b.party and a.valid @> b.since
    order by a.agreement_no desc
    limit 1
) a
where a.price is not null
offset 0;

comment on view agreement_term is 'The agreement that holds on each day: ranges of days that do not overlap, none where there is no agreement';
comment on column agreement_term.program_id is 'Program';
comment on column agreement_term.kind is 'funder or partner';
comment on column agreement_term.party is 'Who';
comment on column agreement_term.valid is 'Local days on which it holds';
comment on column agreement_term.agreement_no is 'Number within the party''s agreements of the kind';
comment on column agreement_term.price is 'Money for one point: issued, of a funder; redeemed, of a partner';
comment on column agreement_term.commission_rate is 'What the issuer charges for it, as a share of points at price';
comment on column agreement_term.role is 'Of a partner: principal or agent, as which the issuer acts';
comment on column agreement_term.is_prepaid is 'Of a funder: whether it is taken from a budget paid in advance';
comment on column agreement_term.currency is 'Currency of price, ISO 4217';
comment on column agreement_term.since is 'The first of these days';
comment on column agreement_term.until is 'The day after the last of them; infinity: there is no last one';

create function require_open_day(own program, day date, command text) returns void
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
begin
    if not isfinite(day) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'a day must be finite',
            detail = format('%s is given %s.', command, day),
            hint = 'Give a day of the calendar.';
    end if;
    if day <= ((own.closed_until - interval '1 microsecond') at time zone own.time_zone)::date then
        raise exception using errcode = 'JF008',
            message = 'period closed',
            detail = format('The books of program "%s" are closed until %s, and %s would change what was settled from %s on.',
                own.code, own.closed_until, command, day),
            hint = 'Give a day that is open, or reopen the period with reopen_period().';
    end if;
end
$$;

comment on function require_open_day(program, date, text) is
    'Raises JF008 for a local day on which the program''s books are closed, 22023 for one that is infinite';

create function set_agreement(
    program text,
    kind text,
    party text,
    price numeric,
    valid_from date default null,
    valid_until date default null,
    commission_rate numeric default 0,
    role text default null,
    is_prepaid boolean default false,
    currency text default null,
    reason text default null
) returns agreement
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    own jifen.program;
    own_currency text;
    own_from date;
    recorded jifen.agreement;
begin
    perform jifen.require_writable('set_agreement()');
    if num_nulls(set_agreement.kind, set_agreement.party, set_agreement.price, set_agreement.commission_rate, set_agreement.is_prepaid) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of set_agreement() must not be null',
            detail = 'kind, party, price, commission_rate and is_prepaid need values.',
            hint = 'end_agreement() records that there is no agreement any more.';
    end if;
    own := jifen.lock_program(set_agreement.program);
    own_from := coalesce(set_agreement.valid_from, (now() at time zone own.time_zone)::date);
    perform jifen.check_party(set_agreement.kind, set_agreement.party);
    perform jifen.require_open_day(own, own_from, 'set_agreement()');
    if set_agreement.valid_until <= own_from then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'valid_from and valid_until are the wrong way round',
            detail = format('They are %s and %s.', own_from, set_agreement.valid_until),
            hint = 'An agreement holds from the one to the day before the other.';
    end if;
    if not (set_agreement.price >= 0 and set_agreement.price < 'Infinity') then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'price must be finite and not negative',
            detail = format('It is %s.', set_agreement.price),
            hint = 'Give the money for one point.';
    end if;
    if not (set_agreement.commission_rate between 0 and 1) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'commission_rate must be from 0 to 1',
            detail = format('It is %s.', set_agreement.commission_rate),
            hint = 'Give a share: 0.05 is five per cent.';
    end if;
    if set_agreement.kind = 'funder' and set_agreement.role is not null
        or set_agreement.role not in ('principal', 'agent') then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('invalid role "%s"', set_agreement.role),
            detail = 'It says as what the issuer sells what a partner supplies.',
            hint = 'For a partner, use principal or agent; leave it out for a funder.';
    end if;
    if set_agreement.is_prepaid and set_agreement.kind <> 'funder' then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'a partner has no prepaid budget',
            detail = format('"%s" is paid for points that are redeemed.', set_agreement.party),
            hint = 'is_prepaid goes with kind ''funder''.';
    end if;
    own_currency := coalesce(set_agreement.currency, jifen.party_currency(own.program_id, set_agreement.party), own.currency);
    if own_currency is null then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'price without currency',
            detail = format('Program "%s" has no currency.', own.code),
            hint = 'Give the currency as well.';
    end if;
    if own_currency !~ '^[A-Z]{3}$' then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('invalid currency "%s"', own_currency),
            detail = 'A currency is named by three capital letters.',
            hint = 'Use the ISO 4217 code, such as CNY, EUR or USD.';
    end if;
    if own_currency <> jifen.party_currency(own.program_id, set_agreement.party) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'a party settles in one currency',
            detail = format('"%s" settles in %s.', set_agreement.party, jifen.party_currency(own.program_id, set_agreement.party)),
            hint = 'Name the party differently where it settles in another currency.';
    end if;
    insert into jifen.agreement (program_id, kind, party, agreement_no, valid, price, commission_rate, role, is_prepaid, currency, reason, actor)
    values (own.program_id, set_agreement.kind, set_agreement.party,
        jifen.next_agreement_no(own.program_id, set_agreement.kind, set_agreement.party),
        daterange(own_from, set_agreement.valid_until), set_agreement.price, set_agreement.commission_rate,
        case when set_agreement.kind = 'partner' then coalesce(set_agreement.role, 'principal') end,
        set_agreement.is_prepaid, own_currency, set_agreement.reason, jifen.actor())
    returning * into recorded;
    return recorded;
end
$$;

comment on function set_agreement(text, text, text, numeric, date, date, numeric, text, boolean, text, text) is
    'Records what is agreed with a party and returns it. kind: funder, who pays price for each point that it funds when it is issued, or partner, who is paid price for each point that is redeemed with it; valid_from: first local day, by default today; valid_until: the day after the last, null for no end; on these days it replaces what was agreed before; commission_rate: what the issuer charges, as a share of points at price: on top of what a funder pays, off what a partner is paid; role: of a partner, principal (by default) or agent, as which the issuer acts; is_prepaid: of a funder, whether it is taken from what record_prepayment() records; currency: by default the party''s so far, else the program''s; reason is kept as given. Raises JF002, JF008 for days on which the books are closed, 22004, 22023, 25006. Locks the program''s row; postings do not wait';

create function end_agreement(
    program text,
    kind text,
    party text,
    ends_on date,
    reason text default null
) returns agreement
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    own jifen.program;
    recorded jifen.agreement;
begin
    perform jifen.require_writable('end_agreement()');
    if num_nulls(end_agreement.kind, end_agreement.party, end_agreement.ends_on) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of end_agreement() must not be null',
            detail = 'kind, party and ends_on need values.',
            hint = 'Only reason may be null.';
    end if;
    own := jifen.lock_program(end_agreement.program);
    perform jifen.check_party(end_agreement.kind, end_agreement.party);
    perform jifen.require_open_day(own, end_agreement.ends_on, 'end_agreement()');
    perform from jifen.agreement_term t
    where t.program_id = own.program_id and t.kind = end_agreement.kind and t.party = end_agreement.party
        and t.valid && daterange(end_agreement.ends_on, null);
    if not found then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'no such agreement',
            detail = format('With %s "%s" of program "%s" nothing is agreed for %s or later.', end_agreement.kind, end_agreement.party,
                own.code, end_agreement.ends_on),
            hint = 'agreement_term lists what is agreed.';
    end if;
    insert into jifen.agreement (program_id, kind, party, agreement_no, valid, price, commission_rate, role, is_prepaid, currency, reason, actor)
    select own.program_id, a.kind, a.party, a.agreement_no + 1, daterange(end_agreement.ends_on, null), null, 0, a.role, false,
        a.currency, end_agreement.reason, jifen.actor()
    from jifen.agreement a
    where a.program_id = own.program_id and a.kind = end_agreement.kind and a.party = end_agreement.party
    order by a.agreement_no desc limit 1
    returning * into recorded;
    return recorded;
end
$$;

comment on function end_agreement(text, text, text, date, text) is
    'Records that nothing is agreed with the party from the local day ends_on on and returns the record. Raises JF002, JF008 for a day on which the books are closed, 22004, 22023 also where nothing was agreed for then, 25006. Locks the program''s row; postings do not wait';

create function record_prepayment(
    program text,
    party text,
    amount numeric,
    paid_on date default null,
    reference text default null,
    idempotency_key text default null
) returns prepayment
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    own jifen.program;
    own_currency text;
    recorded jifen.prepayment;
begin
    perform jifen.require_writable('record_prepayment()');
    if num_nulls(record_prepayment.party, record_prepayment.amount) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of record_prepayment() must not be null',
            detail = 'party and amount need values.',
            hint = 'Only paid_on, reference and idempotency_key may be null.';
    end if;
    own := jifen.lock_program(record_prepayment.program);
    perform jifen.check_party('funder', record_prepayment.party);
    if not (record_prepayment.amount <> 0 and record_prepayment.amount > '-Infinity' and record_prepayment.amount < 'Infinity') then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'amount must be finite and not zero',
            detail = format('It is %s.', record_prepayment.amount),
            hint = 'Give the money paid in, or below zero what was paid back.';
    end if;
    perform jifen.check_identifier(record_prepayment.idempotency_key, 'idempotency_key');
    select * into recorded from jifen.prepayment p
    where p.program_id = own.program_id and p.party = record_prepayment.party and p.idempotency_key = record_prepayment.idempotency_key;
    if found then
        if (recorded.amount, recorded.reference) is distinct from (record_prepayment.amount, record_prepayment.reference)
            or record_prepayment.paid_on <> recorded.paid_on then
            raise exception using errcode = 'JF005',
                message = 'idempotency key reused for another request',
                detail = format('Payment %s of "%s" in program "%s" has this key and is of %s %s on %s.', recorded.prepayment_no,
                    recorded.party, own.code, recorded.amount, recorded.currency, recorded.paid_on),
                hint = 'Give each payment a key of its own.';
        end if;
        return recorded;
    end if;
    select a.currency into own_currency from jifen.agreement a
    where a.program_id = own.program_id and a.kind = 'funder' and a.party = record_prepayment.party limit 1;
    if not found then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'no such agreement',
            detail = format('"%s" is no funder of program "%s".', record_prepayment.party, own.code),
            hint = 'set_agreement() records what is agreed.';
    end if;
    perform jifen.require_open_day(own, coalesce(record_prepayment.paid_on, (now() at time zone own.time_zone)::date), 'record_prepayment()');
    insert into jifen.prepayment (program_id, party, prepayment_no, paid_on, amount, currency, reference, idempotency_key, actor)
    values (own.program_id, record_prepayment.party,
        coalesce((select max(o.prepayment_no) from jifen.prepayment o
            where o.program_id = own.program_id and o.party = record_prepayment.party), 0) + 1,
        coalesce(record_prepayment.paid_on, (now() at time zone own.time_zone)::date), record_prepayment.amount, own_currency,
        record_prepayment.reference, record_prepayment.idempotency_key, jifen.actor())
    returning * into recorded;
    return recorded;
end
$$;

comment on function record_prepayment(text, text, numeric, date, text, text) is
    'Records money that a funder paid into its budget, below zero what it was paid back, in the currency of its agreements, and returns the record. paid_on: local day from which it counts, by default today; reference is kept as given; idempotency_key: a repeated request with the same key records nothing and returns the first record. Raises JF002, JF005, JF008 for a day on which the books are closed, 22004, 22023 also where the party is no funder, 25006. Locks the program''s row; postings do not wait';

create function check_party(kind text, party text) returns void
language plpgsql immutable parallel safe
set search_path = jifen, pg_temp
as $$
begin
    if kind not in ('funder', 'partner') then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('invalid kind "%s"', kind),
            detail = 'A party pays for points that are issued, or is paid for points that are redeemed.',
            hint = 'Use funder or partner.';
    end if;
    perform jifen.check_identifier(party, 'party');
end
$$;

comment on function check_party(text, text) is
    'Raises 22023 for a kind of party that there is not, and for a name that cannot be';

create function party_currency(program_id integer, party text) returns text
language sql stable parallel safe
set search_path = jifen, pg_temp
as $$
    select a.currency from jifen.agreement a
    where a.program_id = party_currency.program_id and a.party = party_currency.party
    limit 1
$$;

comment on function party_currency(integer, text) is
    'Currency in which the party settles, whether as funder or as partner; null: nothing was agreed with it';

create function next_agreement_no(program_id integer, kind text, party text) returns integer
language sql stable parallel safe
set search_path = jifen, pg_temp
as $$
    select coalesce(max(a.agreement_no), 0) + 1 from jifen.agreement a
    where a.program_id = next_agreement_no.program_id and a.kind = next_agreement_no.kind and a.party = next_agreement_no.party
$$;

comment on function next_agreement_no(integer, text, text) is
    'Number of the party''s next agreement; the program''s row must be locked';

revoke all on function require_open_day(program, date, text) from public;
revoke all on function set_agreement(text, text, text, numeric, date, date, numeric, text, boolean, text, text) from public;
revoke all on function end_agreement(text, text, text, date, text) from public;
revoke all on function record_prepayment(text, text, numeric, date, text, text) from public;
revoke all on function check_party(text, text) from public;
revoke all on function party_currency(integer, text) from public;
revoke all on function next_agreement_no(integer, text, text) from public;
