-- Behaviour: channels, activity, first redemptions, tiers and segments, whatever is summarised, against plain SQL over the journal.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
-- What they are compared with is reckoned in long ways, which take longer to compile than to run.
set local jit = off;
select plan(38);
\ir books.psql

-- ---------- examples that can be reckoned by hand ----------

do $$
begin
    perform create_program('tea', time_zone => 'Asia/Shanghai', auto_open => true, currency => 'CNY', point_value => 0.01, tier_window => '2 months');
    perform create_tier('tea', 'silver', null, 100);
    perform create_tier('tea', 'gold', null, 300);
    perform open_account('tea', 'idle'), open_account('tea', 'cat');
    perform earn('tea', 'ann', 100, source => 'app', event_at => '2024-01-31 15:59+00');      -- 23:59 of 31 January
    perform earn('tea', 'bob', 50, source => 'shop', event_at => '2024-01-31 16:00+00');      -- midnight: 1 February
    perform earn('tea', 'ann', 250, source => 'app', event_at => '2024-02-10');
    perform reverse('tea', 'ann', 2, 50, event_at => '2024-03-05');
    perform redeem('tea', 'ann', 30, event_at => '2024-02-12');
    perform hold('tea', 'bob', 20, '2999-01-01', event_at => '2024-03-01');
    perform capture('tea', 'bob', 2, 15, event_at => '2024-03-02');
    perform reverse('tea', 'ann', 4, 10, event_at => '2024-03-06');
    perform transfer('tea', 'ann', 'cat', 5, event_at => '2024-03-07');
    perform adjust('tea', 'cat', 1, 'goodwill', event_at => '2024-01-02');
end
$$;
select is(pg_temp.told($$select month, source, earns, earned, imported, reversed, redemptions, redeemed, returned
        from channel_by_month where program = 'tea' order by month, source$$),
    array['(2024-01-01,app,1,100,0,0,0,0,0)', '(2024-02-01,app,1,250,0,0,0,0,0)', '(2024-02-01,shop,1,50,0,0,0,0,0)', '(2024-02-01,,0,0,0,0,1,30,0)',
        '(2024-03-01,app,0,0,0,50,0,0,0)', '(2024-03-01,,0,0,0,0,1,15,10)'],
    'channels: of local months; what is undone is of the channel that it came by');
do $$
begin
    perform create_program('taken', auto_open => true);
    perform import('taken', 'ann', 80, source => 'till', event_at => '2024-01-01'), import('taken', 'ann', 20, event_at => '2024-01-01'),
        earn('taken', 'ann', 10, source => 'till', event_at => '2024-02-01');
    perform reverse('taken', 'ann', 1, 30, event_at => '2024-02-02'), reverse('taken', 'ann', 3, 4, event_at => '2024-02-03');
end
$$;
select is(pg_temp.told($$select month, source, earns, earned, imported, reversed from channel_by_month where program = 'taken' order by month, source$$),
    array['(2024-01-01,till,0,0,80,0)', '(2024-01-01,,0,0,20,0)', '(2024-02-01,till,1,10,0,34)'], 'what is imported is beside what is earned, as what is reversed is of both');
select is(pg_temp.told($$select month, earned, redeemed, round(rate, 4), earned_so_far, redeemed_so_far, round(rate_so_far, 4)
        from redemption_rate_by_month where program = 'tea' order by month$$),
    array['(2024-01-01,100,0,0.0000,100,0,0.0000)', '(2024-02-01,300,30,0.1000,400,30,0.0750)', '(2024-03-01,-50,5,-0.1000,350,35,0.1000)'],
    'redemption rate: of the month and so far');
select is(pg_temp.told($$select month, active, earners, redeemers, new_members from activity_by_month where program = 'tea' order by month$$),
    array['(2024-01-01,1,1,0,1)', '(2024-02-01,2,2,1,1)', '(2024-03-01,2,0,1,1)'],
    'activity: each member once, reversals and goodwill are none; new by the first entry booked');
