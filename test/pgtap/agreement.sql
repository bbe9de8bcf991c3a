-- Agreements with funders and partners, and budgets paid in advance: what holds on which day, and what is refused.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(73);
\ir books.psql

create function pg_temp.refused(statement text) returns text
language plpgsql as $$
declare
    r record;
begin
    r := pg_temp.refusal(statement);
    if r.state is not null and (r.detail = '' or r.hint = '') then
        return r.state || ' without detail or hint';
    end if;
    return r.state || ' ' || r.message;
end
$$;
-- What holds when, in short.
create function pg_temp.terms(program text, kind text, party text) returns text[]
language sql as $$
    select array(select format('%s: %s at %s', t.agreement_no, t.valid, t.price)
        from agreement_term t join program p using (program_id)
        where p.code = terms.program and t.kind = terms.kind and t.party = terms.party order by t.valid)
$$;

do $$begin perform create_program('shop', time_zone => 'Asia/Shanghai', currency => 'CNY'); perform create_program('bare'); end$$;

-- ---------- which agreement holds ----------

select is(pg_temp.terms('shop', 'funder', 'tea'), array[]::text[], 'nothing is agreed to begin with');
select is((set_agreement('shop', 'funder', 'tea', 0.02, '2024-01-01')).agreement_no, 1, 'the first agreement of a party');
select is((set_agreement('shop', 'funder', 'tea', 0.03, '2024-03-01', '2024-05-01')).agreement_no, 2, 'and another for two months');
select is(pg_temp.terms('shop', 'funder', 'tea'),
    array['1: [2024-01-01,2024-03-01) at 0.02', '2: [2024-03-01,2024-05-01) at 0.03', '1: [2024-05-01,) at 0.02'],
    'within the other one''s days the later one holds');
do $$begin perform set_agreement('shop', 'funder', 'tea', 0.01, '2024-02-01', '2024-04-01'); end$$;
select is(pg_temp.terms('shop', 'funder', 'tea'),
    array['1: [2024-01-01,2024-02-01) at 0.02', '3: [2024-02-01,2024-03-01) at 0.01', '3: [2024-03-01,2024-04-01) at 0.01',
        '2: [2024-04-01,2024-05-01) at 0.03', '1: [2024-05-01,) at 0.02'],
    'also where it was recorded for earlier days');
do $$begin perform end_agreement('shop', 'funder', 'tea', '2024-06-15', 'given notice'); end$$;
select is((pg_temp.terms('shop', 'funder', 'tea'))[5], '1: [2024-05-01,2024-06-15) at 0.02', 'it ends when it is said to');
select is(pg_temp.refused($$select end_agreement('shop', 'funder', 'tea', '2024-06-15')$$), '22023 no such agreement', 'and cannot end twice');
select is(pg_temp.refused($$select end_agreement('shop', 'partner', 'tea', '2024-06-15')$$), '22023 no such agreement', 'nor one of the other kind');
do $$begin perform set_agreement('shop', 'funder', 'tea', 0.05, '2025-01-01'); end$$;
select is((pg_temp.terms('shop', 'funder', 'tea'))[6], '5: [2025-01-01,) at 0.05', 'it can be taken up again');
select is((set_agreement('shop', 'partner', 'tea', 0.01, '2024-01-01')).role, 'principal', 'a partner may be a funder too, and is by default one whose supply the issuer sells');
select is((set_agreement('shop', 'partner', 'cup', 0.01, role => 'agent')).role, 'agent', 'unless it arranges the partner''s sale');
select is((select lower(valid) from agreement where party = 'cup'), (now() at time zone 'Asia/Shanghai')::date, 'an agreement begins today, by the program''s time');
select is((select bool_and(a.actor = session_user and a.recorded_at = now()) from agreement a), true, 'who recorded it and when is kept');
-- For every day of three years, against the definition.
select is((select count(*) from generate_series(timestamp '2023-12-25', '2026-01-05', '1 day') d
        cross join lateral (select array_agg(t.agreement_no) as own from agreement_term t
            where t.party = 'tea' and t.kind = 'funder' and t.valid @> d::date) t
        cross join lateral (select array_agg(agreement_no) as own from (select agreement_no, price from agreement a
            where a.party = 'tea' and a.kind = 'funder' and a.valid @> d::date order by agreement_no desc limit 1) a where price is not null) a
        where t.own is distinct from a.own), 0::bigint, 'on each day the latest agreement for it holds, and no other');

