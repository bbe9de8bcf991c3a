-- Roll-forwards: opening + what moved = closing, line by line, on every basis of time, and to the accounts.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(40);
\ir random_books.psql

-- ---------- by hand ----------

do $$
begin
    perform create_program('shop', time_zone => 'Asia/Shanghai', expiry => '1 month', overdraft => 'debt', auto_open => true);
    perform create_program('empty');
    perform open_account('shop', 'cat');
    perform earn('shop', 'ann', 100, event_at => '2024-03-31 23:59:59.999999+08', expiry => 'on 2024-05-31');
    perform earn('shop', 'ann', 40, event_at => '2024-04-01 00:00+08', available_at => '2024-04-11 00:00+08', expiry => 'on 2024-05-31');
    perform earn('shop', 'bob', 7, event_at => '2024-04-02 12:00+08', available_at => '2024-04-02 13:00+08', expiry => 'on 2024-05-31');
    perform import('shop', 'bob', 20, event_at => '2024-04-03 12:00+08', issued_at => '2023-01-01 12:00+08', expires_at => '2024-06-01 00:00+08');
    perform redeem('shop', 'ann', 30, event_at => '2024-04-05 12:00+08');                    -- 3
    perform jifen.reverse('shop', 'ann', 3, 10, event_at => '2024-04-06 12:00+08');          -- 4
    perform jifen.reverse('shop', 'ann', 2, 15, event_at => '2024-04-07 12:00+08');          -- 5: of what is pending
    perform hold('shop', 'ann', 50, until => '2999-01-01', event_at => '2024-04-12 12:00+08');   -- 6
    perform capture('shop', 'ann', 6, 35, event_at => '2024-05-02 12:00+08');                -- 7, 8
    perform adjust('shop', 'bob', -37, 'penalty', event_at => '2024-05-03 12:00+08');        -- 27 and a debt of 10
    perform earn('shop', 'bob', 4, event_at => '2024-05-04 12:00+08');
    perform transfer('shop', 'ann', 'cat', 5, event_at => '2024-05-05 12:00+08');
    perform expire_batch('shop', '2024-07-01');
    perform reinstate('shop', 'cat', 'letter', amount => 2, event_at => '2024-06-20 12:00+08');
end
$$;

create function pg_temp.lines(program text, basis text) returns text[]
language sql as $$
    select array(select concat_ws(' ', m.month, m.opening, m.earned, m.imported, m.adjusted, m.reversed, m.redeemed, m.returned, m.expired, m.reinstated,
            m.transferred, '=', m.closing, '|', m.opening_pending, m.pended, m.matured, '=', m.closing_pending, '|',
            m.opening_held, m.held, m.captured, m.released, '=', m.closing_held, '|', m.opening_debt, m.owed, m.repaid, '=', m.closing_debt)
        from roll_forward_by_month m where m.program = lines.program and m.basis = lines.basis and m.month < '2024-08-01' order by m.month)
$$;
select is(pg_temp.lines('shop', 'happened'), array[
    '2024-03-01 0 100 0 0 0 0 0 0 0 0 = 100 | 0 0 0 = 0 | 0 0 0 0 = 0 | 0 0 0 = 0',
    '2024-04-01 100 47 20 0 15 30 10 0 0 0 = 132 | 0 25 25 = 0 | 0 50 0 0 = 50 | 0 0 0 = 0',
    '2024-05-01 132 4 0 -37 0 35 0 0 0 0 = 64 | 0 0 0 = 0 | 50 0 35 15 = 0 | 0 10 4 = 6',
    '2024-06-01 64 0 0 0 0 0 0 70 2 0 = -4 | 0 0 0 = 0 | 0 0 0 0 = 0 | 6 0 0 = 6',
    '2024-07-01 -4 0 0 0 0 0 0 0 0 0 = -4 | 0 0 0 = 0 | 0 0 0 0 = 0 | 6 0 0 = 6'],
    'a line for each kind of movement, of the month in which it happened');
