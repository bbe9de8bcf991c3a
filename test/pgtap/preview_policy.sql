-- preview_policy: another expiry policy against today's rules, before anything changes.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(58);

-- Rows in short: month (+ for what would lapse at once), members lots points = value, > the same under the policy.
create function pg_temp.preview(program text, policy expiry_policy, since timestamptz default null, until timestamptz default null,
    as_of timestamptz default '2024-06-15 12:00+08', sources text[] default null) returns text[]
language sql as $$
    select array(select format('%s%s: %s %s %s = %s > %s %s %s = %s', coalesce(to_char(v.month, 'YYYY-MM'), 'never'), case when v.at_once then '+' end,
            v.members, v.lots, v.points, coalesce(v.value::text, '-'), v.new_members, v.new_lots, v.new_points, coalesce(v.new_value::text, '-'))
        from preview_policy(program, policy, since, until, as_of, sources) with ordinality v order by v.ordinality)
$$;
-- Only what the policy makes of it: month (+), members lots points.
create function pg_temp.outcome(program text, policy expiry_policy, since timestamptz default null, until timestamptz default null,
    as_of timestamptz default '2024-06-15 12:00+08', sources text[] default null) returns text[]
language sql as $$
    select array(select format('%s%s: %s %s %s', coalesce(to_char(v.month, 'YYYY-MM'), 'never'), case when v.at_once then '+' end,
            v.new_members, v.new_lots, v.new_points)
        from preview_policy(program, policy, since, until, as_of, sources) with ordinality v where v.new_lots > 0 order by v.ordinality)
$$;

do $$
begin
    perform create_program('tea', time_zone => 'Asia/Shanghai', expiry => '3 years end of year', currency => 'CNY', point_value => 0.01, auto_open => true);
    perform earn('tea', 'ann', 100, event_at => '2022-01-10 12:00+08'), earn('tea', 'ann', 200, event_at => '2023-03-31 23:30+08'),
        earn('tea', 'ann', 50, event_at => '2022-05-05 12:00+08', expiry => 'never', source => 'purchase'),
        earn('tea', 'bob', 300, event_at => '2024-02-29 12:00+08', source => 'campaign'),
        earn('tea', 'cat', 10, event_at => '2021-12-31 23:59+08'), earn('tea', 'cat', 20, event_at => '2022-01-01 00:00+08');
end
$$;

-- ---------- the figures ----------

select is(pg_temp.preview('tea', '12 months'), array[
    '2024-06+: 0 0 0 = 0.00 > 2 5 380 = 3.80',
    '2024-12: 1 1 10 = 0.10 > 0 0 0 = 0.00',
    '2025-02: 0 0 0 = 0.00 > 1 1 300 = 3.00',
    '2025-12: 2 2 120 = 1.20 > 0 0 0 = 0.00',
    '2026-12: 1 1 200 = 2.00 > 0 0 0 = 0.00',
    '2027-12: 1 1 300 = 3.00 > 0 0 0 = 0.00',
    'never: 1 1 50 = 0.50 > 0 0 0 = 0.00'], '12 months: what is older would lapse at once; a leap day''s points in February');
select is(pg_temp.outcome('tea', '3 years end of year'), array['2024-12: 1 1 10', '2025-12: 2 3 170', '2026-12: 1 1 200', '2027-12: 1 1 300'],
    'today''s policy: what has one of its own would follow it as well');
