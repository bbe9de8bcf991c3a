begin;
select plan(102);
set local search_path = public, jifen;
set local timezone = 'UTC';

-- Every date below is worked out by hand from the rule and the zone's history:
-- the local day of the credit, the term, the end of that last day in UTC.
select is(
    expires_at(policy::expiry_policy, event_at::timestamptz, time_zone),
    expected::timestamptz,
    format('%s from %s in %s: %s', policy, event_at, time_zone, reason))
from (values
    -- UTC: the calendar
    (1, '1 day', '2024-03-10 12:00+00', 'UTC', '2024-03-12 00:00+00', 'the day after the credit''s'),
    (2, '1 day', '2024-03-10 00:00+00', 'UTC', '2024-03-12 00:00+00', 'credited on the first instant of a day'),
    (3, '1 day', '2024-03-10 23:59:59.999999+00', 'UTC', '2024-03-12 00:00+00', 'credited on the last instant of a day'),
    (4, '1 day', '1999-12-31 23:59:59.5+00', 'UTC', '2000-01-02 00:00+00', 'half a second before 2000'),
    (5, '1 week', '2023-12-28 12:00+00', 'UTC', '2024-01-05 00:00+00', 'a week over the year''s end'),
    (6, '30 days', '2024-01-30 12:00+00', 'UTC', '2024-03-01 00:00+00', '30 days to a leap day'),
    (7, '90 days', '2023-01-01 12:00+00', 'UTC', '2023-04-02 00:00+00', '90 days are not 3 months'),
    (8, '365 days', '2024-01-01 12:00+00', 'UTC', '2025-01-01 00:00+00', '365 days of a leap year'),
    (9, '366 days', '2024-01-01 12:00+00', 'UTC', '2025-01-02 00:00+00', '366 days of a leap year'),
    (10, '1 month', '2023-01-31 12:00+00', 'UTC', '2023-03-01 00:00+00', '31 January to 28 February'),
    (11, '1 month', '2024-01-31 12:00+00', 'UTC', '2024-03-01 00:00+00', '31 January to 29 February'),
    (12, '1 month', '2023-03-31 12:00+00', 'UTC', '2023-05-01 00:00+00', '31 March to 30 April'),
    (13, '1 month', '2024-02-29 12:00+00', 'UTC', '2024-03-30 00:00+00', '29 February to 29 March, not to its end'),
    (14, '3 months', '2023-11-30 12:00+00', 'UTC', '2024-03-01 00:00+00', '30 November to 29 February'),
    (15, '1 quarter', '2023-11-30 12:00+00', 'UTC', '2024-03-01 00:00+00', 'a quarter is 3 months from the day'),
    (16, '2 quarters', '2023-08-31 12:00+00', 'UTC', '2024-03-01 00:00+00', '31 August to 29 February'),
    (17, '12 months', '2023-01-31 12:00+00', 'UTC', '2024-02-01 00:00+00', '12 months'),
    (18, '1 year', '2024-02-29 12:00+00', 'UTC', '2025-03-01 00:00+00', '29 February to 28 February'),
    (19, '4 years', '2024-02-29 12:00+00', 'UTC', '2028-03-01 00:00+00', '29 February to 29 February'),
    (20, '100 years', '2000-02-29 12:00+00', 'UTC', '2100-03-01 00:00+00', '2100 is no leap year'),
    (21, '400 years', '2000-02-29 12:00+00', 'UTC', '2400-03-01 00:00+00', '2400 is one'),
    (22, '1000 years', '2024-01-01 12:00+00', 'UTC', '3024-01-02 00:00+00', 'the longest'),
    -- UTC: to the end of a period
    (23, '12 months end of month', '2023-02-10 12:00+00', 'UTC', '2024-03-01 00:00+00', 'end of a leap February'),
    (24, '12 months end of month', '2022-02-10 12:00+00', 'UTC', '2023-03-01 00:00+00', 'end of a common February'),
    (25, '1 month end of month', '2024-01-31 12:00+00', 'UTC', '2024-03-01 00:00+00', 'already the end of the month'),
    (26, '1 day end of month', '2024-01-31 12:00+00', 'UTC', '2024-03-01 00:00+00', 'over into the next month'),
    (27, '12 months end of quarter', '2023-01-15 12:00+00', 'UTC', '2024-04-01 00:00+00', 'first quarter'),
    (28, '12 months end of quarter', '2023-05-15 12:00+00', 'UTC', '2024-07-01 00:00+00', 'second quarter'),
    (29, '3 months end of quarter', '2024-06-30 12:00+00', 'UTC', '2024-10-01 00:00+00', '30 September ends the third quarter'),
    (30, '1 day end of quarter', '2024-09-30 12:00+00', 'UTC', '2025-01-01 00:00+00', 'fourth quarter'),
    (31, '6 months end of half', '2023-12-31 12:00+00', 'UTC', '2024-07-01 00:00+00', '30 June ends the first half'),
    (32, '6 months end of half', '2024-01-01 12:00+00', 'UTC', '2025-01-01 00:00+00', '1 July is in the second half'),
    (33, '3 years end of year', '2024-05-05 12:00+00', 'UTC', '2028-01-01 00:00+00', 'credited in 2024: to the end of 2027'),
    (34, '1 day end of year', '2024-12-31 12:00+00', 'UTC', '2026-01-01 00:00+00', 'over into the next year'),
    -- The local day of the credit
    (35, '1 month', '2024-01-31 15:59:59+00', 'Asia/Shanghai', '2024-02-29 16:00+00', 'still 31 January in Shanghai'),
    (36, '1 month', '2024-01-31 16:00+00', 'Asia/Shanghai', '2024-03-01 16:00+00', 'already 1 February in Shanghai'),
    (37, '1 day', '2024-01-31 18:14:59+00', 'Asia/Kathmandu', '2024-02-01 18:15+00', 'still 31 January at +5:45'),
    (38, '1 day', '2024-01-31 18:15+00', 'Asia/Kathmandu', '2024-02-02 18:15+00', 'already 1 February at +5:45'),
    (39, '1 day', '1985-12-30 12:00+00', 'Asia/Kathmandu', '1985-12-31 18:30+00', '1986 began at 00:15, with +5:45 for +5:30'),
    (40, '1 day', '2024-06-10 12:00+00', 'Asia/Kolkata', '2024-06-11 18:30+00', '+5:30'),
    (41, '1 day', '2024-01-01 12:00+00', 'Pacific/Marquesas', '2024-01-03 09:30+00', '-9:30'),
    (42, '1 day', '2024-07-01 00:00+00', 'Pacific/Chatham', '2024-07-02 11:15+00', '+12:45 in winter'),
    (43, '1 day', '2024-01-01 10:00+00', 'Pacific/Kiritimati', '2024-01-03 10:00+00', '+14: it is 2 January there'),
    (44, '1 day', '2024-01-01 10:59:59+00', 'Pacific/Pago_Pago', '2024-01-02 11:00+00', '-11: it is 31 December there'),
    -- Days of 23 and 25 hours, and other days of the same year
    (45, '1 day', '2024-03-30 12:00+00', 'Europe/London', '2024-03-31 23:00+00', 'a day of 23 hours'),
    (46, '1 day', '2024-10-26 12:00+00', 'Europe/London', '2024-10-28 00:00+00', 'a day of 25 hours'),
    (47, '12 months end of month', '2023-03-15 12:00+00', 'Europe/London', '2024-03-31 23:00+00', 'credited in winter, lapsing in summer'),
    (48, '500 years', '2024-07-01 12:00+00', 'Europe/London', '2524-07-01 23:00+00', 'summer time by rule, 500 years on'),
    (49, '1 day', '2024-03-09 17:00+00', 'America/New_York', '2024-03-11 04:00+00', 'a day of 23 hours'),
    (50, '1 day', '2024-11-02 17:00+00', 'America/New_York', '2024-11-04 05:00+00', 'a day of 25 hours'),
    (51, '12 months', '2023-06-30 03:59:59+00', 'America/New_York', '2024-06-30 04:00+00', 'still 29 June in New York'),
    (52, '1 day', '2024-04-05 12:00+00', 'Australia/Lord_Howe', '2024-04-06 13:00+00', 'the eve of half an hour back'),
    (53, '2 days', '2024-04-05 12:00+00', 'Australia/Lord_Howe', '2024-04-07 13:30+00', 'half an hour back'),
    -- China's summer time, 1986 to 1991
    (54, '1 day', '1986-05-02 04:00+00', 'Asia/Shanghai', '1986-05-03 16:00+00', 'the eve of the first summer time'),
    (55, '1 day', '1986-05-03 04:00+00', 'Asia/Shanghai', '1986-05-04 15:00+00', 'the first day of summer time'),
    (56, '1 day', '1986-09-12 04:00+00', 'Asia/Shanghai', '1986-09-13 15:00+00', 'the last whole day of it'),
    (57, '2 days', '1986-09-12 04:00+00', 'Asia/Shanghai', '1986-09-14 16:00+00', 'the day of 25 hours'),
    (58, '1 year', '1990-07-15 04:00+00', 'Asia/Shanghai', '1991-07-15 15:00+00', 'summer to summer'),
    (59, '1 year', '1991-07-15 15:30+00', 'Asia/Shanghai', '1992-07-16 16:00+00', '00:30 of 16 July by summer time, to a year without it'),
    (60, '12 months end of half', '1987-07-01 04:00+00', 'Asia/Shanghai', '1988-12-31 16:00+00', 'summer to winter'),
    -- Midnight that there is not: the day ends where the clock jumps
    (61, '1 day', '2018-11-02 15:00+00', 'America/Sao_Paulo', '2018-11-04 03:00+00', '00:00 jumps to 01:00'),
    (62, '2 days', '2018-11-02 15:00+00', 'America/Sao_Paulo', '2018-11-05 02:00+00', 'the day that began at 01:00'),
    (63, '12 months', '2017-11-03 15:00+00', 'America/Sao_Paulo', '2018-11-04 03:00+00', 'reached by months'),
    (64, '1 day', '2022-03-25 10:00+00', 'Asia/Beirut', '2022-03-26 22:00+00', '00:00 jumps to 01:00'),
    (65, '1 day', '2022-03-20 10:00+00', 'Asia/Tehran', '2022-03-21 20:30+00', '00:00 jumps to 01:00'),
    (66, '1 day', '2023-09-29 15:00+00', 'America/Asuncion', '2023-10-01 04:00+00', '00:00 jumps to 01:00'),
    (67, '1 day', '2024-03-08 17:00+00', 'America/Havana', '2024-03-10 05:00+00', '00:00 jumps to 01:00'),
    (68, '1 day', '2024-03-29 12:00+00', 'Atlantic/Azores', '2024-03-31 01:00+00', '00:00 jumps to 01:00'),
    (69, '1 day', '2018-05-03 03:00+00', 'Asia/Pyongyang', '2018-05-04 15:00+00', '23:30 jumps to 00:00'),
    -- Midnight twice on the same new day: the first ends the old one
    (70, '1 day', '2023-11-03 16:00+00', 'America/Havana', '2023-11-05 04:00+00', '01:00 goes back to 00:00'),
    (71, '2 days', '2023-11-03 16:00+00', 'America/Havana', '2023-11-06 05:00+00', 'the day with two midnights'),
    (72, '1 day', '2023-10-27 12:00+00', 'Atlantic/Azores', '2023-10-29 00:00+00', '01:00 goes back to 00:00'),
    (73, '2 days', '2023-10-27 12:00+00', 'Atlantic/Azores', '2023-10-30 01:00+00', 'the day with two midnights'),
    -- Back over midnight: the old day returns, and the last midnight ends it
    (74, '1 day', '2010-11-05 15:00+00', 'America/St_Johns', '2010-11-07 03:30+00', '00:01 goes back to 23:01'),
    (75, '2 days', '2010-11-05 15:00+00', 'America/St_Johns', '2010-11-08 03:30+00', 'the day after'),
    (76, '1 day', '2010-11-07 02:30:30+00', 'America/St_Johns', '2010-11-09 03:30+00', 'credited on 7 November, before the clock went back'),
    (77, '1 day', '2010-11-07 02:31:30+00', 'America/St_Johns', '2010-11-08 03:30+00', 'credited a minute later, on 6 November'),
    (78, '1 day', '2010-03-12 16:00+00', 'America/St_Johns', '2010-03-14 03:30+00', '00:01 jumps to 01:01, after midnight'),
    (79, '1 day', '2010-11-05 15:00+00', 'America/Goose_Bay', '2010-11-07 04:00+00', '00:01 goes back to 23:01'),
    (80, '1 day', '2019-02-15 14:00+00', 'America/Sao_Paulo', '2019-02-17 03:00+00', '24:00 goes back to 23:00'),
    (81, '1 day', '2022-10-28 10:00+00', 'Asia/Beirut', '2022-10-29 22:00+00', '24:00 goes back to 23:00'),
    (82, '1 day', '2015-08-13 03:00+00', 'Asia/Pyongyang', '2015-08-14 15:30+00', '24:00 goes back to 23:30'),
    -- A day that there was not: the day before ends where it would have begun
    (83, '1 day', '2011-12-28 22:00+00', 'Pacific/Apia', '2011-12-30 10:00+00', '29 December, the eve of no 30 December'),
    (84, '2 days', '2011-12-28 22:00+00', 'Pacific/Apia', '2011-12-30 10:00+00', '30 December, that there was not'),
    (85, '3 days', '2011-12-28 22:00+00', 'Pacific/Apia', '2011-12-31 10:00+00', '31 December'),
    (86, '1 month', '2011-11-30 22:00+00', 'Pacific/Apia', '2011-12-30 10:00+00', 'a month to the day that there was not'),
    (87, '1 day', '1993-08-20 00:00+00', 'Pacific/Kwajalein', '1993-08-21 12:00+00', '20 August, the eve of no 21 August'),
    (88, '2 days', '1993-08-20 00:00+00', 'Pacific/Kwajalein', '1993-08-21 12:00+00', '21 August, that there was not'),
    (89, '3 days', '1993-08-20 00:00+00', 'Pacific/Kwajalein', '1993-08-22 12:00+00', '22 August'),
    (90, '1 day', '1994-12-29 22:00+00', 'Pacific/Kiritimati', '1994-12-31 10:00+00', '30 December, the eve of no 31 December'),
    (91, '1 year end of year', '1993-05-05 22:00+00', 'Pacific/Kiritimati', '1994-12-31 10:00+00', 'a year that ended a day early')
) as v (n, policy, event_at, time_zone, expected, reason)
order by n;

