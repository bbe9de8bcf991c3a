-- Points that lapse by inactivity, beside others, in one account: what moves which lot, and when it lapses.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(226);
\ir books.psql
\ir clocks.psql

-- available | what lapses next, and when, in local time.
create function pg_temp.outlook(program text, member text, at timestamptz) returns text
language sql as $$
    select concat_ws(' | ', b.available,
        b.next_expiring || ' at ' || case when isfinite(b.next_expires_at) then to_char(b.next_expires_at at time zone p.time_zone, 'YYYY-MM-DD HH24:MI') end)
    from jifen.balance(outlook.program, outlook.member, outlook.at) b, jifen.program p where p.code = outlook.program
$$;

-- ---------- one account, four kinds of points, a rule that changes ----------

-- The same in three programs: expiry is booked in "prompt" as soon as anything
-- lapses, in "late" once at the end, in "never" not at all.
create temp table job (program text, is_prompt boolean);
insert into job values ('prompt', true), ('late', false), ('never', false);
do $$
begin
    perform create_program(j.program, time_zone => 'Asia/Shanghai', expiry => '3 years end of year', auto_open => true) from job j;
    perform earn(j.program, 'li', 100, event_at => '2014-03-10 10:00+08') from job j;
    perform earn(j.program, 'li', 200, event_at => '2014-12-31 23:59:59.999999+08') from job j;
    perform earn(j.program, 'li', 40, event_at => '2015-01-01 00:00+08') from job j;
    perform alter_program(j.program, expiry => '36 months inactive end of month') from job j;
    perform earn(j.program, 'li', 300, event_at => '2016-02-29 12:00+08') from job j;
    perform earn(j.program, 'li', 50, event_at => '2016-03-05 09:00+08', source => 'spring', expiry => 'on 2016-06-30') from job j;
    perform earn(j.program, 'li', 500, event_at => '2016-03-06 09:00+08', source => 'purchase', expiry => 'never') from job j;
end
$$;
select is(pg_temp.stands('never', 'li'), array['5: 50 until 2016-07-01 00:00', '1: 100 until 2018-01-01 00:00', '2: 200 until 2018-01-01 00:00',
    '3: 40 until 2019-01-01 00:00', '4: 300 until 2019-04-01 00:00', '6: 500 until infinity'],
    'each kind of points lapses by its own rule: the third calendar year''s end for what was credited before the change, on either side of a new year');
select is(pg_temp.stands(j.program, 'li'), pg_temp.stands('never', 'li'), 'in ' || j.program) from job j;

-- A step: each program's redemption takes from the lots named, and the lots stand so then.
create temp table step (n int primary key, at timestamptz, amount int, took text, stands text[]);
insert into step values
    (1, '2016-05-20 12:00+08', 30, '5: 30', array['5: 20 until 2016-07-01 00:00', '1: 100 until 2018-01-01 00:00',
        '2: 200 until 2018-01-01 00:00', '3: 40 until 2019-01-01 00:00', '4: 300 until 2019-06-01 00:00', '6: 500 until infinity']),
    -- The campaign's points lapse at the end of June.
    (2, '2017-06-15 12:00+08', 250, '1: 100, 2: 150', array['2: 50 until 2018-01-01 00:00', '3: 40 until 2019-01-01 00:00',
        '4: 300 until 2020-07-01 00:00', '6: 500 until infinity']),
    -- So does lot 2 at the end of the third calendar year after 2014.
    (3, '2018-08-31 23:59:59.999999+08', 15, '3: 15', array['3: 25 until 2019-01-01 00:00', '4: 300 until 2021-09-01 00:00', '6: 500 until infinity']),
    -- And lot 3.
    (4, '2019-11-30 12:00+08', 60, '4: 60', array['4: 240 until 2022-12-01 00:00', '6: 500 until infinity']),
    (5, '2019-12-01 00:00+08', 1, '4: 1', array['4: 239 until 2023-01-01 00:00', '6: 500 until infinity']),
    -- The last instant of those 36 months.
    (6, '2022-12-31 23:59:59.999999+08', 9, '4: 9', array['4: 230 until 2026-01-01 00:00', '6: 500 until infinity']),
    -- After which it has lapsed: the purchased points remain.
    (7, '2026-01-01 00:00+08', 70, '6: 70', array['6: 430 until infinity']);

create temp table outcome (n int, program text, took text, stands text[]);
do $$
declare
    s step;
    j job;
    posted entry;
begin
    for s in select * from step order by n loop
        for j in select * from job loop
            if j.is_prompt then
                perform expire_batch(j.program, s.at);
            end if;
            posted := redeem(j.program, 'li', s.amount, event_at => s.at);
            insert into outcome
            select s.n, j.program,
                -- The number of a credit is the same in all: expiry is booked after the last one.
                pg_temp.took(posted), pg_temp.stands(j.program, 'li');
        end loop;
    end loop;
end
$$;
select is(o.took, s.took, format('step %s: a redemption takes the soonest to lapse first, where expiry is booked %s', s.n, o.program))
from step s join outcome o using (n) order by s.n, o.program;
select is(o.stands, s.stands, format('step %s: how the lots stand then', s.n))
from step s join outcome o using (n) where o.program = 'prompt' order by s.n;
-- Elsewhere what has lapsed of the fixed dates is not booked and remains in lots.
select is(array(select x from unnest(o.stands) x where split_part(x, ' until ', 2)::timestamp > s.at at time zone 'Asia/Shanghai'), s.stands,
    format('step %s: the same of what has not lapsed, where expiry is booked %s', s.n, o.program))
