-- The run-off: what is open goes as the same ages went, and lapses when it is to.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(18);
\ir random_books.psql

-- The middle of a month, so many months ago.
create function pg_temp.month(back integer) returns timestamptz
language sql as $$
    select date_trunc('month', now()) - back * interval '1 month' + interval '14 days'
$$;
create function pg_temp.last_day(ahead integer) returns text
language sql as $$
    select 'on ' || (date_trunc('month', now()) + (ahead + 1) * interval '1 month' - interval '1 day')::date
$$;
-- What of the current month is to come, today with it.
create temp table rest as
select (extract(day from next - interval '1 day') - extract(day from now()) + 1)::numeric / extract(day from next - interval '1 day')::numeric as share
from (select date_trunc('month', now()) + interval '1 month' as next) n;

-- ---------- by hand ----------

do $$
begin
    perform create_program('tea', expiry => 'never', auto_open => true);
    perform create_program('new', expiry => 'never', auto_open => true);
    perform create_program('empty');
    -- Of 300 of age 0 are redeemed 45, of 170 of age 1 40, of 70 of age 2 10: of all 540 95.
    perform earn('tea', 'ann', 100, event_at => pg_temp.month(3));
    perform redeem('tea', 'ann', 10, event_at => pg_temp.month(3));
    perform redeem('tea', 'ann', 20, event_at => pg_temp.month(2));
    perform redeem('tea', 'ann', 10, event_at => pg_temp.month(1));
    perform earn('tea', 'bob', 100, event_at => pg_temp.month(2), expiry => pg_temp.last_day(2)::expiry_policy);
    perform redeem('tea', 'bob', 20, event_at => pg_temp.month(2));
    perform redeem('tea', 'bob', 20, event_at => pg_temp.month(1));
    perform earn('tea', 'cat', 100, event_at => pg_temp.month(1), expiry => pg_temp.last_day(0)::expiry_policy);
    perform redeem('tea', 'cat', 15, event_at => pg_temp.month(1));
    perform hold('tea', 'ann', 60, until => '2999-01-01');
    perform earn('new', 'ann', 100, expiry => pg_temp.last_day(1)::expiry_policy);
end
$$;
select is((select array_agg(concat_ws(' ', r.opening, r.redeemed, r.expired, r.closing) order by r.month) from run_off r where r.program = 'new'),
    array['100 0 0 100', '100 0 100 0'], 'without a past nothing is expected to be redeemed, and all lapses at its time');
select is((select count(*)::integer from run_off where program = 'empty'), 0, 'nothing of nothing');
select is((select array[min(month), max(month)] from run_off where program = 'tea'),
    array[date_trunc('month', now())::date, (date_trunc('month', now()) + interval '59 months')::date], 'five years where points never lapse');
-- ann's 60 are of an age that nobody has seen, and go as all did; bob's 60 have been seen once; cat's 85 lapse this month.
create temp table by_hand as
select 60 * s.share * 95 / 540 + 60 * s.share * 10 / 70 + 85 * s.share * 40 / 170 as redeemed_0,
    85 - 85 * s.share * 40 / 170 as expired_0,
    60 * (1 - s.share * 95 / 540) * 95 / 540 + 60 * (1 - s.share * 10 / 70) * 95 / 540 as redeemed_1,
    60 * (1 - s.share * 95 / 540) * (1 - 95 / 540.0) * 95 / 540 + 60 * (1 - s.share * 10 / 70) * (1 - 95 / 540.0) * 95 / 540 as redeemed_2,
    60 * (1 - s.share * 10 / 70) * (1 - 95 / 540.0) * (1 - 95 / 540.0) as expired_2
from rest s;
select is((select array_agg(concat_ws(' ', r.opening, r.redeemed, r.expired, r.closing) order by r.month) from (select * from run_off where program = 'tea' order by month limit 3) r),
    (select array[
        concat_ws(' ', 205, round(redeemed_0), round(expired_0), 205 - round(redeemed_0) - round(expired_0)),
        concat_ws(' ', 205 - round(redeemed_0) - round(expired_0), round(redeemed_0 + redeemed_1) - round(redeemed_0), 0, 205 - round(redeemed_0 + redeemed_1) - round(expired_0)),
        concat_ws(' ', 205 - round(redeemed_0 + redeemed_1) - round(expired_0), round(redeemed_0 + redeemed_1 + redeemed_2) - round(redeemed_0 + redeemed_1),
            round(expired_0 + expired_2) - round(expired_0), 205 - round(redeemed_0 + redeemed_1 + redeemed_2) - round(expired_0 + expired_2))]
    from by_hand), 'the rates of each age, less of what is left of the current month; lapses at the end of their month; held points are open');