select is(expires_at('never', '2024-05-05', 'Asia/Shanghai'), 'infinity', 'never is infinity');
select is(expires_at('1 day', '4714-11-24 00:00+00 BC', 'UTC'), '4714-11-26 00:00+00 BC', 'the first day that there is');
select is(expires_at('1 day', '294276-12-29 12:00+00', 'UTC'), '294276-12-31 00:00+00', 'nearly the last day that there is');

-- What the end of a day means, asked of AT TIME ZONE: just before it the local
-- date is at most that day, from it on it never is again.
create temporary table ending on commit drop as
select zone, day, expires_at('1 day', (day - 1 + time '12:00') at time zone zone, zone) as ends_at
from unnest(array['UTC', 'Asia/Shanghai', 'America/St_Johns', 'America/Havana', 'America/Sao_Paulo', 'Atlantic/Azores',
    'Asia/Beirut', 'Asia/Amman', 'Australia/Lord_Howe', 'Pacific/Apia', 'Europe/Moscow', 'Antarctica/Casey']) as zone,
    (select date '2010-09-01' + n as day from generate_series(0, 500) as n) as days
where (zone, day) <> ('Pacific/Apia', '2011-12-31');

select is_empty(
    $$select * from ending where ((ends_at - interval '1 microsecond') at time zone zone)::date > day$$,
    'the instant before the end is on the day');
