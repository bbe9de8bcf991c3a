-- extend_expiry() and undo_extension(): which lots lapse later, until when, what is journaled, and that it can be taken back.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(116);
\ir books.psql
\ir clocks.psql

-- accounts lots points, and whether all of it is done.
create function pg_temp.done(x extension) returns text
language sql as $$
    select concat_ws(' ', (done.x).accounts, (done.x).lots, (done.x).points, case when (done.x).finished_at is null then 'unfinished' end)
$$;

-- SQLSTATE of a refusal, and that it changed nothing.
create function pg_temp.refused(statement text) returns text
language plpgsql as $$
declare
    before text := (select md5(string_agg(e::text, ',' order by account_id, seq)) || (select count(*) from jifen.extension) from jifen.entry e);
    refusal record;
begin
    select * into refusal from pg_temp.refusal(statement);
    if before <> (select md5(string_agg(e::text, ',' order by account_id, seq)) || (select count(*) from jifen.extension) from jifen.entry e) then
        return 'something changed';
    end if;
    if refusal.state is null then
        return 'not refused';
    end if;
    return format('%s %s%s', refusal.state, refusal.message,
        case when coalesce(refusal.detail, '') = '' or coalesce(refusal.hint, '') = '' then ' (unexplained)' end);
end
$$;

-- ---------- which lots, and until when ----------

-- Zone with an offset that has minutes, and no jumps.
do $$
declare
    member text;
begin
    perform create_program('p', time_zone => 'Asia/Kathmandu', expiry => '12 months end of month', auto_open => true);
    foreach member in array array['ann', 'bob', 'cat'] loop
        perform earn('p', member, 10, event_at => '2026-01-15 10:00+05:45', source => 'shop');                             -- to 1 February 2027
        perform earn('p', member, 20, event_at => '2026-02-15 10:00+05:45', source => 'web', expiry => 'on 2027-05-31');    -- to 1 June 2027
        perform earn('p', member, 40, event_at => '2026-03-15 10:00+05:45', expiry => 'never');
        perform earn('p', member, 80, event_at => '2026-03-20 10:00+05:45', source => 'web', expiry => '24 months inactive');
    end loop;
end
$$;
select is(pg_temp.stands('p', 'ann'), array['1: 10 until 2027-02-01 00:00', '2: 20 until 2027-06-01 00:00', '4: 80 until 2028-03-21 00:00', '3: 40 until infinity'],
    'four lots');
select is(pg_temp.done(extend_expiry('p', 'storm', by_interval => '1 month', members => '{ann}', event_at => '2026-04-01 00:00+05:45')), '1 3 110',
    'all lots of a member by an interval: not those that never lapse');
select is(pg_temp.stands('p', 'ann'), array['5: 10 until 2027-03-01 00:00', '6: 20 until 2027-07-01 00:00', '7: 80 until 2028-04-21 00:00', '3: 40 until infinity'],
    'each lapses so much later in the program''s calendar');
select is(pg_temp.stands('p', 'bob'), array['1: 10 until 2027-02-01 00:00', '2: 20 until 2027-06-01 00:00', '4: 80 until 2028-03-21 00:00', '3: 40 until infinity'],
    'other members'' stay');
select is(array(select format('%s %s held %s debt %s = %s at %s: %s to %s, available %s, issued %s, of %s, for %s, %s', e.seq, e.amount, e.held, e.debt, e.balance,
            e.event_at at time zone 'Asia/Kathmandu', e.until at time zone 'Asia/Kathmandu', e.expires_at at time zone 'Asia/Kathmandu',
            e.available_at at time zone 'Asia/Kathmandu', e.issued_at at time zone 'Asia/Kathmandu', e.source, e.reason, pg_temp.took(e))
        from entry e where e.account_id = account_id('p', 'ann') and e.kind = 'extend' order by e.seq),
    array['5 0 held 0 debt 0 = 150 at 2026-04-01 00:00:00: 2027-02-01 00:00:00 to 2027-03-01 00:00:00, available 2026-04-01 00:00:00, issued 2026-01-15 10:00:00, of shop, for storm, 1: 10',
          '6 0 held 0 debt 0 = 150 at 2026-04-01 00:00:00: 2027-06-01 00:00:00 to 2027-07-01 00:00:00, available 2026-04-01 00:00:00, issued 2026-02-15 10:00:00, of web, for storm, 2: 20',
          '7 0 held 0 debt 0 = 150 at 2026-04-01 00:00:00: 2028-03-21 00:00:00 to 2028-04-21 00:00:00, available 2026-04-01 00:00:00, issued 2026-03-20 10:00:00, of web, for storm, 4: 80'],
    'the journal has the old and the new date of each, and what the points were stays');
