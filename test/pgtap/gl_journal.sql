-- Lines for the general ledger: what is posted where, that days balance, and that accounts hold what the reports say.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(56);

create function pg_temp.refused(statement text) returns text
language plpgsql as $$
begin
    execute statement;
    return 'done';
exception when others then
    return sqlstate || ' ' || sqlerrm;
end
$$;
-- Lines of a day: account debit|credit.
create function pg_temp.lines(program text, day date) returns text[]
language sql as $$
    select array(select format('%s %s|%s', j.account, j.debit, j.credit) from jifen.gl_journal j
        where j.program = lines.program and j.day = lines.day order by j.line_no)
$$;
-- Those of them that concern a party.
create function pg_temp.party_lines(program text, day date) returns text[]
language sql as $$
    select array(select format('%s %s|%s', j.account, j.debit, j.credit) from jifen.gl_journal j
        where j.program = party_lines.program and j.day = party_lines.day and j.party is not null order by j.line_no)
$$;
-- What an account holds at the end of a day: debits less credits.
create function pg_temp.held_by(program text, role text, day date default 'infinity') returns numeric
language sql as $$
    select coalesce(sum(coalesce(j.debit, 0) - coalesce(j.credit, 0)), 0) from jifen.gl_journal j
    where j.program = held_by.program and j.role = held_by.role and j.day <= held_by.day
$$;

-- ---------- accounts ----------

do $$
begin
    perform create_program('ex52', currency => 'JPY', point_value => 1, auto_open => true);
end
$$;
select is((set_gl_account('ex52', 'contract_liability', '2450', 'Contract liabilities'))::text,
    format('(%s,contract_liability,2450,"Contract liabilities")', program_id('ex52')), 'an account for a role');
