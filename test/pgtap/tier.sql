-- Tiers: the qualifying points of a rolling window, its edges, what is missing to the next tier and how long this one holds.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(86);

do $$
begin
    perform create_program('p', auto_open => true);
    perform create_tier('p', 'base', 'Member', 0);
    perform create_tier('p', 'gold', '金卡', 5000);
    perform create_tier('p', 'silver', null, 1000);
    perform create_program('steep', auto_open => true);
    perform create_tier('steep', 'silver', 'Silver', 1000);
    perform create_program('flat', auto_open => true);
    perform open_account('p', 'nobody');
end
$$;

create function pg_temp.status(program text, member text, as_of timestamptz) returns text
language sql as $$
    select t::text from tier_status(status.program, status.member, status.as_of) t
$$;

-- ---------- tiers of a program ----------

select is((select row(t.code, t.name, t.threshold)::text from create_tier('p', 'Gold', 'Gold without a month', 6000) t),
    '(Gold,"Gold without a month",6000)', 'create_tier() returns the tier; codes are case-sensitive');
select is(array(select format('%s %s %s', t.code, t.name, t.threshold) from tier t join program p using (program_id)
        where p.code = 'p' order by t.threshold),
    array['base Member 0', 'silver silver 1000', 'gold 金卡 5000', 'Gold Gold without a month 6000'], 'without a name it is called by its code');
select throws_ok($$select create_tier('p', 'silver', 'x', 2000)$$, '42710', null, 'a code is taken once in a program');
select throws_ok($$select create_tier('p', 'x', 'x', 1000)$$, '42710', null, 'and so is a threshold');
select throws_ok($$select create_tier('nowhere', 'x', 'x', 1)$$, 'JF002', 'unknown program "nowhere"', 'an unknown program');
select throws_ok($$select tier_for('nowhere', 'ann')$$, 'JF002', 'unknown program "nowhere"', 'to tier_for() as well');
select throws_ok($$select tier_for('p', 'ann')$$, 'JF003', 'unknown member "ann"', 'and an unknown member');
select throws_ok($$select * from tier_status('p', 'ann')$$, 'JF003', 'unknown member "ann"', 'to tier_status() too');

-- ---------- the window, to the microsecond ----------

do $$
begin
    perform earn('p', 'ann', 800, event_at => '2023-03-10 12:00+00');
    perform earn('p', 'ann', 1, qualifying => 300, event_at => '2023-06-15 08:00+00');
    perform earn('p', 'ann', 9000, qualifying => 0, event_at => '2023-06-16 08:00+00');
    perform redeem('p', 'ann', 700, event_at => '2023-06-17 08:00+00');
end
$$;
select is(tier_for('p', 'ann', as_of), tier, format('%s: %s', as_of, reason))
from (values
    (1, '2001-01-01 00:00+00'::timestamptz, 'base', 'before there was anything'),
    (2, '2023-03-10 12:00+00', 'base', '800'),
    (3, '2023-06-15 07:59:59.999999+00', 'base', '800, a microsecond before the credit that makes them 1100'),
    (4, '2023-06-15 08:00+00', 'silver', '1100, when it happens'),
    (5, '2023-06-17 08:00+00', 'silver', 'spending does not matter, nor do points that do not qualify'),
    (6, '2024-03-10 11:59:59.999999+00', 'silver', 'the last microsecond of the first credit in the window'),
    (7, '2024-03-10 12:00+00', 'base', '300, when it has left'),
    (8, '2030-01-01 00:00+00', 'base', 'long after')) v (n, as_of, tier, reason) order by n;

select is(pg_temp.status('p', 'ann', '2023-07-01'),
    '(silver,silver,1100,1000,"2022-07-01 00:00:00+00","2023-07-01 00:00:00+00",gold,5000,3900,"2024-03-10 12:00:00+00")',
    'tier_status() gives the whole reasoning');
select is(pg_temp.status('p', 'ann', '2024-03-10 12:00+00'),
    '(base,Member,300,0,"2023-03-10 12:00:00+00","2024-03-10 12:00:00+00",silver,1000,700,)', 'the lowest tier ends never');
select is(pg_temp.status('p', 'nobody', '2024-03-10'),
    '(base,Member,0,0,"2023-03-10 00:00:00+00","2024-03-10 00:00:00+00",silver,1000,1000,)', 'it needs no points');
do $$
begin
    perform earn('p', 'top', 7000, event_at => '2023-05-05');
    perform earn('steep', 'm', 999, event_at => '2023-05-05');
    perform earn('flat', 'm', 999, event_at => '2023-05-05');
end
$$;
select is(pg_temp.status('p', 'top', '2023-06-01'),
    '(Gold,"Gold without a month",7000,6000,"2022-06-01 00:00:00+00","2023-06-01 00:00:00+00",,,,"2024-05-05 00:00:00+00")',
    'nothing is missing to the highest');
