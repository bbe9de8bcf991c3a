-- The liability: what all members' balances add up to, now and at any instant, and its breakdowns.
-- Each booking needs a time of its own: the statements commit, and what was written goes with the extension at the end.
set search_path = jifen, public;
set timezone = 'UTC';
set client_min_messages = warning;
select plan(48);
\ir books.psql

create function pg_temp.liability(program text) returns text[]
language sql as $$
    select array(select l::text from jifen.liability_by_expiry l where l.program = liability.program order by l.expires_month)
$$;

-- Members with a balance above zero, and the sums of balance() over all members.
create function pg_temp.sums(program text, as_of timestamptz default now(), known_at timestamptz default null) returns text
language sql as $$
    select concat_ws(' ', count(*) filter (where b.balance > 0), coalesce(sum(b.balance::numeric), 0), coalesce(sum(b.available::numeric), 0),
        coalesce(sum(b.pending::numeric), 0), coalesce(sum(b.held::numeric), 0), coalesce(sum(b.lapsed::numeric), 0),
        coalesce(sum(b.debt::numeric), 0), coalesce(sum(b.held_back::numeric), 0))
    from jifen.account a join jifen.program p using (program_id)
    cross join lateral jifen.balance(p.code, a.member, sums.as_of, sums.known_at) b
    where p.code = sums.program
$$;
-- The same as liability_at() and liability have it.
create function pg_temp.owed_at(program text, as_of timestamptz default now(), known_at timestamptz default null) returns text
language sql as $$
    select concat_ws(' ', l.members, l.points, l.available, l.pending, l.held, l.lapsed, l.debt, l.held_back)
    from jifen.liability_at(owed_at.program, owed_at.as_of, owed_at.known_at) l
$$;
create function pg_temp.owed(program text) returns text
language sql as $$
    select concat_ws(' ', l.members, l.points, l.available, l.pending, l.held, l.lapsed, l.debt, l.held_back)
    from jifen.liability l where l.program = owed.program
$$;

-- Where a breakdown does not foot to the liability, or the liability not to the members.
create function pg_temp.footing() returns text[]
language sql as $$
    select array(
        select format('%s of %s: %s, not %s', what, l.program, found, expected)
        from jifen.liability l
        cross join lateral (values
            ('liability', pg_temp.owed(l.program), pg_temp.sums(l.program)),
            ('liability_at', pg_temp.owed_at(l.program), pg_temp.sums(l.program)),
            ('by_expiry', (select concat_ws(' ', coalesce(sum(points), 0), coalesce(sum(lapsed), 0), coalesce(sum(held_back), 0)) from jifen.liability_by_expiry b where b.program = l.program),
                concat_ws(' ', l.points - l.held + l.debt, l.lapsed, l.held_back)),
            ('by_vintage', (select concat_ws(' ', coalesce(sum(points), 0), coalesce(sum(held), 0), coalesce(sum(total), 0)) from jifen.liability_by_vintage b where b.program = l.program),
                concat_ws(' ', l.points - l.held + l.debt, l.held, l.points + l.debt)),
            ('by_source', (select concat_ws(' ', coalesce(sum(points), 0), coalesce(sum(held), 0), coalesce(sum(total), 0)) from jifen.liability_by_source b where b.program = l.program),
                concat_ws(' ', l.points - l.held + l.debt, l.held, l.points + l.debt)),
            ('by_funder', (select concat_ws(' ', coalesce(sum(points), 0), coalesce(sum(held), 0), coalesce(sum(total), 0)) from jifen.liability_by_funder b where b.program = l.program),
                concat_ws(' ', l.points - l.held + l.debt, l.held, l.points + l.debt)),
            ('by_tier', (select concat_ws(' ', coalesce(sum(points), 0), coalesce(sum(members), 0)) from jifen.liability_by_tier b where b.program = l.program),
                concat_ws(' ', l.points, l.members)),
            ('by_dormancy', (select concat_ws(' ', coalesce(sum(points), 0), coalesce(sum(members), 0)) from jifen.liability_by_dormancy b where b.program = l.program),
                concat_ws(' ', l.points, l.members))
        ) v (what, found, expected)
        where found is distinct from expected
        order by 1)