select is(pg_temp.outcome('tea', '12 months end of quarter'), array['2024-06+: 2 5 380', '2025-03: 1 1 300'], 'the end of a quarter: what ended with March has lapsed');
select is(pg_temp.outcome('tea', '24 months end of month'), array['2024-06+: 2 4 180', '2025-03: 1 1 200', '2026-02: 1 1 300'], '24 months');
select is(pg_temp.outcome('tea', 'never'), array['never: 3 6 680'], 'never');
select is(pg_temp.outcome('tea', 'on 2024-12-31'), array['2024-12: 3 6 680'], 'one day for all');
select is(pg_temp.outcome('tea', 'end of year'), array['2024-06+: 2 5 380', '2024-12: 1 1 300'], 'each year''s points at its end');
select is(pg_temp.outcome('tea', '12 months', as_of => '2023-01-11 00:00+08'), array['2023-01+: 2 3 130', '2023-05: 1 1 50', '2024-03: 1 1 200', '2025-02: 1 1 300'],
    'as of the instant at which points lapse they do so at once');
select is(pg_temp.outcome('tea', '12 months', as_of => '2023-01-10 23:59:59.999999+08'), array['2023-01+: 1 2 30', '2023-01: 1 1 100', '2023-05: 1 1 50', '2024-03: 1 1 200', '2025-02: 1 1 300'],
    'a microsecond before, within the month, which has two rows');

-- Which lots follow it: counted from when their points were issued
select is(pg_temp.outcome('tea', 'never', since => '2023-03-31 23:30+08'), array['2024-12: 1 1 10', '2025-12: 2 2 120', 'never: 2 3 550'], 'since: credited at that instant or later');
select is(pg_temp.outcome('tea', 'never', until => '2023-03-31 23:30+08'), array['2026-12: 1 1 200', '2027-12: 1 1 300', 'never: 2 4 180'], 'until: credited before');
select is(pg_temp.outcome('tea', 'never', '2022-01-01 00:00+08', '2022-01-10 12:00+08'), array['2024-12: 1 1 10', '2025-12: 1 1 100', '2026-12: 1 1 200', '2027-12: 1 1 300', 'never: 2 2 70'],
    'both bounds');
select is(pg_temp.outcome('tea', '12 months', sources => array['purchase', 'campaign']), array['2024-06+: 1 1 50', '2024-12: 1 1 10', '2025-02: 1 1 300', '2025-12: 2 2 120', '2026-12: 1 1 200'],
    'sources');
select is(pg_temp.outcome('tea', '12 months', sources => '{}'), array['2024-12: 1 1 10', '2025-12: 2 2 120', '2026-12: 1 1 200', '2027-12: 1 1 300', 'never: 1 1 50'],
    'none of them: nothing would change');

-- What a credit's points were issued before it: a transfer, an opening balance
do $$
begin
    perform open_account('tea', 'dan');
    perform transfer('tea', 'bob', 'dan', 100, event_at => '2024-06-01 12:00+08');
    perform import('tea', 'eve', 5, issued_at => '2023-10-10 12:00+08', event_at => '2024-06-01 12:00+08', expires_at => '2030-01-01 00:00+08');
end
$$;
select is(pg_temp.preview('tea', '12 months', since => '2023-10-10'), array[
    '2024-10: 0 0 0 = 0.00 > 1 1 5 = 0.05',
    '2024-12: 1 1 10 = 0.10 > 1 1 10 = 0.10',
    '2025-02: 0 0 0 = 0.00 > 2 2 300 = 3.00',
    '2025-12: 2 2 120 = 1.20 > 2 2 120 = 1.20',
    '2026-12: 1 1 200 = 2.00 > 1 1 200 = 2.00',
    '2027-12: 2 2 300 = 3.00 > 0 0 0 = 0.00',
    '2029-12: 1 1 5 = 0.05 > 0 0 0 = 0.00',
    'never: 1 1 50 = 0.50 > 1 1 50 = 0.50'], 'the policy counts from when the points were issued first');

-- What is not unspent: spent, held and lapsed points
do $$
begin
    perform redeem('tea', 'ann', 30, event_at => '2024-06-02 12:00+08'), hold('tea', 'ann', 20, '2999-01-01', event_at => '2024-06-02 12:00+08');
