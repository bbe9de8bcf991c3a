-- reinstate(): points that have lapsed are given back, booked or not, in part or whole, with a new expiry.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(50);
\ir books.psql
\ir clocks.psql

create function pg_temp.given(entries entry[]) returns text[]
language sql as $$
    select array(select format('%s %s %s of %s: %s', e.seq, e.kind, e.amount, e.reverses_seq, pg_temp.took(e)) from unnest(entries) e order by e.seq)
$$;

-- ---------- what has lapsed, booked or not ----------

do $$
begin
    perform create_program('p', time_zone => 'Europe/London', expiry => '6 months end of month', auto_open => true);
    perform earn('p', 'ann', 10, event_at => '2025-01-10', source => 'shop', qualifying => 3);     -- to 1 August 2025
    perform earn('p', 'ann', 20, event_at => '2025-02-10');                                        -- to 1 September
    perform earn('p', 'ann', 40, event_at => '2025-02-20');                                        -- the same
    perform earn('p', 'ann', 80, event_at => '2025-12-20', expiry => '30 days');                   -- to 20 January 2026
    perform earn('p', 'ann', 160, event_at => '2026-01-20', expiry => 'never');
    perform redeem('p', 'ann', 4, event_at => '2025-03-01');                                       -- of lot 1
    perform expire_batch('p', '2025-08-15');
end
$$;
select is(pg_temp.entries_at('p', 'ann', 7), array['7 expire -6 = 300 at 2025-07-31 23:00'], 'of 146 points that have lapsed, 6 are booked');
select is(pg_temp.given(array(select r from reinstate('p', 'ann', 'kindness', amount => 85, event_at => '2026-02-10 12:00+00') r)),
    array['10 reinstate 80 of 9: 4: -80', '12 reinstate 5 of 8: 3: -5'], 'what lapsed last is given back first, of equals the latest, as much as was asked');
select is(pg_temp.entries_at('p', 'ann', 8), array['8 expire -60 = 240 at 2025-08-31 23:00', '9 expire -80 = 160 at 2026-01-20 00:00',
    '10 reinstate 80 = 240 at 2026-01-20 00:00', '11 extend 0 = 240 at 2026-02-10 12:00', '12 reinstate 5 = 245 at 2025-08-31 23:00', '13 extend 0 = 245 at 2026-02-10 12:00'],
    'all that has lapsed is booked first, then given back where it lapsed and moved to a new lot');
select is(pg_temp.stands('p', 'ann'), array['11: 80 until 2026-09-01 00:00', '13: 5 until 2026-09-01 00:00', '5: 160 until infinity'],
    'the points lapse anew by the program''s policy');
select is((select row(e.reason, e.issued_at, e.source, e.reverses_seq, e.qualifying, e.actor = session_user)::text from entry e
        where e.account_id = account_id('p', 'ann') and e.seq = 10), '(kindness,,,9,,t)', 'with the reason; nothing counts towards a tier');
select is((select array_agg(e.issued_at) from entry e where e.account_id = account_id('p', 'ann') and e.seq in (11, 13)), array[timestamptz '2025-12-20', '2025-02-20'], 'they keep when they were issued');
-- Not spendable in between.
select is(array[pg_temp.holds('p', 'ann', '2026-01-19 23:59:59.999999+00'), pg_temp.holds('p', 'ann', '2026-01-20'), pg_temp.holds('p', 'ann', '2026-02-10 11:59:59+00'),
        pg_temp.holds('p', 'ann', '2026-02-10 12:00+00')],
    array['85 | 80 | 0 | 5', '245 | 160 | 0 | 85', '245 | 160 | 0 | 85', '245 | 245 | 0 | 0'], 'they can be spent again from then on, and not in between');
-- A window of when they lapsed.
select is(pg_temp.given(array(select r from reinstate('p', 'ann', 'kindness', lapsed_since => '2025-08-31 23:00:00.000001+00', event_at => '2026-02-10 12:00+00') r)), array[]::text[],
    'of what lapsed since, nothing is left');
select is(pg_temp.given(array(select r from reinstate('p', 'ann', 'kindness', lapsed_until => '2025-08-31 23:00+00', expiry => 'on 2026-12-31', event_at => '2026-02-11') r)),
    array['15 reinstate 6 of 7: 1: -6'], 'what lapsed before, with an expiry of its own');