$$;

-- ---------- by month of expiry ----------

do $$
begin
    perform create_program('cn', time_zone => 'Asia/Shanghai', currency => 'CNY', point_value => 0.015, auto_open => true);
    perform create_program('utc', auto_open => true);
    perform create_program('empty');
    perform open_account('utc', 'nobody');
    perform earn('cn', 'ann', 100, event_at => '2024-01-31 12:00+08', expiry => '1 month end of month');  -- to the end of 29 February
    perform earn('cn', 'ann', 20, event_at => '2024-01-30 12:00+08', expiry => '1 month');                -- the same
    perform earn('cn', 'bob', 3, event_at => '2024-01-31 12:00+08', expiry => '30 days');                 -- to the end of 1 March
    perform earn('cn', 'bob', 1000, event_at => '2024-01-31 12:00+08', expiry => '1000 years');           -- of January 3024
    perform earn('cn', 'bob', 7, event_at => '2024-01-31 12:00+08', expiry => 'never');
    perform redeem('cn', 'ann', 50, event_at => '2024-02-01 12:00+08');
    perform earn('utc', 'ann', 9, event_at => '2024-01-31 12:00+08', expiry => '1 month end of month');
end
$$;
select is(pg_temp.liability('cn'),
    array['(cn,2024-02-01,70,70,1.050,CNY,0)', '(cn,2024-03-01,3,3,0.045,CNY,0)', '(cn,3024-01-01,1000,0,15.000,CNY,0)',
        '(cn,,7,0,0.105,CNY,0)'],
    'points that are spendable to the end of a local month are of that month; what lapsed is owed until it is booked');
select is(pg_temp.liability('utc'), array['(utc,2024-02-01,9,9,,,0)'], 'without a point_value there is no face value');
-- Havana's clocks went from 31 March 2012 straight to one o'clock of 1 April.
do $$
begin
    perform create_program('habana', time_zone => 'America/Havana', auto_open => true);
    perform earn('habana', 'eva', 5, event_at => '2011-11-10 12:00+00', expiry => '3 months end of quarter');
end
$$;
select is(pg_temp.liability('habana'), array['(habana,2012-03-01,5,5,,,0)'], 'a month whose last midnight is skipped keeps its points');
select is(pg_temp.liability('empty'), array[]::text[], 'nothing of nothing');
do $$
begin
    perform expire_batch('cn');
    perform earn('cn', 'ann', 2, event_at => '2024-01-31 12:00+08');
    perform earn('cn', 'cat', 1, event_at => '2024-01-31 12:00+08');
end
$$;
select is(pg_temp.liability('cn'), array['(cn,3024-01-01,1000,0,15.000,CNY,0)', '(cn,,10,0,0.150,CNY,0)'], 'booked expiry ends it');
do $$begin perform redeem('utc', 'ann', 9, event_at => '2024-02-01'); end$$;
select is(pg_temp.liability('utc'), array[]::text[], 'and so does spending');
do $$begin perform reverse('utc', 'ann', 2, 4, event_at => '2024-02-02'); end$$;
select is(pg_temp.liability('utc'), array['(utc,2024-02-01,4,4,,,0)'], 'its reversal brings it back');

-- ---------- as things stand ----------

do $$
begin
    perform create_program('air', time_zone => 'Asia/Shanghai', expiry => '3 months inactive end of month', auto_open => true);
    perform earn('air', 'ann', 10, event_at => '2024-01-15');
    perform earn('air', 'ann', 5, event_at => '2024-03-15');
    perform create_program('told', expiry => '1 month end of month', notice_days => 30, auto_open => true);
    perform earn('told', 'ann', 10, event_at => '2024-01-15');
end
$$;
select is(pg_temp.liability('air'), array['(air,2024-06-01,15,15,,,0)'], 'activity moves points on to a later month');
select is(pg_temp.liability('told'), array['(told,2024-02-01,10,0,,,10)'], 'what waits for a notice is of its month, and has not lapsed');

-- ---------- a history posted late and out of order ----------