select is((select row(e.rule_no, e.expiry, l.counts_from at time zone 'Asia/Kathmandu')::text from entry e join lot l using (account_id, seq)
        where e.account_id = account_id('p', 'ann') and e.seq = 7), '(1,"24 months inactive","2026-03-20 10:00:00")', 'a moving lot keeps its rule, policy and start');
select is((select a.last_activity_at from account a where a.account_id = account_id('p', 'ann')), '2026-03-20 10:00+05:45', 'an extension is no activity');
select is(pg_temp.owns('p', 'ann', '2026-04-01 00:00+05:45'), pg_temp.owns('p', 'ann', '2026-03-31 23:59+05:45'), 'nor does it change what there is');
select is(pg_temp.holds('p', 'ann', '2027-02-28 18:14:59.999999+00') || ', ' || pg_temp.holds('p', 'ann', '2027-02-28 18:15+00'), '150 | 150 | 0 | 0, 150 | 140 | 0 | 10',
    'the points lapse at the new instant');

select is(pg_temp.done(extend_expiry('p', 'sources', until => '2027-06-15 00:00+05:45', sources => '{web}', event_at => '2026-04-01')), '2 2 40',
    'lots of a source, until a date: those that last longer stay');
select is(array[pg_temp.stands('p', 'ann'), pg_temp.stands('p', 'bob')],
    array[array['5: 10 until 2027-03-01 00:00', '6: 20 until 2027-07-01 00:00', '7: 80 until 2028-04-21 00:00', '3: 40 until infinity'],
        array['1: 10 until 2027-02-01 00:00', '5: 20 until 2027-06-15 00:00', '4: 80 until 2028-03-21 00:00', '3: 40 until infinity']],
    'of the others');
select is(pg_temp.done(extend_expiry('p', 'none', until => '2027-06-15 00:00+05:45', sources => '{web}', event_at => '2026-04-01')), '0 0 0', 'once more changes nothing');
select is(pg_temp.done(extend_expiry('p', 'none', by_interval => '1 day', sources => '{}', event_at => '2026-04-01')), '0 0 0', 'of no source, nothing');
select is(pg_temp.done(extend_expiry('p', 'none', by_interval => '1 day', members => '{}', event_at => '2026-04-01')), '0 0 0', 'of no member, nothing');
-- Bounds: at or after the one, before the other.
select is(pg_temp.done(extend_expiry('p', 'window', by_interval => '1 day', members => '{cat}', expiring_since => '2027-02-01 00:00+05:45', expiring_until => '2027-06-01 00:00+05:45',
    event_at => '2026-04-01')), '1 1 10', 'lots that would lapse in a window, its end not included');
select is(pg_temp.done(extend_expiry('p', 'window', by_interval => '1 day', members => '{cat}', expiring_since => '2027-02-02 00:00:00.000001+05:45', event_at => '2026-04-01')), '1 2 100',
    'or later than its begin');
select is(pg_temp.stands('p', 'cat'), array['6: 10 until 2027-02-02 00:00', '7: 20 until 2027-06-16 00:00', '8: 80 until 2028-03-22 00:00', '3: 40 until infinity'], 'they stand so');
select is(pg_temp.done(extend_expiry('p', 'for good', until => 'infinity', members => '{cat}', expiring_until => '2027-06-17', event_at => '2026-04-01')), '1 2 30', 'until never');
select is(pg_temp.stands('p', 'cat'), array['8: 80 until 2028-03-22 00:00', '3: 40 until infinity', '9: 10 until infinity', '10: 20 until infinity'], 'they last for good');
select is(pg_temp.done(extend_expiry('p', 'twice', by_interval => '1 day', members => '{cat,cat}', event_at => '2026-04-01')), '1 1 80', 'a member named twice counts once');

-- A month's end is clamped, an hour that is skipped follows.
do $$
begin
    perform create_program('london', time_zone => 'Europe/London', auto_open => true);
    perform earn('london', 'dan', 1, event_at => '2026-01-10', expiry => 'on 2027-01-30');                -- to 31 January
    perform import('london', 'dan', 2, '2027-02-28 01:30+00', event_at => '2026-01-10');
