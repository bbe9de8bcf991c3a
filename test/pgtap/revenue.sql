-- Revenue of points: published examples posted day by day, and what must hold of any history.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(126);

-- SQLSTATE and message of a statement that must fail.
create function pg_temp.refused(statement text) returns text
language plpgsql as $$
begin
    execute statement;
    return 'done';
exception when others then
    return sqlstate || ' ' || sqlerrm;
end
$$;

-- ---------- a price divided over the parts of a sale ----------

select is(allocate_consideration(100000, array[100000, 9500], 0), array[91324, 8676]::numeric[], 'IFRS 15, Illustrative Example 52: the sale');
select is(allocate_consideration(100000, array[100000, 9500]), array[91324.20, 8675.80], 'to the cent');
select is(allocate_consideration(150, array[55, 45, 60], 0), array[52, 42, 56]::numeric[], 'three parts at a discount');
select is(allocate_consideration(100, '{1,1,1}'), array[33.34, 33.33, 33.33], 'what is left over goes to the first of equals');
select is(allocate_consideration(0.01, '{1,2}'), array[0.00, 0.01], 'and to the largest remainder');
select is(allocate_consideration(2, '{0,5}', 0), array[0, 2]::numeric[], 'a part that costs nothing gets nothing');
select is(allocate_consideration(0, '{1,2}'), array[0.00, 0.00], 'nor is there anything of a gift');
select is(allocate_consideration(1e-20, '{1,1}', 20), array[1e-20, 0]::numeric[], 'twenty decimals');
select is(allocate_consideration(12345678901234567890.12, '{1,999999999999999999999999}'), array[0.00, 12345678901234567890.12], 'more than floating point could');
do $$begin perform setseed(0.3); end$$;
select is((
    select count(*)::int
    from (
        select price, parts, scale, allocate_consideration(price, parts, scale) as got
        from (
            select round((random() * 1000)::numeric, n % 4) as price, n % 4 as scale,
                array(select round((random() * 100)::numeric, 2) + 0.01 from generate_series(1, 1 + (n % 7))) as parts
            from generate_series(1, 500) n
        ) s
    ) a
    where (select sum(g) from unnest(a.got) g) <> a.price
        or exists (select from unnest(a.got, a.parts) u (g, s)
            where abs(u.g - a.price * u.s / (select sum(x) from unnest(a.parts) x)) >= ('1e-' || a.scale)::numeric)
), 0, 'parts always sum to the price, each less than a unit off');
select is(pg_temp.refused('select allocate_consideration(null, ''{1}'')'), '22004 an argument of allocate_consideration() must not be null', 'no price');
select is(pg_temp.refused('select allocate_consideration(1, ''{1,null}'')'), '22004 an argument of allocate_consideration() must not be null', 'an unknown part');
select is(pg_temp.refused('select allocate_consideration(-1, ''{1}'')'), '22023 transaction_price must be finite and not negative', 'a negative price');
select is(pg_temp.refused('select allocate_consideration(''NaN'', ''{1}'')'), '22023 transaction_price must be finite and not negative', 'no number');
select is(pg_temp.refused('select allocate_consideration(1.005, ''{1}'')'), '22023 transaction_price has too many decimals', 'a price that cannot be divided to cents');
select is(pg_temp.refused('select allocate_consideration(1, ''{1}'', 21)'), '22023 scale out of range', 'a scale out of range');
select is(pg_temp.refused('select allocate_consideration(1, ''{}'')'), '22023 invalid standalone_prices', 'no parts');
select is(pg_temp.refused('select allocate_consideration(1, ''{0,0}'')'), '22023 invalid standalone_prices', 'parts that cost nothing');
select is(pg_temp.refused('select allocate_consideration(1, ''{1,-1}'')'), '22023 invalid standalone_prices', 'a part below zero');

-- ---------- estimates ----------

do $$
begin
    perform create_program('shop', currency => 'CNY', point_value => 0.01, auto_open => true);
    perform create_program('bare', auto_open => true);
end
$$;
select is(allocate_to_points('shop', 200, 200), 1.980198, 'without an estimate all points are taken to be redeemed: 200 * 2 / 202');
select is((select row(e.estimate_no, e.issued_years, e.effective_on = current_date, e.rate, e.point_cost, e.reason, e.actor)::text
        from record_redemption_estimate('shop', 0.8, reason => 'first guess') e),
    format('(1,"(,)",t,0.8,0.01,"first guess",%s)', current_user), 'an estimate holds from today, for all years, at the face value');
select is(allocate_to_points('shop', 200, 200), 1.587302, '200 * 1.6 / 201.6');
select is(allocate_to_points('shop', 200, 200, 180, 4), 1.4286, 'of the price paid, to four decimals');
select is(allocate_to_points('shop', 200, 200, as_of => current_date - 1), 1.980198, 'on an earlier day it is not known');
do $$
begin
    perform record_redemption_estimate('shop', 0.7, current_date - 10);
    perform record_redemption_estimate('shop', 0.85);
    perform record_redemption_estimate('shop', 0.6, current_date - 10, point_cost => 0.02);
end
$$;
select is(array(select format('%s: %s', d.ago, estimated_redemption_rate(program_id('shop'), current_date - d.ago)) from unnest(array[11, 10, 1, 0]) d (ago)),
    array['11: ', '10: 0.6', '1: 0.6', '0: 0.85'], 'the latest day counts, and what was recorded last for it');
select is(array(select format('%s from %s: %s', t.estimate_no, current_date - lower(t.valid), t.rate) from redemption_estimate_term t
        where t.program_id = program_id('shop') order by lower(t.valid)), array['4 from 10: 0.6', '3 from 0: 0.85'], 'terms do not overlap');