-- ---------- currency ----------

select is((set_agreement('shop', 'funder', 'euro', 0.02, currency => 'EUR')).currency, 'EUR', 'a party may settle in a currency of its own');
select is((set_agreement('shop', 'partner', 'euro', 0.02)).currency, 'EUR', 'and then does as the other kind of party');
select is((select currency from agreement where party = 'cup'), 'CNY', 'by default it is the program''s');
select is(pg_temp.refused($$select set_agreement('shop', 'partner', 'euro', 0.02, currency => 'CNY')$$),
    '22023 a party settles in one currency', 'but not in two');
select is(pg_temp.refused($$select set_agreement('bare', 'partner', 'cup', 0.02)$$), '22023 price without currency', 'a price is in some currency');
select is((set_agreement('bare', 'partner', 'cup', 0.02, currency => 'USD')).currency, 'USD', 'a program without one can settle in any');

-- ---------- what is refused ----------

select is(pg_temp.refused(statement), refusal, statement)
from (values
    ($$select set_agreement('shop', 'sponsor', 'tea', 1)$$, '22023 invalid kind "sponsor"'),
    ($$select set_agreement('shop', 'funder', '', 1)$$, '22023 party must not be empty'),
    ($$select set_agreement('shop', 'funder', repeat('x', 257), 1)$$, '22023 party is too long'),
    ($$select set_agreement('shop', 'funder', 'tea', -1)$$, '22023 price must be finite and not negative'),
    ($$select set_agreement('shop', 'funder', 'tea', 'NaN')$$, '22023 price must be finite and not negative'),
    ($$select set_agreement('shop', 'funder', 'tea', 'Infinity')$$, '22023 price must be finite and not negative'),
    ($$select set_agreement('shop', 'funder', 'tea', 1, '2024-02-01', '2024-02-01')$$, '22023 valid_from and valid_until are the wrong way round'),
    ($$select set_agreement('shop', 'funder', 'tea', 1, 'infinity')$$, '22023 a day must be finite'),
    ($$select set_agreement('shop', 'funder', 'tea', 1, '-infinity')$$, '22023 a day must be finite'),
    ($$select set_agreement('shop', 'funder', 'tea', 1, commission_rate => 1.01)$$, '22023 commission_rate must be from 0 to 1'),
    ($$select set_agreement('shop', 'funder', 'tea', 1, commission_rate => 'NaN')$$, '22023 commission_rate must be from 0 to 1'),
    ($$select set_agreement('shop', 'funder', 'tea', 1, role => 'agent')$$, '22023 invalid role "agent"'),
    ($$select set_agreement('shop', 'partner', 'tea', 1, role => 'broker')$$, '22023 invalid role "broker"'),
    ($$select set_agreement('shop', 'partner', 'tea', 1, is_prepaid => true)$$, '22023 a partner has no prepaid budget'),
    ($$select set_agreement('shop', 'partner', 'pot', 1, currency => 'yuan')$$, '22023 invalid currency "yuan"'),
    ($$select set_agreement('shop', 'funder', 'tea', null)$$, '22004 an argument of set_agreement() must not be null'),
    ($$select set_agreement('shop', null, 'tea', 1)$$, '22004 an argument of set_agreement() must not be null'),
    ($$select set_agreement('shop', 'funder', 'tea', 1, is_prepaid => null)$$, '22004 an argument of set_agreement() must not be null'),
    ($$select set_agreement('none', 'funder', 'tea', 1)$$, 'JF002 unknown program "none"'),
    ($$select end_agreement('shop', 'funder', 'tea', null)$$, '22004 an argument of end_agreement() must not be null'),
    ($$select end_agreement('shop', 'sponsor', 'tea', '2024-01-01')$$, '22023 invalid kind "sponsor"'),
    ($$select end_agreement('none', 'funder', 'tea', '2024-01-01')$$, 'JF002 unknown program "none"'),
    ($$select record_prepayment('shop', 'tea', 0)$$, '22023 amount must be finite and not zero'),
    ($$select record_prepayment('shop', 'tea', 'NaN')$$, '22023 amount must be finite and not zero'),
    ($$select record_prepayment('shop', 'tea', '-Infinity')$$, '22023 amount must be finite and not zero'),
    ($$select record_prepayment('shop', 'tea', null)$$, '22004 an argument of record_prepayment() must not be null'),
    ($$select record_prepayment('shop', null, 1)$$, '22004 an argument of record_prepayment() must not be null'),
    ($$select record_prepayment('shop', 'cup', 1)$$, '22023 no such agreement'),
    ($$select record_prepayment('shop', 'tea', 1, 'infinity')$$, '22023 a day must be finite'),
    ($$select record_prepayment('shop', 'tea', 1, idempotency_key => '')$$, '22023 idempotency_key must not be empty'),
    ($$select record_prepayment('none', 'tea', 1)$$, 'JF002 unknown program "none"'),
    ($$update agreement set price = 1$$, '42501 UPDATE of jifen.agreement is refused'),
    ($$delete from agreement$$, '42501 DELETE of jifen.agreement is refused'),
    ($$truncate agreement$$, '42501 TRUNCATE of jifen.agreement is refused'),
    ($$update prepayment set amount = 1$$, '42501 UPDATE of jifen.prepayment is refused'),
    ($$delete from prepayment$$, '42501 DELETE of jifen.prepayment is refused'),
    ($$truncate prepayment$$, '42501 TRUNCATE of jifen.prepayment is refused')) r (statement, refusal);

