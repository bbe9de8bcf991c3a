-- Settlement: what funders owe and partners are owed, budgets paid in advance, against plain SQL over the journal.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
-- What they are compared with is reckoned in long ways, which take longer to compile than to run.
set local jit = off;
select plan(32);
\ir books.psql

-- ---------- examples that can be reckoned by hand ----------

do $$
begin
    perform create_program('mall', time_zone => 'Asia/Shanghai', auto_open => true, currency => 'CNY', expiry => '12 months', late_postings => 'book');
    perform set_agreement('mall', 'funder', 'tea', 0.02, '2024-01-01', commission_rate => 0.1);
    perform set_agreement('mall', 'funder', 'tea', 0.03, '2024-02-16', commission_rate => 0.1);
    perform set_agreement('mall', 'partner', 'air', 0.01, '2024-01-01', commission_rate => 0.05, role => 'agent');
    perform set_agreement('mall', 'funder', 'air', 0.05, '2024-01-01');
    perform earn('mall', 'ann', 1000, event_at => '2024-01-15', funder => 'tea');
    perform earn('mall', 'ann', 100, event_at => '2024-02-15 15:59+00', funder => 'tea');    -- 23:59 of the 15th
    perform earn('mall', 'ann', 100, event_at => '2024-02-15 16:00+00', funder => 'tea');    -- of the 16th
    perform reverse('mall', 'ann', 1, 300, event_at => '2024-02-20');
    perform earn('mall', 'bob', 500, event_at => '2024-01-20');                              -- the issuer's own
    perform earn('mall', 'bob', 200, event_at => '2024-01-21', funder => 'nobody');          -- nothing is agreed
    perform adjust('mall', 'bob', 40, 'goodwill', event_at => '2024-01-22', funder => 'air');
    perform import('mall', 'cat', 60, event_at => '2024-01-22', funder => 'air');
    perform redeem('mall', 'ann', 400, event_at => '2024-03-01', partner => 'air');          -- of tea's points
    perform reverse('mall', 'ann', 5, 100, event_at => '2024-03-02');
    perform redeem('mall', 'bob', 600, event_at => '2024-03-03');                            -- with the issuer: 500 and 100 of nobody's
    perform redeem('mall', 'cat', 10, event_at => '2024-03-03', partner => 'pub');
    perform hold('mall', 'bob', 100, '2999-01-01', event_at => '2024-03-04');
    perform capture('mall', 'bob', 5, 80, event_at => '2024-04-01', partner => 'air');
end
$$;
select is(pg_temp.told($$select month, issued, reversed, adjusted, points, unpriced, amount, commission, net, currency from settlement_by_month
        where program = 'mall' and kind = 'funder' and party = 'tea' and points <> 0 order by month$$),
    array['(2024-01-01,1000,0,0,1000,0,20.00,2.000,22.000,CNY)', '(2024-02-01,200,300,0,-100,0,-1.00,-0.100,-1.100,CNY)'],
    'a funder pays for what is issued at the price of the local day, and gets back for what is taken back what it paid');
select is(pg_temp.told($$select month, party, redeemed, returned, points, amount, commission, net from settlement_by_month
        where program = 'mall' and kind = 'partner' and month >= '2024-03-01' order by month, party$$),
    array['(2024-03-01,air,400,100,300,3.00,0.1500,-2.8500)', '(2024-03-01,pub,10,0,10,,,)', '(2024-03-01,,600,0,600,,,)',
        '(2024-04-01,air,80,0,80,0.80,0.0400,-0.7600)'],
    'a partner is paid for what is redeemed with it, less a commission; without an agreement there is no money, nor for the issuer''s own');
select is(pg_temp.told($$select party, issued, adjusted, points, unpriced, amount, net from settlement_by_month
        where program = 'mall' and kind = 'funder' and month = '2024-01-01' order by party$$),
    array['(air,60,40,100,0,5.00,5.00)', '(nobody,200,0,200,200,,)', '(tea,1000,0,1000,0,20.00,22.000)', '(,500,0,500,0,,)'],
    'each funder by itself, those without an agreement, and the issuer''s own');
select is(pg_temp.told($$select month, party, redeemed, returned from settlement_by_month
        where program = 'mall' and kind = 'funder' and (redeemed, returned) <> (0, 0) order by month, party$$),
    array['(2024-03-01,air,10,0)', '(2024-03-01,nobody,100,0)', '(2024-03-01,tea,400,100)', '(2024-03-01,,500,0)',
        '(2024-04-01,nobody,80,0)'], 'whose points were spent');