from step s join outcome o using (n) where o.program <> 'prompt' order by s.n, o.program;

do $$begin perform pg_temp.book('late', now()); end$$;
-- Each instant at which anything happens or lapses, and the one before it.
create temp table look (at timestamptz, outlook text);
insert into look values
    ('2014-03-10 09:59:59.999999+08', '0'),
    ('2014-03-10 10:00+08', '100 | 100 at 2018-01-01 00:00'),
    ('2014-12-31 23:59:59.999999+08', '300 | 300 at 2018-01-01 00:00'),
    ('2015-01-01 00:00+08', '340 | 300 at 2018-01-01 00:00'),
    ('2016-02-29 12:00+08', '640 | 300 at 2018-01-01 00:00'),
    ('2016-03-05 09:00+08', '690 | 50 at 2016-07-01 00:00'),
    ('2016-03-06 09:00+08', '1190 | 50 at 2016-07-01 00:00'),
    ('2016-05-20 12:00+08', '1160 | 20 at 2016-07-01 00:00'),
    ('2016-06-30 23:59:59.999999+08', '1160 | 20 at 2016-07-01 00:00'),
    ('2016-07-01 00:00+08', '1140 | 300 at 2018-01-01 00:00'),
    ('2017-06-15 12:00+08', '890 | 50 at 2018-01-01 00:00'),
    ('2017-12-31 23:59:59.999999+08', '890 | 50 at 2018-01-01 00:00'),
    ('2018-01-01 00:00+08', '840 | 40 at 2019-01-01 00:00'),
    ('2018-08-31 23:59:59.999999+08', '825 | 25 at 2019-01-01 00:00'),
    ('2018-12-31 23:59:59.999999+08', '825 | 25 at 2019-01-01 00:00'),
    ('2019-01-01 00:00+08', '800 | 300 at 2021-09-01 00:00'),
    ('2019-11-30 12:00+08', '740 | 240 at 2022-12-01 00:00'),
    ('2019-12-01 00:00+08', '739 | 239 at 2023-01-01 00:00'),
    ('2022-12-01 00:00+08', '739 | 239 at 2023-01-01 00:00'),
    ('2022-12-31 23:59:59.999998+08', '739 | 239 at 2023-01-01 00:00'),
    ('2022-12-31 23:59:59.999999+08', '730 | 230 at 2026-01-01 00:00'),
    ('2025-12-31 23:59:59.999999+08', '730 | 230 at 2026-01-01 00:00'),
    ('2026-01-01 00:00+08', '430'),
    ('2036-01-01 00:00+08', '430');
select is(pg_temp.outlook(j.program, 'li', l.at), l.outlook, format('what there is at %s and what lapses next, where expiry is booked %s', l.at, j.program))
from look l, job j order by l.at, j.program;
-- The moving lot is booked before the redemption that would have moved it; of
-- fixed dates, nothing is where no job ran.
select is(array(select format('%s at %s', -e.amount, e.event_at at time zone 'Asia/Shanghai') from entry e
        where e.account_id = account_id(j.program, 'li') and e.kind = 'expire' order by e.event_at),
    case j.program when 'never' then array['230 at 2026-01-01 00:00:00']
        else array['20 at 2016-07-01 00:00:00', '50 at 2018-01-01 00:00:00', '25 at 2019-01-01 00:00:00', '230 at 2026-01-01 00:00:00'] end,
    'what is booked as lapsed, and when: ' || j.program)
from job j;
select is(pg_temp.differences('prompt', 'late', 'li', '2014-03-01', '2026-02-01'), array[]::text[], 'booked in time or late is the same to the point at any time');
select is(pg_temp.misjudged(j.program) || pg_temp.misbooked(j.program), array[]::text[], j.program || ': as the journal has it') from job j;
select is(pg_temp.breaches() || pg_temp.unsound(), array[]::text[], 'and it all adds up');

-- ---------- other periods, zones and years ----------

do $$
declare
    p program;
begin
    perform create_program('london', time_zone => 'Europe/London', expiry => '48 months or 18 months inactive', auto_open => true);
    perform create_program('york', time_zone => 'America/New_York', expiry => '5 months inactive end of quarter', auto_open => true);
    for p in select * from program where code in ('london', 'york') loop
        -- Joined on a leap day.
        perform open_account(p.code, 'mo', '2020-02-29 12:00+00');
    end loop;
    perform earn('london', 'mo', 10, event_at => '2020-08-31 22:30+00');                     -- 31 August in London
    perform earn('london', 'mo', 20, event_at => '2020-08-31 23:30+00');                     -- 1 September there
    perform earn('london', 'mo', 30, event_at => '2020-09-10', expiry => 'end of membership year');
    perform earn('london', 'mo', 40, event_at => '2020-09-10', expiry => '1 year or 6 months inactive end of march');
    perform earn('london', 'mo', 50, event_at => '2020-09-10', expiry => 'on 2021-12-31 or 15 months inactive');