select is(pg_temp.told($$select member, earns, earned, redemptions, redeemed, first_credit_on, first_redeemed_on, last_active_on
        from member_behaviour join account using (account_id, program_id) join program using (program_id) where code = 'tea' order by member$$),
    array['(ann,2,300,1,20,2024-01-31,2024-02-12,2024-02-12)', '(bob,1,50,1,15,2024-02-01,2024-03-02,2024-03-02)', '(cat,0,0,0,0,2024-01-02,,)'],
    'members: what each did; one without entries is none');
select is(pg_temp.told($$select days_from, days_until, members, round(share, 4), round(share_so_far, 4) from time_to_first_redemption where program = 'tea' order by days_from$$),
    array['(8,30,2,0.6667,0.6667)', '(,,1,0.3333,)'], 'time to the first redemption: 12 and 30 days, and never');
select is(pg_temp.told($$select since_month, members, points, holders from never_redeemed where program = 'tea' order by since_month$$),
    array['(2024-01-01,1,6,1)'], 'never redeemed: who was given points, by when first');
select is(pg_temp.told($$select member, points, face_value, currency, last_activity_at, days = (now() at time zone 'Asia/Shanghai')::date - days_of
        from dormant_balance join (values ('ann', date '2024-03-07'), ('bob', '2024-03-02')) v (who, days_of) on who = member
        where program = 'tea' order by member$$),
    array['(ann,275,2.75,CNY,"2024-03-07 00:00:00+00",t)', '(bob,35,0.35,CNY,"2024-03-02 00:00:00+00",t)'], 'dormant balances: since the activity that the program counts');
select is((select days from dormant_balance where program = 'tea' and member = 'cat'), null, 'never active is none');
-- ann: 100 until 31 March, 250 until 10 April, -50 until 5 May
select is(pg_temp.told($$select month, string_agg(concat(tier, ' ', members), ', ' order by tier) from tier_mix_by_month
        where program = 'tea' and month <= '2024-05-01' group by month order by month$$),
    array['(2024-01-01,"gold 0, silver 1,  1")', '(2024-02-01,"gold 1, silver 0,  2")', '(2024-03-01,"gold 0, silver 1,  2")',
        '(2024-04-01,"gold 0, silver 0,  3")', '(2024-05-01,"gold 0, silver 0,  3")'],
    'tiers at the ends of local months; whoever had no entry by then is none');
select is((select max(month) from tier_mix_by_month where program = 'tea'), date_trunc('month', now() at time zone 'Asia/Shanghai')::date, 'to the current month');

-- Ten members who earn n times n points on n days of the same month.
do $$
begin
    perform create_program('ten', auto_open => true);
    perform earn('ten', 'm' || m, m, event_at => make_timestamptz(2024, 1, m, 12, 0, 0)) from generate_series(1, 10) m, generate_series(1, m);
    perform earn('ten', 'm1', 1000, event_at => '2024-02-01');
end
$$;
select is(pg_temp.told($$select recency, frequency, monetary from rfm_cut join program using (program_id) where code = 'ten'$$),
    array['("{2024-01-03,2024-01-05,2024-01-07,2024-01-09}","{2,4,6,8}","{9,25,49,81}")'], 'cut points: a fifth of the members each');
select is((select array_agg(format('%s %s%s%s %s', member, recency, frequency, monetary, segment) order by length(member), member) from rfm_segment where program = 'ten'),
    array['m1 515 potential', 'm2 111 hibernating', 'm3 121 hibernating', 'm4 222 hibernating', 'm5 232 at risk', 'm6 333 needs attention',
        'm7 343 loyal', 'm8 444 loyal', 'm9 454 loyal', 'm10 555 champion'], 'scores and segments');
