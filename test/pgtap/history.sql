-- What was known when: balances and statements by what was booked by an instant, and answers that do not depend on when a release is booked.
-- Each booking needs a time of its own: the statements commit, and what was written goes with the extension at the end.
set search_path = jifen, public;
set timezone = 'UTC';
set client_min_messages = warning;
select plan(62);
\ir books.psql

-- An instant after all that is booked and before all that is not.
create temp table known (name text primary key, at timestamptz);
create function pg_temp.note(name text) returns void
language sql as $$
    insert into known values (name, clock_timestamp())
$$;
create function pg_temp.at(name text) returns timestamptz
language sql as $$
    select at from known k where k.name = at.name
$$;
create function pg_temp.lines(program text, member text, known_at timestamptz default null) returns text[]
language sql as $$
    select array(select format('%s %s %s = %s', s.seq, s.kind, s.amount, s.balance) from statement(program, member, known_at => lines.known_at) s)
$$;

-- ---------- one account, booked late ----------

select pg_temp.note('before') \g /dev/null
select create_program('p', auto_open => true), create_program('owe', auto_open => true, overdraft => 'debt') \g /dev/null
select earn('p', 'ann', 100, event_at => '2024-01-01', expiry => '1 month') \g /dev/null
select pg_temp.note('earned') \g /dev/null
select earn('p', 'ann', 10, event_at => '2024-01-20', available_at => '2024-02-20') \g /dev/null
select pg_temp.note('pending') \g /dev/null
select redeem('p', 'ann', 30, event_at => '2024-01-10') \g /dev/null
select pg_temp.note('redeemed') \g /dev/null
select expire_batch('p', '2024-03-01') \g /dev/null
select pg_temp.note('expired') \g /dev/null
select redeem('p', 'ann', 50, event_at => '2024-01-15') \g /dev/null
select pg_temp.note('reinstated') \g /dev/null
select reverse('p', 'ann', 3, event_at => '2024-01-25') \g /dev/null
select pg_temp.note('reversed') \g /dev/null
select expire_batch('p', '2024-03-01') \g /dev/null
select pg_temp.note('again') \g /dev/null

select is(pg_temp.owns('p', 'ann', as_of, pg_temp.at(known)), answer, format('as of %s, known when %s', as_of, known))
from (values
    (1, '2024-03-01'::timestamptz, 'before', '0 = 0 + 0 + 0 + 0 - 0'),
    (2, '2024-01-18', 'earned', '100 = 100 + 0 + 0 + 0 - 0'),
    (3, '2024-03-01', 'earned', '100 = 0 + 0 + 0 + 100 - 0'),
    (4, '2023-12-31', 'again', '0 = 0 + 0 + 0 + 0 - 0'),
    (5, '2024-01-21', 'earned', '100 = 100 + 0 + 0 + 0 - 0'),
    (6, '2024-01-21', 'pending', '110 = 100 + 10 + 0 + 0 - 0'),
    (7, '2024-03-01', 'pending', '110 = 10 + 0 + 0 + 100 - 0'),
    (8, '2024-01-09', 'redeemed', '100 = 100 + 0 + 0 + 0 - 0'),
    (9, '2024-01-18', 'redeemed', '70 = 70 + 0 + 0 + 0 - 0'),
    (10, '2024-03-01', 'redeemed', '80 = 10 + 0 + 0 + 70 - 0'),
    (11, '2024-01-18', 'expired', '70 = 70 + 0 + 0 + 0 - 0'),
    (12, '2024-02-02', 'expired', '10 = 0 + 10 + 0 + 0 - 0'),
    (13, '2024-03-01', 'expired', '10 = 10 + 0 + 0 + 0 - 0'),
    (14, '2024-01-18', 'reinstated', '20 = 20 + 0 + 0 + 0 - 0'),
    (15, '2024-03-01', 'reinstated', '10 = 10 + 0 + 0 + 0 - 0'),
    (16, '2024-01-26', 'reversed', '60 = 50 + 10 + 0 + 0 - 0'),
    (17, '2024-03-01', 'reversed', '40 = 10 + 0 + 0 + 30 - 0'),
    (18, '2024-01-26', 'again', '60 = 50 + 10 + 0 + 0 - 0'),
    (19, '2024-03-01', 'again', '10 = 10 + 0 + 0 + 0 - 0')) v (n, as_of, known, answer) order by n;