-- Lapsed and not booked; then a past in which everything was redeemed at once.
do $$
begin
    perform create_program('late', expiry => '1 month end of month', auto_open => true);
    perform earn('late', 'ann', 30, event_at => pg_temp.month(5));
    perform earn('late', 'bob', 12, event_at => pg_temp.month(4), expiry => 'never');
    perform redeem('late', 'bob', 12, event_at => pg_temp.month(4));
    perform create_program('all', expiry => 'never', auto_open => true);
    perform earn('all', 'bob', 12, event_at => pg_temp.month(2));
    perform redeem('all', 'bob', 12, event_at => pg_temp.month(1));
    perform earn('all', 'cat', 200, event_at => pg_temp.month(1));
    perform jifen.import('all', 'dan', 1000000, event_at => pg_temp.month(2), issued_at => pg_temp.month(4), expiry => 'never');
    perform jifen.reverse('all', 'dan', 1, 1000000, event_at => date_trunc('month', now()));
end
$$;
select is((select array_agg(concat_ws(' ', r.opening, r.redeemed, r.expired, r.closing) order by r.month) from run_off r where r.program = 'late'),
    array['30 0 30 0'], 'what has lapsed goes at once');
select is((select array_agg(concat_ws(' ', r.opening, r.redeemed, r.expired, r.closing) order by r.month) from (select * from run_off where program = 'all' order by month limit 2) r),
    (select array[concat_ws(' ', 200, round(200 * share), 0, 200 - round(200 * share)), concat_ws(' ', 200 - round(200 * share), 0, 0, 200 - round(200 * share))] from rest),
    'no more is redeemed than there is');

-- ---------- random books ----------

call pg_temp.make_random_books(1600, 0.11);
create temp table run_offs as select * from run_off;
select is((select count(*)::integer from run_offs where opening - redeemed - expired is distinct from closing or least(opening, closing) < 0), 0, 'each month foots');
select is((select count(*)::integer from (select r.*, lead(opening) over own as next_opening, lead(month) over own as next_month from run_offs r window own as (partition by program order by month)) r
    where next_month is not null and (next_opening <> closing or next_month <> (month + interval '1 month')::date)), 0, 'a closing is the next opening, month after month');
select set_eq($$select distinct on (r.program) r.program, r.month, r.opening from run_offs r order by r.program, r.month$$,
    $$select p.code::text as program, date_trunc('month', now() at time zone p.time_zone)::date as month, sum(a.balance::numeric + a.debt::numeric) as opening
        from account a join program p using (program_id) group by p.code, p.time_zone having sum(a.balance::numeric + a.debt::numeric) > 0$$,
    'the first opening is what the accounts say now');
select is((select count(*)::integer from run_offs where redeemed < 0 or expired < 0), 0, 'points only go');

-- Month by month and lot group by lot group, in loops.
create temp table flows as
select p.code as program, c.issued_month, c.expires, c.expires_month, c.happened_month, c.movement, c.points, c.held,
    (12 * (extract(year from c.happened_month) - extract(year from c.issued_month)) + extract(month from c.happened_month) - extract(month from c.issued_month))::integer as age
from cohort_flow c join program p using (program_id);
create function pg_temp.months_between(since date, until date) returns integer
language sql as $$
    select (12 * (extract(year from until) - extract(year from since)) + extract(month from until) - extract(month from since))::integer
$$;
create function pg_temp.simulated(program text) returns table (month date, redeemed numeric, expired numeric)
language plpgsql as $$
declare
    here timestamp := now() at time zone (select p.time_zone from program p where p.code = simulated.program);
    this_month date := date_trunc('month', here);
    days numeric := (this_month + interval '1 month')::date - this_month;
    share numeric := ((this_month + interval '1 month')::date - here::date) / days;
    cohort record;
    own_age integer;
    open_now numeric;
    n integer;
    open_all numeric[] := array_fill(0::numeric, array[400]);
    redeemed_all numeric[] := array_fill(0::numeric, array[400]);
    open_moving numeric[] := array_fill(0::numeric, array[400]);
    expired_moving numeric[] := array_fill(0::numeric, array[400]);
    oldest integer := -1;
    tail_redeemed numeric;
    tail_expired numeric;
    total_redeemed numeric[] := array_fill(0::numeric, array[400]);
    total_expired numeric[] := array_fill(0::numeric, array[400]);
    going numeric;
    lapsing numeric;