end
$$;
select is((pg_temp.preview('tea', 'never'))[1:2], array['2024-12: 1 1 10 = 0.10 > 0 0 0 = 0.00', '2025-12: 2 2 70 = 0.70 > 0 0 0 = 0.00'], 'what is spent or held is not among them');
select is((pg_temp.preview('tea', 'never', as_of => '2025-01-01 00:00+08'))[1], '2025-12: 2 2 70 = 0.70 > 0 0 0 = 0.00', 'nor what has lapsed by as_of');
create temp table before as select policy, pg_temp.preview('tea', policy, as_of => '2025-03-01') as rows
from unnest(array['12 months', 'never', '6 months inactive', 'end of year']::expiry_policy[]) policy;
select is((select (b.accounts, b.lots)::text from expire_batch('tea', '2025-03-01') b), '(1,1)', 'the expiry is booked');
select is(pg_temp.preview('tea', policy, as_of => '2025-03-01'), rows, format('%s: whether it was makes no difference', policy)) from before;
select is((select sum(points) from preview_policy('tea', '12 months', as_of => '2025-03-01')), (select sum(remaining::numeric) from lot where program_id = program_id('tea')),
    'today''s points are all that are unspent');

-- ---------- zones ----------

-- 31 May 2023, 23:30 UTC is June in Shanghai, Kathmandu and London; 23:30 of a
-- New York May is June in UTC. Midnights lie elsewhere as well.
do $$
declare
    zone text;
begin
    foreach zone in array array['UTC', 'Asia/Shanghai', 'Europe/London', 'America/New_York', 'Asia/Kathmandu', 'America/Sao_Paulo', 'Pacific/Apia'] loop
        perform create_program(zone, time_zone => zone, expiry => '24 months', auto_open => true);
        perform earn(zone, 'ann', 10, event_at => '2023-05-31 23:30+00'), earn(zone, 'bob', 7, event_at => '2023-06-01 03:30+00'),
            earn(zone, 'ann', 5, event_at => '2023-05-31 10:30+00');
    end loop;
end
$$;
select is(pg_temp.preview(zone, '18 months end of month', as_of => '2024-01-01'), rows, zone || ': months are the zone''s')
from (values
    ('UTC', array['2024-11: 0 0 0 = - > 1 2 15 = -', '2024-12: 0 0 0 = - > 1 1 7 = -', '2025-05: 1 2 15 = - > 0 0 0 = -', '2025-06: 1 1 7 = - > 0 0 0 = -']),
    ('Asia/Shanghai', array['2024-11: 0 0 0 = - > 1 1 5 = -', '2024-12: 0 0 0 = - > 2 2 17 = -', '2025-05: 1 1 5 = - > 0 0 0 = -', '2025-06: 2 2 17 = - > 0 0 0 = -']),
    ('Europe/London', array['2024-11: 0 0 0 = - > 1 1 5 = -', '2024-12: 0 0 0 = - > 2 2 17 = -', '2025-05: 1 1 5 = - > 0 0 0 = -', '2025-06: 2 2 17 = - > 0 0 0 = -']),
    ('America/New_York', array['2024-11: 0 0 0 = - > 2 3 22 = -', '2025-05: 2 3 22 = - > 0 0 0 = -']),
    ('Asia/Kathmandu', array['2024-11: 0 0 0 = - > 1 1 5 = -', '2024-12: 0 0 0 = - > 2 2 17 = -', '2025-05: 1 1 5 = - > 0 0 0 = -', '2025-06: 2 2 17 = - > 0 0 0 = -']),
    ('America/Sao_Paulo', array['2024-11: 0 0 0 = - > 1 2 15 = -', '2024-12: 0 0 0 = - > 1 1 7 = -', '2025-05: 1 2 15 = - > 0 0 0 = -', '2025-06: 1 1 7 = - > 0 0 0 = -']),
    ('Pacific/Apia', array['2024-11: 0 0 0 = - > 1 1 5 = -', '2024-12: 0 0 0 = - > 2 2 17 = -', '2025-05: 1 1 5 = - > 0 0 0 = -', '2025-06: 2 2 17 = - > 0 0 0 = -'])
    ) v (zone, rows);