select is((select count(*)::int from redemption_estimate where program_id = program_id('shop')), 4, 'and nothing is lost');
select is(pg_temp.refused('update redemption_estimate set rate = 1'), '42501 UPDATE of jifen.redemption_estimate is refused', 'nor changed');
select is(pg_temp.refused('select record_redemption_estimate(''shop'', 0)'), '22023 rate must be more than 0 and at most 1', 'nothing redeemed at all is no estimate');
select is(pg_temp.refused('select record_redemption_estimate(''shop'', 1.01)'), '22023 rate must be more than 0 and at most 1', 'nor more than all');
select is(pg_temp.refused('select record_redemption_estimate(''shop'', null)'), '22004 an argument of record_redemption_estimate() must not be null', 'nor none');
select is(pg_temp.refused('select record_redemption_estimate(''shop'', 1, point_cost => -1)'), '22023 point_cost must be finite and not negative', 'a cost below zero');
select is(pg_temp.refused('select count(record_redemption_estimate(''bare'', 1, issued_years => y)) from unnest(''{"[2020,2022)","[2021,2023)"}''::int4range[]) y'),
    '22023 portfolios must not overlap in part', 'portfolios are apart, or one within the other');
select is((select sum(allocate_to_points('shop', 1, 1, as_of => current_date - 11)) from generate_series(1, 10000)), 99.01, 'many small sales come to what they are together: 10,000 * 0.01 / 1.01 to four more decimals');
select is(pg_temp.refused('select record_redemption_estimate(''shop'', 1, issued_years => ''empty'')'), '22023 issued_years must not be empty', 'a portfolio of nothing');
select is(pg_temp.refused('select record_redemption_estimate(''shop'', 1, current_date + 2)'), '22023 effective_on must not be in the future', 'a day to come');
select is(pg_temp.refused('select record_redemption_estimate(''shop'', 1, ''-infinity'')'), '22023 a day must be finite', 'no day');
select is(pg_temp.refused('select record_redemption_estimate(''nobody'', 1)'), 'JF002 unknown program "nobody"', 'an unknown program');
select is(pg_temp.refused('select allocate_to_points(''bare'', 1, 1)'), '22023 program without point_value', 'points that have no value');
select is(pg_temp.refused('select allocate_to_points(''shop'', 1, 0)'), '22023 points must be more than zero', 'no points');
select is(pg_temp.refused('select allocate_to_points(''shop'', null, 1)'), '22004 goods_price and points must not be null', 'no goods');
select is(pg_temp.refused('select deferred_revenue(program_id(''shop''), current_date, ''x'')'), '22023 invalid basis "x"', 'an unknown basis');
select is((select array_agg(format('%s %s', currency, scale) order by currency) from (values ('CNY'), ('JPY'), ('KWD')) c (code)
        cross join lateral (select c.code as currency, coalesce((select s.scale from currency_scale s where s.currency = c.code), 2) as scale) s),
    array['CNY 2', 'JPY 0', 'KWD 3'], 'decimals of a currency');

-- ---------- published examples ----------

-- Points sold in a year by a hundred customers, redeemed by some of them.
create function pg_temp.sell(program text, points integer, revenue numeric, year integer) returns void
language sql as $$
    select jifen.earn(sell.program, 'm' || n, points / 100, revenue => revenue / 100,
            event_at => make_date(year, 1, 1) + n * 3 + interval '9 hours') from generate_series(1, 100) n
$$;
create function pg_temp.spend(program text, points integer, year integer) returns void
language plpgsql as $$
declare
    rest integer := points;
    spent integer;
    member text;
begin
    for n in 1 .. 100 loop
        exit when rest = 0;
        member := 'm' || n;
        spent := least(rest, (select available::text::integer from jifen.balance(spend.program, member, make_date(year, 12, 1))));
        if spent > 0 then
            perform jifen.redeem(spend.program, member, spent, event_at => make_date(year, 12, 1) + interval '10 hours' + n * interval '6 hours');
            rest := rest - spent;
        end if;
    end loop;
end
$$;
create function pg_temp.revenue_of(program text, year integer) returns numeric
language sql as $$
    select sum(r.revenue) from jifen.revenue_by_month r
    where r.program = revenue_of.program and r.basis = 'happened' and extract(year from r.month) = revenue_of.year
$$;
create function pg_temp.deferred_at(program text, day date) returns numeric
language sql as $$
    select jifen.deferred_revenue(jifen.program_id(deferred_at.program), day, 'happened')
$$;

do $$
declare
    currency text;
begin
    foreach currency in array array['JPY', 'CNY'] loop
        perform create_program('ex52 ' || currency, currency => currency, point_value => 1, auto_open => true);
        perform record_redemption_estimate('ex52 ' || currency, 0.95, '2021-01-01', reason => '9,500 of 10,000');
        perform pg_temp.sell('ex52 ' || currency, 10000, 8676, 2021);
        perform pg_temp.spend('ex52 ' || currency, 4500, 2021);
        perform record_redemption_estimate('ex52 ' || currency, 0.97, '2022-10-01', reason => '9,700 of 10,000');
        perform pg_temp.spend('ex52 ' || currency, 4000, 2022);
        perform pg_temp.spend('ex52 ' || currency, 1200, 2023);
    end loop;