select is(pg_temp.told($$select month, receivable, from_budget, payable, net, currency from settlement_of_party_by_month where program = 'mall' and party = 'air' order by month$$),
    array['(2024-01-01,5.00,0,0,5.00,CNY)', '(2024-03-01,0,0,2.8500,-2.8500,CNY)', '(2024-04-01,0,0,0.7600,-0.7600,CNY)'],
    'a party that is both, together');
select is(pg_temp.told($$select day, role, agreement_no, price, points, net from settlement_by_day where program = 'mall' and party in ('tea', 'air') and points <> 0 order by day, kind, party$$),
    array['(2024-01-15,,1,0.02,1000,22.000)', '(2024-01-22,,1,0.05,100,5.00)', '(2024-02-15,,1,0.02,100,2.200)', '(2024-02-16,,2,0.03,100,3.300)',
        '(2024-02-20,,1,0.02,-300,-6.600)', '(2024-03-01,agent,1,0.01,400,-3.8000)', '(2024-03-02,agent,1,0.01,-100,0.9500)', '(2024-04-01,agent,1,0.01,80,-0.7600)'],
    'day by day');

-- ---------- budgets ----------

do $$
begin
    perform create_program('ahead', auto_open => true, currency => 'EUR');
    perform set_agreement('ahead', 'funder', 'gas', 0.10, '2024-01-01', is_prepaid => true);
    perform set_agreement('ahead', 'funder', 'gas', 0.10, '2024-05-01');                      -- by invoice from May on
    perform record_prepayment('ahead', 'gas', 100, '2024-01-05');
    perform earn('ahead', 'ann', 400, event_at => '2024-01-10', funder => 'gas');              -- 40
    perform earn('ahead', 'ann', 600, event_at => '2024-02-10', funder => 'gas');              -- 60: nothing left
    perform reverse('ahead', 'ann', 2, 100, event_at => '2024-02-20');                         -- 10 back
    perform earn('ahead', 'ann', 300, event_at => '2024-02-25', funder => 'gas');              -- 30: -20
    perform record_prepayment('ahead', 'gas', 50, '2024-03-02');                               -- 30
    perform record_prepayment('ahead', 'gas', -5, '2024-03-31');                               -- 25
    perform earn('ahead', 'ann', 1000, event_at => '2024-05-01', funder => 'gas');             -- 100, by invoice
end
$$;
select is(pg_temp.told($$select month, prepaid_opening, prepaid_in, prepaid_used, prepaid_left, prepaid_exhausted_on, net
        from settlement_by_month where program = 'ahead' and party = 'gas' order by month$$),
    array['(2024-01-01,0.00,100,40.00,60.00,,40.00)', '(2024-02-01,60.00,0,80.00,-20.00,2024-02-10,80.00)', '(2024-03-01,-20.00,45,0,25.00,,)',
        '(2024-05-01,25.00,0,0,25.00,,100.00)'],
    'opening + paid in - used = left, and the day on which nothing was left first');
select is(pg_temp.told($$select paid_in, used, left_over, exhausted_on, used_per_day, lasts_until, currency from prepaid_budget where program = 'ahead'$$),
    array['(145,120.00,25.00,,0.00000000000000000000,,EUR)'], 'as it stands');
select is(pg_temp.told($$select receivable, from_budget, net from settlement_of_party_by_month where program = 'ahead' order by month$$),
    array['(0.00,40.00,0.00)', '(0.00,80.00,0.00)', '(0,0,0)', '(100.00,0,100.00)'], 'what is taken from the budget is not paid once more');
do $$
begin
    perform set_agreement('ahead', 'funder', 'gas', 0.10, (now() at time zone 'UTC')::date - 20, is_prepaid => true);
    perform earn('ahead', 'bob', 150, event_at => now() - interval '10 days', funder => 'gas');   -- 15: 10 left
end
$$;
select is(pg_temp.told($$select left_over, exhausted_on, used_per_day, lasts_until - (now() at time zone 'UTC')::date from prepaid_budget where program = 'ahead'$$),
    array['(10.00,,0.50000000000000000000,20)'], 'how long it lasts at the pace of the last thirty days');