end
$$;
select is(pg_temp.done(extend_expiry('london', 'clamp', by_interval => '1 month', event_at => '2026-02-01')), '1 2 3', 'by a month');
select is(pg_temp.stands('london', 'dan'), array['3: 1 until 2027-03-01 00:00', '4: 2 until 2027-03-28 02:30'],
    'to the end of the last day of a shorter month, and an hour later where the clock jumps over it');

-- Activity goes on to move a moving lot that was extended, from its new floor.
do $$begin perform redeem('p', 'cat', 40, event_at => '2026-05-10 12:00+05:45'); end$$;
select is((pg_temp.stands('p', 'cat'))[1], '11: 40 until 2028-05-11 00:00', 'activity moves an extended lot further');
do $$
begin
    perform extend_expiry('p', 'long', until => '2030-01-01 00:00+05:45', members => '{cat}', event_at => '2026-06-01');
    perform redeem('p', 'cat', 1, event_at => '2026-11-10 12:00+05:45');
end
$$;
select is((pg_temp.stands('p', 'cat'))[1], '13: 39 until 2030-01-01 00:00', 'and does not where it would lapse later by the extension anyway');
select is(pg_temp.misbooked('p') || pg_temp.misjudged('p'), array[]::text[], 'all as the journal has it');

-- ---------- what cannot be extended ----------

do $$
begin
    perform create_program('q', expiry => '30 days', auto_open => true);
    perform earn('q', 'eve', 10, event_at => '2026-01-01');                                                 -- lapses on 1 February, not booked
    perform earn('q', 'eve', 20, event_at => '2026-01-03');                                                 -- on 3 February
    perform earn('q', 'eve', 40, event_at => '2026-01-05', available_at => '2026-02-01 12:00+00');          -- pending, to 5 February
    perform hold('q', 'eve', 5, now() + interval '1 day', event_at => '2026-01-10');                        -- 5 of lot 1
    perform earn('q', 'fay', 30, event_at => '2026-01-05');
    perform freeze_account('q', 'fay', 'test');
end
$$;
select is(pg_temp.done(extend_expiry('q', 'r', by_interval => '10 days', event_at => '2026-02-01')), '2 3 90',
    'at the instant when a lot lapses it is too late for it; pending points and frozen accounts are extended');
select is(pg_temp.stands('q', 'eve') || pg_temp.stands('q', 'fay'),
    array['1: 5 until 2026-02-01 00:00', '5: 20 until 2026-02-13 00:00', '6: 40 until 2026-02-15 00:00', '2: 30 until 2026-02-15 00:00'],
    'what had not lapsed');
select is((select a.status from account a where a.account_id = account_id('q', 'fay')), 'frozen', 'the account stays frozen');
select is(pg_temp.holds('q', 'eve', '2026-02-01 11:59+00') || ', ' || pg_temp.holds('q', 'eve', '2026-02-01 12:00+00'), '70 | 20 | 40 | 5, 70 | 60 | 0 | 5',
    'pending points are pending for as long');
-- Held points keep the expiry of their lot.
do $$begin perform release('q', 'eve', 4, event_at => '2026-02-02'); end$$;
select is(pg_temp.holds('q', 'eve', '2026-02-02'), '65 | 60 | 0 | 5', 'held points that come back have lapsed with their lot');
select is(pg_temp.done(extend_expiry('q', 'late', until => '2026-03-15', members => '{eve}', event_at => '2026-01-20')), '1 1 5',
    'back-dated, before the first extension: of its lots nothing, and of what lapsed since, what there was');

-- Back-dated: points spent since stay spent, a lot of later is not there yet, booked expiry is given back.
do $$
begin
    perform earn('q', 'gus', 10, event_at => '2026-01-01');   -- to 1 February
    perform earn('q', 'gus', 50, event_at => '2026-01-20');   -- to 20 February
    perform redeem('q', 'gus', 3, event_at => '2026-01-25');
    perform expire_batch('q', '2026-02-10');
end
$$;
select is(pg_temp.entries_at('q', 'gus'), array['1 earn 10 = 10 at 2026-01-01 00:00', '2 earn 50 = 60 at 2026-01-20 00:00', '3 redeem -3 = 57 at 2026-01-25 00:00',
    '4 expire -7 = 50 at 2026-02-01 00:00'], 'a history');