end
$$;
select is(pg_temp.stands('london', 'mo'), array['3: 30 until 2021-02-28 00:00', '4: 40 until 2021-04-01 00:00', '5: 50 until 2021-12-11 00:00',
    '1: 10 until 2022-03-11 00:00', '2: 20 until 2022-03-11 00:00'], 'five policies: the earlier of two terms each');
do $$begin perform redeem('london', 'mo', 1, event_at => '2021-02-27 23:59:59.999999+00'); end$$;
select is(pg_temp.stands('london', 'mo'), array['3: 29 until 2021-02-28 00:00', '4: 40 until 2021-09-11 00:00', '5: 50 until 2022-01-01 00:00',
    '1: 10 until 2022-08-28 00:00', '2: 20 until 2022-08-28 00:00'],
    'activity moves each as far as its other term allows; a membership year that began on a leap day ends on 27 February');
-- Active again and again, until 48 months after the credit come first.
do $$
begin
    perform redeem('london', 'mo', 1, event_at => '2021-09-10 22:59:59.999999+00');          -- the last instant of lot 4
    perform redeem('london', 'mo', 1, event_at => '2022-08-27 22:59:59.999999+00');          -- of lots 1 and 2, in summer time
    perform redeem('london', 'mo', 1, event_at => '2024-02-27 12:00+00');
end
$$;
select is(pg_temp.stands('london', 'mo'), array['3: 29 until 2021-02-28 00:00', '1: 8 until 2024-09-01 00:00', '2: 20 until 2024-09-02 00:00'],
    '48 months from the credit''s day in London come before 18 months from the last activity');
select is(array[pg_temp.holds('london', 'mo', '2024-08-31 22:59:59.999999+00'), pg_temp.holds('london', 'mo', '2024-08-31 23:00+00'), pg_temp.holds('london', 'mo', '2024-09-01 23:00+00')],
    array['57 | 28 | 0 | 29', '57 | 20 | 0 | 37', '57 | 0 | 0 | 57'], 'and they lapse at midnight in summer time');
select is(array(select format('%s at %s', -e.amount, e.event_at at time zone 'Europe/London') from entry e where e.account_id = account_id('london', 'mo') and e.kind = 'expire' order by e.seq),
    array['39 at 2021-09-11 00:00:00', '50 at 2022-01-01 00:00:00'], 'what lapsed before an activity is booked by it');
do $$
begin
    perform earn('york', 'mo', 10, event_at => '2023-10-31 23:30-04');                       -- 31 October: to the end of March
    perform earn('york', 'mo', 20, event_at => '2023-11-01 00:30-04');                       -- 1 November: to the end of June
end
$$;
select is(pg_temp.stands('york', 'mo'), array['1: 10 until 2024-07-01 00:00', '2: 20 until 2024-07-01 00:00'], 'a credit that is an activity moves what was there before');
do $$begin perform adjust('york', 'mo', 1, 'goodwill', event_at => '2024-06-01'), import('york', 'mo', 2, event_at => '2024-06-01'); end$$;
select is(pg_temp.stands('york', 'mo'), array['1: 10 until 2024-07-01 00:00', '2: 20 until 2024-07-01 00:00', '3: 1 until 2025-01-01 00:00', '4: 2 until 2025-01-01 00:00'],
    'an adjustment or an import does not');
select is(pg_temp.misjudged(p) || pg_temp.misbooked(p), array[]::text[], p || ': as the journal has it') from unnest(array['london', 'york']) p;

-- ---------- what counts as activity, and by whose choice ----------

-- One program for each kind of entry: only that kind counts.
create function pg_temp.act(program text, kind text, at timestamptz) returns void
language plpgsql as $$
declare
    held bigint;
begin
    case kind
        when 'earn' then perform earn(program, 'm', 1, event_at => at, expiry => 'never');
        when 'redeem' then perform redeem(program, 'm', 1, event_at => at);
        when 'adjust' then perform adjust(program, 'm', -1, 'r', event_at => at);
        when 'import' then perform import(program, 'm', 1, event_at => at, expiry => 'never');
        when 'transfer_out' then perform transfer(program, 'm', 'other', 1, event_at => at);
        when 'transfer_in' then perform transfer(program, 'other', 'm', 1, event_at => at);
        when 'hold' then perform hold(program, 'm', 1, now() + interval '1 day', event_at => at);
        when 'capture' then
            held := (select min(h.seq) from hold h where h.account_id = account_id(program, 'm'));
            perform capture(program, 'm', held, event_at => at);
        when 'release' then
            held := (select min(h.seq) from hold h where h.account_id = account_id(program, 'm'));
            perform release(program, 'm', held, event_at => at);
        when 'reverse' then perform reverse(program, 'm', 3, 1, event_at => at);
        when 'extend' then perform extend_expiry(program, 'r', by_interval => '1 day', members => '{m}', sources => '{promotion}', event_at => at);
        when 'expire' then perform expire_batch(program, at);
    end case;
end
$$;
create temp table kind (kind text, at timestamptz);
insert into kind values ('hold', '2025-01-03'), ('earn', '2025-01-05'), ('redeem', '2025-01-07'), ('adjust', '2025-01-09'), ('import', '2025-01-11'),
    ('transfer_out', '2025-01-13'), ('transfer_in', '2025-01-15'), ('capture', '2025-01-17'), ('release', '2025-01-19'), ('reverse', '2025-01-21'),
    ('extend', '2025-01-22'), ('expire', '2025-01-23');