select is((select row(l.expires_at, e.source)::text from lot l join entry e using (account_id, seq) where l.account_id = account_id('p', 'ann') and l.seq = 16),
    '("2027-01-01 00:00:00+00",shop)', 'it lapses by that, and keeps its source');
select is(pg_temp.given(array(select r from reinstate('p', 'ann', 'kindness', lapsed_since => '2025-08-31 23:00+00', amount => 40, event_at => '2026-02-11') r)),
    array['17 reinstate 40 of 8: 2: -5, 3: -35'], 'at or after a bound; of one expiry, the rest of its last lot first');
-- More than there is.
create temp table before as select count(*) from entry;
select is((pg_temp.refusal($$select reinstate('p', 'ann', 'kindness', amount => 16, event_at => '2026-02-11')$$))::text,
    $$(JF006,"more reinstated than has lapsed","Of member ""ann"" of program ""p"", 1 points less have lapsed than the 16 to be given back.","Leave amount out for all that has lapsed.")$$,
    'more than has lapsed is refused');
select is((select count(*) from entry), b.count, 'and nothing is changed') from before b;
select is(array_length(array(select r from reinstate('p', 'ann', 'kindness', event_at => '2026-02-11') r), 1), 1, 'all the rest');
select is(array_length(array(select r from reinstate('p', 'ann', 'kindness', event_at => '2026-02-11') r), 1), null, 'called again, nothing is left');
select is(pg_temp.owns('p', 'ann', '2026-02-11'), '306 = 306 + 0 + 0 + 0 - 0', 'all is there again');
-- What was given back and lapsed once more can be given back again.
do $$begin perform pg_temp.book('p', '2026-10-01'); end$$;
select is(pg_temp.owns('p', 'ann', '2026-10-01'), '166 = 166 + 0 + 0 + 0 - 0', 'what was given back lapses');
select is((select sum(r.amount) from reinstate('p', 'ann', 'again', event_at => '2026-10-05', expiry => 'never') r), 140::point_amount, 'and is given back again');

-- ---------- the new expiry ----------

do $$
begin
    perform create_program('grace', expiry => '30 days', return_grace => '7 days', auto_open => true);
    perform earn('grace', 'bob', 10, event_at => '2026-01-01');
    perform reinstate('grace', 'bob', 'r', event_at => '2026-06-01 15:00+00');
    perform create_program('gone', expiry => '30 days', auto_open => true);
    perform earn('gone', 'bob', 10, event_at => '2026-01-01');
    perform reinstate('gone', 'bob', 'r', event_at => '2026-02-05', amount => 4);
    perform create_program('moving', expiry => '8 months inactive', auto_open => true);
    perform earn('moving', 'bob', 10, event_at => '2025-01-01');                    -- to 2 September 2025
    perform reinstate('moving', 'bob', 'r', event_at => '2026-05-05');              -- to 6 January 2027
end
$$;
select is(pg_temp.stands('grace', 'bob'), array['4: 10 until 2026-06-09 00:00'], 'return_grace comes before the policy');
select is(pg_temp.holds('gone', 'bob', '2026-03-07 23:59+00') || ', ' || pg_temp.holds('gone', 'bob', '2026-03-08'), '4 | 4 | 0 | 0, 4 | 0 | 0 | 4', 'points given back long ago may have lapsed again');
select is(pg_temp.stands('moving', 'bob'), array['4: 10 until 2027-01-06 00:00'], 'a policy that counts inactivity counts from when the points were given back');
do $$begin perform redeem('moving', 'bob', 1, event_at => '2026-07-07'); end$$;
select is(pg_temp.stands('moving', 'bob'), array['4: 9 until 2027-03-08 00:00'], 'and from activity after it');
select is((select row(e.rule_no, e.expiry, e.issued_at)::text from entry e where e.account_id = account_id('moving', 'bob') and e.seq = 4), '(1,"8 months inactive","2025-01-01 00:00:00+00")',
    'the new lot is a moving one') ;

-- A moving lot that lapsed: the activity that came too late finds it lapsed, reinstated it goes on.
do $$
begin
    perform earn('moving', 'cat', 10, event_at => '2025-01-01');                    -- to 2 September 2025
    perform earn('moving', 'cat', 1, event_at => '2025-09-02', expiry => 'never');  -- at the instant