select is(pg_temp.done(extend_expiry('q', 'back', by_interval => '10 days', members => '{gus}', event_at => '2026-01-15')), '1 1 7', 'extended as of a time before the second lot');
select is(pg_temp.journal('q', 'gus', 5), array['5 reinstate 7 = 57 of 4', '6 extend 0 = 57'], 'what was booked as lapsed is given back');
select is(pg_temp.holds('q', 'gus', '2026-02-10 23:59+00') || ', ' || pg_temp.holds('q', 'gus', '2026-02-11'), '57 | 57 | 0 | 0, 57 | 50 | 0 | 7', 'and lapses ten days later');

-- ---------- idempotency ----------

select is(pg_temp.done(extend_expiry('q', 'r', until => '2026-03-01', members => '{gus}', expiring_since => '2026-02-11', idempotency_key => 'k', event_at => '2026-02-05')), '1 2 57', 'with a key');
create temp table before as select count(*) from entry;
select is(pg_temp.done(extend_expiry('q', 'r', until => '2026-03-01', members => '{gus}', expiring_since => '2026-02-11', idempotency_key => 'k', event_at => '2026-02-05')), '1 2 57', 'the same again');
select is((select count(*) from entry), (select * from before)::bigint, 'does nothing more') from before;
select is(pg_temp.refused(format('select extend_expiry(%s)', arguments)), 'JF005 idempotency key reused for another request', 'another request with that key: ' || what)
from (values
    ('another reason', $$'q', 's', until => '2026-03-01', members => '{gus}', expiring_since => '2026-02-11', idempotency_key => 'k', event_at => '2026-02-05'$$),
    ('another date', $$'q', 'r', until => '2026-03-02', members => '{gus}', expiring_since => '2026-02-11', idempotency_key => 'k', event_at => '2026-02-05'$$),
    ('an interval', $$'q', 'r', by_interval => '1 day', members => '{gus}', expiring_since => '2026-02-11', idempotency_key => 'k', event_at => '2026-02-05'$$),
    ('all members', $$'q', 'r', until => '2026-03-01', expiring_since => '2026-02-11', idempotency_key => 'k', event_at => '2026-02-05'$$),
    ('other members', $$'q', 'r', until => '2026-03-01', members => '{gus,eve}', expiring_since => '2026-02-11', idempotency_key => 'k', event_at => '2026-02-05'$$),
    ('a source', $$'q', 'r', until => '2026-03-01', members => '{gus}', sources => '{x}', expiring_since => '2026-02-11', idempotency_key => 'k', event_at => '2026-02-05'$$),
    ('another window', $$'q', 'r', until => '2026-03-01', members => '{gus}', expiring_since => '2026-02-12', idempotency_key => 'k', event_at => '2026-02-05'$$),
    ('an end of the window', $$'q', 'r', until => '2026-03-01', members => '{gus}', expiring_since => '2026-02-11', expiring_until => '2027-01-01', idempotency_key => 'k', event_at => '2026-02-05'$$),
    ('another time', $$'q', 'r', until => '2026-03-01', members => '{gus}', expiring_since => '2026-02-11', idempotency_key => 'k', event_at => '2026-02-06'$$),
    ('no time', $$'q', 'r', until => '2026-03-01', members => '{gus}', expiring_since => '2026-02-11', idempotency_key => 'k'$$)) v (what, arguments);
select is(pg_temp.done(extend_expiry('london', 'r', until => '2028-03-01', idempotency_key => 'k', event_at => '2026-02-05')), '1 2 3', 'a key is the program''s own');

-- ---------- a bounded number of accounts at a time ----------

do $$
begin
    perform create_program('many', expiry => 'on 2026-12-31', auto_open => true);
    perform earn('many', 'm' || k, k, event_at => '2026-01-01') from generate_series(1, 7) k;
    -- Accounts without lots are no work.
    perform open_account('many', 'empty');
end
$$;
create function pg_temp.go_on() returns text
language sql as $$
    select pg_temp.done(jifen.extend_expiry('many', 'r', by_interval => '1 year', idempotency_key => 'k', event_at => '2026-02-01', max_accounts => 3))