do $$
declare
    k kind;
    done kind;
begin
    for k in select * from kind where kind not in ('release', 'reverse', 'extend', 'expire') loop
        perform create_program('only ' || k.kind, expiry => '100 days inactive', auto_open => true, activity => array[k.kind]);
        perform earn('only ' || k.kind, 'm', 100, event_at => '2025-01-01');
        perform earn('only ' || k.kind, 'm', 50, event_at => '2025-01-01', expiry => 'on 2025-02-28', source => 'promotion');
        perform redeem('only ' || k.kind, 'm', 2, event_at => '2025-01-02');
        perform earn('only ' || k.kind, 'other', 50, event_at => '2025-01-01', expiry => 'never');
        perform hold('only ' || k.kind, 'm', 1, now() + interval '1 day', event_at => '2025-01-02');
        for done in select * from kind order by at loop
            perform pg_temp.act('only ' || k.kind, done.kind, done.at);
        end loop;
    end loop;
end
$$;
select is((select o.expires_at from open_lot o where o.account_id = account_id('only ' || k.kind, 'm') and o.seq = 1),
    (k.at at time zone 'UTC')::date + 101 + time '00:00' at time zone 'UTC', 'where only that counts, the last activity is a ' || k.kind)
from kind k where k.kind not in ('release', 'reverse', 'extend', 'expire') order by k.at;
select is(last_activity_at(a), k.at, 'so the account says: ' || k.kind) from kind k join account a on a.account_id = account_id('only ' || k.kind, 'm')
where k.kind not in ('release', 'reverse', 'extend', 'expire') order by k.at;
select is(pg_temp.misbooked('only ' || k.kind) || pg_temp.misjudged('only ' || k.kind), array[]::text[], 'only ' || k.kind || ': as the journal has it')
from kind k where k.kind not in ('release', 'reverse', 'extend', 'expire') order by k.at;

-- The choice, the zone and the policy change: old lots keep the old ones.
do $$
begin
    perform create_program('rules', time_zone => 'Asia/Shanghai', expiry => '60 days inactive', auto_open => true);
    perform earn('rules', 'm', 10, event_at => '2025-01-01 12:00+08');
    perform alter_program('rules', activity => '{import}');
    perform earn('rules', 'm', 20, event_at => '2025-01-02 12:00+08');
    perform alter_program('rules', time_zone => 'America/New_York', activity => '{earn,import}');
    perform earn('rules', 'm', 30, event_at => '2025-01-03 12:00+08');
    perform alter_program('rules', expiry => '90 days inactive');
    perform earn('rules', 'm', 40, event_at => '2025-01-04 12:00+08');
    perform alter_program('rules', expiry => '5 days');
    perform import('rules', 'm', 50, event_at => '2025-01-10 12:00+08', expiry => 'never');
    perform redeem('rules', 'm', 1, event_at => '2025-01-20 12:00+08');
end
$$;
-- In Shanghai 60 days after the redemption, 60 after the import; in New York, where
-- it was 9 January yet, 60 and 90 after the import.
select is(array(select format('%s: rule %s, %s', o.seq, coalesce(l.rule_no::text, 'none'), o.expires_at) from open_lot o join lot l using (account_id, seq) where o.account_id = account_id('rules', 'm') order by o.seq),
    array['1: rule 1, 2025-03-21 16:00:00+00', '2: rule 2, 2025-03-11 16:00:00+00', '3: rule 3, 2025-03-11 04:00:00+00', '4: rule 4, 2025-04-10 04:00:00+00', '5: rule none, infinity'],
    'each lot keeps the zone, the policy and the kinds of activity that it was credited under');
select is(pg_temp.misbooked('rules') || pg_temp.misjudged('rules'), array[]::text[], 'as the journal has it');
select is(pg_temp.breaches() || pg_temp.unsound(), array[]::text[], 'and it all adds up');

-- ---------- the same instant ----------

do $$
declare
    p text;
begin
    foreach p in array array['edge', 'edge booked'] loop
        perform create_program(p, expiry => '30 days inactive', auto_open => true);
        perform earn(p, 'at', 10, event_at => '2025-01-01 09:00+00');                                  -- to 1 February
        perform earn(p, 'before', 10, event_at => '2025-01-01 09:00+00');
        perform earn(p, 'pending', 10, event_at => '2025-01-01 09:00+00', available_at => '2025-01-31 23:59:59.999999+00');
        perform earn(p, m, 5, event_at => '2025-01-01 08:00+00', expiry => 'never') from unnest(array['at', 'before', 'pending']) m;
        if p = 'edge booked' then
            perform expire_batch(p, '2025-02-01');
        end if;
        perform redeem(p, 'at', 1, event_at => '2025-02-01 00:00+00');
        perform redeem(p, 'before', 1, event_at => '2025-01-31 23:59:59.999999+00');
        perform redeem(p, 'pending', 1, event_at => '2025-01-31 23:59:59.999998+00');
    end loop;
end
$$;
select is(pg_temp.stands(p, m), stands, format('%s: activity %s', p, what))
from unnest(array['edge', 'edge booked']) p, (values
    ('at', 'at the instant of the lapse comes too late', array['2: 4 until infinity']),
    ('before', 'a microsecond before it moves the lot', array['1: 9 until 2025-03-03 00:00', '2: 5 until infinity']),
    ('pending', 'moves points that are pending too', array['1: 10 until 2025-03-03 00:00', '2: 4 until infinity'])) v (m, what, stands);