select is(pg_temp.lines('shop', 'reported'), pg_temp.lines('shop', 'happened'), 'reported as it happened while no books are closed');
select is(array(select concat_ws(' ', d.day, d.opening, d.earned, '=', d.closing, '|', d.pended, d.matured, '=', d.closing_pending)
        from roll_forward_by_day d where d.program = 'shop' and d.basis = 'happened' and d.day between '2024-03-31' and '2024-04-11'), array[
    '2024-03-31 0 100 = 100 | 0 0 = 0',
    '2024-04-01 100 40 = 140 | 40 0 = 40',
    '2024-04-02 140 7 = 147 | 0 0 = 40',
    '2024-04-03 147 0 = 167 | 0 0 = 40',
    '2024-04-04 167 0 = 167 | 0 0 = 40',
    '2024-04-05 167 0 = 137 | 0 0 = 40',
    '2024-04-06 137 0 = 147 | 0 0 = 40',
    '2024-04-07 147 0 = 132 | -15 0 = 25',
    '2024-04-08 132 0 = 132 | 0 0 = 25',
    '2024-04-09 132 0 = 132 | 0 0 = 25',
    '2024-04-10 132 0 = 132 | 0 25 = 0',
    '2024-04-11 132 0 = 132 | 0 0 = 0'],
    'midnight belongs to the day that it begins; points of the next midnight are spendable by the end of the day; what is taken of pending points is pending no more');
select is((select count(*)::integer from roll_forward_by_day d where d.program = 'shop' and d.basis = 'booked'), 1, 'booked today, all of it');
select is((select array[d.closing_pending, d.pended, d.closing] from roll_forward_by_day d where d.program = 'shop' and d.basis = 'booked'), array[0, 0, -4]::numeric[],
    'where nothing of it is pending any more');
select is((select p::text from roll_forward_by_program p where p.program = 'shop'),
    concat('(shop,', (now() at time zone 'Asia/Shanghai')::date, ',151,20,-37,15,65,10,70,2,0,-4,0,50,35,15,0,10,4,6)'), 'the whole life of a program');
select is((select count(*)::integer from roll_forward_by_day where program = 'empty') + (select count(*)::integer from roll_forward_by_program where program = 'empty'), 0,
    'nothing of nothing');

-- A closed month stands as it was reported; what comes late for it is of the open one.
do $$
begin
    perform create_program('books', expiry => 'never', late_postings => 'book', auto_open => true);
    perform earn('books', 'ann', 100, event_at => '2024-03-10');
    perform earn('books', 'ann', 30, event_at => '2024-03-20', available_at => '2024-04-20');
    perform redeem('books', 'ann', 20, event_at => '2024-03-25');
    perform redeem('books', 'ann', 7, event_at => '2024-04-02');
    perform close_period('books', '2024-04-01');
    perform redeem('books', 'ann', 5, event_at => '2024-03-28');
    perform earn('books', 'ann', 1, event_at => '2024-03-31', available_at => '2024-05-01');
end
$$;
select is(array(select concat_ws(' ', m.basis, m.month, m.opening, m.earned, m.redeemed, '=', m.closing, '|', m.closing_pending)
        from roll_forward_by_month m where m.program = 'books' and m.basis <> 'booked' and m.month < '2024-06-01' order by m.basis, m.month), array[
    'happened 2024-03-01 0 131 25 = 106 | 31', 'happened 2024-04-01 106 0 7 = 99 | 0', 'happened 2024-05-01 99 0 0 = 99 | 0',
    'reported 2024-03-01 0 130 20 = 110 | 30', 'reported 2024-04-01 110 1 12 = 99 | 0', 'reported 2024-05-01 99 0 0 = 99 | 0'],
    'a closed month stands as it was reported, and is restated as it happened');

-- Points that are pending today, and for how long.
do $$
begin
    perform create_program('soon', time_zone => 'America/Sao_Paulo', auto_open => true);
    perform earn('soon', 'ann', 30, event_at => now() - interval '10 days', available_at => now() - interval '3 days');
    perform earn('soon', 'ann', 5, available_at => now() + interval '10 days');
    perform earn('soon', 'ann', 9, available_at => now() + interval '20 days');
    perform jifen.reverse('soon', 'ann', 3);
end
$$;
select is(array(select array[d.opening_pending, d.pended, d.matured, d.closing_pending] from roll_forward_by_day d
        where d.program = 'soon' and d.basis = 'happened' and d.day >= (now() at time zone 'America/Sao_Paulo')::date),
    array[array[0, 5, 0, 5]]::numeric[], 'to today: what is to come is not there yet');
select is((select d.closing_pending from roll_forward_by_month d where d.program = 'soon' and d.basis = 'booked'), 5::numeric, 'what could be spent when it was booked is not pending by booking');