select is(pg_temp.status('steep', 'm', '2023-06-01'),
    '(,,999,,"2022-06-01 00:00:00+00","2023-06-01 00:00:00+00",silver,1000,1,)', 'a point is missing to the first tier of all');
select is(tier_for('steep', 'm', '2023-06-01'), null, 'so the member has none');
select is(pg_temp.status('flat', 'm', '2023-06-01'), '(,,999,,"2022-06-01 00:00:00+00","2023-06-01 00:00:00+00",,,,)', 'a program without tiers');
select is((select t::text from tier_status('p', 'ann') t), pg_temp.status('p', 'ann', now()), 'as_of is now() by default');
do $$begin perform earn('steep', 'm', 1); end$$;
select is(tier_for('steep', 'm'), null, 'also for tier_for(): a point today does not join those of 2023');
do $$begin perform earn('steep', 'm', 999); end$$;
select is(tier_for('steep', 'm'), 'silver', 'a thousand today do');

do $$begin perform earn('steep', 'm', 1, event_at => '2023-09-01'); end$$;
select is(tier_for('steep', 'm', '2023-08-31'), null, 'a credit booked late');
select is(tier_for('steep', 'm', '2023-09-01'), 'silver', 'counts from when it happened');

-- ---------- reversals ----------

do $$
begin
    perform earn('p', 'rex', 1200, event_at => '2023-01-10');
    perform reverse('p', 'rex', 1, 300, event_at => '2023-02-10');
end
$$;
select is(array[tier_for('p', 'rex', '2023-02-09 23:59:59.999999'), tier_for('p', 'rex', '2023-02-10')], array['silver', 'base'],
    'a reversal takes its qualifying points when it happens, and not before');
select is((tier_status('p', 'rex', '2023-02-10')).qualifying, 900::point_amount, 'in proportion');
-- From 10 January 2024 on the window holds the reversal alone.
select is(pg_temp.status('p', 'rex', '2024-01-10'),
    '(base,Member,-300,0,"2023-01-10 00:00:00+00","2024-01-10 00:00:00+00",silver,1000,1300,)', 'once the credit has left, the reversal remains');
select is(tier_for('p', 'rex', '2024-01-10'), 'base', 'a tier of 0 is every member''s, even so');
select is(tier_for('p', 'rex', '2024-02-10'), 'base', 'and when it has left as well');

do $$
begin
    perform earn('steep', 'dip', 1000, event_at => '2023-01-10');
    perform reverse('steep', 'dip', 1, 600, event_at => '2023-02-10');
    perform earn('steep', 'dip', 1000, event_at => '2023-03-10');
    perform earn('steep', 'same', 1000, event_at => '2023-01-10');
    perform reverse('steep', 'same', 1, 600, event_at => '2023-01-10');
    perform earn('steep', 'same', 1000, event_at => '2023-03-10');
end
$$;
select is((tier_status('steep', 'dip', '2023-03-10')).holds_until, '2024-01-10 00:00+00'::timestamptz,
    'a tier ends when it is first lost, though it comes back');
select is(array(select tier_for('steep', 'dip', t) from unnest(array['2024-01-09', '2024-01-10', '2024-02-09', '2024-02-10', '2024-03-09',
            '2024-03-10']::timestamptz[]) t),
    array['silver', null, null, 'silver', 'silver', null], 'as it does when a reversal leaves the window');
select is((tier_status('steep', 'same', '2023-03-10')).holds_until, '2024-03-10 00:00+00'::timestamptz,
    'what leaves the window at once, leaves it together');

-- ---------- calendars ----------