select create_program('fix', time_zone => 'Asia/Shanghai', expiry => '12 months end of month', currency => 'CNY', point_value => 0.01, auto_open => true, overdraft => 'debt') \g /dev/null
select create_program('move', time_zone => 'America/New_York', expiry => '3 months inactive end of month', currency => 'USD', point_value => 0.02, auto_open => true, overdraft => 'debt', return_grace => '10 days') \g /dev/null
select create_program('noticed', expiry => '4 months or 2 months inactive', notice_days => 5, auto_open => true, overdraft => 'debt') \g /dev/null
select create_program('none') \g /dev/null
select setseed(0.42) \g /dev/null
do $$
#variable_conflict use_variable
declare
    program text;
    member text;
    at timestamptz;
    choice float;
    hold_no bigint;
begin
    for n in 1 .. 700 loop
        program := (array['fix', 'move', 'noticed'])[1 + floor(random() * 3)];
        member := 'm' || floor(random() * 12);
        at := case when random() < 0.3 then now() else now() - random() * random() * interval '500 days' end;
        choice := random();
        begin
            if choice < 0.34 then
                perform earn(program, member, (1 + floor(random() * 500))::int, event_at => at, source => (array['shop', 'app', null])[1 + floor(random() * 3)], funder => (array['bank', null])[1 + floor(random() * 2)],
                    available_at => case when random() < 0.3 then at + random() * interval '90 days' end,
                    expiry => case when random() < 0.5 then (array['1 month', '12 months end of month', 'never', '2 months inactive', '3 months', '6 months or 1 month inactive', '40 days'])[1 + floor(random() * case when program = 'fix' then 3 else 7 end)]::expiry_policy end);
            elsif choice < 0.54 then
                perform redeem(program, member, (1 + floor(random() * 300))::int, event_at => at);
            elsif choice < 0.68 then
                perform hold(program, member, (1 + floor(random() * 200))::int, until => clock_timestamp() + case when random() < 0.7 then random() * interval '500 ms' else interval '20 days' end, event_at => at);
            elsif choice < 0.72 then
                select h.seq into hold_no from hold h join account a using (account_id) join program p on p.program_id = a.program_id
                where p.code = program and a.member = 'm' || right(member, 1) order by random() limit 1;
                perform capture(program, member, hold_no, case when random() < 0.5 then 1 end::int);
            elsif choice < 0.75 then
                select h.seq into hold_no from hold h join account a using (account_id) join program p on p.program_id = a.program_id
                where p.code = program and a.member = 'm' || right(member, 1) order by random() limit 1;
                perform release(program, member, hold_no);
            elsif choice < 0.85 then
                perform jifen.reverse(program, member, coalesce((select e.seq from entry e join account a using (account_id) join program p using (program_id)
                        where p.code = program and a.member = member and e.kind = case when random() < 0.6 then 'earn' else 'redeem' end order by random() limit 1), 1), event_at => case when random() < 0.5 then at end);
            elsif choice < 0.88 then
                perform transfer(program, member, 'm' || floor(random() * 12), (1 + floor(random() * 100))::int, event_at => at);
            elsif choice < 0.91 then
                perform adjust(program, member, (floor(random() * 200) - 100)::int, 'so', event_at => at);
            elsif choice < 0.94 then
                perform import(program, member, (1 + floor(random() * 300))::int, issued_at => at - interval '30 days', event_at => at);
            elsif choice < 0.96 then
                perform record_notice(program, member, 'email', until => now() + interval '30 days', window_days => 30, sent_at => now() - random() * interval '90 days');
            elsif choice < 0.98 then
                perform expire_batch(program, max_accounts => 3);
            elsif choice < 0.985 then
                perform release_batch(program, max_accounts => 2);
            elsif choice < 0.99 then
                perform extend_expiry(program, 'so', until => now() + interval '90 days', members => array[member]);
            else
                perform expire_member(program, member);
            end if;
        exception when others then
            if sqlstate not in ('JF001', 'JF003', 'JF006', 'JF007', '22023', '22004', 'JF002', 'JF004', 'JF009') then
                raise warning '% %', sqlstate, sqlerrm;
            end if;
        end;
        commit;
        if n % 300 = 0 then perform pg_sleep(0.1); end if;
    end loop;
end
$$;