$$;
select is(array[pg_temp.go_on(), pg_temp.go_on(), pg_temp.go_on(), pg_temp.go_on()], array['3 3 6 unfinished', '6 6 21 unfinished', '7 7 28', '7 7 28'],
    'the same call goes on until it is finished');
select is((select count(*) from entry e join account a using (account_id) where a.program_id = program_id('many') and e.kind = 'extend'), 7::bigint, 'each lot is extended once');
select is((select array_agg(distinct expires_at) from lot where program_id = program_id('many')), array[timestamptz '2028-01-01'], 'by a year');
select is((select row(x.reason, x.by_interval, x.until, x.idempotency_key, x.undoes, x.actor = session_user, x.finished_at is not null)::text from extension x
        where x.program_id = program_id('many')), '(r,"1 year",,k,,t,t)', 'and it is on record');
-- What is left when another call comes without max_accounts.
select is(pg_temp.done(extend_expiry('many', 'r', by_interval => '1 day', idempotency_key => 'k2', event_at => '2026-02-01', max_accounts => 2)), '2 2 3 unfinished', 'another one begun');
select is(pg_temp.done(extend_expiry('many', 'r', by_interval => '1 day', idempotency_key => 'k2', event_at => '2026-02-01')), '7 7 28', 'and done with without a bound');

-- ---------- undone ----------

create temp table ext (name text, x extension);
insert into ext select 'k', x from extension x where x.program_id = program_id('many') and x.idempotency_key = 'k';
insert into ext select 'k2', x from extension x where x.program_id = program_id('many') and x.idempotency_key = 'k2';
-- Of two extensions on top of each other, the first is buried: nothing stands for it.
do $$begin perform redeem('many', 'm5', 2, event_at => '2026-03-01'), redeem('many', 'm1', 1, event_at => '2026-03-01'); end$$;
select is(pg_temp.done(undo_extension('many', (x).extension_id, 'slip', members => '{m1,m5}')), '1 1 3', 'the second is undone, of some members: what is unspent') from ext where name = 'k2';
select is(pg_temp.stands('many', 'm5'), array['5: 3 until 2028-01-01 00:00'], 'it lapses as it did before it');
select is(pg_temp.stands('many', 'm6'), array['3: 6 until 2028-01-02 00:00'], 'others stay extended');
select is((select format('%s %s, of %s, %s to %s, for %s: %s', e.kind, e.amount, e.reverses_seq, e.until, e.expires_at, e.reason, pg_temp.took(e)) from entry e
        where e.account_id = account_id('many', 'm5') and e.seq = 5), 'extend 0, of 3, 2028-01-02 00:00:00+00 to 2028-01-01 00:00:00+00, for slip: 3: 3', 'the journal says so');
select is(pg_temp.done(undo_extension('many', (x).extension_id, 'slip', members => '{m1,m5}')), '0 0 0', 'undone twice, nothing more') from ext where name = 'k2';
select is(pg_temp.done(undo_extension('many', (x).extension_id, 'slip', max_accounts => 4)) , '3 3 9 unfinished', 'the rest of it, four accounts at a time: m5 had its turn') from ext where name = 'k2';
select is(pg_temp.done(undo_extension('many', (x).extension_id, 'slip', max_accounts => 4)), '5 5 22', 'until it is finished') from ext where name = 'k2';
select is((select array_agg(distinct expires_at) from lot where program_id = program_id('many')), array[timestamptz '2028-01-01'], 'all lapse as before it');
select is(pg_temp.done(undo_extension('many', (x).extension_id, 'all')), '6 6 25', 'then the first, through the second') from ext where name = 'k';
select is((select array_agg(distinct expires_at) from lot where program_id = program_id('many')), array[timestamptz '2027-01-01'], 'all lapse as they did at the beginning');

-- Of what has lapsed meanwhile without the extension, the undoing lets it lapse at once.
do $$
begin
    perform create_program('u', expiry => 'on 2026-03-31', auto_open => true);
    perform earn('u', 'hal', 10, event_at => '2026-01-01');
    perform extend_expiry('u', 'more', until => 'infinity', event_at => '2026-02-01');
    perform redeem('u', 'hal', 4, event_at => '2026-05-01');