begin
    -- The past: what was open at each age or came, and what was redeemed of it.
    for cohort in select distinct f.issued_month, f.expires = 'moving' as is_moving from flows f where f.program = simulated.program loop
        for own_age in 0 .. pg_temp.months_between(cohort.issued_month, this_month) - 1 loop
            select coalesce(sum(f.points + f.held) filter (where f.age < own_age or f.movement not in ('redeemed', 'returned', 'expired', 'reinstated')), 0) into open_now
            from flows f
            where f.program = simulated.program and f.issued_month = cohort.issued_month and (f.expires = 'moving') = cohort.is_moving and f.age <= own_age;
            open_all[own_age] := coalesce(open_all[own_age], 0) + open_now;
            if open_all[own_age] > 0 then
                oldest := greatest(oldest, own_age);
            end if;
            redeemed_all[own_age] := coalesce(redeemed_all[own_age], 0) - coalesce((select sum(f.points + f.held) from flows f
                where f.program = simulated.program and f.issued_month = cohort.issued_month and (f.expires = 'moving') = cohort.is_moving
                    and f.age = own_age and f.movement in ('redeemed', 'returned')), 0);
            if cohort.is_moving then
                open_moving[own_age] := coalesce(open_moving[own_age], 0) + open_now;
                expired_moving[own_age] := coalesce(expired_moving[own_age], 0) - coalesce((select sum(f.points) from flows f
                    where f.program = simulated.program and f.issued_month = cohort.issued_month and f.expires = 'moving'
                        and f.age = own_age and f.movement in ('expired', 'reinstated')), 0);
            end if;
        end loop;
    end loop;
    select sum(redeemed_all[a]) / sum(open_all[a]), sum(coalesce(expired_moving[a], 0)) / nullif(sum(coalesce(open_moving[a], 0)), 0)
        into tail_redeemed, tail_expired from generate_series(greatest(0, oldest - 11), oldest) a;
    -- What is to come.
    for cohort in
        select f.issued_month, f.expires, f.expires_month, sum(f.points + f.held) as points from flows f
        where f.program = simulated.program group by 1, 2, 3 having sum(f.points + f.held) > 0
    loop
        open_now := cohort.points;
        for n in 0 .. 59 loop
            if cohort.expires_month < this_month then
                total_expired[n] := coalesce(total_expired[n], 0) + open_now;
                exit;
            end if;
            own_age := pg_temp.months_between(cohort.issued_month, this_month) + n;
            going := open_now * least(1, greatest(0, case when open_all[own_age] > 0 then redeemed_all[own_age] / open_all[own_age] else tail_redeemed end))
                * case n when 0 then share else 1 end;
            lapsing := case
                when cohort.expires_month = (this_month + n * interval '1 month')::date then open_now - going
                when cohort.expires <> 'moving' then 0
                else least(open_now * case n when 0 then share else 1 end - going,
                    open_now * greatest(0, coalesce(case when open_moving[own_age] > 0 then expired_moving[own_age] / open_moving[own_age] else tail_expired end, 0))
                        * case n when 0 then share else 1 end) end;
            total_redeemed[n] := coalesce(total_redeemed[n], 0) + going;
            total_expired[n] := coalesce(total_expired[n], 0) + lapsing;
            open_now := open_now - going - lapsing;
            exit when open_now = 0;
        end loop;
    end loop;
    return query
    select (this_month + m * interval '1 month')::date, sum(coalesce(total_redeemed[m], 0)) over (order by m), sum(coalesce(total_expired[m], 0)) over (order by m)
    from generate_series(0, 59) m;
end
$$;
create temp table simulated as
select p.program, s.* from (values ('york'), ('howe'), ('habana'), ('shanghai')) p (program), pg_temp.simulated(p.program) s;
create temp table so_far as
select r.program, r.month, sum(r.redeemed) over own as redeemed, sum(r.expired) over own as expired
from run_offs r window own as (partition by r.program order by r.month);
select is((select count(*)::integer from simulated s join so_far r using (program, month)
    where abs(s.redeemed - r.redeemed) > 0.5001 or abs(s.expired - r.expired) > 0.5001), 0, 'what loops over months and groups of lots make of it');
select is((select count(*)::integer from simulated s join so_far r using (program, month)), 240, 'for all months');
select ok((select bool_and(s.redeemed > 100 and s.expired > 100) from simulated s where s.month = (select max(month) from simulated)), 'which is something');

-- Lots with a date: in the month of it, what is left of them.
select is((select max(r.month) from run_offs r where r.program = 'late'), (select max(month) from run_off where program = 'late'), 'as long as there are such');
select set_eq($$select * from run_off where program = 'howe'$$, $$select * from run_offs where program = 'howe'$$, 'a condition changes nothing of the rest');
set local timezone = 'Pacific/Kiritimati';
select set_eq('table run_off', 'table run_offs', 'whatever the session''s clock');
set local timezone = 'UTC';

-- A date beyond the horizon, and a lot of its own for it.
do $$
begin
    perform create_program('far', auto_open => true, expiry => '20 years');
    perform earn('far', 'ann', 10);
end
$$;
select is((select array[count(*), min(opening), max(expired)]::integer[] from run_off where program = 'far'), array[120, 10, 0], 'ten years at most');

select is(array(select concat_ws(' ', a.attrelid::regclass, a.attname) from pg_attribute a
    where a.attrelid = 'run_off'::regclass and a.attnum > 0 and col_description(a.attrelid, a.attnum) is null), array[]::text[], 'every column has its comment');

select * from finish();
rollback;