select is(pg_temp.owns('p', 'ann', '2024-01-26', null), pg_temp.owns('p', 'ann', '2024-01-26', pg_temp.at('again')), 'without known_at, by all that is booked');
select is(pg_temp.owns('p', 'ann', '2024-01-26', '2999-01-01'), pg_temp.owns('p', 'ann', '2024-01-26'), 'which is all that a time to come knows');
select is(pg_temp.owns('p', 'ann', '2024-03-01', e.posted_at), '10 = 10 + 0 + 0 + 0 - 0', 'what is booked is known in the instant of its booking')
from entry e where e.account_id = account_id('p', 'ann') and e.kind = 'expire' and e.seq = 4;
select is(pg_temp.owns('p', 'ann', '2024-03-01', e.posted_at - interval '1 microsecond'), '80 = 10 + 0 + 0 + 70 - 0', 'and not a microsecond before')
from entry e where e.account_id = account_id('p', 'ann') and e.kind = 'expire' and e.seq = 4;
select is((select row(b.next_expires_at, b.next_expiring)::text from balance('p', 'ann', '2024-01-18', pg_temp.at(known)) b), next, format('what lapses next, known when %s', known))
from (values (1, 'earned', '("2024-02-02 00:00:00+00",100)'), (2, 'redeemed', '("2024-02-02 00:00:00+00",70)'), (3, 'reinstated', '("2024-02-02 00:00:00+00",20)'),
    (4, 'before', '(,)')) v (n, known, next) order by n;

select is(pg_temp.lines('p', 'ann', pg_temp.at(known)), lines, format('a statement, known when %s', known))
from (values
    (1, 'before', array[]::text[]),
    (2, 'pending', array['1 earn 100 = 100', '2 earn 10 = 110']),
    (3, 'redeemed', array['1 earn 100 = 100', '3 redeem -30 = 70', '2 earn 10 = 80']),
    (4, 'expired', array['1 earn 100 = 100', '3 redeem -30 = 70', '2 earn 10 = 80', '4 expire -70 = 10']),
    (5, 'reinstated', array['1 earn 100 = 100', '3 redeem -30 = 70', '6 redeem -50 = 20', '2 earn 10 = 30', '4 expire -70 = -40', '5 reinstate 50 = 10'])) v (n, known, lines)
order by n;
select is((select array_agg(s.seq) from statement('p', 'ann', '2024-01-10', '2024-01-20', pg_temp.at('expired')) s), array[3]::bigint[], 'of a period');
select is((select array_agg(format('%s = %s', s.seq, s.balance)) from statement('p', 'ann', '2024-01-10', '2024-01-20') s), array['3 = 70', '6 = 20'], 'of the same by all that is booked');

select is((select row(r.state, r.message)::text from pg_temp.refusal(statement) r), refusal, statement)
from (values
    (1, $$select balance('p', 'ann', known_at => 'infinity')$$, '(22023,"known_at must be finite")'),
    (2, $$select balance('p', 'ann', known_at => '-infinity')$$, '(22023,"known_at must be finite")'),
    (3, $$select balance('p', 'ann', null, now())$$, '(22004,"as_of must not be null")'),
    (4, $$select statement('p', 'ann', known_at => 'infinity')$$, '(22023,"since, until and known_at must be finite")')) v (n, statement, refusal) order by n;

-- ---------- holds, and their debts ----------

select earn('p', 'bob', 100, event_at => '2024-01-01') \g /dev/null
select pg_temp.note('bob earned') \g /dev/null
select hold('p', 'bob', 60, '2999-01-01', event_at => '2024-01-10') \g /dev/null
select pg_temp.note('bob held') \g /dev/null
select capture('p', 'bob', 2, 20, event_at => '2024-01-20') \g /dev/null
select is(pg_temp.owns('p', 'bob', as_of, pg_temp.at(known)), answer, format('a hold as of %s, known when %s', as_of, known))
from (values
    (1, '2024-01-15'::timestamptz, 'bob earned', '100 = 100 + 0 + 0 + 0 - 0'),
    (2, '2024-01-15', 'bob held', '100 = 40 + 0 + 60 + 0 - 0'),
    (3, '2024-01-20', 'bob held', '100 = 40 + 0 + 60 + 0 - 0'),
    (4, '2998-12-31', 'bob held', '100 = 40 + 0 + 60 + 0 - 0'),
    (5, '2999-01-01', 'bob held', '100 = 100 + 0 + 0 + 0 - 0'),
    (6, '2024-01-15', null, '100 = 40 + 0 + 60 + 0 - 0'),
    (7, '2024-01-20', null, '80 = 80 + 0 + 0 + 0 - 0'),
    (8, '2999-01-01', null, '80 = 80 + 0 + 0 + 0 - 0')) v (n, as_of, known, answer) order by n;