select is(pg_temp.entries_at('edge booked', 'before', 3), array['3 expire -10 = 5 at 2025-02-01 00:00', '4 reinstate 1 = 6 at 2025-02-01 00:00', '5 redeem -1 = 5 at 2025-01-31 23:59',
    '6 reinstate 9 = 14 at 2025-02-01 00:00'], 'what was booked as lapsed is given back where an activity comes before it');
select is((select array_agg(e.reverses_seq order by e.seq) from entry e where e.account_id = account_id('edge booked', 'before') and e.kind = 'reinstate'), array[3::bigint, 3], 'by entries that name it');

-- ---------- posted late ----------

do $$
declare
    p text;
begin
    foreach p in array array['on time', 'back-dated', 'back-dated, booked'] loop
        perform create_program(p, expiry => '30 days inactive', auto_open => true);
        perform earn(p, 'm', 100, event_at => '2025-01-01');                                            -- to 1 February
        perform earn(p, 'm', 7, event_at => '2025-01-01', expiry => 'never');
    end loop;
    perform redeem('on time', 'm', 1, event_at => '2025-01-20');                                        -- to 20 February
    perform redeem('on time', 'm', 1, event_at => '2025-02-15');                                        -- to 18 March
    perform redeem('on time', 'm', 1, event_at => '2025-04-01');                                        -- too late
    -- The same, the last one first.
    perform expire_batch('back-dated, booked', '2025-05-01');
    foreach p in array array['back-dated', 'back-dated, booked'] loop
        perform redeem(p, 'm', 1, event_at => '2025-04-01');
        perform redeem(p, 'm', 1, event_at => '2025-02-15');                                            -- of what never lapses: the lot has lapsed
        perform redeem(p, 'm', 1, event_at => '2025-01-20');                                            -- revives it until 18 March
    end loop;
end
$$;
select is(pg_temp.entries_at('on time', 'm', 3), array['3 redeem -1 = 106 at 2025-01-20 00:00', '4 redeem -1 = 105 at 2025-02-15 00:00', '5 expire -98 = 7 at 2025-03-18 00:00',
    '6 redeem -1 = 6 at 2025-04-01 00:00'], 'posted in order');
select is(pg_temp.entries_at(p, 'm', 3), array['3 expire -100 = 7 at 2025-02-01 00:00', '4 redeem -1 = 6 at 2025-04-01 00:00', '5 redeem -1 = 5 at 2025-02-15 00:00',
    '6 reinstate 1 = 6 at 2025-02-01 00:00', '7 redeem -1 = 5 at 2025-01-20 00:00', '8 reinstate 99 = 104 at 2025-02-01 00:00', '9 expire -99 = 5 at 2025-03-18 00:00'],
    p || ': the lot is revived and lapses in between')
from unnest(array['back-dated', 'back-dated, booked']) p;
-- A credit posted late, which has lapsed before a later activity.
do $$
begin
    perform earn('on time', 'late', 5, event_at => '2025-06-01', expiry => 'never');
    perform earn('on time', 'late', 50, event_at => '2025-01-01');                                      -- to 1 February
    perform earn('on time', 'late', 60, event_at => '2025-05-20');                                      -- moved by June
    -- Imported late: the clock runs from when the points were issued.
    perform import('on time', 'late', 70, event_at => '2025-05-20', issued_at => '2025-05-01');         -- active on 20 May: to 1 July like the others
    perform import('on time', 'later', 5, event_at => '2025-08-01', expiry => 'never');
    perform redeem('on time', 'later', 1, event_at => '2025-08-02');
    perform import('on time', 'later', 70, event_at => '2025-06-01', issued_at => '2025-05-20');        -- nobody active: to 20 June, before August
    -- It had lapsed by its issue alone, and was kept alive by activity.
    perform earn('on time', 'alive', 5, event_at => '2025-05-15', expiry => 'never');
    perform redeem('on time', 'alive', 1, event_at => '2025-06-10');
    perform import('on time', 'alive', 70, event_at => '2025-06-01', issued_at => '2025-03-01');        -- active on 15 May and 10 June
end
$$;
select is(pg_temp.stands('on time', 'late'), array['4: 60 until 2025-07-02 00:00', '5: 70 until 2025-07-02 00:00', '1: 5 until infinity'], 'credits posted late are moved by what happened after them');
select is(array(select format('%s %s at %s', e.kind, e.amount, e.event_at::date) from entry e where e.account_id = account_id('on time', 'late') and e.kind = 'expire'),
    array['expire -50 at 2025-02-01'], 'or have lapsed before it');
select is(array(select format('%s %s at %s', e.kind, e.amount, e.event_at::date) from entry e where e.account_id = account_id('on time', 'later') and e.seq > 2 order by e.seq),
    array['import 70 at 2025-06-01', 'expire -70 at 2025-06-20'], 'points imported late lapse by when they were issued, whatever came long after');
select is(pg_temp.stands('on time', 'alive'), array['3: 70 until 2025-07-11 00:00', '1: 4 until infinity'], 'or were kept alive by what came before');
select is(pg_temp.misjudged(p) || pg_temp.misbooked(p), array[]::text[], p || ': as the journal has it') from unnest(array['edge', 'edge booked', 'on time', 'back-dated', 'back-dated, booked']) p;
select is(pg_temp.breaches() || pg_temp.unsound(), array[]::text[], 'and it all adds up');