-- Days without a midnight, months without one, a day of 25 hours.
do $$
begin
    perform create_program('skips', time_zone => 'America/Havana', auto_open => true);
    perform earn('skips', 'eva', 1, event_at => '2012-04-01 04:59:59.999999Z');   -- the last of 31 March
    perform earn('skips', 'eva', 2, event_at => '2012-04-01 05:00Z');             -- one o'clock of 1 April, the first
    perform earn('skips', 'eva', 4, event_at => '2012-11-04 04:30Z');             -- 00:30 of 4 November
    perform earn('skips', 'eva', 8, event_at => '2012-11-04 05:30Z');             -- and once more
    perform earn('skips', 'eva', 16, event_at => '2012-11-05 04:59Z');
    perform earn('skips', 'eva', 32, event_at => '2012-11-05 05:00Z');
end
$$;
select is(array(select concat_ws(' ', d.day, d.earned) from roll_forward_by_day d where d.program = 'skips' and d.basis = 'happened' and d.earned <> 0 order by d.day),
    array['2012-03-31 1', '2012-04-01 2', '2012-11-04 28', '2012-11-05 32'], 'days of the program''s clock');
set local timezone = 'America/Havana';
select is(array(select concat_ws(' ', d.month, d.earned) from roll_forward_by_month d where d.program = 'skips' and d.basis = 'happened' and d.earned <> 0 order by d.month),
    array['2012-03-01 1', '2012-04-01 2', '2012-11-01 60'], 'months of it');
select is(array(select d.month from roll_forward_by_month d where d.program = 'skips' and d.basis = 'happened' order by 1),
    array(select (date '2012-03-01' + n * interval '1 month')::date from generate_series(0, 1000) n
        where date '2012-03-01' + n * interval '1 month' <= now() at time zone 'America/Havana'), 'without a gap');
set local timezone = 'UTC';

-- ---------- random books ----------

call pg_temp.make_random_books(1600, 0.37);
select is((select count(distinct e.kind)::integer from entry e), 14, 'books with all kinds of entries');
select ok((select count(*) filter (where (e.event_at at time zone p.time_zone)::date < (e.posted_at at time zone p.time_zone)::date) > 300
        from entry e join account a using (account_id) join program p using (program_id)), 'many of them booked on a later day');
select ok((select count(*) > 20 from (select d.program, d.day, d.closing from roll_forward_by_day d where d.basis = 'reported'
    except select d.program, d.day, d.closing from roll_forward_by_day d where d.basis = 'happened') d), 'or after the books were closed');

create temp table by_day as select * from roll_forward_by_day;
create temp table by_month as select * from roll_forward_by_month;
create temp table total as
select p.code as program, p.time_zone, sum(a.balance::numeric) as balance, sum(a.held::numeric) as held, sum(a.debt::numeric) as debt
from account a join program p using (program_id) group by 1, 2 having sum(a.last_seq) > 0;
create temp table basis as select unnest(array['booked', 'happened', 'reported']) as basis;

select is((select count(*)::integer from by_day t where opening + earned + imported + adjusted - reversed - redeemed + returned - expired + reinstated + transferred is distinct from closing), 0, 'each day foots');
select is((select count(*)::integer from by_day t where opening_pending + pended - matured is distinct from closing_pending), 0, 'what is pending foots');
select is((select count(*)::integer from by_day t where opening_held + held - captured - released is distinct from closing_held), 0, 'what is held foots');
select is((select count(*)::integer from by_day t where opening_debt + owed - repaid is distinct from closing_debt), 0, 'what is owed foots');
select is((select count(*)::integer from by_month t where opening + earned + imported + adjusted - reversed - redeemed + returned - expired + reinstated + transferred is distinct from closing), 0, 'each month foots');
select is((select count(*)::integer from by_month t where opening_pending + pended - matured is distinct from closing_pending
    or opening_held + held - captured - released is distinct from closing_held or opening_debt + owed - repaid is distinct from closing_debt), 0, 'in all its parts');

create function pg_temp.gaps(step interval, source text) returns bigint
language plpgsql as $$
declare
    gaps bigint;
begin
    execute format($q$
        select count(*) from (
            select t.*, lead(period) over own as next_period, lead(opening) over own as next_opening, lead(opening_pending) over own as next_pending,
                lead(opening_held) over own as next_held, lead(opening_debt) over own as next_debt, row_number() over own as place
            from (select t.*, %s as period from %I t) t
            window own as (partition by program, basis order by period)
        ) t
        where (place = 1 and (opening, opening_pending, opening_held, opening_debt) <> (0, 0, 0, 0))
            or (next_period is not null and ((closing, closing_pending, closing_held, closing_debt) is distinct from (next_opening, next_pending, next_held, next_debt)
                or next_period <> (period + $1)::date))
        $q$, case step when interval '1 day' then 'day' else 'month' end, source) into gaps using step;
    return gaps;