select is((select array_agg(format('%s %s %s', segment, members, share::numeric(3, 2)) order by segment) from rfm_segment_count where program = 'ten'),
    array['at risk 1 0.10', 'champion 1 0.10', 'hibernating 3 0.30', 'loyal 3 0.30', 'needs attention 1 0.10', 'potential 1 0.10'], 'and how many are in each');

-- ---------- random histories, back-dated and out of order ----------

do $$
declare
    program text;
    member text;
    at timestamptz;
    hold_seq bigint;
begin
    perform setseed(0.42);
    perform create_program('cn', time_zone => 'Asia/Shanghai', auto_open => true, overdraft => 'debt', return_grace => '30 days', expiry => '6 months end of month');
    perform create_program('ny', time_zone => 'America/New_York', auto_open => true, tier_window => '45 days', overdraft => 'forgive', expiry => '3 months inactive');
    perform create_program('leap', time_zone => 'America/Havana', auto_open => true, tier_window => '1 month');
    perform create_program('bare', auto_open => true);
    perform create_tier('cn', 'silver', null, 200), create_tier('cn', 'gold', null, 600);
    perform create_tier('ny', 'base', null, 0), create_tier('ny', 'top', null, 150);
    perform create_tier('leap', 'a', null, 30), create_tier('leap', 'b', null, 60), create_tier('leap', 'c', null, 90);
    for n in 1 .. 1200 loop
        program := (array['cn', 'cn', 'ny', 'leap', 'bare'])[1 + floor(random() * 5)];
        member := 'm' || floor(random() * 20);
        at := timestamptz '2023-01-01' + random() * interval '500 days';
        if random() < 0.2 then
            at := date_trunc('month', at) - random() * interval '12 hours';
        end if;
        begin
            case floor(random() * 9)::int
                when 0, 1, 2, 3 then
                    perform earn(program, member, (1 + floor(random() * 200))::int, event_at => at, source => (array['app', 'shop', null])[1 + floor(random() * 3)]);
                when 4 then
                    perform redeem(program, member, (1 + floor(random() * 50))::int, event_at => at);
                when 5 then
                    perform reverse(program, member, (1 + floor(random() * 8))::int, (1 + floor(random() * 40))::int, event_at => at);
                when 6 then
                    perform transfer(program, member, 'm' || floor(random() * 20), (1 + floor(random() * 20))::int, event_at => at);
                when 7 then
                    hold_seq := (hold(program, member, 1 + floor(random() * 20)::int, '2999-01-01', event_at => at)).seq;
                    if random() < 0.8 then
                        perform capture(program, member, hold_seq, event_at => at + interval '2 days');
                    end if;
                else
                    perform adjust(program, member, (1 + floor(random() * 30))::int, 'x', event_at => at, qualifying => (floor(random() * 20))::int);
            end case;
            if n % 200 = 0 then
                perform expire_batch();
            end if;
        exception when sqlstate 'JF001' or sqlstate 'JF003' or sqlstate 'JF006' or sqlstate '22023' or sqlstate 'JF009' then
        end;
    end loop;
end
$$;
-- Booked over some days, not in the order in which it happened.
alter table entry disable trigger refuse_change;
update entry e set posted_at = timestamptz '2024-06-01' + e.seq * interval '1 hour' + hashint8(e.account_id) % 1000 * interval '1 minute';
alter table entry enable always trigger refuse_change;
analyze entry, account, program;
select cmp_ok((select count(*) from entry e where exists (select from entry l where l.account_id = e.account_id and l.seq < e.seq and l.event_at > e.event_at)),
    '>', 300::bigint, 'much of it happened before what was booked before it');

create view pg_temp.happened as
select p.code as program, p.time_zone, a.member, e.account_id, e.seq, e.kind, e.amount::numeric, e.event_at, e.event_at at time zone p.time_zone as local,
    date_trunc('month', e.event_at at time zone p.time_zone)::date as month, o.kind as undone,
    case when e.kind = 'reverse' then o.source else e.source end as source