end
$$;
-- Statistics of tables that were empty a moment ago would make plans for nothing.
analyze account, entry, allocation;
select is(pg_temp.deferred_at('ex52 JPY', '2021-11-30'), 8676::numeric, 'Example 52: the contract liability');
select is(pg_temp.revenue_of('ex52 JPY', 2021), 4110::numeric, 'revenue of the first period: 4,500 of 9,500 points');
select is(pg_temp.deferred_at('ex52 JPY', '2021-12-31'), 4566::numeric, 'what is left of the liability');
select is(pg_temp.revenue_of('ex52 JPY', 2022), 3493::numeric, 'of the second: 8,500 of 9,700 points, less what was recognised');
select is((select array_agg(format('%s %s', month, catch_up)) from revenue_by_month
        where program = 'ex52 JPY' and basis = 'happened' and catch_up <> 0), array['2022-10-01 -85'], 'of which the new estimate takes back 85');
select is(pg_temp.deferred_at('ex52 JPY', '2022-12-31'), 1073::numeric, 'which leaves 1,073');
select is(pg_temp.revenue_of('ex52 JPY', 2023), 1073::numeric, 'the rest with the last points that are expected to be redeemed');
select is((select row(issued, redeemed, expired, unspent, rate, expected, recognised, deferred)::text from revenue_by_month
        where program = 'ex52 JPY' and basis = 'happened' order by month desc limit 1), '(10000,9700,0,300,0.97,9700.00,8676,0)',
    'and 300 points that nobody expects to be redeemed');
select is(array[pg_temp.revenue_of('ex52 CNY', 2021), pg_temp.revenue_of('ex52 CNY', 2022), pg_temp.revenue_of('ex52 CNY', 2023)],
    array[4109.68, 3493.00, 1073.32], 'the same to the cent');

-- KPMG, Revenue: IFRS 15 handbook, Examples 10A and 10B, which divides 100,000 into 91,000 and 9,000.
do $$
declare
    x record;
begin
    for x in select * from (values ('10A', 0.99), ('10B', 0.92)) x (program, rate) loop
        perform create_program(x.program, currency => 'JPY', point_value => 1, auto_open => true);
        perform record_redemption_estimate(x.program, 0.97, '2021-01-01');
        perform pg_temp.sell(x.program, 10000, 9000, 2021);
        perform pg_temp.spend(x.program, 4500, 2022);
        perform record_redemption_estimate(x.program, x.rate, '2023-12-31');
        perform pg_temp.spend(x.program, 4000, 2023);
    end loop;
end
$$;
select is(array[pg_temp.revenue_of('10A', 2022), pg_temp.revenue_of('10A', 2023)], array[4175, 3552]::numeric[], 'KPMG 10A: 97 of 100, then 99');
select is(array[pg_temp.revenue_of('10B', 2022), pg_temp.revenue_of('10B', 2023)], array[4175, 4140]::numeric[], 'KPMG 10B: 97 of 100, then 92');

-- IFRIC 13, Illustrative Example 1: CU100 for 100 points, of which 80 and then 90 are expected to be redeemed.
do $$
begin
    perform create_program('grocer', currency => 'JPY', point_value => 1, auto_open => true);
    perform record_redemption_estimate('grocer', 0.8, '2021-01-01');
    perform pg_temp.sell('grocer', 100, 100, 2021);
    perform pg_temp.spend('grocer', 40, 2021);
    perform record_redemption_estimate('grocer', 0.9, '2022-06-30');
    perform pg_temp.spend('grocer', 41, 2022);
    perform pg_temp.spend('grocer', 9, 2023);
end
$$;
select is(array[pg_temp.revenue_of('grocer', 2021), pg_temp.revenue_of('grocer', 2022), pg_temp.revenue_of('grocer', 2023)],
    array[50, 40, 10]::numeric[], 'IFRIC 13, Example 1: 50, 40 and 10');

-- The same in thousands, divided over goods for 7,200,000: 720,000 are the points'.
do $$
begin
    perform create_program('retailer', currency => 'JPY', point_value => 100, auto_open => true);
    perform record_redemption_estimate('retailer', 0.8, '2021-01-01');
    perform pg_temp.sell('retailer', 10000, allocate_to_points('retailer', 7200000, 10000, as_of => '2021-01-01'), 2021);
    perform pg_temp.spend('retailer', 4000, 2021);
    perform record_redemption_estimate('retailer', 0.9, '2022-12-01');
    perform pg_temp.spend('retailer', 4100, 2022);
    perform pg_temp.spend('retailer', 900, 2023);
end
$$;
select is(array[pg_temp.revenue_of('retailer', 2021), pg_temp.revenue_of('retailer', 2022), pg_temp.revenue_of('retailer', 2023)],
    array[360000, 288000, 72000]::numeric[], 'the same where a point is sold for 72');

-- An examination of Chinese accountants (CAS 14): 98, 95 and 97 of 100, and what is left lapses after three years.
do $$
begin
    perform create_program('mall', currency => 'JPY', point_value => 1, expiry => '3 years end of year', auto_open => true);
    perform record_redemption_estimate('mall', 0.98, '2016-01-01');
    perform earn('mall', 'm' || n, 100, revenue => 89.25, event_at => '2016-01-01 12:00') from generate_series(1, 100) n;
    perform pg_temp.spend('mall', 4800, 2016);
    perform record_redemption_estimate('mall', 0.95, '2016-12-31');
    perform pg_temp.spend('mall', 3900, 2017);
    perform record_redemption_estimate('mall', 0.97, '2017-12-31');
    perform expire_batch('mall', '2025-01-01');
end
$$;
select is(allocate_to_points('mall', 100000, 10000, scale => 0, as_of => '2016-01-01'), 8925::numeric, 'points of 9,800 with goods of 100,000');
select is(array[pg_temp.revenue_of('mall', 2016), pg_temp.revenue_of('mall', 2017), pg_temp.revenue_of('mall', 2018), pg_temp.revenue_of('mall', 2019)],
    array[4509, 3496, 0, 0]::numeric[], 'years of redemptions');