select is((select array_agg(format('%s %s', s.kind, s.held)) from statement('p', 'bob') s), array['earn 0', 'hold 60', 'capture -20', 'release -40'], 'a statement tells what is held and no longer');
select is((select array_agg(format('%s %s', s.kind, s.held)) from statement('p', 'bob', known_at => pg_temp.at('bob held')) s), array['earn 0', 'hold 60'], 'as far as it is known');

select earn('owe', 'cat', 100, event_at => '2024-01-01') \g /dev/null
select hold('owe', 'cat', 70, '2999-01-01', event_at => '2024-01-02') \g /dev/null
select adjust('owe', 'cat', -50, 'abuse', event_at => '2024-01-03') \g /dev/null
select pg_temp.note('cat owes') \g /dev/null
select earn('owe', 'cat', 15, event_at => '2024-01-04') \g /dev/null
select pg_temp.note('cat repaid') \g /dev/null
select is(pg_temp.owns('owe', 'cat', as_of, pg_temp.at(known)), answer, format('a debt as of %s, known when %s', as_of, known))
from (values
    (1, '2024-01-02'::timestamptz, 'cat repaid', '100 = 30 + 0 + 70 + 0 - 0'),
    (2, '2024-01-03', 'cat repaid', '50 = 0 + 0 + 70 + 0 - 20'),
    (3, '2024-01-04', 'cat owes', '50 = 0 + 0 + 70 + 0 - 20'),
    (4, '2024-01-04', 'cat repaid', '65 = 0 + 0 + 70 + 0 - 5'),
    (5, '2999-01-01', 'cat owes', '50 = 50 + 0 + 0 + 0 - 0'),
    (6, '2999-01-01', 'cat repaid', '65 = 65 + 0 + 0 + 0 - 0')) v (n, as_of, known, answer) order by n;
select is(expiring('owe', 'cat', '2999-12-31', '2999-01-01'), 0::point_amount, 'what is released and does not lapse');

-- ---------- the same whether or not a release is booked ----------

create temp table run as select clock_timestamp() as begun;
do $$
declare
    begun timestamptz := (select r.begun from run r);
    member text;
begin
    perform setseed(0.7);
    for k in 1 .. 40 loop
        member := 'm' || k;
        for l in 1 .. 1 + floor(random() * 4) loop
            perform import('owe', member, 1 + floor(random() * 50)::int, case when random() < 0.8 then begun + random() * interval '4 seconds' + interval '4 seconds' end,
                event_at => begun - interval '1 day', available_at => case when random() < 0.2 then begun + random() * interval '1 second' end);
        end loop;
        for h in 1 .. 3 loop
            if (balance('owe', member)).available > 0 then
                perform hold('owe', member, 1 + floor(random() * (balance('owe', member)).available::bigint)::int, begun + interval '4 seconds' + floor(random() * 5) * interval '500 milliseconds');
            end if;
            if random() < 0.5 then
                perform adjust('owe', member, -1 - floor(random() * 40)::int, 'abuse');
            end if;
        end loop;
    end loop;
end
$$;
create function pg_temp.answers(at timestamptz) returns table (member text, answer text)
language sql as $$
    select 'm' || k, concat_ws(' ', b.available, b.pending, b.held, b.debt, b.balance - b.lapsed, b.next_expires_at, b.next_expiring,
        expiring('owe', 'm' || k, at + interval '1 second', at))
    from generate_series(1, 40) k, balance('owe', 'm' || k, at) b
$$;
create function pg_temp.all_answers() returns table (at timestamptz, member text, answer text)
language sql as $$
    select t.at, a.* from run, generate_series(begun + interval '1 second', begun + interval '8 seconds', '500 milliseconds') t (at), pg_temp.answers(t.at) a
$$;
create temp table answered as select * from pg_temp.all_answers();
select cmp_ok((select clock_timestamp() - begun from run), '<', interval '4 seconds', 'asked before the first deadline');
select cmp_ok((select count(*)::int from debt d join hold h using (account_id)), '>', 10, 'of debts beside holds');
select pg_sleep_until(begun + interval '6 seconds') from run;
select cmp_ok((select r.holds from release_batch('owe') r), '>', 40::bigint, 'many holds are overdue and released');
select is((select count(*)::int from hold h join account a using (account_id) where a.member ~ '^m\d'), 0, 'all of them');
select cmp_ok((select count(*)::int from entry e where e.kind = 'repay'), '>', 10, 'and repay');
select is(array(select format('%s at %s: %s, then %s', member, at, o.answer, a.answer) from answered o join pg_temp.all_answers() a using (at, member) where a.answer <> o.answer limit 3),
    array[]::text[], 'every answer of before is the same after');

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

select * from finish();
drop extension jifen cascade;
create extension jifen;