end
$$;
select is(pg_temp.entries_at('moving', 'cat', 2), array['2 expire -10 = 0 at 2025-09-02 00:00', '3 earn 1 = 1 at 2025-09-02 00:00'], 'an activity at the instant of the lapse is too late');
select is((select sum(r.amount) from reinstate('moving', 'cat', 'late', event_at => '2025-09-10') r), 10::point_amount, 'reinstated');
select is(pg_temp.stands('moving', 'cat'), array['5: 10 until 2026-05-11 00:00', '3: 1 until infinity'], 'it lapses again eight months later, as nothing has happened since');
select is(pg_temp.misbooked(code) || pg_temp.misjudged(code), array[]::text[], code || ': as the journal has it') from program where code in ('p', 'grace', 'gone', 'moving') order by code;

-- ---------- frozen and closed accounts, refusals ----------

do $$
begin
    perform earn('gone', 'fay', 10, event_at => '2026-01-01');
    perform freeze_account('gone', 'fay', 'test');
    perform open_account('gone', 'new');
end
$$;
select is((pg_temp.refusal('select ' || call)).state || ' ' || (pg_temp.refusal('select ' || call)).message, message, call) from (values
    ($$reinstate('nowhere', 'bob', 'r')$$, 'JF002 unknown program "nowhere"'),
    ($$reinstate('gone', 'zoe', 'r')$$, 'JF003 unknown member "zoe"'),
    ($$reinstate('gone', 'fay', 'r')$$, 'JF004 account is not open'),
    ($$reinstate('gone', 'bob', null)$$, '22004 reason must not be null'),
    ($$reinstate(null, 'bob', 'r')$$, '22004 program must not be null'),
    ($$reinstate('gone', null, 'r')$$, '22004 member must not be null'),
    ($$reinstate('gone', 'bob', 'r', amount => 0)$$, '22023 amount must be more than zero'),
    ($$reinstate('gone', 'bob', 'r', amount => -1)$$, '22023 amount must be more than zero'),
    ($$reinstate('gone', 'bob', 'r', event_at => now() + interval '1 hour')$$, '22023 event_at is in the future'),
    ($$reinstate('gone', 'new', 'r', amount => 1)$$, 'JF006 more reinstated than has lapsed')) v (call, message);
select is(array(select r from reinstate('gone', 'new', 'r') r), array[]::entry[], 'of nothing, nothing');
select is(array(select r from reinstate('gone', 'bob', 'r', event_at => '2026-01-30 23:59+00') r), array[]::entry[], 'nor of what lapsed later');

-- ---------- once by key ----------

do $$
begin
    perform create_program('key', expiry => '1 month', auto_open => true);
    perform earn('key', 'ann', 30, event_at => '2024-01-10');
    perform earn('key', 'ann', 20, event_at => '2024-03-10');
end
$$;
create temp table once as select * from reinstate('key', 'ann', 'why', 40, idempotency_key => 'k');
select is(array(select o.amount || ' ' || o.idempotency_key from once o order by o.seq), array['20 k', '20 k #2'], 'what it took');
select set_eq($$select seq from reinstate('key', 'ann', 'why', 40, idempotency_key => 'k')$$, 'select seq from once', 'is returned once more');
select is((select b.available from balance('key', 'ann') b)::bigint, 40::bigint, 'and nothing else happens');
select throws_ok($$select reinstate('key', 'ann', 'why', 39, idempotency_key => 'k')$$, 'JF005', null, 'another amount is another request');
select throws_ok($$select reinstate('key', 'ann', 'because', 40, idempotency_key => 'k')$$, 'JF005', null, 'so is another reason');
select throws_ok($$select reinstate('key', 'ann', 'why', lapsed_since => '2024-02-01', lapsed_until => '2024-01-01')$$, '22023', null, 'bounds have an order');
select throws_ok($$select reinstate('key', 'ann', '')$$, '22023', 'reason must not be empty', 'a reason says something');

select is(pg_temp.breaches() || pg_temp.unsound(), array[]::text[], 'and all of it adds up');

select * from finish();
rollback;