select is((select format('%s %s %s', day, expired, revenue) from revenue_by_day where program = 'mall' and basis = 'happened' order by day desc limit 1),
    '2020-01-01 1300 920', 'what nobody redeemed is revenue when it lapses');

-- ---------- what estimates leave alone ----------

do $$
begin
    perform create_program('years', currency => 'CNY', point_value => 0.5, auto_open => true);
    for n in 0 .. 59 loop
        perform earn('years', 'm' || n % 7, 50, revenue => case when n % 3 > 0 then 10.01 + n end, event_at => date '2021-01-05' + n * 17);
        if n % 4 = 3 then
            perform redeem('years', 'm' || n % 7, 40, event_at => date '2021-01-06' + n * 17);
        end if;
    end loop;
end
$$;
create temp table days_before as select * from revenue_by_day where program = 'years';
create temp table costs_before as select * from cost_by_day where program = 'years';
select is((select array_agg(distinct issued_years order by issued_years) from days_before), array['[2021,2022)', '[2022,2023)', '[2023,2024)']::int4range[],
    'without an estimate each year of issue is a portfolio');
select is((select count(*)::int from days_before where rate is not null or expected <> redeemed + unspent), 0, 'and all points are expected to be redeemed');
do $$
begin
    perform record_redemption_estimate('years', 0.9, '2022-03-01', '[2021,2023)');
    perform record_redemption_estimate('years', 0.5, '2022-09-01', '[2021,2023)');
end
$$;
select set_eq($$select day, sum(revenue) as revenue, sum(consideration) as consideration from revenue_by_day where program = 'years' and basis = 'happened' and day < '2022-03-01' group by day$$,
    $$select day, sum(revenue) as revenue, sum(consideration) as consideration from days_before where basis = 'happened' and day < '2022-03-01' group by day$$,
    'an estimate changes no day before it');
select set_eq($$select day, sum(accrued) as accrued, sum(released) as released, sum(used) as used from cost_by_day where program = 'years' and basis = 'happened' and day < '2022-03-01' group by day$$,
    $$select day, sum(accrued) as accrued, sum(released) as released, sum(used) as used from costs_before where basis = 'happened' and day < '2022-03-01' group by day$$, 'nor what free points cost');
select set_eq($$select * from revenue_by_day where program = 'years' and issued_years = '[2023,2024)'$$,
    $$select * from days_before where issued_years = '[2023,2024)'$$, 'nor another portfolio');
select is(array(select day::text from revenue_by_day where program = 'years' and basis = 'happened' and catch_up <> 0 order by day),
    array['2022-03-01', '2022-09-01'], 'what it makes of the past is revenue of its day');

-- ---------- returns, imports, and points that move ----------

-- The figures so far: consideration recognised deferred, points issued redeemed expired unspent.
create function pg_temp.sold(program text, basis text default 'happened') returns text
language sql as $$
    select format('%s %s %s, %s %s %s %s', sum(r.recognised + r.deferred), sum(r.recognised), sum(r.deferred), sum(r.issued), sum(r.redeemed),
            sum(r.expired), sum(r.unspent))
    from (select distinct on (r.issued_years) r.* from jifen.revenue_by_day r where r.program = sold.program and r.basis = sold.basis
        order by r.issued_years, r.day desc) r
$$;
create function pg_temp.free(program text) returns text
language sql as $$
    select format('%s %s, %s %s %s %s', sum(r.all_used), sum(r.provision), sum(r.issued), sum(r.redeemed), sum(r.expired), sum(r.unspent))
    from (select distinct on (r.issued_years) r.*, sum(used) over (partition by r.issued_years) as all_used
        from jifen.cost_by_day r where r.program = free.program and r.basis = 'happened' order by r.issued_years, r.day desc) r
$$;

do $$
begin
    perform create_program('owes', currency => 'CNY', point_value => 0.1, overdraft => 'debt', auto_open => true);
    perform earn('owes', 'ann', 100, revenue => 10, event_at => '2024-01-01');
    perform redeem('owes', 'ann', 100, event_at => '2024-01-10');
end
$$;
select is(pg_temp.sold('owes'), '10.00 10.00 0.00, 100 100 0 0', 'sold and redeemed');
do $$begin perform jifen.reverse('owes', 'ann', 1, event_at => '2024-01-20'); end$$;
select is(pg_temp.sold('owes'), '0.00 0.00 0.00, 0 0 0 0', 'goods sent back whose points are spent: nothing is earned');
do $$begin perform earn('owes', 'ann', 100, revenue => 12, event_at => '2024-02-01'); end$$;
select is(pg_temp.sold('owes'), '12.00 12.00 0.00, 100 100 0 0', 'until other points pay for what was redeemed');

do $$
begin
    perform create_program('mixed', currency => 'CNY', point_value => 0.1, overdraft => 'debt', auto_open => true);
    perform earn('mixed', 'ann', 100, revenue => 10, event_at => '2024-01-01');
    perform earn('mixed', 'ann', 60, event_at => '2024-01-02');
    perform redeem('mixed', 'ann', 100, event_at => '2024-01-10');
    perform jifen.reverse('mixed', 'ann', 1, 50, event_at => '2024-01-20');
end
$$;
select is(pg_temp.sold('mixed'), '5.00 5.00 0.00, 50 50 0 0', 'half of it sent back');
select is(pg_temp.free('mixed'), '5.00 1.00, 60 50 0 10', 'free points paid for what it had paid for');

