-- What a member holds at an instant, past or to come, what lapses by when, and the statement of an account.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(84);
\ir books.psql

do $$
begin
    perform create_program('p', auto_open => true);
    perform open_account('p', 'nobody');
    perform earn('p', 'ann', 10, event_at => '2024-01-10 12:00+00', expiry => '1 month');                              -- 1: lapses on 11 February
    perform earn('p', 'ann', 20, event_at => '2024-01-12 00:00+00', expiry => '2 months');                             -- 2: 13 March
    perform earn('p', 'ann', 40, event_at => '2024-01-15 00:00+00', expiry => '3 months', available_at => '2024-02-20 00:00+00'); -- 3: 16 April
    perform earn('p', 'ann', 80, event_at => '2024-01-20 00:00+00');                                                   -- 4
    perform redeem('p', 'ann', 15, event_at => '2024-01-25 00:00+00');                                                 -- 5: 10 of lot 1, 5 of lot 2
    perform reverse('p', 'ann', 5, 3, event_at => '2024-02-01 00:00+00');                                              -- 6: to lot 2
end
$$;

-- The whole answer in one line.
create function pg_temp.answer(program text, member text, as_of timestamptz) returns text
language sql as $$
    select row(b.balance, b.available, b.pending, b.held, b.lapsed, b.next_expires_at, b.next_expiring, b.debt, b.held_back)::text
    from balance(answer.program, answer.member, answer.as_of) b
$$;

-- ---------- balance ----------

create temp table wanted (as_of timestamptz, answer text, reason text);
insert into wanted values
    ('1999-01-01 00:00+00', '(0,0,0,0,0,,,0,0)', 'long before'),
    ('2024-01-10 11:59:59.999999+00', '(0,0,0,0,0,,,0,0)', 'a microsecond before the first credit'),
    ('2024-01-10 12:00+00', '(10,10,0,0,0,"2024-02-11 00:00:00+00",10,0,0)', 'when it happens'),
    ('2024-01-12 00:00+00', '(30,30,0,0,0,"2024-02-11 00:00:00+00",10,0,0)', 'two lots'),
    ('2024-01-15 00:00+00', '(70,30,40,0,0,"2024-02-11 00:00:00+00",10,0,0)', 'a pending one'),
    ('2024-01-24 23:59:59.999999+00', '(150,110,40,0,0,"2024-02-11 00:00:00+00",10,0,0)', 'a microsecond before the redemption'),
    ('2024-01-25 00:00+00', '(135,95,40,0,0,"2024-03-13 00:00:00+00",15,0,0)', 'when it happens'),
    ('2024-02-01 00:00+00', '(138,98,40,0,0,"2024-03-13 00:00:00+00",18,0,0)', 'when a part of it is reversed'),
    ('2024-02-19 23:59:59.999999+00', '(138,98,40,0,0,"2024-03-13 00:00:00+00",18,0,0)', 'a microsecond before the pending lot''s hour'),
    ('2024-02-20 00:00+00', '(138,138,0,0,0,"2024-03-13 00:00:00+00",18,0,0)', 'in its hour'),
    ('2024-03-12 23:59:59.999999+00', '(138,138,0,0,0,"2024-03-13 00:00:00+00",18,0,0)', 'the last microsecond of a lot'),
    ('2024-03-13 00:00+00', '(138,120,0,0,18,"2024-04-16 00:00:00+00",40,0,0)', 'when it lapses'),
    ('2024-04-16 00:00+00', '(138,80,0,0,58,,,0,0)', 'when all have lapsed that ever will'),
    ('2999-01-01 00:00+00', '(138,80,0,0,58,,,0,0)', 'far to come');
select is(pg_temp.answer('p', 'ann', w.as_of), w.answer, format('%s: %s', w.as_of, w.reason)) from (select * from wanted order by as_of) w;

do $$begin perform expire_batch('p', '2024-03-20'); end$$;
update wanted set answer = '(120,120,0,0,0,"2024-04-16 00:00:00+00",40,0,0)' where as_of = '2024-03-13 00:00+00';
update wanted set answer = '(120,80,0,0,40,,,0,0)' where as_of >= '2024-04-16 00:00+00';
select is(pg_temp.answer('p', 'ann', w.as_of), w.answer, format('once expiry is booked, %s: %s', w.as_of, w.reason))
from (select * from wanted order by as_of) w;