-- ---------- clocks of the member ----------

do $$
begin
    perform create_program('air', expiry => 'never', currency => 'USD', point_value => 0.015, auto_open => true);
    perform earn('air', 'ann', 100, event_at => '2024-01-10'), redeem('air', 'ann', 10, event_at => '2024-05-05'),
        earn('air', 'bob', 300, event_at => '2023-10-01'),
        earn('air', 'cat', 40, event_at => '2023-11-20'), earn('air', 'cat', 60, event_at => '2024-03-31'),
        earn('air', 'dan', 1, event_at => '2020-01-01'), redeem('air', 'dan', 1, event_at => '2024-01-01');
    update account set opened_at = case member when 'ann' then '2023-03-15' when 'bob' then '2020-02-29' else '2023-11-20' end::timestamptz
    where program_id = (select program_id from program where code = 'air');
end
$$;
select is(pg_temp.preview('air', '6 months inactive', as_of => '2024-06-15'), array[
    '2024-06+: 0 0 0 = 0.000 > 1 1 300 = 4.500',
    '2024-09: 0 0 0 = 0.000 > 1 2 100 = 1.500',
    '2024-11: 0 0 0 = 0.000 > 1 1 90 = 1.350',
    'never: 3 4 490 = 7.350 > 0 0 0 = 0.000'], 'inactivity counts from the member''s last activity: all lots of a member together');
select is(pg_temp.outcome('air', '6 months inactive end of quarter', as_of => '2024-06-15'), array['2024-06: 1 1 300', '2024-09: 1 2 100', '2024-12: 1 1 90'], 'and to the end of a period');
select is(pg_temp.outcome('air', '6 months or 18 months inactive', as_of => '2024-06-15'), array['2024-06+: 2 2 340', '2024-07: 1 1 90', '2024-09: 1 1 60'],
    'of two terms the earlier one');
select is(pg_temp.outcome('air', '5 years or 6 months inactive', as_of => '2024-06-15'), array['2024-06+: 1 1 300', '2024-09: 1 2 100', '2024-11: 1 1 90'], 'whichever it is');
select is(pg_temp.outcome('air', '6 months inactive', since => '2024-01-01', as_of => '2024-06-15'), array['2024-09: 1 1 60', '2024-11: 1 1 90', 'never: 2 2 340'],
    'for new points only');
select is(pg_temp.outcome('air', '12 months end of membership year', as_of => '2024-06-15'),
    array['2025-02: 1 1 300', '2025-03: 1 1 90', '2025-11: 1 2 100'], 'membership years: each member''s own');

-- Today's rules may be the member's clock, too, and count other kinds of entry than they do now.
do $$
begin
    perform create_program('gym', expiry => '6 months inactive', activity => array['redeem'], auto_open => true);
    perform earn('gym', 'ann', 100, event_at => '2024-01-10'), redeem('gym', 'ann', 10, event_at => '2024-05-05'), earn('gym', 'ann', 5, event_at => '2024-06-01'),
        earn('gym', 'bob', 300, event_at => '2024-02-01');
    perform alter_program('gym', activity => array['earn', 'redeem']);
end
$$;
select is(pg_temp.preview('gym', '12 months', as_of => '2024-06-15'), array['2024-08: 1 1 300 = - > 0 0 0 = -', '2024-11: 1 1 90 = - > 0 0 0 = -', '2024-12: 1 1 5 = - > 0 0 0 = -',
    '2025-01: 0 0 0 = - > 1 1 90 = -', '2025-02: 0 0 0 = - > 1 1 300 = -', '2025-06: 0 0 0 = - > 1 1 5 = -'], 'today by inactivity, each lot by the rule of its credit');