do $$
begin
    perform create_program('thirds', currency => 'CNY', auto_open => true);
    perform earn('thirds', 'ann', 3, revenue => 1.00, event_at => '2024-01-01');
    perform jifen.reverse('thirds', 'ann', 1, 1, event_at => '2024-01-02');
end
$$;
select is(pg_temp.sold('thirds'), '0.67 0.00 0.67, 2 0 0 2', 'a third of it sent back');
do $$
begin
    perform jifen.reverse('thirds', 'ann', 1, 1, event_at => '2024-01-03');
    perform jifen.reverse('thirds', 'ann', 1, 1, event_at => '2024-01-04');
end
$$;
select is(pg_temp.sold('thirds'), '0.00 0.00 0.00, 0 0 0 0', 'and all of it');

do $$
begin
    perform create_program('moves', currency => 'CNY', point_value => 0.1, expiry => '12 months', auto_open => true);
    perform record_redemption_estimate('moves', 0.8, '2023-01-01');
    perform open_account('moves', 'bob');
    perform import('moves', 'ann', 200, '2024-12-31', issued_at => '2022-06-01', event_at => '2024-01-01', revenue => 16);
    perform earn('moves', 'ann', 100, revenue => 10, event_at => '2024-01-05');
    perform redeem('moves', 'ann', 60, event_at => '2024-01-10');
end
$$;
select is(pg_temp.sold('moves'), '26.00 6.50 19.50, 300 60 0 240', '60 of 240 points are earned');
select is((select row(day, consideration, taken_over)::text from revenue_by_day where program = 'moves' and basis = 'happened' and taken_over <> 0),
    '(2024-01-01,16.00,16.00)', 'what an import brings was taken over');
do $$
begin
    perform transfer('moves', 'ann', 'bob', 70, event_at => '2024-02-01');
    perform extend_expiry('moves', 'a present', '2031-01-01', event_at => '2024-02-02');
end
$$;
select is(pg_temp.sold('moves'), '26.00 6.50 19.50, 300 60 0 240', 'points that are given to another member or extended change nothing');
select is((select count(*)::int from cost_by_day where program = 'moves'), 0, 'and stay sold');
do $$begin perform redeem('moves', 'bob', 60, event_at => '2024-03-01'); end$$;
select is(pg_temp.sold('moves'), '26.00 13.00 13.00, 300 120 0 180', 'whoever redeems them');
do $$begin perform jifen.reverse('moves', 'bob', (select max(seq) from entry where account_id = account_id('moves', 'bob') and kind = 'redeem'), 30, event_at => '2024-03-02'); end$$;
select is(pg_temp.sold('moves'), '26.00 9.75 16.25, 300 90 0 210', 'what is returned is owed again');
do $$begin perform adjust('moves', 'ann', -10, 'abuse', event_at => '2024-03-03'); end$$;
select is(pg_temp.sold('moves'), '26.00 9.75 16.25, 300 90 10 200', 'a penalty is no redemption');

-- ---------- what is taken away, and what is given for nothing ----------

do $$
begin
    perform create_program('forgives', currency => 'CNY', point_value => 0.1, overdraft => 'forgive', auto_open => true);
    perform earn('forgives', 'ann', 100, revenue => 10, event_at => '2024-01-01');
    perform redeem('forgives', 'ann', 60, event_at => '2024-01-10');
    perform jifen.reverse('forgives', 'ann', 1, event_at => '2024-01-20');
end
$$;
select is(pg_temp.sold('forgives'), '0.00 0.00 0.00, 0 0 0 0', 'what a reversal does not get back that is forgiven is no longer sold');
select is(pg_temp.free('forgives'), '6.00 0.00, 60 60 0 0', 'but given for nothing, and redeemed');
do $$begin perform adjust('forgives', 'ann', -30, 'abuse', event_at => '2024-01-21'); end$$;
select is(pg_temp.free('forgives'), '6.00 0.00, 60 60 0 0', 'a penalty that is forgiven is nothing');
do $$
begin
    perform earn('forgives', 'ann', 20, event_at => '2024-01-22');
    perform adjust('forgives', 'ann', -30, 'abuse', event_at => '2024-01-23');
end
$$;
select is(pg_temp.free('forgives'), '6.00 0.00, 80 60 20 0', 'but for the part that takes points');

do $$
begin
    perform create_program('fines', currency => 'CNY', point_value => 0.1, overdraft => 'debt', auto_open => true);
    perform earn('fines', 'ann', 100, revenue => 10, event_at => '2024-01-01');
    perform adjust('fines', 'ann', -150, 'abuse', event_at => '2024-01-02');
    perform earn('fines', 'ann', 100, revenue => 10, event_at => '2024-01-03');
end
$$;
select is(pg_temp.sold('fines'), '20.00 15.00 5.00, 200 0 150 50', 'points that repay a penalty are taken away, not redeemed');
do $$begin perform jifen.reverse('fines', 'ann', 2, event_at => '2024-01-04'); end$$;
select is(pg_temp.sold('fines'), '20.00 0.00 20.00, 200 0 0 200', 'until it is undone');
do $$
begin
    perform open_account('fines', 'bob');
    perform adjust('fines', 'bob', 50, 'goodwill', event_at => '2024-01-02');
    perform redeem('fines', 'bob', 50, event_at => '2024-01-03');
    perform jifen.reverse('fines', 'bob', 1, event_at => '2024-01-04');
end
$$;
select is(pg_temp.free('fines'), '0.00 0.00, 0 0 0 0', 'goodwill that is taken back was not redeemed, though it was spent');