select is(pg_temp.answer('p', 'nobody', '2024-01-01'), '(0,0,0,0,0,,,0,0)', 'an account without entries holds nothing');
select is((select b::text from balance('p', 'ann') b), pg_temp.answer('p', 'ann', now()), 'as_of is now() by default');
select is((select b::text from balance('p', 'nobody') b), '(0,0,0,0,0,,,0,0)', 'for an empty account too');

-- Lots that lapse together, one of them pending until its last hour.
do $$
begin
    perform earn('p', 'bob', 10, event_at => '2024-01-10', expiry => '1 month end of month');
    perform earn('p', 'bob', 20, event_at => '2024-01-20', expiry => '1 month end of month');
    perform earn('p', 'bob', 40, event_at => '2024-01-20', expiry => '1 month end of month', available_at => '2024-02-29 23:00+00');
    perform earn('p', 'bob', 80, event_at => '2024-01-20', expiry => '2 months end of month');
end
$$;
select is(pg_temp.answer('p', 'bob', '2024-02-01'), '(150,110,40,0,0,"2024-03-01 00:00:00+00",70,0,0)',
    'next_expiring is all that lapses next, pending points included');
select is(pg_temp.answer('p', 'bob', '2024-02-29 23:00+00'), '(150,150,0,0,0,"2024-03-01 00:00:00+00",70,0,0)', 'which are spendable for an hour');

-- A back-dated entry is in the balance of its time.
do $$begin perform earn('p', 'bob', 5, event_at => '2024-01-15'); end$$;
select is((balance('p', 'bob', '2024-01-14 23:59:59.999999+00')).balance, 10::point_amount, 'before a back-dated credit');
select is((balance('p', 'bob', '2024-01-15')).balance, 15::point_amount, 'and from it on');
select is((balance('p', 'bob', '2024-01-20')).balance, 155::point_amount, 'with what happened later');

-- ---------- held points ----------

do $$
begin
    perform earn('p', 'hob', 10, event_at => '2024-01-01', expiry => '1 month');   -- lapses on 2 February
    perform earn('p', 'hob', 20, event_at => '2024-01-01', expiry => '1000 years');
    perform earn('p', 'hob', 40, event_at => '2024-01-01');
    perform hold('p', 'hob', 15, '2999-01-01', event_at => '2024-01-10');           -- 10 and 5
    perform hold('p', 'hob', 5, '2998-01-01', event_at => '2024-01-11');
end
$$;
select is(pg_temp.answer('p', 'hob', as_of), answer, format('%s: %s', as_of, reason))
from (values
    (1, '2024-01-09 23:59:59.999999+00'::timestamptz, '(70,70,0,0,0,"2024-02-02 00:00:00+00",10,0,0)', 'a microsecond before the first hold'),
    (2, '2024-01-10', '(70,55,0,15,0,"3024-01-02 00:00:00+00",15,0,0)', 'held points do not lapse next'),
    (3, '2024-01-11', '(70,50,0,20,0,"3024-01-02 00:00:00+00",10,0,0)', 'two holds'),
    (4, '2024-02-02', '(70,50,0,20,0,"3024-01-02 00:00:00+00",10,0,0)', 'nor do they lapse when their lot does'),
    (5, '2997-12-31 23:59:59.999999+00', '(70,50,0,20,0,"3024-01-02 00:00:00+00",10,0,0)', 'a microsecond before the first deadline'),
    (6, '2998-01-01', '(70,55,0,15,0,"3024-01-02 00:00:00+00",15,0,0)', 'past it what was held is available'),
    (7, '2999-01-01', '(70,60,0,0,10,"3024-01-02 00:00:00+00",20,0,0)', 'past the second what has lapsed of it is lapsed')) v (n, as_of, answer, reason) order by n;
select is(expiring('p', 'hob', until, as_of), points, format('lapsing after %s, by %s', as_of, until))
from (values
    (1, '3025-01-01'::timestamptz, '2024-01-11'::timestamptz, 10::point_amount),
    (2, '3025-01-01', '2998-01-01', 15),
    (3, '3025-01-01', '2999-01-01', 20),
    (4, '2999-01-01', '2024-01-11', 0)) v (n, until, as_of, points) order by n;

-- ---------- expiring ----------