end
$$;
select is(pg_temp.done(undo_extension('u', x.extension_id, 'over')), '1 1 6', 'undone after the old date') from extension x where x.program_id = program_id('u');
select is(pg_temp.journal('u', 'hal', 4), array['4 extend 0 = 6 of 2', '5 expire -6 = 0'], 'what is left lapses');
select is((select e.event_at = now() from entry e where e.account_id = account_id('u', 'hal') and e.seq = 5), true, 'at once, not in the past');
select is(pg_temp.holds('u', 'hal', now() - interval '1 second'), '6 | 6 | 0 | 0', 'until then it could be spent');

-- A moving lot, undone after activity.
do $$
begin
    perform create_program('v', expiry => '10 months inactive', auto_open => true);
    perform earn('v', 'ida', 10, event_at => '2026-02-01');                                  -- to 2 December 2026
    perform extend_expiry('v', 'more', until => '2027-06-01', event_at => '2026-02-05');
    perform redeem('v', 'ida', 3, event_at => '2026-03-10');                                -- to 11 January 2027 by itself
end
$$;
select is(pg_temp.stands('v', 'ida'), array['2: 7 until 2027-06-01 00:00'], 'a moving lot extended');
do $$begin perform undo_extension('v', x.extension_id, 'over') from extension x where x.program_id = program_id('v'); end$$;
select is(pg_temp.stands('v', 'ida'), array['4: 7 until 2027-01-11 00:00'], 'lapses as it would have without the extension');

-- ---------- refusals ----------

select is(pg_temp.refused('select ' || call), message, call) from (values
    ($$extend_expiry('nowhere', 'r', until => '2030-01-01')$$, 'JF002 unknown program "nowhere"'),
    ($$extend_expiry(null, 'r', until => '2030-01-01')$$, '22004 program must not be null'),
    ($$extend_expiry('p', null, until => '2030-01-01')$$, '22004 reason must not be null'),
    ($$extend_expiry('p', 'r')$$, '22023 exactly one of until and by_interval must be given'),
    ($$extend_expiry('p', 'r', until => '2030-01-01', by_interval => '1 day')$$, '22023 exactly one of until and by_interval must be given'),
    ($$extend_expiry('p', 'r', by_interval => '0')$$, '22023 by_interval must be more than zero'),
    ($$extend_expiry('p', 'r', by_interval => '-1 day')$$, '22023 by_interval must be more than zero'),
    ($$extend_expiry('p', 'r', until => '-infinity')$$, '22023 until must not be -infinity'),
    ($$extend_expiry('p', 'r', until => '2030-01-01', event_at => now() + interval '1 microsecond')$$, '22023 event_at is in the future'),
    ($$extend_expiry('p', 'r', until => '2030-01-01', event_at => 'infinity')$$, '22023 event_at must be finite'),
    ($$extend_expiry('p', 'r', until => '2030-01-01', event_at => '-infinity')$$, '22023 event_at must be finite'),
    ($$extend_expiry('p', 'r', until => '2030-01-01', max_accounts => 0, idempotency_key => 'z')$$, '22023 max_accounts must be more than zero'),
    ($$extend_expiry('p', 'r', until => '2030-01-01', max_accounts => 5)$$, '22023 max_accounts without idempotency_key'),
    ($$extend_expiry('p', 'r', until => '2030-01-01', members => '{ann,zoe}')$$, 'JF003 unknown member "zoe"'),
    ($$extend_expiry('p', 'r', until => '2030-01-01', members => array['ann', null])$$, '22004 members must not contain null'),
    ($$undo_extension('nowhere', 1, 'r')$$, 'JF002 unknown program "nowhere"'),
    ($$undo_extension('p', null, 'r')$$, '22004 extension_id must not be null'),
    ($$undo_extension('p', 1, null)$$, '22004 reason must not be null'),
    ($$undo_extension('p', 1, '')$$, '22023 reason must not be empty'),
    ($$extend_expiry('p', '', by_interval => '1 day')$$, '22023 reason must not be empty'),
    ($$extend_expiry('p', 'r', by_interval => '1 day', expiring_since => '2027-02-01', expiring_until => '2027-01-01')$$, '22023 expiring_since and expiring_until are the wrong way round'),
    ($$undo_extension('p', 0, 'r')$$, '22023 no such extension'),
    ($$undo_extension('u', (select min(extension_id) from extension where program_id = program_id('v')), 'r')$$, '22023 no such extension'),
    ($$undo_extension('v', (select extension_id from extension where program_id = program_id('v') and undoes is not null), 'r')$$, '22023 no such extension'),
    ($$undo_extension('v', (select min(extension_id) from extension where program_id = program_id('v')), 'r', max_accounts => 0)$$, '22023 max_accounts must be more than zero'),
    ($$undo_extension('v', (select min(extension_id) from extension where program_id = program_id('v')), 'r', members => '{zoe}')$$, 'JF003 unknown member "zoe"'),
    ($$extend_expiry('p', 'r', by_interval => '1000 years 1 day')$$, '22023 by_interval is too long')) v (call, message);

