-- The liability: unspent points by the local month in which they lapse, and their face value.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(18);
\ir books.psql

create function pg_temp.liability(program text) returns text[]
language sql as $$
    select array(select l::text from liability_by_expiry l where l.program = liability.program order by l.expires_month)
$$;

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
    array['(cn,2024-02-01,1,2,70,70,1.050,CNY,0)', '(cn,2024-03-01,1,1,3,3,0.045,CNY,0)', '(cn,3024-01-01,1,1,1000,0,15.000,CNY,0)',
        '(cn,,1,1,7,0,0.105,CNY,0)'],
    'points that are spendable to the end of a local month are of that month; what lapsed is owed until it is booked');
select is(pg_temp.liability('utc'), array['(utc,2024-02-01,1,1,9,9,,,0)'], 'without a point_value there is no face value');
-- Havana's clocks went from 31 March 2012 straight to one o'clock of 1 April.
do $$
begin
    perform create_program('habana', time_zone => 'America/Havana', auto_open => true);
    perform earn('habana', 'eva', 5, event_at => '2011-11-10 12:00+00', expiry => '3 months end of quarter');
end
$$;
select is(pg_temp.liability('habana'), array['(habana,2012-03-01,1,1,5,5,,,0)'], 'a month whose last midnight is skipped keeps its points');
select is(pg_temp.liability('empty'), array[]::text[], 'nothing of nothing');
do $$
begin
    perform expire_batch('cn');
    perform earn('cn', 'ann', 2, event_at => '2024-01-31 12:00+08');
    perform earn('cn', 'cat', 1, event_at => '2024-01-31 12:00+08');
end
$$;
select is(pg_temp.liability('cn'), array['(cn,3024-01-01,1,1,1000,0,15.000,CNY,0)', '(cn,,3,3,10,0,0.150,CNY,0)'], 'booked expiry ends it');
do $$begin perform redeem('utc', 'ann', 9, event_at => '2024-02-01'); end$$;
select is(pg_temp.liability('utc'), array[]::text[], 'and so does spending');
do $$begin perform reverse('utc', 'ann', 2, 4, event_at => '2024-02-02'); end$$;
select is(pg_temp.liability('utc'), array['(utc,2024-02-01,1,1,4,4,,,0)'], 'its reversal brings it back');

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
select is(pg_temp.liability('air'), array['(air,2024-06-01,1,2,15,15,,,0)'], 'activity moves points on to a later month');
select is(pg_temp.liability('told'), array['(told,2024-02-01,1,1,10,0,,,10)'], 'what waits for a notice is of its month, and has not lapsed');

-- ---------- totals ----------

do $$
declare
    program text;
    member text;
begin
    perform setseed(0.7);
    for n in 1 .. 400 loop
        program := (array['cn', 'utc'])[1 + floor(random() * 2)];
        member := 'm' || floor(random() * 20);
        begin
            if random() < 0.6 then
                perform earn(program, member, (1 + floor(random() * 500))::int, event_at => now() - random() * interval '400 days',
                    expiry => (array['1 month', '12 months end of month', '3 years end of year', 'never'])[1 + floor(random() * 4)]::expiry_policy);
            elsif random() < 0.7 then
                perform redeem(program, member, (1 + floor(random() * 500))::int, event_at => now() - random() * interval '100 days');
            else
                perform reverse(program, member, (1 + floor(random() * 5))::int);
            end if;
            if n % 80 = 40 then
                perform expire_batch(max_accounts => 10);
            end if;
        exception when sqlstate 'JF001' or sqlstate 'JF003' or sqlstate 'JF006' or sqlstate '22023' then
        end;
    end loop;
end
$$;
create temp table balances as
select p.code as program, sum(b.balance)::numeric as points, sum(b.lapsed)::numeric as lapsed, sum(b.available + b.pending)::numeric as live
from account a join program p using (program_id), balance(p.code, a.member) b
group by p.code;
select results_eq(
    $$select program, sum(points), sum(lapsed), sum(points - lapsed) from liability_by_expiry group by program order by program$$,
    $$select * from balances where points <> 0 order by program$$, 'over a random history what is owed is the sum of all balances');
select results_eq($$select program, sum(points) from liability_by_expiry group by program order by program$$,
    $$select p.code::text, sum(a.balance)::numeric from account a join program p using (program_id)
        where a.balance <> 0 group by p.code order by p.code$$, 'and the balances of the accounts');
select results_eq($$select sum(points), sum(lots)::int from liability_by_expiry where expires_month is null$$,
    $$select sum(remaining)::numeric, count(*)::int from lot where expires_at = 'infinity'$$, 'points that never lapse have no month');
select is((select count(*)::int from balances where points > 1000 and lapsed > 0), 2, 'a history with something to count');
select is(array(select concat_ws(': ', b.program, b.member, b.invariant) from reconcile() b), array[]::text[], 'and all of it reconciles');

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
select is(pg_temp.liability('overdue'), array['(overdue,2099-12-01,1,1,80,0,,,0)'], 'what is held is none of them');
alter table entry disable trigger refuse_change;
update entry set until = '2025-02-01' where kind = 'hold' and account_id = any (array(select account_id from account a join program p using (program_id) where p.code = 'overdue'));
update hold h set until = e.until from entry e where e.account_id = h.account_id and e.seq = h.seq and e.until = '2025-02-01';
alter table entry enable always trigger refuse_change;
create temp table before_release as select * from open_lot;
select is(pg_temp.liability('overdue'), array['(overdue,2024-12-01,1,1,10,10,,,0)', '(overdue,2098-12-01,1,1,50,0,,,0)', '(overdue,2099-12-01,1,1,100,0,,,0)'],
    'past its deadline it is, as if released');
do $$begin perform release_batch('overdue'); perform expire_batch('overdue'); end$$;
select is(pg_temp.liability('overdue'), array['(overdue,2098-12-01,1,1,50,0,,,0)', '(overdue,2099-12-01,1,1,100,0,,,0)'], 'booking it changes nothing that has not lapsed');
select set_eq('select account_id, seq, remaining, available_at, expires_at, lapses_at from open_lot where lapses_at > now()',
    'select account_id, seq, remaining, available_at, expires_at, lapses_at from before_release where lapses_at > now()', 'lot by lot');

select * from finish();
rollback;