select earn('fix', 'debtor', 70), redeem('fix', 'debtor', 70), jifen.reverse('fix', 'debtor', 1) \g /dev/null
select create_tier('fix', 'silver', 'Silver', 200), create_tier('fix', 'gold', 'Gold', 900), create_tier('move', 'all', 'All', 0) \g /dev/null
select is(pg_temp.footing(), array[]::text[], 'what is owed is the sum of all balances, column by column, and every breakdown foots to it');
begin;
select cmp_ok((select sum(debt) from liability), '>', 0::numeric, 'a history with debts');
select cmp_ok((select sum(pending) from liability), '>', 0::numeric, 'and pending points');
select cmp_ok((select sum(lapsed) from liability), '>', 0::numeric, 'and lapsed ones');
select cmp_ok((select sum(held_back) from liability), '>', 0::numeric, 'and points that wait for a notice');
select cmp_ok((select count(*) from hold where until <= now()), '>', 0::bigint, 'and holds past their deadline');
select is(
    array(select format('%s %s %s %s', program, tier, members, points) from liability_by_tier order by 1),
    array(select format('%s %s %s %s', p.code, t.tier, count(*) filter (where a.balance > 0), sum(a.balance::numeric))
        from account a join program p using (program_id) cross join lateral (select tier_for(p.code, a.member) as tier) t
        group by p.code, t.tier having sum(a.balance::numeric) <> 0 or count(*) filter (where a.balance > 0) > 0 order by 1),
    'each member is of the tier of tier_for()');
select is(
    array(select format('%s %s %s %s', program, dormant_months, members, points) from liability_by_dormancy order by 1),
    array(select format('%s %s %s %s', p.code, d.months, count(*) filter (where a.balance > 0), sum(a.balance::numeric))
        from account a join program p using (program_id)
        cross join lateral (select last_activity_at(a) at time zone p.time_zone as active_at, now() at time zone p.time_zone as today) l
        cross join lateral (select case when active_at is null then 'never' when active_at <= today - interval '24 months' then '24+'
            when active_at <= today - interval '12 months' then '12-24' when active_at <= today - interval '6 months' then '6-12'
            when active_at <= today - interval '3 months' then '3-6' else '0-3' end as months) d
        group by p.code, d.months having sum(a.balance::numeric) <> 0 or count(*) filter (where a.balance > 0) > 0 order by 1),
    'and as dormant as last_activity_at() says');
commit;
create temp table instant as
select p.code, i.as_of, i.known_at
from program p, lateral (
    select now() - random() * random() * interval '500 days' as as_of,
        case when random() < 0.6 then (select min(posted_at) + random() * (now() - min(posted_at)) from entry) end as known_at
    from generate_series(1, 25) where p.code is not null
    union all
    (select at, null from (
        select until as at from entry where kind = 'hold'
        union select expires_at from entry where isfinite(expires_at)
        union select available_at from entry where available_at is not null
        union select event_at from entry
    ) v
    order by random() limit 45)
) i
where p.code in ('fix', 'move', 'noticed', 'none');
create temp table answer as
select i.*, pg_temp.owed_at(code, as_of, known_at) as found, pg_temp.sums(code, as_of, known_at) as expected from instant i;
select is(array(select format('%s as of %s known at %s: %s, not %s', code, as_of, known_at, found, expected) from answer where found <> expected), array[]::text[],
    'and so it was at any instant, and as it was known');
select cmp_ok((select count(distinct found) from answer), '>', 60::bigint, 'which are many answers');
select is(pg_temp.owed_at('none', now()), '0 0 0 0 0 0 0 0', 'nothing of nothing');
select is((select l::text from liability l where program = 'none'), '(none,0,0,0,0,0,0,0,0,,,0,,0,)', 'nor in the view');
select is(array(select concat_ws(': ', b.program, b.member, b.invariant) from reconcile() b), array[]::text[], 'all of it reconciles');
-- Booking what is due changes what has lapsed and nothing else.
create temp table before as select program, points - lapsed as live, available, pending, held, debt from liability;
select release_batch(), expire_batch() \g /dev/null
select is(pg_temp.footing(), array[]::text[], 'once all is booked that is due, it foots as well');
select results_eq('select program, points, available, pending, held, debt from liability order by program',
    'select program, live, available, pending, held, debt from before order by program', 'and no column has changed but what had lapsed');