end
$$;
select is(pg_temp.gaps('1 day', 'by_day'), 0::bigint, 'a day''s closing is the next one''s opening, without a gap, from zero');
select is(pg_temp.gaps('1 month', 'by_month'), 0::bigint, 'and a month''s');

select set_eq(
    $$select distinct on (d.program, d.basis) d.program, d.basis, d.day, d.closing, d.closing_held, d.closing_debt from by_day d order by d.program, d.basis, d.day desc$$,
    $$select t.program, b.basis, (now() at time zone t.time_zone)::date, t.balance, t.held, t.debt from total t, basis b$$,
    'the last day is today, and its closing what the accounts say, on every basis');
select set_eq(
    $$select distinct on (d.program, d.basis) d.program, d.basis, d.month, d.closing, d.closing_held, d.closing_debt from by_month d order by d.program, d.basis, d.month desc$$,
    $$select t.program, b.basis, date_trunc('month', now() at time zone t.time_zone)::date, t.balance, t.held, t.debt from total t, basis b$$,
    'and so is the last month''s');
select set_eq($$select program, closing, closing_held, closing_debt from roll_forward_by_program$$, $$select program, balance, held, debt from total$$, 'and the program''s');

-- From the journal itself.
create temp table journal as
select p.code as program, b.basis, b.day, e.kind, o.kind as of_kind, e.amount::numeric, e.held::numeric, e.debt::numeric
from entry e join account a using (account_id) join program p using (program_id)
left join entry o on o.account_id = e.account_id and o.seq = e.reverses_seq and e.kind = 'reverse'
cross join lateral (values ('booked', (e.posted_at at time zone p.time_zone)::date), ('happened', (e.event_at at time zone p.time_zone)::date)) b (basis, day);
create temp table counted as
select j.program, j.basis, j.day,
    sum(case when kind = 'earn' then amount else 0 end) as earned, sum(case when kind = 'import' then amount else 0 end) as imported,
    sum(case when 'adjust' in (kind, of_kind) then amount else 0 end) as adjusted, sum(case when of_kind in ('earn', 'import') then -amount else 0 end) as reversed,
    sum(case when kind in ('redeem', 'capture') then -amount else 0 end) as redeemed, sum(case when of_kind in ('redeem', 'capture') then amount else 0 end) as returned,
    sum(case when kind = 'expire' then -amount else 0 end) as expired, sum(case when kind = 'reinstate' then amount else 0 end) as reinstated,
    sum(case when 'transfer_in' in (kind, of_kind) or 'transfer_out' in (kind, of_kind) then amount else 0 end) as transferred,
    sum(case when kind = 'hold' then held else 0 end) as held, sum(case when kind = 'capture' then -held else 0 end) as captured,
    sum(case when kind = 'release' then -held else 0 end) as released, sum(case when kind <> 'repay' then debt else 0 end) as owed,
    sum(case when kind = 'repay' then -debt else 0 end) as repaid
from journal j group by 1, 2, 3;
select set_eq(
    $$select program, basis, day, earned, imported, adjusted, reversed, redeemed, returned, expired, reinstated, transferred, held, captured, released, owed, repaid
        from by_day where basis <> 'reported'
            and (earned, imported, adjusted, reversed, redeemed, returned, expired, reinstated, transferred, held, captured, released, owed, repaid)
                <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)$$,
    $$select program, basis, day, earned, imported, adjusted, reversed, redeemed, returned, expired, reinstated, transferred, held, captured, released, owed, repaid
        from counted
        where (earned, imported, adjusted, reversed, redeemed, returned, expired, reinstated, transferred, held, captured, released, owed, repaid)
            <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)$$, 'each line is what the journal says, day by day');
select is((select count(*)::integer from by_day where transferred <> 0), 0, 'transfers stay in the program');

-- And of balance(), which knows nothing of days: some days, all members. A day ends with the first of two midnights.
create temp table asked as
select d.program, d.day, p.time_zone, d.closing, d.closing_pending, d.closing_debt, n.ends_at
from by_day d join program p on p.code = d.program
cross join lateral (
    select min(t) as ends_at
    from (select (d.day + 1)::timestamp at time zone p.time_zone as at) m, generate_series(m.at - interval '2 hours', m.at, '30 minutes') t
    where (t at time zone p.time_zone)::date > d.day
) n
where d.basis = 'happened' and d.day < (now() at time zone p.time_zone)::date and d.program in ('york', 'howe', 'habana', 'shanghai')
    and (extract(doy from d.day)::integer % 37 = 0 or extract(day from d.day + 1) = 1);