select is(pg_temp.outcome('gym', '6 months inactive', as_of => '2024-06-15'), array['2024-08: 1 1 300', '2024-12: 1 2 95'], 'the policy goes by the kinds of entry that the program counts now');

-- An extension counts from when the points were credited.
do $$begin perform extend_expiry('gym', members => array['bob'], until => '2030-01-01', reason => 'why', event_at => '2024-06-10'); end$$;
select is(pg_temp.preview('gym', '12 months', until => '2024-06-01', as_of => '2024-06-15'), array['2024-11: 1 1 90 = - > 0 0 0 = -', '2024-12: 1 1 5 = - > 1 1 5 = -',
    '2025-01: 0 0 0 = - > 1 1 90 = -', '2025-02: 0 0 0 = - > 1 1 300 = -', '2029-12: 1 1 300 = - > 0 0 0 = -'], 'an extended lot counts from its credit');

-- ---------- a notice ----------

-- 30 days of notice from 15 June on end with 15 July, which is the earliest without one on record.
do $$
begin
    perform create_program('bank', expiry => '12 months', notice_days => 30, auto_open => true);
    perform earn('bank', 'ann', 100, event_at => '2023-05-10'), earn('bank', 'bob', 50, event_at => '2023-08-17'), earn('bank', 'cat', 7, event_at => '2023-09-01');
end
$$;
select is(pg_temp.preview('bank', '2 months', as_of => '2024-06-15 12:00+00'), array['2024-07: 1 1 100 = - > 3 3 157 = -', '2024-08: 1 1 50 = - > 0 0 0 = -', '2024-09: 1 1 7 = - > 0 0 0 = -'],
    'nothing lapses at once where a notice is wanted');
select is(pg_temp.outcome('bank', '12 months', as_of => '2024-06-15 12:00+00'), array['2024-07: 1 1 100', '2024-08: 1 1 50', '2024-09: 1 1 7'], 'the policy that there is');
insert into notice (account_id, notice_no, program_id, window_days, sent_at, counts_from, channel, points, first_expires_at, last_expires_at, after_seq, actor)
select account_id, 1, program_id, 30, '2024-09-20', '2024-09-20', 'mail', remaining, '2024-08-18', '2024-08-18', 1, 'x'
from lot join account using (account_id, program_id) where member = 'bob' and program_id = program_id('bank');
insert into notice_lot (account_id, lot_seq, expires_at, window_days, notice_no, points)
select account_id, seq, '2024-08-18', 30, 1, remaining from lot join account using (account_id, program_id) where member = 'bob' and program_id = program_id('bank');
select is(pg_temp.preview('bank', '12 months', as_of => '2024-06-15 12:00+00'), array['2024-07: 1 1 100 = - > 1 1 100 = -', '2024-09: 1 1 7 = - > 1 1 7 = -', '2024-10: 1 1 50 = - > 1 1 50 = -'],
    'one on record counts for the date that it announced');
select is(pg_temp.outcome('bank', '15 months', as_of => '2024-06-15 12:00+00'), array['2024-08: 1 1 100', '2024-11: 1 1 50', '2024-12: 1 1 7'], 'and for no other');
do $$begin perform alter_program('bank', unset => array['notice_days']); end$$;
select is(pg_temp.outcome('bank', '2 months', as_of => '2024-06-15 12:00+00'), array['2024-06+: 3 3 157'], 'unless the program wants none any more');

-- ---------- the same by plain SQL ----------