select is(expiring('p', 'bob', until, as_of), points, format('lapsing after %s, by %s', as_of, until))
from (values
    (1, '2024-02-29 23:59:59.999999+00'::timestamptz, '2024-02-01'::timestamptz, 0::point_amount),
    (2, '2024-03-01 00:00+00', '2024-02-01', 70),
    (3, '2024-03-31 23:59:59.999999+00', '2024-02-01', 70),
    (4, '2024-04-01 00:00+00', '2024-02-01', 150),
    (5, '2999-01-01 00:00+00', '2024-02-01', 150),
    (6, '2024-04-01 00:00+00', '2024-02-29 23:59:59.999999+00', 150),
    (7, '2024-04-01 00:00+00', '2024-03-01', 80),
    (8, '2024-04-01 00:00+00', '2024-04-01', 0),
    (9, '2024-03-01 00:00+00', '2024-01-19', 10),
    (10, '2024-03-01 00:00+00', '2024-01-09', 0),
    (11, '2024-01-01 00:00+00', '2024-02-01', 0)) v (n, until, as_of, points) order by n;
do $$
begin
    perform earn('p', 'cat', 3, expiry => '1 day');
    perform earn('p', 'cat', 4, event_at => '2024-01-01', expiry => '1 day');
    perform earn('p', 'cat', 5);
end
$$;
select is(expiring('p', 'cat', now() + interval '2 days'), 3::point_amount, 'as_of is now() by default: what has lapsed no longer will');
select is(expiring('p', 'cat', now()), 0::point_amount, 'what lapses by now has lapsed');
select is(expiring('p', 'nobody', '2999-01-01'), 0::point_amount, 'nothing of nothing');

-- ---------- what is seen ----------

create function pg_temp.after_earning(points point_amount) returns text
language plpgsql as $$
begin
    perform earn('p', 'eve', points);
    return format('%s of which %s lapse', (balance('p', 'eve')).available, expiring('p', 'eve', now() + interval '2 years'));
end
$$;
do $$begin perform open_account('p', 'eve'); end$$;
select is(pg_temp.after_earning(7), '7 of which 0 lapse', 'what the caller has just earned is there at once');
select is((select concat_ws(' ', e.seq, b.available) from earn('p', 'eve', 10) e, lateral balance('p', 'eve', clock_timestamp()) b where e.seq is not null),
    '2 7', 'but not within the very statement that earns');
select is((balance('p', 'ann', '2024-01-24'))::text, pg_temp.answer('p', 'ann', '2024-01-24'), 'the same row where it is asked for as a value');
select is((select row(b.available, e.seq)::text from rows from (balance('p', 'ann', '2024-01-24'), account_id('p', 'ann')) b (balance, available, pending, held,
        lapsed, next_expires_at, next_expiring, debt, held_back, seq), lateral (select b.seq - account_id('p', 'ann') as seq) e), '(110,0)',
    'and beside another function');
do $$begin perform create_program('other'); end$$;
select throws_ok($$select available from balance('other', 'ann')$$, 'JF003', 'unknown member "ann"', 'a member of another program is not one of this');
select throws_ok($$select account_id('other', 'ann')$$, 'JF003', 'unknown member "ann"', 'nor to account_id()');

-- ---------- who may ask ----------

-- A role that may call the functions and nothing else, with operators of its own before the server's.
create schema trap;
create function trap.spring(bigint, bigint) returns boolean language plpgsql as $$begin raise 'sprung as %', current_user; end$$;
create operator trap.= (leftarg = bigint, rightarg = bigint, function = trap.spring);
create operator trap.< (leftarg = bigint, rightarg = bigint, function = trap.spring);
create operator trap.<= (leftarg = bigint, rightarg = bigint, function = trap.spring);
create role reader_of_balances;
grant usage on schema jifen, trap to reader_of_balances;
grant execute on function balance, expiring, tier_for, tier_status to reader_of_balances;
create function pg_temp.asked(call text) returns text
language plpgsql set search_path = trap, pg_catalog set role = reader_of_balances as $$
declare
    answer text;
begin
    execute 'select ' || call into answer;
    return format('%s %s %s', answer, current_user, current_setting('search_path'));
end
$$;
do $$
begin
    perform create_program('moving', expiry => '12 months inactive', auto_open => true);
    perform create_tier('moving', 'all', null, 0);
    perform earn('moving', 'm', 20, expiry => '12 months inactive');
    perform hold('moving', 'm', 5, now() + interval '1 day');