-- ---------- giving back ----------

do $$
begin
    perform create_program('back', expiry => '100 days inactive', auto_open => true);
    perform earn('back', 'm', 10, event_at => '2025-01-01');
    perform earn('back', 'm', 10, event_at => '2025-01-02', expiry => 'on 2025-05-15');
    perform redeem('back', 'm', 15, event_at => '2025-01-10');            -- lot 1 first: to 21 April by then
    perform redeem('back', 'm', 1, event_at => '2025-03-01');             -- moves it beyond lot 2
    perform earn('back', 'm', 1, event_at => '2025-03-20', expiry => 'never');
end
$$;
select is(array(select pg_temp.took(e) from entry e where e.account_id = account_id('back', 'm') and e.seq in (3, 4) order by e.seq), array['1: 10, 2: 5', '2: 1'], 'taken');
select is(pg_temp.took(reverse('back', 'm', 3, 7, event_at => '2025-03-25')), '1: -2, 2: -5', 'what was taken last is given back first, though the clock has moved since');
select is(pg_temp.took(reverse('back', 'm', 3, 3, event_at => '2025-03-26')), '1: -3', 'then the rest, in parts');
select is(pg_temp.stands('back', 'm'), array['2: 9 until 2025-05-16 00:00', '1: 5 until 2025-06-29 00:00', '5: 1 until infinity'], 'the lots stand where activity has moved them');
-- Of a redemption posted late, as the clocks stood when it was posted.
do $$
begin
    perform earn('back', 'n', 10, event_at => '2025-01-01');
    perform earn('back', 'n', 10, event_at => '2025-01-02', expiry => 'on 2025-05-15');
    perform redeem('back', 'n', 1, event_at => '2025-03-01');             -- of lot 1, and moves it beyond lot 2
end
$$;
select is(pg_temp.took(redeem('back', 'n', 12, event_at => '2025-02-01')), '1: 2, 2: 10', 'a redemption posted late takes by the clocks as they stand');
select is(pg_temp.took(reverse('back', 'n', 4, 3, event_at => '2025-03-02')), '1: -2, 2: -1', 'and is undone by the same');
-- Given back to a lot that has lapsed.
do $$
begin
    perform earn('back', 'o', 10, event_at => '2025-01-01');              -- to 12 April, then to 15 April
    perform redeem('back', 'o', 4, event_at => '2025-01-04');
    perform earn('back', 'o', 1, event_at => '2025-05-01', expiry => 'never');
    perform reverse('back', 'o', 2, event_at => '2025-05-02');
end
$$;
select is(pg_temp.entries_at('back', 'o', 3), array['3 expire -6 = 0 at 2025-04-15 00:00', '4 earn 1 = 1 at 2025-05-01 00:00', '5 reverse 4 = 5 at 2025-05-02 00:00', '6 expire -4 = 1 at 2025-05-02 00:00'],
    'points that come back to a lot that has lapsed lapse at once');
-- Unless an activity turns up that had kept it.
do $$begin perform redeem('back', 'o', 1, event_at => '2025-04-14 23:59:59.999999+00'); end$$;
select is((pg_temp.stands('back', 'o'))[1], '1: 9 until 2025-08-10 00:00', 'unless the lot is revived: it has those too');

-- What is given back late gets a grace that counts inactivity: what happened long after does not move it.
do $$
declare
    p text;
begin
    foreach p in array array['grace', 'grace in a group', 'reinstated', 'given'] loop
        perform create_program(p, expiry => '30 days', auto_open => true, return_grace => case when p like 'grace%' then '10 days inactive'::expiry_policy end);
        perform earn(p, 'm', 10, event_at => '2026-01-01');
        perform redeem(p, 'm', 5, event_at => '2026-01-10');
        perform earn(p, 'm', 1, event_at => '2026-06-01', expiry => 'never');
    end loop;
    perform reverse('grace', 'm', 2, event_at => '2026-03-01');
    perform post(array[posting('grace in a group', 'm', 'reverse', seq => 2, event_at => '2026-03-01', "group" => 'x'),
        posting('grace in a group', 'm', 'earn', 1, event_at => '2026-06-01', expiry => 'never', "group" => 'x')], 'skip');
    perform reinstate('reinstated', 'm', 'r', event_at => '2026-03-01', expiry => '10 days inactive');
    -- A transfer's receiver gives back to a lot that has lapsed.
    perform open_account('given', 'to');
    perform transfer('given', 'm', 'to', 3, event_at => '2026-01-15');
    perform alter_program('given', return_grace => '10 days inactive');
    perform reverse('given', 'to', 1, event_at => '2026-03-01');
end
$$;
select is(array(select format('%s at %s', -e.amount, e.event_at) from entry e where e.account_id = account_id(p, 'm') and e.kind = 'expire' and e.event_at > '2026-02-01' order by e.seq),
    array[format('%s at 2026-03-12 00:00:00+00', points)], p || ': it lapses ten days later, long before the next activity')
from (values ('grace', 5), ('grace in a group', 5), ('reinstated', 5), ('given', 3)) v (p, points);
select is(pg_temp.misjudged(p) || pg_temp.misbooked(p), array[]::text[], p || ': as the journal has it') from unnest(array['grace', 'grace in a group', 'reinstated', 'given']) p;