from entry e
join account a using (account_id)
join program p using (program_id)
left join entry o on o.account_id = e.account_id and o.seq = e.reverses_seq;

-- What each view should say; named as the view.
create temp view want_channel_by_month as
select program::text, month, source, count(*) filter (where kind = 'earn') as earns, coalesce(sum(amount) filter (where kind = 'earn'), 0) as earned,
    coalesce(sum(amount) filter (where kind = 'import'), 0) as imported,
    - coalesce(sum(amount) filter (where undone in ('earn', 'import')), 0) as reversed,
    count(*) filter (where kind in ('redeem', 'capture')) as redemptions, - coalesce(sum(amount) filter (where kind in ('redeem', 'capture')), 0) as redeemed,
    coalesce(sum(amount) filter (where undone in ('redeem', 'capture')), 0) as returned
from pg_temp.happened
where kind in ('earn', 'import', 'redeem', 'capture') or undone in ('earn', 'import', 'redeem', 'capture')
group by 1, 2, 3;
create temp view want_redemption_rate_by_month as
select program, month, earned, redeemed, redeemed / nullif(earned, 0) as rate, earned_so_far, redeemed_so_far, redeemed_so_far / nullif(earned_so_far, 0) as rate_so_far
from (
    select m.program::text, m.month,
        coalesce((select sum(amount) from pg_temp.happened h where h.program = m.program and h.month = m.month and (kind in ('earn', 'import') or undone in ('earn', 'import'))), 0) as earned,
        - coalesce((select sum(amount) from pg_temp.happened h where h.program = m.program and h.month = m.month
            and (kind in ('redeem', 'capture') or undone in ('redeem', 'capture'))), 0) as redeemed,
        coalesce((select sum(amount) from pg_temp.happened h where h.program = m.program and h.month <= m.month and (kind in ('earn', 'import') or undone in ('earn', 'import'))), 0) as earned_so_far,
        - coalesce((select sum(amount) from pg_temp.happened h where h.program = m.program and h.month <= m.month
            and (kind in ('redeem', 'capture') or undone in ('redeem', 'capture'))), 0) as redeemed_so_far
    from (select distinct program, month from pg_temp.happened where kind in ('earn', 'import', 'redeem', 'capture') or undone in ('earn', 'import', 'redeem', 'capture')) m
) m;
create temp view want_activity_by_month as
select program::text, month, count(distinct account_id) filter (where kind in ('earn', 'redeem', 'hold', 'capture', 'transfer_out')) as active,
    count(distinct account_id) filter (where kind = 'earn') as earners,
    count(distinct account_id) filter (where kind in ('redeem', 'capture')) as redeemers,
    count(distinct account_id) filter (where seq = 1) as new_members
from pg_temp.happened
group by 1, 2
having count(*) filter (where kind in ('earn', 'redeem', 'hold', 'capture', 'transfer_out') or seq = 1) > 0;
create temp view want_time_to_first_redemption as
select program::text, days_from, days_until, count(*)::numeric as members,
    count(*)::numeric / sum(count(*)) over (partition by program) as share,
    case when days_from is not null then sum(count(*)) over (partition by program order by days_from) / sum(count(*)) over (partition by program) end as share_so_far
from (
    select program, min(local) filter (where kind in ('redeem', 'capture'))::date
        - min(local) filter (where kind in ('earn', 'import', 'transfer_in') or kind = 'adjust' and amount > 0)::date as days
    from pg_temp.happened
    group by program, account_id
    having count(*) filter (where kind in ('earn', 'import', 'transfer_in') or kind = 'adjust' and amount > 0) > 0
) d
left join (values (0, 0), (1, 7), (8, 30), (31, 90), (91, 180), (181, 365), (366, null)) b (days_from, days_until)
    on days between days_from and coalesce(days_until, 1000000)