do $$
begin
    perform create_program('lapses', currency => 'CNY', point_value => 0.1, expiry => '12 months', auto_open => true);
    perform earn('lapses', 'ann', 60, revenue => 6, event_at => '2024-01-01');
    perform earn('lapses', 'bob', 40, revenue => 4, event_at => '2024-06-01');
    perform expire_batch('lapses', '2025-01-02');
end
$$;
select is(pg_temp.sold('lapses'), '10.00 6.00 4.00, 100 0 60 40', 'without an estimate what lapses is earned then');
select is(deferred_revenue(program_id('lapses'), '2025-01-02', 'happened'), 4.00, 'and no longer deferred');
do $$begin perform record_redemption_estimate('lapses', 0.5, '2024-01-01'); end$$;
select is(pg_temp.sold('lapses'), '10.00 0.00 10.00, 100 0 60 40', 'with one, as others are redeemed');

do $$
begin
    perform create_program('twice', currency => 'CNY', point_value => 0.1, auto_open => true);
    perform earn('twice', 'ann', 100, event_at => '2024-01-01');
    perform earn('twice', 'bob', 70, event_at => '2024-01-02 08:00');
    perform jifen.reverse('twice', 'ann', 1, event_at => '2024-01-02 09:00');
end
$$;
select is(array(select format('%s %s %s %s', day, accrued, released, provision) from cost_by_day where program = 'twice' and basis = 'happened' order by day),
    array['2024-01-01 10.00 0.00 10.00', '2024-01-02 7.00 10.00 7.00'], 'what a day adds to costs and what it takes off are told apart');

-- ---------- another value of a point ----------

do $$
begin
    perform create_program('dear', currency => 'CNY', point_value => 0.1, auto_open => true);
    perform earn('dear', 'ann', 100, event_at => '2024-01-05');
    perform redeem('dear', 'ann', 40, event_at => '2024-01-06');
    perform close_period('dear', '2024-02-01');
end
$$;
create temp table dear_before as select * from cost_by_day where program = 'dear';
do $$begin perform alter_program('dear', point_value => 0.3); perform alter_program('dear', point_value => 0.2); end$$;
select set_eq($$select * from cost_by_day where program = 'dear' and day < current_date$$, $$select * from dear_before where day < current_date$$, 'another value of a point changes no day before it');
select is(array(select format('%s %s %s', basis, catch_up, provision) from cost_by_day where program = 'dear' and day = current_date order by basis),
    array['booked 0.00 12.00', 'happened 6.00 12.00', 'reported 6.00 12.00'], 'but what is left costs that much from then on');
select is(array(select format('%s %s', valid, point_value) from point_value_term where program_id = program_id('dear') order by valid),
    array[format('(,%s) 0.1', current_date), format('[%s,) 0.2', current_date)], 'of several values of a day the last one counts');
select is((select array_agg(point_value order by change_no) from point_value_change where program_id = program_id('dear')), array[0.1, 0.3, 0.2], 'nothing is lost');

-- ---------- a portfolio within another ----------

do $$
begin
    perform create_program('nests', currency => 'CNY', point_value => 0.1, auto_open => true);
    perform earn('nests', 'ann', 100, revenue => 10, event_at => '2022-02-01');
    perform earn('nests', 'bob', 100, revenue => 10, event_at => '2023-02-01');
    perform redeem('nests', 'ann', 20, event_at => '2023-03-01');
    perform redeem('nests', 'bob', 25, event_at => '2023-03-01');
    perform record_redemption_estimate('nests', 0.9, '2022-01-01');
end
$$;
create temp table nests_before as select * from revenue_by_day where program = 'nests';
do $$begin perform record_redemption_estimate('nests', 0.5, '2023-07-01', '[2023,2024)'); end$$;
select set_eq($$select * from revenue_by_day where program = 'nests' and day < '2023-07-01'$$, $$select * from nests_before where day < '2023-07-01'$$, 'a portfolio within another changes no day before it');
select is(array(select format('%s %s %s %s %s', issued_years, issued, redeemed, recognised, deferred) from revenue_by_day
        where program = 'nests' and basis = 'happened' and day >= '2023-07-01' order by issued_years),
    array['(,) 100 20 2.22 7.78', '[2023,2024) 100 25 5.00 5.00'], 'and takes its years over from then on');
select is((select sum(consideration)::text || ' ' || sum(catch_up) from revenue_by_day where program = 'nests' and basis = 'happened' and day = '2023-07-01'),
    '0.00 2.22', 'with what they are made of: 2.22 + 5 less 5');
select is(array(select estimated_redemption_rate(program_id('nests'), d.day, d.year) from (values ('2023-06-30'::date, 2023), ('2023-07-01', 2023), ('2023-07-01', 2022)) d (day, year)),
    array[0.9, 0.5, 0.9], 'each year is of the narrowest portfolio that has begun');
select is((select sum(deferred) from (select distinct on (issued_years) deferred from revenue_by_day where program = 'nests' and basis = 'happened' order by issued_years, day desc) d),
    deferred_revenue(program_id('nests'), current_date, 'happened'), 'deferred_revenue() knows it too');
do $$begin perform record_redemption_estimate('nests', 0.8, '2023-08-01', '[2020,2030)'); end$$;
select is(array(select format('%s %s %s', issued_years, rate, issued) from revenue_by_day
        where program = 'nests' and basis = 'happened' and day = '2023-08-01' order by issued_years),
    array['(,) 0.9 0', '[2020,2030) 0.8 100'], 'one between the two takes over what is left of the wider one');
select is((select sum(revenue) filter (where day <= '2023-12-31') from revenue_by_day where program = 'nests' and basis = 'happened'), 7.50, 'all in all 20 of 80 and 25 of 50');

-- ---------- no currency, and more redeemed than was expected ----------