-- ---------- an overdue hold that repays a debt ----------

select create_program('owing', auto_open => true, overdraft => 'debt') \g /dev/null
select earn('owing', 'ann', 100, expiry => 'never'), earn('owing', 'ann', 50, expiry => 'never', source => 'app') \g /dev/null
select redeem('owing', 'ann', 60) \g /dev/null
select hold('owing', 'ann', 80, clock_timestamp() + interval '100 ms') \g /dev/null
select jifen.reverse('owing', 'ann', 1) \g /dev/null
select is(pg_temp.owed('owing'), '0 -10 0 0 80 0 90 0', 'the member owes while the points are held');
select pg_sleep(0.15) \g /dev/null
select is(pg_temp.owed('owing'), pg_temp.sums('owing'), 'past the deadline they repay the debt');
select is((select array[held, debt] from liability where program = 'owing'), array[0, 10]::numeric[], 'as far as they go');
select is(pg_temp.footing(), array[]::text[], 'and the breakdowns show it');
select is(array(select format('%s %s %s', source, points, held) from liability_by_source where program = 'owing'), array[]::text[], 'nothing is left in lots');
select release_batch('owing') \g /dev/null
select is(pg_temp.footing(), array[]::text[], 'as booking it does');

-- ---------- a hold whose deadline has passed ----------

do $$
begin
    perform create_program('overdue', time_zone => 'Asia/Shanghai', auto_open => true);
    perform earn('overdue', 'ann', 100, event_at => '2024-01-15', expiry => 'on 2099-12-31');
    perform earn('overdue', 'ann', 50, event_at => '2024-01-15', expiry => 'on 2098-12-31');
    perform earn('overdue', 'bob', 10, event_at => '2024-01-15', expiry => 'on 2024-12-31');
    perform hold('overdue', 'ann', 70, '2999-01-01', event_at => '2024-02-01');
    perform hold('overdue', 'bob', 10, '2999-01-01', event_at => '2024-02-01');
end
$$;
select is(pg_temp.liability('overdue'), array['(overdue,2099-12-01,80,0,,,0)'], 'what is held is none of them');
alter table entry disable trigger refuse_change;
update entry set until = '2025-02-01' where kind = 'hold' and account_id = any (array(select account_id from account a join program p using (program_id) where p.code = 'overdue'));
update hold h set until = e.until from entry e where e.account_id = h.account_id and e.seq = h.seq and e.until = '2025-02-01';
alter table entry enable always trigger refuse_change;
create temp table before_release as select * from open_lot;
select is(pg_temp.liability('overdue'), array['(overdue,2024-12-01,10,10,,,0)', '(overdue,2098-12-01,50,0,,,0)', '(overdue,2099-12-01,100,0,,,0)'],
    'past its deadline it is, as if released');
do $$begin perform release_batch('overdue'); perform expire_batch('overdue'); end$$;
select is(pg_temp.liability('overdue'), array['(overdue,2098-12-01,50,0,,,0)', '(overdue,2099-12-01,100,0,,,0)'], 'booking it changes nothing that has not lapsed');
select set_eq('select account_id, seq, remaining, available_at, expires_at, lapses_at from open_lot where lapses_at > now()',
    'select account_id, seq, remaining, available_at, expires_at, lapses_at from before_release where lapses_at > now()', 'lot by lot');

-- Held points of a lot that lapsed before the member came back, and a debt that what comes back repays.
create function pg_temp.stand(program text) returns text[]
language sql as $$
    select array(select format('%s %s: %s until %s', a.member, o.seq, o.remaining, case when isfinite(o.lapses_at) then o.lapses_at::date end)
        from jifen.open_lot o join jifen.account a using (account_id) where o.program_id = jifen.program_id(stand.program) order by a.member, o.seq)