do $$begin perform earn('ahead', 'bob', 100, event_at => now() - interval '5 days', funder => 'gas'); end$$;
select is((select exhausted_on from prepaid_budget where program = 'ahead'), (now() at time zone 'UTC')::date - 5, 'since when nothing is left');
do $$begin perform earn('ahead', 'bob', 100, event_at => now() - interval '2 days', funder => 'gas'); end$$;
select is((select exhausted_on from prepaid_budget where program = 'ahead'), (now() at time zone 'UTC')::date - 5, 'though more is used since');
select is((select lasts_until from prepaid_budget where program = 'ahead'), null, 'what is used up lasts no longer');

-- ---------- random histories, back-dated and out of order, with closed months ----------

do $$
declare
    program text;
    member text;
    at timestamptz;
    party text;
    hold_seq bigint;
begin
    perform setseed(0.3);
    perform create_program('cn', time_zone => 'Asia/Shanghai', auto_open => true, overdraft => 'debt', return_grace => '30 days', expiry => '6 months end of month',
        currency => 'CNY', late_postings => 'book');
    perform create_program('ny', time_zone => 'America/New_York', auto_open => true, overdraft => 'forgive', expiry => '3 months inactive', currency => 'USD',
        late_postings => 'book');
    for n in 1 .. 60 loop
        party := 'p' || floor(random() * 4);
        perform set_agreement((array['cn', 'ny'])[1 + n % 2], (array['funder', 'partner'])[1 + floor(random() * 2)], party, round(random()::numeric, 3),
            date '2022-12-15' + floor(random() * 500)::int, date '2024-06-01' + floor(random() * 100)::int, commission_rate => round(random()::numeric / 4, 2));
    end loop;
    perform end_agreement('cn', 'funder', 'p1', '2024-01-15');
    for n in 1 .. 1500 loop
        program := (array['cn', 'ny'])[1 + floor(random() * 2)];
        member := 'm' || floor(random() * 25);
        party := (array['p0', 'p1', 'p2', 'p3', 'p4', null, null])[1 + floor(random() * 7)];
        at := timestamptz '2023-01-01' + random() * interval '500 days';
        if random() < 0.2 then
            at := date_trunc('day', at) + case program when 'cn' then interval '16 hours' else interval '5 hours' end;
        end if;
        begin
            case floor(random() * 9)::int
                when 0, 1, 2 then
                    perform earn(program, member, (1 + floor(random() * 200))::int, event_at => at, funder => party);
                when 3 then
                    perform import(program, member, (1 + floor(random() * 50))::int, event_at => at, funder => party);
                when 4 then
                    perform redeem(program, member, (1 + floor(random() * 60))::int, event_at => at, partner => party);
                when 5 then
                    perform reverse(program, member, (1 + floor(random() * 8))::int, (1 + floor(random() * 40))::int, event_at => at);
                when 6 then
                    perform transfer(program, member, 'm' || floor(random() * 25), (1 + floor(random() * 20))::int, event_at => at);
                when 7 then
                    hold_seq := (hold(program, member, 1 + floor(random() * 20)::int, '2999-01-01', event_at => at)).seq;
                    if random() < 0.8 then
                        perform capture(program, member, hold_seq, 1, event_at => at + interval '2 days', partner => party);
                    end if;
                else
                    perform adjust(program, member, (floor(random() * 60) - 20)::int, 'x', event_at => at, funder => case when random() < 0.7 then party end);
            end case;
            if n % 200 = 0 then
                perform expire_batch();
            end if;
            if n % 500 = 400 then
                perform expire_batch();
                perform close_period(program, day_begin(('2023-0' || 2 + n / 250 || '-01')::date, p.time_zone)) from program p where p.code = program;
            end if;
        exception when sqlstate 'JF001' or sqlstate 'JF003' or sqlstate 'JF006' or sqlstate '22023' or sqlstate 'JF009' then
        end;
    end loop;
end
$$;
select cmp_ok((select count(*) from period_change), '>', 1::bigint, 'with periods that were closed');

create temp table reported as
select (greatest(o.event_at, oc.closed_until) at time zone p.time_zone)::date as undone_day, p.program_id, p.code::text as program, a.account_id, e.seq, e.kind, e.amount::numeric, e.hold_seq, o.kind as undone,
    case when e.kind = 'reverse' then o.funder else e.funder end as funder, case when e.kind = 'reverse' then o.partner else e.partner end as partner,
    (greatest(e.event_at, c.closed_until) at time zone p.time_zone)::date as day