-- ---------- payments ----------

select is((record_prepayment('shop', 'tea', 1000, '2024-01-02', 'transfer 7', 'k1')).prepayment_no, 1, 'the first payment of a funder');
select is((record_prepayment('shop', 'tea', 1000, '2024-01-02', 'transfer 7', 'k1')).prepayment_no, 1, 'its repetition is the same');
select is((record_prepayment('shop', 'tea', 1000, reference => 'transfer 7', idempotency_key => 'k1')).prepayment_no, 1, 'also without the day');
select is(pg_temp.refused($$select record_prepayment('shop', 'tea', 1001, '2024-01-02', 'transfer 7', 'k1')$$),
    'JF005 idempotency key reused for another request', 'but not of another amount');
select is(pg_temp.refused($$select record_prepayment('shop', 'tea', 1000, '2024-01-03', 'transfer 7', 'k1')$$),
    'JF005 idempotency key reused for another request', 'nor of another day');
select is(pg_temp.refused($$select record_prepayment('shop', 'tea', 1000, '2024-01-02', null, 'k1')$$),
    'JF005 idempotency key reused for another request', 'nor with another document');
select is((record_prepayment('shop', 'tea', -200, '2024-02-01')).prepayment_no, 2, 'and money paid back');
select is((record_prepayment('shop', 'euro', 5, '2024-02-01', idempotency_key => 'k1')).currency, 'EUR', 'in the currency of the party; keys are each party''s own');
select is((select array_agg(format('%s %s %s', party, amount, currency) order by party, prepayment_no) from prepayment),
    array['euro 5 EUR', 'tea 1000 CNY', 'tea -200 CNY'], 'each is kept once');

-- ---------- closed books ----------

do $$begin update program set closed_until = '2024-02-29 16:00+00' where code = 'shop'; end$$;  -- midnight in Shanghai
select is(pg_temp.refused($$select set_agreement('shop', 'funder', 'tea', 0.04, '2024-02-29')$$), 'JF008 period closed', 'terms of a closed day stay as they are');
select is(pg_temp.refused($$select end_agreement('shop', 'funder', 'tea', '2024-02-29')$$), 'JF008 period closed', 'and so does their end');
select is(pg_temp.refused($$select record_prepayment('shop', 'tea', 1, '2024-02-29')$$), 'JF008 period closed', 'and what was paid');
select is((record_prepayment('shop', 'tea', 1000, '2024-01-02', 'transfer 7', 'k1')).prepayment_no, 1, 'a repetition is answered all the same');
select is((record_prepayment('shop', 'tea', 1, '2024-03-01')).prepayment_no, 3, 'the first open day is open');
select isnt((set_agreement('shop', 'funder', 'tea', 0.04, '2024-03-01')).agreement_no, null, 'for terms as well');
do $$begin update program set closed_until = '2024-03-01 04:00+00' where code = 'shop'; end$$;
select is(pg_temp.refused($$select record_prepayment('shop', 'tea', 1, '2024-03-01')$$), 'JF008 period closed', 'a day that is closed in part is closed');

select * from finish();
rollback;