end
$$;
select is(pg_temp.asked(call), answer || ' reader_of_balances trap, pg_catalog', call)
from (values
    (1, $$(jifen.balance('p', 'ann', '2024-01-24')).available$$, '110'),
    (2, $$(jifen.balance('moving', 'm')).available$$, '15'),
    (3, $$(jifen.balance('moving', 'm', now() + interval '1 day')).available$$, '20'),
    (4, $$jifen.expiring('moving', 'm', now() + interval '2 years')$$, '15'),
    (5, $$jifen.tier_for('moving', 'm')$$, 'all'),
    (6, $$(jifen.tier_status('moving', 'm')).qualifying$$, '20')) v (n, call, answer) order by n;

-- ---------- statement ----------

do $$
begin
    perform earn('p', 'dot', 100, 'INV-1', null, 'store', '2024-01-10', '2 months', '2024-01-12', details => '{"till": 7}');
    perform redeem('p', 'dot', 30, 'ORD-1', event_at => '2024-01-20');
    perform earn('p', 'dot', 50, 'INV-2', null, 'app', '2024-01-15', 'never');
    perform reverse('p', 'dot', 2, 10, 'returned', event_at => '2024-01-20');
    perform redeem('p', 'dot', 5, event_at => '2024-01-15', details => '[]');
    perform expire_batch('p', '2024-04-01');
end
$$;
create function pg_temp.lines(program text, member text, since timestamptz default null, until timestamptz default null) returns text[]
language sql as $$
    select array(select format('%s %s %s = %s', s.seq, s.kind, s.amount, s.balance) from statement(program, member, since, until) s)
$$;
select is(pg_temp.entries_at('p', 'dot'),
    array['1 earn 100 = 100 at 2024-01-10 00:00', '2 redeem -30 = 70 at 2024-01-20 00:00', '3 earn 50 = 120 at 2024-01-15 00:00',
        '4 reverse 10 = 130 at 2024-01-20 00:00', '5 redeem -5 = 125 at 2024-01-15 00:00', '6 expire -75 = 50 at 2024-03-11 00:00'],
    'entries as they were booked');
select is(pg_temp.lines('p', 'dot'),
    array['1 earn 100 = 100', '3 earn 50 = 150', '5 redeem -5 = 145', '2 redeem -30 = 115', '4 reverse 10 = 125', '6 expire -75 = 50'],
    'a statement tells them as they happened, with a balance that runs in that order');
select is(array(select s::text from statement('p', 'dot') s),
    array(select format(line, (select booked_from from program where code = 'p')) from unnest(array[
            '(1,"2024-01-10 00:00:00+00","%s",earn,100,100,0,0,"2024-03-11 00:00:00+00","2024-01-12 00:00:00+00",store,INV-1,,,"{""till"": 7}")',
            '(3,"2024-01-15 00:00:00+00","%s",earn,50,150,0,0,infinity,"2024-01-15 00:00:00+00",app,INV-2,,,)',
            '(5,"2024-01-15 00:00:00+00","%s",redeem,-5,145,0,0,,,,,,,[])',
            '(2,"2024-01-20 00:00:00+00","%s",redeem,-30,115,0,0,,,,ORD-1,,,)',
            '(4,"2024-01-20 00:00:00+00","%s",reverse,10,125,0,0,,,,,returned,2,)',
            '(6,"2024-03-11 00:00:00+00","%s",expire,-75,50,0,0,,,,,,,)']) line),
    'every column of it');
select is(pg_temp.lines('p', 'dot', '2024-01-15', '2024-01-20'), array['3 earn 50 = 150', '5 redeem -5 = 145'],
    'from since on and before until');
select is(pg_temp.lines('p', 'dot', since => '2024-01-20'), array['2 redeem -30 = 115', '4 reverse 10 = 125', '6 expire -75 = 50'],
    'without until, to its end, with what came before in the balance');
select is(pg_temp.lines('p', 'dot', until => '2024-01-15'), array['1 earn 100 = 100'], 'without since, from its beginning');
select is(pg_temp.lines('p', 'dot', '2024-01-15 00:00:00.000001', '2024-01-20 00:00:00.000001'), array['2 redeem -30 = 115', '4 reverse 10 = 125'],
    'to the microsecond');
select is(pg_temp.lines('p', 'dot', '2024-01-20', '2024-01-20'), array[]::text[], 'no time, no entry');
select is(pg_temp.lines('p', 'dot', '2024-03-12'), array[]::text[], 'nor after the last');
select is(pg_temp.lines('p', 'nobody'), array[]::text[], 'nor of an account without any');

select is(array(select concat_ws(': ', b.program, b.member, b.invariant) from reconcile() b), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