-- One credit of enough points: until when is the tier held?
create temp table held (n int, tier_window text, time_zone text, event_at timestamptz, until timestamptz, reason text);
insert into held values
    (1, '12 months', 'UTC', '2023-02-28 10:00+00', '2024-02-28 10:00+00', '28 February to that of a leap year'),
    (2, '12 months', 'UTC', '2024-02-28 10:00+00', '2025-02-28 10:00+00', '28 February of a leap year'),
    (3, '12 months', 'UTC', '2024-02-29 10:00+00', '2025-02-28 10:00+00', '29 February to 28 February'),
    (4, '12 months', 'UTC', '2024-02-29 00:00+00', '2025-02-28 00:00+00', 'from the first instant of 29 February too'),
    (5, '48 months', 'UTC', '2024-02-29 10:00+00', '2028-02-29 10:00+00', '29 February to 29 February'),
    (6, '1 month', 'UTC', '2023-01-28 10:00+00', '2023-02-28 10:00+00', '28 January to 28 February'),
    (7, '1 month', 'UTC', '2023-01-29 10:00+00', '2023-02-28 10:00+00', '29 January to the last of February'),
    (8, '1 month', 'UTC', '2023-01-31 23:59+00', '2023-02-28 23:59+00', '31 January to the last of February'),
    (9, '1 month', 'UTC', '2023-04-30 10:00+00', '2023-05-30 10:00+00', '30 April to 30 May'),
    (10, '90 days', 'UTC', '2024-01-31 10:00+00', '2024-04-30 10:00+00', '90 days'),
    (11, '36 hours', 'UTC', '2024-02-28 10:00+00', '2024-02-29 22:00+00', '36 hours'),
    (12, '12 months', 'Asia/Shanghai', '2024-02-28 16:00+00', '2025-02-27 16:00+00', 'the first instant of 29 February in Shanghai, to that of the 28th'),
    (13, '12 months', 'Asia/Shanghai', '2024-02-29 16:00+00', '2025-02-28 16:00+00', 'the first of March there, to the first of March'),
    (14, '12 months', 'Asia/Shanghai', '2024-02-28 15:59:59+00', '2025-02-28 15:59:59+00', 'the last second of 28 February there'),
    (15, '6 months', 'America/New_York', '2024-01-10 15:00+00', '2024-07-10 14:00+00', '10 in the morning to 10 in the morning, of summer time'),
    (16, '6 months', 'America/New_York', '2024-07-10 14:00+00', '2025-01-10 15:00+00', 'and of winter time'),
    -- 7 April less a month is 7 March, less 15 days 20 February
    (17, '1 month 15 days', 'UTC', '2023-02-20 12:00+00', '2023-04-04 12:00+00', 'a month and then 15 days'),
    -- Of the hour repeated on 6 November 2022 the window's start meets the second run only
    (18, '12 months', 'America/New_York', '2022-11-06 05:30+00', '2023-11-06 06:30+00', 'half past one, before the clock was put back');
do $$
begin
    perform create_program('w' || n, time_zone => time_zone, tier_window => tier_window::interval, auto_open => true) from held order by n;
    perform create_tier('w' || n, 'silver', 'Silver', 100) from held;
    perform earn('w' || n, 'm', 100, event_at => event_at) from held;
end
$$;
select is(array[tier_for('w' || n, 'm', event_at - interval '1 microsecond'), tier_for('w' || n, 'm', event_at),
        tier_for('w' || n, 'm', until - interval '1 microsecond'), tier_for('w' || n, 'm', until)], array[null, 'silver', 'silver', null],
    format('%s in %s from %s to %s: %s', tier_window, time_zone, event_at, until, reason))
from (select * from held order by n) held;
select is((tier_status('w' || n, 'm', event_at)).holds_until, until, format('%s in %s from %s: known beforehand', tier_window, time_zone, event_at))
from (select * from held order by n) held;

-- The window of a program is its own, whichever clock the session goes by.
create function pg_temp.in_zone(zone text) returns text[]
language plpgsql as $$
begin
    perform set_config('timezone', zone, true);
    return array(select format('%s at %s', h.n, at) from held h, unnest(array[h.event_at, h.until - interval '1 microsecond', h.until]) at
        where (tier_for('w' || h.n, 'm', at) is null) <> (at = h.until));
end
$$;
select is(pg_temp.in_zone(zone), array[]::text[], format('to the microsecond for a session in %s', zone))
from unnest(array['Pacific/Kiritimati', 'America/New_York', 'Pacific/Pago_Pago']) zone;
set local timezone = 'UTC';

do $$
begin
    perform earn('w7', 'ebb', 200, event_at => '2023-01-29');
    perform reverse('w7', 'ebb', 1, 120, event_at => '2023-01-30');
    perform earn('w7', 'ebb', 100, event_at => '2023-02-05');
end
$$;
select is((tier_status('w7', 'ebb', '2023-02-10')).holds_until, '2023-03-05 00:00+00'::timestamptz,
    'what leaves the window at the end of a short month, leaves it together');

-- 29, 30 and 31 March less a month are 28 February as well.
do $$begin perform earn('w6', 'back', 100, event_at => '2023-02-28 13:00+00'); end$$;
select is(array(select tier_for('w6', 'back', t) from unnest(array['2023-03-28 12:59', '2023-03-28 13:00', '2023-03-29 10:00', '2023-03-29 14:00',
            '2023-03-31 10:00']::timestamptz[]) t),
    array['silver', null, null, null, null], 'what has left the window does not come back on a longer month''s last days');

-- ---------- more than can be counted ----------

do $$
begin
    perform create_program('vast', auto_open => true);
    perform create_tier('vast', 'all', null, 9223372036854775807);
    perform earn('vast', 'm', 2, qualifying => 9000000000000000000, event_at => '2023-01-01');
    perform earn('vast', 'm', 2, qualifying => 9000000000000000000, event_at => '2023-02-01');
    perform reverse('vast', 'm', 2, event_at => '2023-03-01');
    perform reverse('vast', 'm', 1, event_at => '2023-03-02');