-- ---------- late, whether or not a job has run ----------

do $$
begin
    perform create_program('late', expiry => '1 month', auto_open => true);
    perform earn('late', member, 10, event_at => '2024-01-01') from unnest(array['booked', 'not']) member;
    perform expire_member('late', 'booked');
    perform earn('late', 'closed', 10, event_at => '2024-01-01');
    perform close_account('late', 'closed', 'done');
end
$$;
select is(pg_temp.done(extend_expiry('late', 'late', until => '2024-05-01', event_at => '2024-01-15')), '2 2 20', 'what has lapsed since is extended too');
select is(array(select concat_ws(' ', m, b.available) from unnest(array['booked', 'not']) m, balance('late', m, '2024-04-30') b), array['booked 10', 'not 10'],
    'booked or not');
select is((select a.balance::bigint from account a where a.account_id = account_id('late', 'closed')), 0::bigint, 'but of a closed account nothing');
select is(pg_temp.done(extend_expiry('late', 'too late', until => '2024-06-01', event_at => '2024-05-01')), '0 0 0', 'what had lapsed by then is not');

-- ---------- by days and months of the calendar ----------

do $$
begin
    perform create_program('shanghai', time_zone => 'Asia/Shanghai', auto_open => true);
    perform create_program('santiago', time_zone => 'America/Santiago', auto_open => true);
    perform earn('shanghai', 'ann', 1, event_at => '2026-01-10', expiry => 'on 2027-01-27');
    perform earn('shanghai', 'ann', 2, event_at => '2026-01-10', expiry => 'on 2027-01-28');
    perform earn('shanghai', 'ann', 3, event_at => '2026-01-10', expiry => 'on 2027-01-31');
    perform earn('shanghai', 'ann', 4, event_at => '2026-01-10', expiry => 'on 2027-02-28');
    perform earn('santiago', 'ann', 5, event_at => '2026-01-10', expiry => 'on 2027-09-04');    -- midnight is skipped
    perform extend_expiry(p, 'month', by_interval => '1 month', event_at => '2026-02-01') from unnest(array['shanghai', 'santiago']) p;
end
$$;
select is(array(select l.remaining || ' ' || (l.expires_at at time zone p.time_zone) from open_lot l join program p using (program_id)
        where p.code in ('shanghai', 'santiago') order by l.remaining),
    array['1 2027-02-28 00:00:00', '2 2027-03-01 00:00:00', '3 2027-03-01 00:00:00', '4 2027-04-01 00:00:00', '5 2027-10-05 00:00:00'],
    'to the end of the same day of the month, of the last one, and of the last after the last');

-- ---------- what waits for a notice lapses when that lets it ----------

do $$
begin
    perform create_program('told', expiry => '1 month', notice_days => 10, auto_open => true);
    perform earn('told', member, 100, event_at => '2025-06-01') from unnest(array['ann', 'bob']) member;
    perform record_notice('told', 'ann', 'sms', window_days => 30, sent_at => current_date - 5);
end
$$;
select is(pg_temp.done(extend_expiry('told', 'sooner', until => current_date + 3, members => '{ann}')), '0 0 0', 'by the notice it lapses later already');
select is(pg_temp.done(extend_expiry('told', 'month', by_interval => '40 days', members => '{ann}', expiring_since => current_date + 1)), '1 1 100', 'its date is that of the notice');
select is(array(select e.until::date - current_date || ' ' || (e.expires_at::date - current_date) from entry e
        join account a using (account_id) join program p using (program_id) where p.code = 'told' and e.kind = 'extend'), array['6 46'], 'from which it is extended');
select is(pg_temp.done(extend_expiry('told', 'now', until => current_date + 3, members => '{bob}')), '1 1 100', 'without a notice it is past its date');

-- ---------- undone before it was finished ----------