from entry e
join account a using (account_id)
join program p using (program_id)
left join entry o on o.account_id = e.account_id and o.seq = e.reverses_seq
left join lateral (select closed_until from period_change c where c.program_id = p.program_id and c.changed_at <= e.posted_at order by change_no desc limit 1) c on true
left join lateral (select closed_until from period_change c where c.program_id = p.program_id and c.changed_at <= o.posted_at order by change_no desc limit 1) oc on true;
select cmp_ok((select count(*) from reported r join entry e using (account_id, seq) join program p using (program_id)
    where r.day > (e.event_at at time zone p.time_zone)::date), '>', 50::bigint, 'and entries that are reported after it');

-- Each entry at the price of its day, or of the day of what it undoes.
create temp view want_by_month as
select program, kind, party, date_trunc('month', day)::date as month, sum(points) as points, sum(points * price) as amount, sum(points * price * commission_rate) as commission,
    coalesce(sum(points) filter (where price is null and party is not null), 0) as unpriced
from (
    select r.*, f.*, a.price, a.commission_rate
    from reported r
    cross join lateral (
        select 'funder' as party_kind, r.funder as party, r.amount as points where r.kind in ('earn', 'import', 'adjust') or r.undone in ('earn', 'import', 'adjust')
        union all
        select 'partner', r.partner, - r.amount where r.kind in ('redeem', 'capture') or r.undone in ('redeem', 'capture')
    ) f
    left join lateral (select a.* from agreement a where a.program_id = r.program_id and a.kind = f.party_kind and a.party = f.party
            and a.valid @> coalesce(r.undone_day, r.day)
        order by a.agreement_no desc limit 1) a on true
) d (undone_day, program_id, program, account_id, seq, entry_kind, entry_amount, hold_seq, undone, funder, partner, day, kind, party, points, price, commission_rate)
group by 1, 2, 3, 4;
select is((select count(*) from want_by_month where amount is not null), (select count(*) from want_by_month where amount is not null and commission is not null), 'a price comes with its commission');
select is((select count(*) from (
        (select program, kind, party, month, points, amount, commission, unpriced from settlement_by_month where program in ('cn', 'ny') and (points <> 0 or amount is not null)
         except all select program, kind, party, month, points, amount, commission, unpriced from want_by_month where program in ('cn', 'ny') and (points <> 0 or amount is not null))
        union all
        (select program, kind, party, month, points, amount, commission, unpriced from want_by_month where program in ('cn', 'ny') and (points <> 0 or amount is not null)
         except all select program, kind, party, month, points, amount, commission, unpriced from settlement_by_month where program in ('cn', 'ny') and (points <> 0 or amount is not null))) d),
    0::bigint, 'points and money of each party and month');
select cmp_ok((select count(*) from settlement_by_month where program in ('cn', 'ny') and party is not null and amount is null and points <> 0), '>', 5::bigint, 'some without an agreement');
select cmp_ok((select count(*) from settlement_by_month where program in ('cn', 'ny') and unpriced <> 0 and amount is not null), '>', 0::bigint, 'some with one for a part of the month');
select is((select count(*) from settlement_by_month where net is distinct from case kind when 'funder' then amount + commission else commission - amount end), 0::bigint, 'net is what it is');

-- What was spent, month by month and lot by lot: redemptions take from lots, captures what their hold took and has not given back.
create temp view want_spent as
select r.program, c.funder, date_trunc('month', r.day)::date as month,
    coalesce(sum(x.points) filter (where r.kind in ('redeem', 'capture')), 0) as redeemed,
    - coalesce(sum(x.points) filter (where r.undone in ('redeem', 'capture')), 0) as returned,
    coalesce(sum(x.points) filter (where r.kind = 'expire'), 0) as expired,
    - coalesce(sum(x.points) filter (where r.kind = 'reinstate'), 0) as reinstated