group by program, days_from, days_until;
create temp view want_never_redeemed as
select program::text, since_month, count(*) as members, sum(a.balance::numeric) as points, count(*) filter (where a.balance > 0) as holders
from (
    select program, account_id, date_trunc('month', min(local) filter (where kind in ('earn', 'import', 'transfer_in') or kind = 'adjust' and amount > 0))::date as since_month
    from pg_temp.happened
    group by program, account_id
    having count(*) filter (where kind in ('redeem', 'capture')) = 0
) m
join account a using (account_id)
where since_month is not null
group by 1, 2;
create temp view want_tier_mix_by_month as
with month as (
    select p.program_id, p.code, p.time_zone, m, (m + interval '1 month') at time zone p.time_zone as until
    from program p
    cross join lateral (select date_trunc('month', min(e.event_at) at time zone p.time_zone) as since
        from entry e join account a using (account_id) where a.program_id = p.program_id) s
    cross join lateral generate_series(s.since, now() at time zone p.time_zone, '1 month') m
), member as materialized (
    select m.code, m.m, tier_for(m.code, a.member, m.until - interval '1 microsecond') as tier
    from month m
    join (select a.program_id, a.member, min(e.event_at) as since from account a join entry e using (account_id) group by a.account_id) a
        on a.program_id = m.program_id and a.since < m.until
)
select m.code::text as program, m.m::date as month, t.tier, count(x.code)::numeric as members,
    count(x.code) / nullif(sum(count(x.code)) over (partition by m.code, m.m), 0) as share
from month m
cross join lateral (select code as tier from tier where program_id = m.program_id union all select null) t
left join member x on x.code = m.code and x.m = m.m and x.tier is not distinct from t.tier
group by m.code, m.m, t.tier;
create temp view want_rfm_segment as
select program, member, (array['hibernating', 'at risk', 'cannot lose', 'about to sleep', 'needs attention', 'loyal', 'promising', 'new', 'potential', 'champion'])[
        case
            when rfm ~ '^[12][12]' then 1 when rfm ~ '^[12][34]' then 2 when rfm ~ '^[12]5' then 3 when rfm ~ '^3[12]' then 4 when rfm ~ '^33' then 5
            when rfm ~ '^[34][45]' then 6 when rfm ~ '^41' then 7 when rfm ~ '^51' then 8 when rfm ~ '^[45][23]' then 9 when rfm ~ '^5[45]' then 10
        end] as segment,
    recency, frequency, monetary, last_active_on, earns, earned, points
from (
    select s.*, concat(recency, ceil((frequency + monetary) / 2.0)) as rfm
    from (
        select m.*,
            (select 1 + count(*) from unnest(c.recency) x where m.last_active_on > x)::int as recency,
            (select 1 + count(*) from unnest(c.frequency) x where m.earns > x)::int as frequency,
            (select 1 + count(*) from unnest(c.monetary) x where m.earned > x)::int as monetary
        from (
            select program::text, member::text, max(local) filter (where kind in ('earn', 'redeem', 'capture'))::date as last_active_on,
                count(*) filter (where kind = 'earn') as earns, sum(amount) filter (where kind = 'earn' or undone = 'earn') as earned,
                (select a.balance::numeric from account a where a.account_id = h.account_id) as points
            from pg_temp.happened h
            group by program, member, account_id
            having count(*) filter (where kind = 'earn') > 0
        ) m
        join (
            select program, percentile_disc(array[0.2, 0.4, 0.6, 0.8]) within group (order by last_active_on) as recency,
                percentile_disc(array[0.2, 0.4, 0.6, 0.8]) within group (order by earns) as frequency,
                percentile_disc(array[0.2, 0.4, 0.6, 0.8]) within group (order by earned) as monetary
            from (
                select program, max(local) filter (where kind in ('earn', 'redeem', 'capture'))::date as last_active_on,
                    count(*) filter (where kind = 'earn') as earns, sum(amount) filter (where kind = 'earn' or undone = 'earn') as earned
                from pg_temp.happened h
                group by program, account_id
                having count(*) filter (where kind = 'earn') > 0
            ) m
            group by program
        ) c using (program)
    ) s
) s;
create temp view want_rfm_segment_count as
select program, segment, count(*) as members, count(*) / sum(count(*)) over (partition by program) as share, sum(earned) as earned
from want_rfm_segment
group by program, segment;