select set_eq($$select program, day, closing, closing_pending, closing_debt from asked$$,
    $$select q.program, q.day, sum(b.balance::numeric) as closing, sum(b.pending::numeric) as pending, sum(b.debt::numeric) as debt
        from asked q join account a on a.program_id = program_id(q.program), balance(q.program, a.member, q.ends_at - interval '1 microsecond') b group by 1, 2$$,
    'closing, pending and debt of a day are what balance() answers of its last instant');
select ok((select count(*) filter (where closing_pending > 0) > 20 from asked), 'many of them with something pending');

-- By month and day.
create temp table months_of_days as
select d.program, d.basis, date_trunc('month', d.day::timestamp)::date as month,
    (array_agg(d.opening order by d.day))[1] as opening, sum(d.earned) as earned, sum(d.imported) as imported, sum(d.adjusted) as adjusted,
    sum(d.reversed) as reversed, sum(d.redeemed) as redeemed, sum(d.returned) as returned, sum(d.expired) as expired, sum(d.reinstated) as reinstated,
    sum(d.transferred) as transferred, (array_agg(d.closing order by d.day desc))[1] as closing,
    (array_agg(d.opening_pending order by d.day))[1] as opening_pending, sum(d.pended) as pended, sum(d.matured) as matured,
    (array_agg(d.closing_pending order by d.day desc))[1] as closing_pending,
    (array_agg(d.opening_held order by d.day))[1] as opening_held, sum(d.held) as held, sum(d.captured) as captured, sum(d.released) as released,
    (array_agg(d.closing_held order by d.day desc))[1] as closing_held,
    (array_agg(d.opening_debt order by d.day))[1] as opening_debt, sum(d.owed) as owed, sum(d.repaid) as repaid,
    (array_agg(d.closing_debt order by d.day desc))[1] as closing_debt
from by_day d group by 1, 2, 3;
select set_eq('table by_month', 'table months_of_days', 'days add up to months, column by column');
select set_eq(
    $$select program, min(day), sum(earned) as earned, sum(imported) as imported, sum(adjusted) as adjusted, sum(reversed) as reversed, sum(redeemed) as redeemed, sum(returned) as returned, sum(expired) as expired, sum(reinstated) as reinstated,
        sum(transferred) as transferred, sum(held) as held, sum(captured) as captured, sum(released) as released, sum(owed) as owed, sum(repaid) as repaid, sum(pended - matured) as pending from by_day where basis = 'booked' group by 1$$,
    $$select program, since, earned, imported, adjusted, reversed, redeemed, returned, expired, reinstated, transferred, held, captured, released, owed, repaid, closing_pending
        from roll_forward_by_program$$, 'and to the program');
select is((select array_agg(distinct r) from (select array[sum(earned), sum(redeemed), sum(expired), sum(held), sum(owed)] as r from by_day where program = 'york' group by basis) r)
    , array[(select array[earned, redeemed, expired, held, owed] from roll_forward_by_program where program = 'york')], 'to the same on every basis');

-- What a condition leaves out changes nothing of the rest.
select set_eq($$select * from roll_forward_by_day where program = 'howe' and basis = 'happened' and day >= current_date - 100$$,
    $$select * from by_day where program = 'howe' and basis = 'happened' and day >= current_date - 100$$, 'days of one program and basis alone');
select set_eq($$select * from roll_forward_by_month where program = 'habana' and month >= current_date - 100$$,
    $$select * from by_month where program = 'habana' and month >= current_date - 100$$, 'and months');

-- A session's time zone and what its day is do not matter.
set local timezone = 'Pacific/Kiritimati';
select set_eq('table roll_forward_by_day', 'table by_day', 'days whatever the session''s clock');
select set_eq('table roll_forward_by_month', 'table by_month', 'and months');
set local timezone = 'UTC';

select is(array(select concat_ws(' ', a.attrelid::regclass, a.attname) from pg_attribute a
    where a.attrelid::regclass::text ~ '^roll_forward_' and a.attnum > 0 and col_description(a.attrelid, a.attnum) is null), array[]::text[], 'every column has its comment');
select is(array(select distinct format_type(a.atttypid, a.atttypmod) from pg_attribute a
    where a.attrelid::regclass::text ~ '^roll_forward_' and a.attnum > 0 order by 1), array['date', 'numeric', 'text'], 'figures are numeric');

select * from finish();
rollback;