from reported r
cross join lateral (
    select lot_seq, amount::numeric as points from allocation where account_id = r.account_id and seq = r.seq
    union all
    select h.lot_seq, sum(h.amount::numeric) from allocation h
    where r.kind = 'capture' and h.account_id = r.account_id
        and (h.seq = r.hold_seq or h.seq in (select l.seq from entry l where l.account_id = r.account_id and l.hold_seq = r.hold_seq and l.kind = 'release'))
    group by h.lot_seq
    union all
    -- what a reinstatement gave was a lot of its own
    select r.seq, - r.amount where r.kind = 'reinstate' and exists (select from entry e where e.account_id = r.account_id and e.seq = r.seq and e.expires_at is not null)
) x
join entry c on c.account_id = r.account_id and c.seq = x.lot_seq
where r.kind in ('redeem', 'capture', 'expire', 'reinstate') or r.undone in ('redeem', 'capture')
group by 1, 2, 3;
select is((select count(*) from (
        (select program, party, month, redeemed, returned, expired, reinstated from settlement_by_month where kind = 'funder' and (redeemed, returned, expired, reinstated) <> (0, 0, 0, 0)
         except all select program, funder, month, redeemed, returned, expired, reinstated from want_spent)
        union all
        (select program, funder, month, redeemed, returned, expired, reinstated from want_spent where (redeemed, returned, expired, reinstated) <> (0, 0, 0, 0)
         except all select program, party, month, redeemed, returned, expired, reinstated from settlement_by_month where kind = 'funder')) d),
    0::bigint, 'whose points were spent, returned, lapsed and given back');

-- Over all parties and the issuer: the entries themselves.
create temp view whole as
select program, date_trunc('month', day)::date as month,
    coalesce(sum(amount) filter (where kind in ('earn', 'import')), 0) as issued,
    - coalesce(sum(amount) filter (where undone in ('earn', 'import')), 0) as reversed,
    coalesce(sum(amount) filter (where kind = 'adjust' or undone = 'adjust'), 0) as adjusted,
    - coalesce(sum(amount) filter (where kind in ('redeem', 'capture')), 0) as redeemed,
    coalesce(sum(amount) filter (where undone in ('redeem', 'capture')), 0) as returned,
    - coalesce(sum(amount) filter (where kind = 'expire'), 0) as expired,
    coalesce(sum(amount) filter (where kind = 'reinstate'), 0) as reinstated
from reported
group by 1, 2;
select is((select count(*) from (
        select program, month, issued, reversed, adjusted, redeemed, returned, expired, reinstated from whole
            where (issued, reversed, adjusted, redeemed, returned, expired, reinstated) <> (0, 0, 0, 0, 0, 0, 0)
        except all
        select program, month, sum(issued), sum(reversed), sum(adjusted), sum(redeemed), sum(returned), sum(expired), sum(reinstated)
        from settlement_by_month where kind = 'funder' group by 1, 2) d), 0::bigint, 'funders and the issuer together are all that was issued, spent and lapsed');
select is((select count(*) from (
        select program, month, redeemed, returned from whole where (redeemed, returned) <> (0, 0)
        except all
        select program, month, sum(redeemed), sum(returned) from settlement_by_month where kind = 'partner' group by 1, 2) d), 0::bigint,
    'and partners and the issuer all that was spent');
select is((select count(*) from settlement_by_month group by program, kind, party, month having count(*) > 1), null, 'one row for each party and month');
select is((select array_agg(d::text) from (
        select m.program, m.kind, m.party, m.month, m.points, m.amount, m.net from settlement_by_month m where m.kind = 'partner' or m.points <> 0 or m.amount is not null
        except all
        select program, kind, party, date_trunc('month', day::timestamp)::date, sum(points), sum(amount), sum(net) from settlement_by_day group by 1, 2, 3, 4) d), null,
    'the days add up to the months');

-- ---------- summarised ----------

create temp table live as table settlement_by_day;
create function pg_temp.differing() returns bigint
language sql as $$
    select count(*) from ((table live except all table settlement_by_day) union all (table settlement_by_day except all table live)) d
$$;
do $$begin perform pg_temp.summarise((select min(changed_at) from period_change)); end$$;
select is(pg_temp.differing(), 0::bigint, 'what was booked before the first closing summarised: the same');
do $$begin perform pg_temp.summarise((select max(changed_at) from period_change)); end$$;
select cmp_ok((select count(*) from settlement_summary), '>', 10::bigint, 'and before the last one');
select is(pg_temp.differing(), 0::bigint, 'the same');
do $$begin perform pg_temp.summarise('infinity'); end$$;
select is(pg_temp.differing(), 0::bigint, 'and all of it');
select is(array(select b::text from breaches_of_settlement(null, null) b), array[]::text[], 'as its entries add up');
do $$begin update settlement_summary set amount = 0 where (program_id, party, day, priced_on) = (select program_id, party, day, priced_on from settlement_summary limit 1); end$$;
select cmp_ok((select count(*) from breaches_of_settlement(null, null)), '>=', 1::bigint, 'what is not so is found out');
do $$begin perform drop_summaries(); end$$;

select is(array(select concat_ws(': ', b.program, b.member, b.invariant) from reconcile() b), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