do $$
begin
    perform earn('bare', 'ann', 100, revenue => 5, event_at => '2024-01-01');
    perform earn('bare', 'ann', 100, event_at => '2024-01-01');
    perform record_redemption_estimate('bare', 0.4, '2024-01-01');
    perform redeem('bare', 'ann', 30, event_at => '2024-01-02');
end
$$;
select is((select row(r.revenue, r.deferred, r.currency)::text from revenue_by_day r where program = 'bare' and basis = 'happened' and day = '2024-01-02'),
    '(3.75,1.25,)', 'a program without a currency: 30 of 40');
select is((select row(c.expected, c.provision, c.currency)::text from cost_by_day c where program = 'bare' and basis = 'happened' and day = '2024-01-01'),
    '(40.0,0.00,)', 'nothing is known of the cost of its free points');
do $$begin perform redeem('bare', 'ann', 30, event_at => '2024-01-03'); end$$;
select is(pg_temp.sold('bare'), '5.00 5.00 0.00, 100 60 0 40', 'with 60 redeemed of 40 there is nothing more to earn');
do $$begin perform record_redemption_estimate('bare', 0.8, '2024-01-04'); end$$;
select is(pg_temp.sold('bare'), '5.00 3.75 1.25, 100 60 0 40', 'until the estimate is corrected');

-- ---------- books that are closed ----------

do $$
begin
    perform create_program('closed', currency => 'CNY', point_value => 0.1, late_postings => 'book', auto_open => true);
    perform record_redemption_estimate('closed', 0.8, '2024-01-01');
    perform earn('closed', 'ann', 100, revenue => 8, event_at => '2024-01-05');
    perform redeem('closed', 'ann', 40, event_at => '2024-01-10');
    perform close_period('closed', '2024-02-01');
end
$$;
create temp table closed_before as select * from revenue_by_day where program = 'closed' and basis = 'reported';
select is(pg_temp.refused('select record_redemption_estimate(''closed'', 0.5, ''2024-01-31'')'), 'JF008 period closed', 'no estimate for a day whose books are closed');
do $$
begin
    perform redeem('closed', 'ann', 20, event_at => '2024-01-20');
    perform record_redemption_estimate('closed', 0.9, '2024-02-01');
end
$$;
select results_eq($$select * from revenue_by_day where program = 'closed' and basis = 'reported' and day < '2024-02-01' order by day$$,
    'select * from closed_before order by day', 'nothing changes what is closed');
select is(array(select format('%s %s %s', day, revenue, catch_up) from revenue_by_day where program = 'closed' and basis = 'reported' order by day),
    array['2024-01-05 0.00 0.00', '2024-01-10 4.00 0.00', '2024-02-01 1.33 -0.44'], 'what comes late is revenue of the open period');
select is(array(select format('%s %s %s', day, revenue, catch_up) from revenue_by_day where program = 'closed' and basis = 'happened' order by day),
    array['2024-01-05 0.00 0.00', '2024-01-10 4.00 0.00', '2024-01-20 2.00 0.00', '2024-02-01 -0.67 -0.67'], 'or of the day on which it happened');

-- ---------- issued and undone on one day ----------

do $$
begin
    perform create_program('undone', currency => 'CNY', point_value => 0.01, auto_open => true);
    perform import('undone', 'ann', 100, revenue => 5, event_at => '2024-01-01');
    perform reverse('undone', 'ann', 1, event_at => '2024-01-01 12:00');
    perform earn('undone', 'ann', 100, event_at => '2024-01-02');
    perform reverse('undone', 'ann', 3, event_at => '2024-01-02 12:00');
end
$$;
create temp table undone as select * from gl_journal where program = 'undone';
select is(array(select format('%s: %s taken over, %s', day, taken_over, consideration) from revenue_by_day where program = 'undone' and basis = 'reported'),
    array['2024-01-01: 5.00 taken over, 0.00'], 'what came with points that went at once is of that day');
select is(array(select format('%s: %s accrued, %s released', day, accrued, released) from cost_by_day where program = 'undone' and basis = 'reported'),
    array['2024-01-02: 1.00 accrued, 1.00 released'], 'and what free ones cost');
select is(array(select format('%s %s %s %s', day, role, debit, credit) from undone order by day, line_no),
    array['2024-01-01 opening_balance 5.00 ', '2024-01-01 contract_liability  5.00', '2024-01-01 contract_liability 5.00 ',
        '2024-01-01 consideration  5.00', '2024-01-02 free_points_cost 1.00 ', '2024-01-02 free_points_provision  1.00',
        '2024-01-02 free_points_provision 1.00 ', '2024-01-02 free_points_cost  1.00'], 'as is booked on those days');
do $$
begin
    perform import('undone', 'ann', 10, revenue => 1, event_at => '2024-01-03');
    perform earn('undone', 'ann', 10, event_at => '2024-01-03');
end
$$;
select set_eq($$select * from gl_journal where program = 'undone' and day < '2024-01-03'$$, 'select * from undone',
    'and what comes later changes nothing of it');

-- ---------- what must hold of any history ----------

do $$
declare
    member text;
    own text;
    at timestamptz;