end
$$;
select is(array(select format('%s %s %s', s.tier, s.qualifying, s.missing)
        from unnest(array['2023-01-01', '2023-02-01', '2023-03-01', '2023-03-02']::timestamptz[]) at, tier_status('vast', 'm', at) s),
    array[' 9000000000000000000 223372036854775807', 'all 9223372036854775807 ', ' 9000000000000000000 223372036854775807',
        ' 0 9223372036854775807'],
    'as many points as there can be are the most, whatever more there are');
select is(array[tier_for('vast', 'm', '2023-02-01'), tier_for('vast', 'm', '2024-01-01')], array['all', null],
    'to tier_for() as well, and what was taken back counts for nothing');

-- ---------- what is seen ----------

create function pg_temp.earned(points point_amount) returns text
language plpgsql as $$
begin
    perform earn('steep', 'seen', points);
    return tier_for('steep', 'seen');
end
$$;
do $$begin perform open_account('steep', 'seen'); end$$;
select is(pg_temp.earned(999), null, 'what the caller has just earned');
select is(pg_temp.earned(1), 'silver', 'counts at once');
do $$begin perform open_account('steep', 'unseen'); end$$;
select is((select concat_ws(' ', e.seq, s.tier) from earn('steep', 'unseen', 1000) e, lateral tier_status('steep', 'unseen', clock_timestamp()) s
        where e.seq is not null), '1', 'but not within the very statement that earns');
select is((tier_status('p', 'ann', '2023-07-01'))::text, pg_temp.status('p', 'ann', '2023-07-01'), 'the same row where it is asked for as a value');
select throws_ok($$select tier_for('steep', 'ann')$$, 'JF003', 'unknown member "ann"', 'a member of another program is not one of this');

-- ---------- holds_until, for random histories ----------

create temp table wrong (what text);
create function pg_temp.threshold(program text, member text, as_of timestamptz) returns int8
language sql as $$
    select t.threshold from tier_status(threshold.program, threshold.member, threshold.as_of) t
$$;
do $$
declare
    code text;
    member text;
    at timestamptz;
    points bigint;
    own_account bigint;
    seq bigint;
    status record;
    later timestamptz;
begin
    perform setseed(0.3);
    for w in 1 .. 4 loop
        code := 'random ' || w;
        perform create_program(code, time_zone => 'Asia/Shanghai', auto_open => true,
            tier_window => (array['12 months', '1 month', '3 months', '45 days'])[w]::interval);
        perform create_tier(code, format('tier %s', t), null, t) from unnest(array[50, 100, 200, 400, 800]) t;
        for m in 1 .. 12 loop
            member := 'm' || m;
            own_account := (open_account(code, member)).account_id;
            at := timestamptz '2023-12-01' + random() * interval '60 days';
            for n in 1 .. 20 loop
                -- often on the same day or at the same instant, for ends of months to matter
                at := at + case when random() < 0.3 then interval '0' else random() * interval '12 days' end;
                points := 1 + floor(random() * 120);
                if random() < 0.7 then
                    perform earn(code, member, points, event_at => at);
                else
                    select e.seq into seq from entry e
                    where e.account_id = own_account and e.kind = 'earn'
                        and not exists (select from entry r where r.account_id = e.account_id and r.reverses_seq = e.seq)
                    order by random() limit 1;
                    if found then
                        perform reverse(code, member, seq, event_at => at);
                    end if;
                end if;
                continue when n < 5;
                select * into status from tier_status(code, member, at);
                if status.holds_until <= at or (status.holds_until is null) <> (status.tier is null) then
                    insert into wrong values (format('%s %s at %s: %s holds until %s', code, member, at, status.tier, status.holds_until));
                end if;
                continue when status.tier is null;
                if coalesce(pg_temp.threshold(code, member, status.holds_until), 0) >= status.threshold then
                    insert into wrong values (format('%s %s at %s: %s still holds at %s', code, member, at, status.tier, status.holds_until));
                end if;
                foreach later in array array[status.holds_until - interval '1 microsecond', at + (status.holds_until - at) * random()] loop
                    if coalesce(pg_temp.threshold(code, member, later), 0) < status.threshold then
                        insert into wrong values (format('%s %s at %s: %s does not hold at %s, before %s', code, member, at,
                            status.tier, later, status.holds_until));
                    end if;
                end loop;
            end loop;
        end loop;
    end loop;
end
$$;
select is(array(select what from wrong limit 5), array[]::text[], 'a tier is held to the instant before holds_until, and not at it');

select is(array(select concat_ws(': ', b.program, b.member, b.invariant) from reconcile() b), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