select set_eq(format('select month, at_once, members, lots, points, value, new_members, new_lots, new_points, new_value, currency from preview_policy(%L, %L, as_of => %L)', code, policy, as_of),
    format($plain$
        with side as (
            select l.account_id, l.remaining::numeric as points, p.time_zone, p.point_value, s.is_new, s.expires_at,
                case when s.expires_at = 'infinity' then null
                    when s.expires_at <= %3$L then date_trunc('month', timestamptz %3$L at time zone p.time_zone)
                    else date_trunc('month', (s.expires_at - interval '1 microsecond') at time zone p.time_zone) end::date as month,
                s.expires_at <= %3$L as at_once
            from (
                select account_id, seq, expires_at, remaining::bigint from lot
                union all
                select x.account_id, x.lot_seq, c.expires_at, sum(x.amount::bigint)
                from entry b join allocation x using (account_id, seq) join entry c on c.account_id = x.account_id and c.seq = x.lot_seq
                where b.kind in ('expire', 'reinstate') and b.event_at > %3$L
                group by 1, 2, 3 having sum(x.amount::bigint) > 0
            ) l
            join account a using (account_id) join program p using (program_id)
            join entry e on e.account_id = l.account_id and e.seq = l.seq,
            lateral (select false, l.expires_at union all select true, expires_at(%2$L, coalesce(e.issued_at, e.event_at), p.time_zone, a.opened_at)) s (is_new, expires_at)
            where p.code = %1$L and l.expires_at > %3$L)
        select month, at_once,
            count(distinct account_id) filter (where not is_new) as m, count(*) filter (where not is_new) as l,
            coalesce(sum(points) filter (where not is_new), 0) as p, coalesce(sum(points) filter (where not is_new), 0) * min(point_value) as v,
            count(distinct account_id) filter (where is_new) as nm, count(*) filter (where is_new) as nl,
            coalesce(sum(points) filter (where is_new), 0) as np, coalesce(sum(points) filter (where is_new), 0) * min(point_value) as nv,
            (select currency from program where code = %1$L)
        from side group by month, at_once$plain$, code, policy, as_of),
    format('%s, %s as of %s', code, policy, as_of))
from (values ('tea', '18 months end of half', '2024-06-15'), ('air', '1 year', '2024-12-31'), ('Pacific/Apia', 'end of september', '2023-09-01'), ('America/Sao_Paulo', '90 days', '2023-07-01 03:00+00')) v (code, policy, as_of);

-- ---------- whether or not expiry has been booked since ----------

do $$
begin
    perform create_program(p, expiry => '1 month', auto_open => true) from unnest(array['booked', 'not']) p;
    perform earn(p, 'ann', 100, event_at => '2026-01-01') from unnest(array['booked', 'not']) p;
    perform earn(p, 'bob', 50, event_at => '2025-12-01') from unnest(array['booked', 'not']) p;
    perform expire_batch('booked');
end
$$;
select is(pg_temp.preview('booked', '1 year', as_of => '2026-01-15'), array['2026-02: 1 1 100 = - > 0 0 0 = -', '2027-01: 0 0 0 = - > 1 1 100 = -'],
    'what has lapsed since as of is told of');
select is(pg_temp.preview('not', '1 year', as_of => '2026-01-15'), pg_temp.preview('booked', '1 year', as_of => '2026-01-15'), 'booked or not');

-- ---------- edges ----------

do $$begin perform create_program('empty'); end$$;
select is_empty($$select preview_policy('empty', '1 year')$$, 'no points, no rows');
select throws_ok($$select preview_policy('nowhere', '1 year')$$, 'JF002', null, 'an unknown program');
select throws_ok($$select preview_policy('tea', 'never', since => '2024-02-01', until => '2024-02-01')$$, '22023', 'since and until are the wrong way round', 'no time at all');
select throws_ok($$select preview_policy('tea', null)$$, '22004', 'policy and as_of must not be null', 'no policy');
select throws_ok($$select preview_policy('tea', 'never', as_of => null)$$, '22004', 'policy and as_of must not be null', 'no instant');
select throws_ok(format('select preview_policy(''tea'', ''never'', %s => ''infinity'')', argument), '22023', 'since, until and as_of must be finite', argument || ': no bound is null')
from unnest(array['since', 'until', 'as_of']) argument;

select * from finish();
rollback;