select is_empty(
    $$select * from ending, generate_series(ends_at, ends_at + interval '26 hours', interval '10 minutes') as later
    where (later at time zone zone)::date <= day$$,
    'no instant from the end on is on the day');
select is_empty(
    $$select * from (
        select zone, day, ends_at, lag(ends_at) over (partition by zone order by day) as before from ending) as e
    where ends_at < before$$,
    'a later day ends no earlier');
select is_empty(
    $$select * from (
        select policy, at, expires_at(policy, at, 'America/New_York') as expiry,
            lag(expires_at(policy, at, 'America/New_York')) over (partition by policy::text order by at) as before
        from unnest('{31 days,1 month,13 weeks end of month,2 quarters end of half,1 year end of year}'::expiry_policy[])
            as policy,
            generate_series(timestamptz '2023-10-01', '2024-04-01', '7 hours') as at) as e
    where expiry < before$$,
    'a later credit lapses no earlier');

-- The session's settings have no say.
set local timezone = 'America/New_York';
set local datestyle = 'German';
set local intervalstyle = 'iso_8601';
select is(expires_at('1 month', timestamptz 'epoch', 'Asia/Tokyo'), timestamptz 'epoch' + interval '759 hours',
    'neither TimeZone, DateStyle nor IntervalStyle changes an expiry');
select is('12 MONTHS end of month'::expiry_policy::text, '12 months end of month', 'nor a literal');

-- Bad text can be asked about without an error.
create function pg_temp.accepted(literal text) returns boolean
language plpgsql as $$
declare
    valid boolean;
begin
    execute format('select pg_catalog.pg_input_is_valid(%L, %L)', literal, 'jifen.expiry_policy') into valid;
    return valid;
end
$$;
select case when current_setting('server_version_num')::int < 160000
    then skip('pg_input_is_valid() came with PostgreSQL 16', 2)
    else collect_tap(
        ok(pg_temp.accepted('1 year or 1 month inactive'), 'a good literal is valid'),
        ok(not pg_temp.accepted('1 year or 1 month'), 'a bad literal is not valid')) end;

select * from finish();
rollback;