-- ---------- holds across a lapse ----------

do $$
begin
    perform create_program('held', expiry => '30 days inactive', auto_open => true, activity => '{earn,redeem}');
    perform earn('held', m, 10, event_at => '2025-01-01') from unnest(array['captured', 'released', 'frozen']) m;      -- to 1 February
    perform hold('held', m, 4, now() + interval '1 day', event_at => '2025-01-10') from unnest(array['captured', 'released', 'frozen']) m;
    perform capture('held', 'captured', 2, 1, event_at => '2025-02-05');
    perform release('held', 'released', 2, event_at => '2025-02-05');
    perform freeze_account('held', 'frozen', 'test');
    perform pg_temp.book('held', '2025-03-01');
end
$$;
select is(pg_temp.journal('held', 'captured', 3), array['3 expire -6 = 4', '4 capture -1 held -1 = 3 of 2', '5 release 0 held -3 = 3 of 2', '6 expire -3 = 0']::text[], 'held points can be captured after their lot has lapsed; what is released lapses') ;
select is(pg_temp.owns('held', 'released', '2025-02-05'), '0 = 0 + 0 + 0 + 0 - 0', 'what is released lapses at once');
select is(pg_temp.owns('held', 'frozen', '2025-03-01'), '4 = 0 + 0 + 4 + 0 - 0', 'a frozen account''s lots lapse; held points stay');
-- Held where a hold counts as activity, it moves what is left and what it holds.
do $$
begin
    perform alter_program('held', activity => '{hold}');
    perform earn('held', 'holder', 10, event_at => '2025-01-01');
    perform hold('held', 'holder', 4, now() + interval '1 day', event_at => '2025-01-10');
    perform release('held', 'holder', 2, event_at => '2025-02-09 23:59:59.999999+00');
end
$$;
select is(pg_temp.stands('held', 'holder'), array['1: 10 until 2025-02-10 00:00'], 'released in time, the points are there until the lot lapses');

-- ---------- transfers ----------

do $$
begin
    perform create_program('gift', expiry => '30 days inactive', auto_open => true);
    perform open_account('gift', 'to');
    perform earn('gift', 'from', 10, event_at => '2025-01-01');
    perform redeem('gift', 'from', 1, event_at => '2025-01-20');                                        -- to 20 February
    perform transfer('gift', 'from', 'to', 4, event_at => '2025-01-25');                               -- the giver is active, the receiver is not
end
$$;
select is(array[pg_temp.stands('gift', 'from'), pg_temp.stands('gift', 'to')], array[array['1: 5 until 2025-02-25 00:00'], array['1: 4 until 2025-02-20 00:00']],
    'points given away keep the date that they had; the giver''s own are moved');
do $$begin perform redeem('gift', 'from', 1, event_at => '2025-02-01'); end$$;
select is(pg_temp.stands('gift', 'to'), array['1: 4 until 2025-02-20 00:00'], 'the giver''s activity moves them no more');
do $$begin perform redeem('gift', 'to', 1, event_at => '2025-01-26'); end$$;
select is(pg_temp.stands('gift', 'to'), array['1: 3 until 2025-02-26 00:00'], 'the receiver''s does');
select is((select row(l.rule_no, l.expiry, l.counts_from)::text from lot l where l.account_id = account_id('gift', 'to')), '(1,"30 days inactive","2025-01-01 00:00:00+00")', 'by the rule under which they were credited');
select is(pg_temp.misjudged(p) || pg_temp.misbooked(p), array[]::text[], p || ': as the journal has it') from unnest(array['back', 'held', 'gift']) p;

-- ---------- debts, repeated requests, batches, rolled back ----------

do $$
begin
    perform create_program('debt', expiry => '30 days inactive', overdraft => 'debt', auto_open => true);
    perform earn('debt', 'm', 10, event_at => '2025-01-01');
    perform redeem('debt', 'm', 10, event_at => '2025-01-02');
    perform reverse('debt', 'm', 1, 6, event_at => '2025-01-03');                                       -- a debt of 6
    perform earn('debt', 'm', 20, event_at => '2025-01-10', idempotency_key => 'k');                     -- repays it; to 10 February
    perform earn('debt', 'm', 20, event_at => '2025-01-10', idempotency_key => 'k');
end
$$;
select is(pg_temp.owns('debt', 'm', '2025-02-09 23:59+00') || ', ' || pg_temp.owns('debt', 'm', '2025-02-10'), '14 = 14 + 0 + 0 + 0 - 0, 14 = 0 + 0 + 0 + 14 - 0', 'a debt is repaid from points that move');
-- The same request again when the lot has lapsed books nothing.
do $$
begin
    perform earn('debt', 'm', 20, event_at => '2025-01-10', idempotency_key => 'k');
    perform redeem('debt', 'm', 3, event_at => '2025-02-09', idempotency_key => 'r');
    perform redeem('debt', 'm', 3, event_at => '2025-02-09', idempotency_key => 'r');
end
$$;
select is(pg_temp.stands('debt', 'm'), array['4: 11 until 2025-03-12 00:00'], 'a request is repeated without effect');
select is((select count(*) from entry e where e.account_id = account_id('debt', 'm')), 6::bigint, 'nor entries');