-- Reckoned once for each state of the journal.
create function pg_temp.reckon() returns void
language plpgsql
set client_min_messages = warning
as $$
declare
    view text;
begin
    foreach view in array array['channel_by_month', 'redemption_rate_by_month', 'activity_by_month', 'time_to_first_redemption', 'never_redeemed',
        'tier_mix_by_month', 'rfm_segment', 'rfm_segment_count']
    loop
        execute format('create temp table if not exists wanted_%1$I as table want_%1$I with no data; truncate wanted_%1$I; insert into wanted_%1$I table want_%1$I', view);
    end loop;
end
$$;
create function pg_temp.differing() returns text[]
language plpgsql as $$
declare
    view text;
    rows bigint;
    found text[] := '{}';
begin
    foreach view in array array['channel_by_month', 'redemption_rate_by_month', 'activity_by_month', 'time_to_first_redemption', 'never_redeemed',
        'tier_mix_by_month', 'rfm_segment', 'rfm_segment_count']
    loop
        execute format('select count(*) from ((table jifen.%1$I except all table wanted_%1$I) union all (table wanted_%1$I except all table jifen.%1$I)) d', view) into rows;
        if rows > 0 then
            found := found || format('%s rows of %s', rows, view);
        end if;
        execute format('select count(*) from jifen.%1$I', view) into rows;
        if rows < 10 then
            found := found || format('only %s rows of %s', rows, view);
        end if;
    end loop;
    return found;
end
$$;

do $$begin perform pg_temp.reckon(); end$$;
select is(pg_temp.differing(), array[]::text[], 'nothing summarised: each view is what the journal says');
select is(array(select b::text from breaches_of_behaviour(null, null) b), array[]::text[], 'nor is anything amiss');

create function pg_temp.amiss() returns text[]
language sql as $$
    select pg_temp.differing() || array(select b::text from breaches_of_behaviour(null, null) b)
$$;
do $$begin perform pg_temp.summarise('2024-06-01 03:17'); end$$;
select cmp_ok((select count(*) from member_summary), '>', 10::bigint, 'some of it summarised');
select is(pg_temp.amiss(), array[]::text[], 'summary and what was booked since give the same');
do $$begin perform pg_temp.summarise('2024-06-01 03:17'); end$$;
select is(pg_temp.amiss(), array[]::text[], 'also summarised twice');
do $$begin perform pg_temp.summarise('2024-06-01 20:00'); end$$;
select is(pg_temp.amiss(), array[]::text[], 'more of it');
do $$begin perform pg_temp.summarise('2024-06-02 04:00:00.5'); perform pg_temp.summarise('2024-06-02 11:00'); end$$;
select is(pg_temp.amiss(), array[]::text[], 'step by step');
do $$begin perform pg_temp.summarise('2024-07-01'); end$$;
select is((select count(*) from activity_facts('2024-07-01', now())) + (select count(*) from member_facts('2024-07-01', now())), 0::bigint, 'all of it');
select is(pg_temp.amiss(), array[]::text[], 'gives the same');

-- Booked now: some for members who did nothing yet, some before everything.
do $$
begin
    perform earn('cn', 'new', 300, event_at => '2023-05-05');
    perform earn('ny', 'm3', 300, event_at => '2022-12-05', source => 'app');
    perform open_account('leap', 'late');
    perform adjust('leap', 'late', 10, 'goodwill', event_at => '2022-11-05');
    perform earn('leap', 'm1', 95, event_at => '2024-02-29 12:00+00');
    perform redeem('leap', 'm1', 5, event_at => '2024-03-01 12:00+00');
    perform reverse('cn', 'new', 1, 150, event_at => '2023-06-01');
    perform earn('bare', 'm' || n, 20, event_at => '2023-06-01') from generate_series(1, 5) n;
    perform pg_temp.reckon();