begin
    perform create_program('any', currency => 'CNY', point_value => 0.01, expiry => '12 months end of month', overdraft => 'debt', auto_open => true);
    perform setseed(0.5);
    for n in 1 .. 600 loop
        member := 'm' || floor(random() * 12);
        at := timestamptz '2022-01-01' + n * interval '45 hours' + random() * interval '40 hours';
        begin
            if random() < 0.5 then
                perform earn('any', member, (1 + floor(random() * 300))::int, event_at => at,
                    revenue => case when random() < 0.6 then round((random() * 5)::numeric, 4) end);
            elsif random() < 0.5 then
                perform redeem('any', member, (1 + floor(random() * 200))::int, event_at => at);
            elsif random() < 0.3 then
                perform reverse('any', member, (1 + floor(random() * 20))::int, event_at => at);
            elsif random() < 0.3 then
                perform adjust('any', member, (floor(random() * 100) - 50)::int, 'random', event_at => at);
            elsif random() < 0.5 then
                perform transfer('any', member, 'm' || floor(random() * 12), (1 + floor(random() * 50))::int, event_at => at);
            else
                perform hold('any', member, (1 + floor(random() * 20))::int, at + interval '10 days', event_at => at);
            end if;
        exception when sqlstate 'JF001' or sqlstate 'JF003' or sqlstate 'JF006' or sqlstate 'JF007' or sqlstate '22023' then
        end;
        if n % 150 = 0 then
            perform release_batch('any');
            perform expire_batch('any', at);
        end if;
    end loop;
    perform record_redemption_estimate('any', 0.8, '2023-02-01');
    perform record_redemption_estimate('any', 0.6, '2024-01-01');
    perform record_redemption_estimate('any', 0.9, '2024-07-01');
end
$$;
analyze account, entry, allocation;
create temp table days as select * from revenue_by_day where program = 'any';
select is((select count(*)::int from days d where issued <> redeemed + expired + unspent), 0, 'issued = redeemed + expired + unspent');
select is((select count(*)::int from days d where deferred <> round(deferred, 2) or revenue <> round(revenue, 2)), 0, 'money has two decimals');
select is((select count(*)::int from days d where recognised < 0 or deferred < 0), 0, 'neither more nor less than all is earned');
select is((select count(*)::int from days d where expected > redeemed + unspent or expected < redeemed), 0, 'what is expected lies between what is done and what is possible');
select results_eq($$select basis, sum(consideration), sum(revenue) from days group by basis order by basis$$,
    $$select b.basis, round(sum(e.revenue), 2), round(sum(e.revenue), 2) - deferred_revenue(program_id('any'), current_date, b.basis)
        from entry e join account a using (account_id) cross join (values ('booked'), ('happened'), ('reported')) b (basis)
        where a.program_id = program_id('any') and e.kind in ('earn', 'import', 'adjust', 'reverse') group by b.basis order by b.basis$$,
    'all consideration is revenue or deferred, on each basis');
select is((select count(*)::int
        from (select d::date as day from generate_series(date '2022-01-01', '2025-12-31', '30 days') d) x
        where deferred_revenue(program_id('any'), x.day, 'happened')
            <> coalesce((select sum(l.deferred) from (select distinct on (d.issued_years) d.deferred from days d
                where d.basis = 'happened' and d.day <= x.day order by d.issued_years, d.day desc) l
                ), 0)), 0, 'deferred_revenue() is that of the view on any day');
select set_eq($$select program, basis, issued_years, date_trunc('month', day)::date as month, sum(consideration) as consideration, sum(revenue) as revenue, sum(catch_up) as catch_up from days group by 1, 2, 3, 4$$,
    $$select program, basis, issued_years, month, consideration, revenue, catch_up from revenue_by_month
        where program = 'any' and (basis, issued_years, month) in (select d.basis, d.issued_years, date_trunc('month', d.day)::date from days d)$$,
    'months foot to their days');
select is((select count(*)::int from revenue_by_month where program = 'any' and opening + consideration - revenue <> deferred), 0, 'opening + consideration - revenue = deferred');
select is((select count(*)::int from (select month, lag(month) over w as before, opening, lag(deferred) over w as closing from revenue_by_month
        where program = 'any' window w as (partition by basis, issued_years order by month)) m
        where month <> before + interval '1 month' or opening <> closing), 0, 'month follows month');
select results_eq($$select unspent from (select sum(unspent) as unspent from (select distinct on (issued_years) unspent from days where basis = 'happened' order by issued_years, day desc) r
        union all select sum(unspent) from (select distinct on (issued_years) unspent from cost_by_day where program = 'any' and basis = 'happened' order by issued_years, day desc) c) u$$,
    $$select sum(l.points) from (values (true), (false)) k (is_sold)
        cross join lateral (select sum(v.points + v.held) as points from vintage_flow v where v.program_id = program_id('any') and v.is_sold = k.is_sold) l group by k.is_sold order by k.is_sold desc$$,
    'what is unspent is what is in lots and on hold');
select is((select count(*)::int from (select provision, lag(provision, 1, 0::numeric) over (partition by basis, issued_years order by day) as before,
        accrued - released + catch_up - used as change from cost_by_day where program = 'any') c where provision <> before + change), 0,
    'a provision changes by accrued - released + catch_up - used');
select set_eq($$select basis, issued_years, date_trunc('month', day)::date as month, sum(accrued) as accrued, sum(released) as released, sum(catch_up) as catch_up, sum(used) as used
        from cost_by_day where program = 'any' group by 1, 2, 3$$,
    $$select basis, issued_years, month, accrued, released, catch_up, used from cost_by_month
        where program = 'any' and (basis, issued_years, month) in (select d.basis, d.issued_years, date_trunc('month', d.day)::date from cost_by_day d where d.program = 'any')$$,
    'months of it foot to their days');
select is((select count(*)::int from (select c.*, lag(month) over w as before, lag(provision) over w as closing from cost_by_month c
        where program = 'any' window w as (partition by basis, issued_years order by month)) m
        where month <> before + interval '1 month' or opening <> closing or opening + accrued - released + catch_up - used <> provision), 0, 'and follow each other');

select * from finish();
rollback;