do $$
begin
    begin
        perform earn('debt', 'm', 1, event_at => '2025-04-01', idempotency_key => 'gone');
        raise exception 'undone';
    exception when raise_exception then
    end;
    begin
        perform redeem('debt', 'm', 1, event_at => '2025-04-01');
    exception when sqlstate 'JF001' then
    end;
end
$$;
select is(pg_temp.stands('debt', 'm') || array[(select count(*)::text from entry e where e.account_id = account_id('debt', 'm'))],
    array['4: 11 until 2025-03-12 00:00', '6'], 'what is rolled back or refused leaves the lot where it stood');
select cmp_ok((select a.due_at from account a where a.account_id = account_id('debt', 'm')), '<=', timestamptz '2025-03-12', 'and comes up in time');
do $$
begin
    perform earn('debt', 'm', 2, event_at => '2025-03-11 12:00+00');
end
$$;
select is(pg_temp.stands('debt', 'm'), array['4: 11 until 2025-04-11 00:00', '7: 2 until 2025-04-11 00:00'], 'then moves on');

-- An account whose points have all lapsed can be closed.
do $$
begin
    perform earn('held', 'closing', 5, event_at => '2025-01-01');
    perform close_account('held', 'closing', 'done');
end
$$;
select is((select row(a.status, a.balance)::text from account a where a.account_id = account_id('held', 'closing')), '(closed,0)', 'an account whose points have all lapsed can be closed');

select is(pg_temp.misjudged(p) || pg_temp.misbooked(p), array[]::text[], p || ': as the journal has it') from unnest(array['debt', 'held']) p;

-- ---------- what a capture took is what its hold did ----------

do $$
begin
    perform create_program('till', auto_open => true, activity => '{redeem}');
    perform earn('till', 'ann', 100, event_at => '2024-01-01 12:00+00', expiry => '60 days');             -- to 1 March
    perform earn('till', 'ann', 100, event_at => '2024-01-02 12:00+00', expiry => '30 days inactive');    -- to 1 February
    perform hold('till', 'ann', 120, '2999-01-01', event_at => '2024-01-20 12:00+00');                    -- 100 of lot 2, 20 of lot 1
    perform redeem('till', 'ann', 1, event_at => '2024-01-28 12:00+00');
    perform redeem('till', 'ann', 1, event_at => '2024-02-10 12:00+00');                                  -- lot 2 to 11 March, after lot 1
    perform capture('till', 'ann', 3, event_at => '2024-02-11 12:00+00');
    perform reverse('till', 'ann', 6, 10, event_at => '2024-02-12 12:00+00');
end
$$;
select is(pg_temp.allocations('till', 'ann', 7), array['lot 1: -10'], 'it is given back in reverse of the order in which that took it');

-- ---------- an instant that was told of, and one that was not ----------

do $$
begin
    perform create_program('told', expiry => '1 month inactive', notice_days => 7, auto_open => true);
    perform earn('told', 'ann', 10, event_at => '2024-01-01 12:00+00');                        -- clock: 2 February
    perform earn('told', 'ann', 1, event_at => '2024-01-20 12:00+00', expiry => 'never');      -- clock: 21 February
    perform record_notice('told', 'ann', 'sms', window_days => 30, sent_at => '2024-02-01 12:00+00');
    perform redeem('told', 'ann', 1, event_at => '2024-03-20 12:00+00');
    perform earn('told', 'ann', 1, event_at => '2024-01-10 12:00+00', expiry => 'never');
end
$$;
select is((select row(b.available, b.lapsed, b.held_back)::text from balance('told', 'ann', '2024-03-25') b), '(1,0,0)',
    'a late activity that moves nothing brings nothing back');
select is((select row(b.lapsed, b.held_back)::text from balance('told', 'ann', '2024-03-01', known_at => '2024-01-01') b), '(0,0)', 'before anything was booked nothing was known');
do $$begin perform earn('told', 'bob', 10, event_at => '2024-01-01 12:00+00'); end$$;
select is(array(select concat_ws(' ', n.points, b.held_back)
        from record_notice('told', 'bob', 'sms', window_days => 40, sent_at => '2024-01-20 12:00+00') n
        cross join lateral balance('told', 'bob', '2024-02-20') b),
    array['10 10'], 'the statement that records a notice does not see it yet');
select is((select row(b.lapsed, b.held_back)::text from balance('told', 'bob', '2024-02-20') b), '(10,0)', 'the next one does');
do $$
begin
    perform create_program('wait', expiry => '30 days', notice_days => 7, auto_open => true);
    perform earn('wait', 'ann', 10, event_at => '2024-01-01 12:00+00');
    perform redeem('wait', 'ann', 4, event_at => '2024-02-20 12:00+00');
    perform reverse('wait', 'ann', 2, 3, event_at => '2024-03-10 12:00+00');
    perform record_notice('wait', 'ann', 'sms', window_days => 30, sent_at => '2024-01-10 12:00+00');
    perform expire_batch('wait');
end
$$;
select is(pg_temp.entries_at('wait', 'ann', 4), array['4 expire -9 = 0 at 2024-03-18 00:00'], 'a late notice counts from what happened last, a reversal too');
select is(pg_temp.breaches() || pg_temp.unsound(), array[]::text[], 'and it all adds up');

select * from finish();
rollback;