end
$$;
select is(pg_temp.amiss(), array[]::text[], 'what is booked after it counts at once');
do $$begin perform pg_temp.summarise(now() + interval '1 microsecond'); end$$;
select is(pg_temp.amiss(), array[]::text[], 'and is summarised with the rest');

-- ---------- other rules ----------

do $$begin perform create_tier('cn', 'platinum', null, 400); perform pg_temp.reckon(); end$$;
select is(array(select p.code from tier_rule r join program p using (program_id) where not r.is_kept), array['cn'], 'another tier makes the summary of tiers void');
select is(pg_temp.amiss(), array[]::text[], 'tiers of the past are reckoned by the thresholds of today, as tier_for() does');
do $$begin perform pg_temp.summarise(now() + interval '2 microseconds'); end$$;
select is(array(select program_id from tier_rule where not is_kept), array[]::int[], 'the next run reckons it anew');
select is(pg_temp.amiss(), array[]::text[], 'and nothing else');
do $$begin perform alter_program('leap', tier_window => '30 days'); perform pg_temp.reckon(); end$$;
select is(pg_temp.amiss(), array[]::text[], 'another window, which is not a month: the same');
do $$begin perform pg_temp.summarise(now() + interval '3 microseconds'); end$$;
select is(pg_temp.amiss(), array[]::text[], 'and after the next run');

-- ---------- what is amiss is told ----------

do $$
begin
    update activity_summary set earners = earners + 1 where program_id = program_id('cn') and month = '2023-05-01';
    update member_summary set earned = 0 where account_id = account_id('ny', 'm3');
    delete from tier_summary where program_id = program_id('leap') and month = '2023-05-01' and tier_no = 0;
end
$$;
select is(array(select b.invariant from breaches_of_behaviour(null, null) b order by 1),
    array['activity_summary is what its entries add up to', 'member_summary is what its entries add up to', 'tier_summary is what its entries add up to'],
    'a summary that was changed is found out');
select is(array(select b.invariant from breaches_of_behaviour(program_id('cn'), null) b order by 1),
    array['activity_summary is what its entries add up to'], 'of one program alone');
select is(array(select b.invariant from breaches_of_behaviour(null, account_id('ny', 'm3')) b), array[]::text[], 'a single account has none');
do $$begin perform drop_summaries(); end$$;
select is((select count(*) from activity_summary) + (select count(*) from member_summary) + (select count(*) from tier_summary)
    + (select count(*) from tier_summary_rule), 0::bigint, 'they can be dropped');
select is(pg_temp.amiss(), array[]::text[], 'and nothing is lost');

-- ---------- who may read them ----------

create role behaviour_reader;
grant usage on schema jifen to behaviour_reader;
grant select on all tables in schema jifen to behaviour_reader;
grant execute on function entry_facts, lot_facts, activity_facts, member_facts, tier_facts, settlement_facts, settled_points to behaviour_reader;
set local role behaviour_reader;
select lives_ok($$select count(*) from channel_by_month union all select count(*) from redemption_rate_by_month union all select count(*) from activity_by_month
    union all select count(*) from time_to_first_redemption union all select count(*) from never_redeemed union all select count(*) from dormant_balance
    union all select count(*) from tier_mix_by_month union all select count(*) from rfm_segment union all select count(*) from rfm_segment_count
    union all select count(*) from settlement_by_day union all select count(*) from settlement_by_month union all select count(*) from settlement_of_party_by_month
    union all select count(*) from prepaid_budget$$, 'a role with the right to read the tables and to execute what the views add');
reset role;

select * from finish();
rollback;