select is((set_gl_account('ex52', 'contract_liability', '2205')).code, '2205', 'and another one');
select is(pg_temp.refused('select set_gl_account(''ex52'', ''petty'', ''1'')'), '22023 invalid role "petty"', 'no such role');
select is(pg_temp.refused('select set_gl_account(''ex52'', ''cash'', '''')'), '22023 code must not be empty', 'no code');
select is(pg_temp.refused('select set_gl_account(''ex52'', ''cash'', repeat(''x'', 257))'), '22023 code is too long', 'too long a code');
select is(pg_temp.refused('select set_gl_account(''ex52'', null, ''1'')'), '22004 role and code must not be null', 'no role');
select is(pg_temp.refused('select set_gl_account(''nobody'', ''cash'', ''1'')'), 'JF002 unknown program "nobody"', 'no such program');

-- ---------- points that are sold: IFRS 15, Illustrative Example 52 ----------

do $$
begin
    perform record_redemption_estimate('ex52', 0.95, '2021-01-01');
    perform earn('ex52', 'ann', 4000, revenue => 3470.4, event_at => '2021-03-01');
    perform earn('ex52', 'bob', 6000, revenue => 5205.6, event_at => '2021-03-01');
    perform redeem('ex52', 'ann', 4000, event_at => '2021-12-01');
    perform redeem('ex52', 'bob', 500, event_at => '2021-12-01');
    perform redeem('ex52', 'bob', 4000, event_at => '2022-07-01');
    perform record_redemption_estimate('ex52', 0.97, '2022-12-31');
end
$$;
-- Statistics of tables that were empty a moment ago would make plans for nothing.
analyze account, entry, allocation;
select is(pg_temp.lines('ex52', '2021-03-01'), array['consideration 8676|', '2205 |8676'], 'what is allocated to points is taken off the sale and owed');
select is(pg_temp.lines('ex52', '2021-12-01'), array['2205 4110|', 'points_revenue |4110'], 'until they are redeemed');
select is(pg_temp.lines('ex52', '2022-07-01'), array['2205 3653|', 'points_revenue |3653'], 'at the rate that is known');
select is(pg_temp.lines('ex52', '2022-12-31'), array['points_revenue 160|', '2205 |160'], 'and a new one takes back what was too much');
select is(array[pg_temp.held_by('ex52', 'points_revenue', '2021-12-31'), pg_temp.held_by('ex52', 'points_revenue', '2022-12-31')],
    array[-4110, -7603]::numeric[], 'which makes 4,110 and 3,493 of the two years');
select is(pg_temp.held_by('ex52', 'contract_liability', '2022-12-31'), -1073::numeric, 'and leaves 1,073');
do $$begin perform import('ex52', 'cat', 100, revenue => 90, event_at => '2023-01-01'); end$$;
select is((pg_temp.lines('ex52', '2023-01-01'))[1:2], array['opening_balance 90|', '2205 |90'], 'what is imported was owed before');
do $$begin perform jifen.reverse('ex52', 'bob', 3, 4000, event_at => '2023-02-01'); end$$;
select is(pg_temp.lines('ex52', '2023-02-01'), (select array[format('points_revenue %s|', - revenue), format('2205 |%s', - revenue)] from revenue_by_day
        where program = 'ex52' and basis = 'reported' and day = '2023-02-01' and revenue < -3000), 'what is returned is owed again');

-- ---------- points that nobody paid for ----------

do $$
begin
    perform create_program('gift', currency => 'CNY', point_value => 0.01, expiry => '12 months', auto_open => true);
    perform record_redemption_estimate('gift', 0.5, '2024-01-01');
    perform earn('gift', 'ann', 1000, event_at => '2024-01-02');
    perform redeem('gift', 'ann', 300, event_at => '2024-03-01');
    perform record_redemption_estimate('gift', 0.6, '2024-06-01', point_cost => 0.02);
    perform expire_batch('gift', '2025-01-10');
end
$$;
select is(pg_temp.lines('gift', '2024-01-02'), array['free_points_cost 5.00|', 'free_points_provision |5.00'], 'half of them will be redeemed, at 0.01');
select is(pg_temp.lines('gift', '2024-03-01'), array['free_points_provision 3.00|', 'free_points_used |3.00'], 'some are');
select is(pg_temp.lines('gift', '2024-06-01'), array['free_points_cost 4.00|', 'free_points_provision |4.00'], '300 are still to come, at 0.02');
select is(pg_temp.lines('gift', '2025-01-03'), array['free_points_provision 6.00|', 'free_points_cost |6.00'], 'and do not');
select is(pg_temp.held_by('gift', 'free_points_cost'), 3.00, 'so they have cost what was redeemed');

-- ---------- rewards of partners: IFRIC 13, Illustrative Example 2 ----------

do $$
declare
    role text;
begin
    foreach role in array array['agent', 'principal'] loop
        perform create_program(role, currency => 'JPY', point_value => 0.01, auto_open => true);
        perform set_agreement(role, 'partner', 'airline', 0.009, '2024-01-01', role => role);
        perform earn(role, 'ann', 1000000, revenue => 10000, event_at => '2024-01-05');
        perform redeem(role, 'ann', 1000000, event_at => '2024-01-06', partner => 'airline');
    end loop;
end
$$;
select is(pg_temp.lines('agent', '2024-01-06'), array['contract_liability 10000|', 'points_revenue |10000', 'points_revenue 9000|', 'partner_payable |9000'],
    'what an agent collects for the airline is none of its revenue');
select is(pg_temp.held_by('agent', 'points_revenue'), -1000::numeric, 'which is 1,000');
select is(pg_temp.lines('principal', '2024-01-06'), array['contract_liability 10000|', 'points_revenue |10000', 'partner_cost 9000|', 'partner_payable |9000'],
    'a principal has a revenue of 10,000 and a cost of 9,000');
do $$begin perform jifen.reverse('agent', 'ann', 2, 500000, event_at => '2024-01-07'); end$$;
select is(pg_temp.lines('agent', '2024-01-07'), array['points_revenue 5000|', 'contract_liability |5000', 'partner_payable 4500|', 'points_revenue |4500'],
    'a return turns it round');
do $$
declare
    role text;
begin
    foreach role in array array['agent', 'principal'] loop
        perform earn(role, 'bob', 600000, revenue => 6000, event_at => '2024-01-08');
        perform earn(role, 'bob', 400000, event_at => '2024-01-09');
        perform redeem(role, 'bob', 800000, event_at => '2024-01-10', partner => 'airline');
        perform jifen.reverse(role, 'bob', 3, 100000, event_at => '2024-01-11');
        perform hold(role, 'bob', 200000, '2999-01-01', event_at => '2024-01-12');
        perform capture(role, 'bob', 5, 150000, event_at => '2024-01-13', partner => 'airline');
    end loop;
end
$$;
select is(pg_temp.party_lines('agent', '2024-01-10'), array['points_revenue 5400|', 'partner_payable |5400', 'partner_cost 1800|', 'partner_payable |1800'],
    'points that nobody paid for have no revenue from which it could be taken: it is a cost');
select is(pg_temp.party_lines('principal', '2024-01-10'), array['partner_cost 7200|', 'partner_payable |7200'], 'a principal has it all as a cost');
select is(pg_temp.party_lines('agent', '2024-01-11'), array['partner_payable 900|', 'partner_cost |900'], 'returned are those that were taken last');
select is(pg_temp.party_lines('agent', '2024-01-13'), array['partner_cost 1350|', 'partner_payable |1350'], 'captured those that the hold took');
select is(pg_temp.held_by('agent', 'free_points_used'), -2500::numeric, 'against which stands what free points are held to cost');
do $$
begin
    perform create_program('fees', currency => 'CNY', auto_open => true);
    perform set_agreement('fees', 'partner', 'cinema', 0.0333, '2024-01-01', commission_rate => 0.1);
    perform earn('fees', 'ann', 1000, event_at => '2024-01-05');
    for n in 1 .. 30 loop
        perform redeem('fees', 'ann', 1, event_at => date '2024-02-01' + n, partner => 'cinema');
    end loop;
end
$$;
select is(array[pg_temp.held_by('fees', 'partner_cost'), pg_temp.held_by('fees', 'partner_payable'), pg_temp.held_by('fees', 'commission_income')],
    array[1.00, -0.90, -0.10], '30 times 0.0333, less a tenth: the whole is rounded, not the days');

-- ---------- points that others fund ----------

do $$
begin
    perform create_program('funded', currency => 'CNY', point_value => 0.01, auto_open => true);
    perform set_agreement('funded', 'funder', 'bank', 0.008, '2024-01-01', commission_rate => 0.05);
    perform set_agreement('funded', 'funder', 'brand', 0.01, '2024-01-01', is_prepaid => true);
    perform record_prepayment('funded', 'brand', 500, '2024-01-02');
    perform earn('funded', 'ann', 1000, event_at => '2024-01-05', funder => 'bank', revenue => 8);
    perform earn('funded', 'ann', 2000, event_at => '2024-01-05', funder => 'brand', revenue => 20);
end
$$;
select is(pg_temp.lines('funded', '2024-01-02'), array['cash 500.00|', 'funder_prepaid |500.00'], 'a budget paid in advance');
select is(pg_temp.lines('funded', '2024-01-05'), array['consideration 28.00|', 'contract_liability |28.00',
        'funder_receivable 8.00|', 'consideration |8.00', 'funder_prepaid 20.00|', 'consideration |20.00', 'funder_receivable 0.40|', 'commission_income |0.40'],
    'what they pay is owed until the points are redeemed');
do $$
begin
    perform redeem('funded', 'ann', 1500, event_at => '2024-01-06');
    perform earn('funded', 'bob', 100, event_at => '2024-01-07', funder => 'bank');
    perform jifen.reverse('funded', 'ann', 2, 1500, event_at => '2024-01-08');
    perform import('funded', 'cat', 250, event_at => '2024-01-09', funder => 'bank', revenue => 2);
    perform jifen.reverse('funded', 'cat', 1, event_at => '2024-01-10');
end
$$;
select is(pg_temp.lines('funded', '2024-01-06'), array['contract_liability 14.00|', 'points_revenue |14.00'], 'and then is revenue');
select is(pg_temp.lines('funded', '2024-01-07'), array['free_points_cost 1.00|', 'free_points_provision |1.00', 'funder_receivable 0.80|', 'funder_income |0.80',
        'funder_receivable 0.04|', 'commission_income |0.04'], 'what they pay for points without consideration is income, against what these will cost');
select is((pg_temp.lines('funded', '2024-01-08'))[1:2] || (pg_temp.lines('funded', '2024-01-08'))[5:6], array['contract_liability 15.00|', 'consideration |15.00', 'consideration 15.00|', 'funder_prepaid |15.00'],
    'what is taken back is not owed any more');
select is((pg_temp.lines('funded', '2024-01-09'))[1:2] || pg_temp.party_lines('funded', '2024-01-09'), array['opening_balance 2.00|', 'contract_liability |2.00',
        'funder_receivable 2.00|', 'opening_balance |2.00', 'funder_receivable 0.10|', 'commission_income |0.10'], 'what is still to be paid for points that are taken over was owed before, too');
select is((pg_temp.lines('funded', '2024-01-10'))[1:2] || pg_temp.party_lines('funded', '2024-01-10'), array['contract_liability 2.00|', 'consideration |2.00',
        'consideration 2.00|', 'funder_receivable |2.00', 'commission_income 0.10|', 'funder_receivable |0.10'], 'or is not, in the end');
select is(array[pg_temp.held_by('funded', 'consideration'), pg_temp.held_by('funded', 'opening_balance')], array[0.00, 0.00], 'the sale does not come into it');

do $$
begin
    perform earn('funded', 'bob', 60000, event_at => '2024-02-01', funder => 'brand');
    perform record_prepayment('funded', 'brand', 70.004, '2024-02-02');
    perform record_prepayment('funded', 'brand', 100.004, '2024-02-03');
end
$$;
select is((pg_temp.lines('funded', '2024-02-01'))[3:], array['funder_prepaid 600.00|', 'funder_income |600.00', 'funder_receivable 105.00|', 'funder_prepaid |105.00'],
    'what is used beyond a budget is receivable');
select is(pg_temp.lines('funded', '2024-02-02'), array['cash 70.00|', 'funder_prepaid |70.00', 'funder_prepaid 70.00|', 'funder_receivable |70.00'],
    'until it is paid');
select is(pg_temp.lines('funded', '2024-02-03'), array['cash 100.01|', 'funder_prepaid |100.01', 'funder_prepaid 35.00|', 'funder_receivable |35.00'],
    'to the cent of the sum');
select is(pg_temp.held_by('funded', 'funder_prepaid'), -65.01, 'and what is more is a budget again');

-- ---------- what must hold ----------

do $$
declare
    member text;
    at timestamptz;
begin
    perform create_program('any', currency => 'CNY', point_value => 0.013, expiry => '12 months end of month', overdraft => 'forgive', late_postings => 'book',
        time_zone => 'Asia/Shanghai', auto_open => true);
    perform set_agreement('any', 'partner', 'p1', 0.0071, '2022-01-01', role => 'agent', commission_rate => 0.03);
    perform set_agreement('any', 'partner', 'p2', 0.0097, '2022-01-01', role => 'principal');
    perform set_agreement('any', 'partner', 'p2', 0.0113, '2022-09-01', role => 'agent');
    perform set_agreement('any', 'partner', 'abroad', 1.37, '2022-01-01', currency => 'JPY');
    perform set_agreement('any', 'funder', 'f1', 0.0049, '2022-01-01', commission_rate => 0.07);
    perform set_agreement('any', 'funder', 'f2', 0.0051, '2022-01-01', is_prepaid => true);
    perform record_prepayment('any', 'f2', 100.55, '2022-03-03');
    perform setseed(0.9);
    for n in 1 .. 500 loop
        member := 'm' || floor(random() * 9);
        at := timestamptz '2022-01-01' + n * interval '35 hours' + random() * interval '30 hours';
        begin
            if random() < 0.5 then
                perform earn('any', member, (1 + floor(random() * 300))::int, event_at => at, funder => (array['f1', 'f2', 'nobody', null])[1 + floor(random() * 4)],
                    revenue => case when random() < 0.6 then round((random() * 5)::numeric, 4) end);
            elsif random() < 0.1 then
                perform import('any', member, (1 + floor(random() * 300))::int, event_at => at, issued_at => at - interval '200 days', revenue => round((random() * 5)::numeric, 4));
            elsif random() < 0.6 then
                perform redeem('any', member, (1 + floor(random() * 150))::int, event_at => at, partner => (array['p1', 'p2', 'abroad', null])[1 + floor(random() * 4)]);
            elsif random() < 0.6 then
                perform jifen.reverse('any', member, (1 + floor(random() * 20))::int, event_at => at);
            else
                perform adjust('any', member, (floor(random() * 100) - 50)::int, 'random', event_at => at);
            end if;
        exception when sqlstate 'JF001' or sqlstate 'JF003' or sqlstate 'JF006' or sqlstate '22023' then
        end;
        if n = 125 then
            perform close_period('any', '2022-05-01 00:00+08');
            perform record_redemption_estimate('any', 0.8, '2022-06-01');
        elsif n % 125 = 0 then
            perform expire_batch('any', at);
        end if;
    end loop;
    perform record_redemption_estimate('any', 0.6, '2023-06-01', point_cost => 0.011);
end
$$;
analyze account, entry, allocation;
create temp table journal as select * from gl_journal where program = 'any';
select is((select count(*)::int from (select from journal group by day, currency having sum(debit) is distinct from sum(credit)) d), 0, 'debits and credits of each day are equal');
select is((select count(*)::int from journal where num_nonnulls(debit, credit) <> 1 or coalesce(debit, credit) <= 0), 0, 'each line is one or the other, above zero');
select is((select count(*)::int from journal where coalesce(debit, credit) <> round(coalesce(debit, credit), case currency when 'JPY' then 0 else 2 end)), 0, 'of the currency''s decimals');
select is((select count(*)::int from (select line_no, row_number() over (partition by day order by line_no) as n from journal) j where line_no <> n), 0, 'and has a number of its own');
select ok((select count(*) from journal) > 1000, 'a history with something to post');
select is((select count(*)::int from (
        select d.day, d.deferred, (select - sum(coalesce(j.debit, 0) - coalesce(j.credit, 0)) from journal j where j.role = 'contract_liability' and j.day <= d.day) as held
        from (select day, deferred_revenue(program_id('any'), day) as deferred from (select distinct day from journal where extract(day from day) in (1, 11, 21)) x) d) d
    where deferred <> coalesce(held, 0)), 0, 'the contract liability is what is deferred at the end of a day');
select results_eq($$select - sum(coalesce(debit, 0) - coalesce(credit, 0)) from journal where role = 'free_points_provision'$$,
    $$select sum(provision) from (select distinct on (issued_years) provision from cost_by_day where program = 'any' and basis = 'reported' order by issued_years, day desc) c$$,
    'the provision what free points are expected to cost');
select results_eq($$select j.party, sum(coalesce(j.debit, 0) - coalesce(j.credit, 0)) as net from journal j
        where j.role in ('funder_receivable', 'partner_payable', 'funder_prepaid') group by j.party order by j.party$$,
    $$select s.party, round(sum(s.amount), c.scale) * case s.kind when 'funder' then 1 else -1 end + round(sum(s.commission), c.scale)
            - coalesce((select round(sum(y.amount), 2) from prepayment y where y.program_id = program_id('any') and y.party = s.party), 0)
        from settlement_by_day s left join (values ('JPY', 0), ('CNY', 2)) c (currency, scale) on c.currency = s.currency
        where s.program = 'any' and s.agreement_no is not null group by s.party, s.kind, c.scale
        order by 1$$, 'what parties owe and are owed is settled');
select is(pg_temp.held_by('any', 'funder_prepaid'), (select - greatest(round(left_over, 2), 0) from prepaid_budget where program = 'any' and party = 'f2'), 'and what is left of a budget');
select is(array(select distinct j.role from journal j where j.party is not null order by 1), array['cash', 'commission_income', 'consideration', 'funder_income', 'funder_prepaid',
    'funder_receivable', 'partner_cost', 'partner_payable', 'points_revenue'], 'by all that there is to post');

-- ---------- closed books ----------

create temp table closed_lines as select * from journal where day < '2022-05-01';
do $$
begin
    perform earn('any', 'late', 100, event_at => '2022-04-01', revenue => 3, funder => 'f1');
    perform redeem('any', 'late', 50, event_at => '2022-04-02', partner => 'p1');
end
$$;
select results_eq('select * from gl_journal where program = ''any'' and day < ''2022-05-01'' order by day, line_no',
    'select * from closed_lines order by day, line_no', 'what comes late changes nothing that is closed');
select isnt_empty($$select * from gl_journal where program = 'any' and day = '2022-05-01' and party = 'p1'$$, 'and is posted to the first day that is open');
select is((select count(*)::int from (select from gl_journal group by program, day, currency having sum(debit) is distinct from sum(credit)) d), 0, 'all programs balance');
select is(pg_temp.held_by('any', 'contract_liability'), - deferred_revenue(program_id('any'), current_date), 'as before');

select * from finish();
rollback;