do $$
begin
    perform create_program('half', expiry => '6 months', auto_open => true);
    perform earn('half', 'm' || i, 10, event_at => now() - interval '10 days') from generate_series(1, 4) i;
    perform extend_expiry('half', 'mistake', until => '2030-01-01', idempotency_key => 'h', max_accounts => 2);
    perform undo_extension('half', (select x.extension_id from extension x join program p using (program_id) where p.code = 'half'), 'stop');
end
$$;
select is(pg_temp.done(extend_expiry('half', 'mistake', until => '2030-01-01', idempotency_key => 'h')), '2 2 20', 'the key gets what it did');
select is((select count(*) from open_lot l join program p using (program_id) where p.code = 'half' and l.expires_at >= '2030-01-01'), 0::bigint, 'and it goes no further');

-- ---------- undone after an activity that would have come too late ----------

do $$
begin
    perform create_program('idle', expiry => '30 days inactive', auto_open => true);
    perform earn('idle', 'ann', 10, event_at => now() - interval '100 days');
    perform extend_expiry('idle', 'why', until => now() + interval '50 days', event_at => now() - interval '90 days');
    perform earn('idle', 'ann', 1, event_at => now() - interval '5 days', expiry => 'never');
    perform undo_extension('idle', (select x.extension_id from extension x join program p using (program_id) where p.code = 'idle'), 'mistake');
end
$$;
select is((select row(b.available, b.lapsed)::text from balance('idle', 'ann') b), '(1,0)', 'what had lapsed without the extension lapses at once');
select is((select e.amount::bigint from entry e where e.account_id = account_id('idle', 'ann') and e.kind = 'expire'), -10::bigint, 'booked as such');
do $$begin perform earn('idle', 'ann', 1, event_at => now() - interval '4 days', expiry => 'never'); end$$;
select is((select row(b.available, b.lapsed)::text from balance('idle', 'ann') b), '(2,0)', 'and no later activity brings it back');

-- ---------- who pays for the points, and what was paid ----------

do $$
begin
    perform create_program('o', auto_open => true, expiry => '1 year'), open_account('o', 'bob');
    perform earn('o', 'ann', 30, source => 'store', funder => 'bank', revenue => 1.00, event_at => now() - interval '10 days'),
        redeem('o', 'ann', 10, event_at => now() - interval '9 days'), earn('o', 'ann', 5, event_at => now() - interval '8 days');
    perform undo_extension('o', x.extension_id, 'error') from extend_expiry('o', 'why', by_interval => '1 month') x;
    perform transfer('o', 'ann', 'bob', 10);
    perform extend_expiry('o', 'why', by_interval => '1 month', members => '{bob}');
end
$$;
select is(array(select concat_ws(' ', a.member, e.seq, e.kind, e.amount, pg_temp.took(e), e.source, e.funder, e.revenue) from entry e join account a using (account_id) join program p using (program_id)
        where p.code = 'o' and e.expires_at is not null order by a.member, e.seq),
    array['ann 1 earn 30 store bank 1.00', 'ann 3 earn 5', 'ann 4 extend 0 1: 20 store bank 0.66666667', 'ann 5 extend 0 3: 5', 'ann 6 extend 0 4: 20 store bank 0.66666667000000',
        'ann 7 extend 0 5: 5', 'bob 1 transfer_in 10 store bank 0.33333333500000000000', 'bob 2 extend 0 1: 10 store bank 0.33333333500000000000000000'],
    'an extension keeps its funder and its share of the revenue, of a lot that is itself one too');

select is(pg_temp.breaches() || pg_temp.unsound(), array[]::text[], 'and all of it adds up');

-- A source that the server compresses, because the details cannot be made smaller.
select earn('wide', 'm', 10, source => repeat('s', 200),
    details => (select jsonb_build_object('a', string_agg(md5(n::text), '' order by n)) from generate_series(1, 58) n))
from create_program('wide', expiry => '12 months', auto_open => true) \g /dev/null
select cmp_ok((select pg_column_size(e.source) from entry e where e.account_id = account_id('wide', 'm')), '<', 200, 'a source may be stored in fewer bytes');
select is((select lots from extend_expiry('wide', 'why', by_interval => '1 month', sources => array[repeat('s', 200)])), 1::bigint, 'and is recognised all the same');

select * from finish();
rollback;