$$;
do $$
begin
    perform create_program('back', expiry => '6 months inactive', auto_open => true, overdraft => 'debt');
    perform earn('back', 'ann', 100, event_at => '2010-05-15');
    perform hold('back', 'ann', 70, now() + interval '100 milliseconds', event_at => '2010-06-01');
    perform earn('back', 'ann', 5, event_at => '2011-09-23');
    perform earn('back', 'bob', 100, event_at => '2010-05-15', expiry => 'never');
    perform hold('back', 'bob', 60, now() + interval '100 milliseconds', event_at => '2010-06-01');
    perform adjust('back', 'bob', -70, 'fraud', event_at => '2011-09-23');
    -- A hold of the same instant that takes all there is of two lots.
    perform earn('back', 'cat', 10, event_at => '2010-05-15'), earn('back', 'cat', 20, event_at => '2010-05-16', expiry => 'on 2099-12-31');
    perform hold('back', 'cat', 30, now() + interval '100 milliseconds', event_at => '2010-06-01');
end
$$;
select pg_sleep(0.15) \g /dev/null
select is(pg_temp.stand('back'), array['ann 1: 70 until 2010-12-02', 'ann 4: 5 until 2012-03-24', 'bob 1: 30 until ', 'cat 1: 10 until 2010-12-02', 'cat 2: 20 until 2100-01-01'],
    'held points stand where the lot does that they come back to, less what repays debts');
select is(pg_temp.liability('back'), array['(back,2010-12-01,80,80,,,0)', '(back,2012-03-01,5,5,,,0)', '(back,2099-12-01,20,0,,,0)', '(back,,30,0,,,0)'], 'by month');
select is(pg_temp.owed('back'), pg_temp.sums('back'), 'in all it is what the balances are');
select is((select sum(points) from preview_policy('back', 'never', as_of => '2011-10-01')), 55::numeric, 'what lapsed in 2010 is no part of what lapses later');
do $$begin perform release_batch('back'); end$$;
select is(pg_temp.stand('back'), array['ann 4: 5 until 2012-03-24', 'bob 1: 30 until ', 'cat 2: 20 until 2100-01-01'], 'booked, what had lapsed is gone and all else the same');
select is(pg_temp.owed('back'), pg_temp.sums('back'), 'in all, too');


-- ---------- money ----------

select create_program('paid', time_zone => 'Asia/Shanghai', currency => 'CNY', point_value => 0.01, auto_open => true) \g /dev/null
select earn('paid', 'ann', 1000, revenue => 8.00, expiry => 'never'), earn('paid', 'bob', 500, expiry => 'never') \g /dev/null
select is((select array[face_value, redemption_rate, expected_redemption, expected_value, deferred_revenue] from liability where program = 'paid'),
    array[15.00, null, 1500, 15.00, 8.00], 'without an estimate all points are expected to be redeemed, and what was paid for them is deferred');
select record_redemption_estimate('paid', 0.8) \g /dev/null
select redeem('paid', 'ann', 400) \g /dev/null
select is((select array[points, face_value, redemption_rate, expected_redemption, expected_value, deferred_revenue] from liability where program = 'paid'),
    array[1100, 11.00, 0.8, 800, 8.00, 4.00], 'with one, its share of what was issued less what is redeemed');
select is((select l::text from liability_at('paid', now()) l), (select '(' || substr(l::text, 7) from liability l where program = 'paid'), 'liability_at() says the same');
select is((select array[expected_redemption, deferred_revenue, redemption_rate, expected_value] from liability_at('paid', now(), now())), array[null, null, null, null]::numeric[],
    'what is estimated is not told by what was known of it');

-- ---------- refusals ----------

select is(pg_temp.refusal($$select liability_at('nowhere', now())$$)::text like '(JF002,%', true, 'an unknown program is refused');
select is(pg_temp.refusal($$select liability_at('paid', null)$$)::text like '(22004,"as_of must not be null",%', true, 'and no instant');
select is(pg_temp.refusal($$select liability_at('paid', 'infinity')$$)::text like '(22023,"as_of and known_at must be finite",%', true, 'and one that never comes');
select is(pg_temp.refusal($$select liability_at('paid', now(), '-infinity')$$)::text like '(22023,"as_of and known_at must be finite",%', true, 'or never was');

select * from finish();
drop extension jifen cascade;
create extension jifen;
