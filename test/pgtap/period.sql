-- Periods: the books of a time are closed, what comes late is refused or booked in the open period, and who closed what when is kept.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(98);
\ir books.psql

-- Entries with the number of the closing after which they were posted, and when the reports count them.
create function pg_temp.reported(program text, member text) returns text[]
language sql as $$
    select array(select format('%s %s %s on %s after %s on %s', e.seq, e.kind, e.amount, (e.event_at at time zone 'UTC')::date,
            coalesce(c.change_no, 0), (greatest(e.event_at, c.closed_until) at time zone 'UTC')::date)
        from entry e
        join account a on a.account_id = e.account_id
        join program p on p.program_id = a.program_id
        left join lateral (
            select change_no, closed_until from period_change c
            where c.program_id = p.program_id and c.changed_at <= e.posted_at
            order by change_no desc limit 1
        ) c on true
        where p.code = reported.program and a.member = reported.member order by e.seq)
$$;
create function pg_temp.changes(program text) returns text[]
language sql as $$
    select array(select concat_ws(' ', c.change_no, coalesce(to_char(c.closed_until at time zone 'UTC', 'YYYY-MM-DD'), 'open'), c.reason)
        from period_change c join program p on p.program_id = c.program_id where p.code = changes.program order by c.change_no)
$$;

do $$
begin
    perform create_program('p', auto_open => true), create_program('q', auto_open => true, late_postings => 'book');
    perform earn('p', 'ann', 100, event_at => '2024-01-10', idempotency_key => 'first'),
        earn('q', 'ann', 100, event_at => '2024-01-10', idempotency_key => 'first');
end
$$;
select is(array(select row(p.code, p.late_postings, p.closed_until, p.booked_from > now())::text from program p order by p.code),
    array['(p,refuse,,t)', '(q,book,,t)'], 'a program''s books are open; what is late is refused unless it says otherwise');
select is((select e.posted_at from entry e join account a using (account_id) join program p using (program_id) where p.code = 'p'), (select booked_from from program where code = 'p'),
    'an entry is posted no sooner than its program was created');

-- ---------- a closing ----------

create temp table closed as select c.* from close_period('p', '2024-02-01', 'January') c;
select is((select row(c.program_id, c.change_no, c.closed_until, c.reason, c.actor)::text from closed c),
    row(program_id('p'), 1, '2024-02-01'::timestamptz, 'January', session_user)::text, 'a closing says until when, why and by whom');
select is((select c::text from period_change c where c.program_id = program_id('p')), (select c::text from closed c), 'it is on record');
select is((select row(p.closed_until, p.booked_from)::text from program p where p.code = 'p'), (select row(c.closed_until, c.changed_at)::text from closed c),
    'the program follows it');
select cmp_ok((select changed_at from closed), '>', now(), 'its time is that of the clock, not of the transaction');
select is((select closed_until from program where code = 'q'), null, 'other programs'' books stay open');
select is((select c.change_no from close_period('q', '2024-02-01') c), 1, 'changes are numbered within the program');
select is((select reason from period_change where program_id = program_id('q')), null, 'a reason may be left out');

-- ---------- what is late is refused ----------

create function pg_temp.refused(statement text) returns text
language sql as $$
    select concat_ws(' ', r.state, r.message) from pg_temp.refusal(refused.statement) r
$$;
select is((select row(r.state, r.message, r.detail, r.hint)::text from pg_temp.refusal($$select earn('p', 'ann', 1, event_at => '2024-01-31 23:59:59.999999')$$) r),
    row('JF008', 'period is closed', 'The books of program "p" are closed until 2024-02-01 00:00:00+00, and it happened at 2024-01-31 23:59:59.999999+00.',
        'Give an event_at in the open period; late_postings ''book'' would take it, and reopen_period() opens the books again.')::text,
    'a posting of the last microsecond that is closed');
select is((earn('p', 'ann', 1, event_at => '2024-02-01')).seq, 2::bigint, 'one of the first that is open is posted');
select is(pg_temp.refused(statement), 'JF008 period is closed', statement)
from (values
    (1, $$select redeem('p', 'ann', 1, event_at => '2024-01-20')$$),
    (2, $$select adjust('p', 'ann', 1, 'why', event_at => '2024-01-20')$$),
    (3, $$select adjust('p', 'ann', -1, 'why', event_at => '2024-01-20')$$),
    (4, $$select import('p', 'ann', 1, event_at => '2024-01-20')$$),
    (5, $$select transfer('p', 'ann', 'bob', 1, event_at => '2024-01-20')$$),
    (6, $$select hold('p', 'ann', 1, '2999-01-01', event_at => '2024-01-20')$$),
    (7, $$select reverse('p', 'ann', 1, event_at => '2024-01-20')$$),
    (8, $$select extend_expiry('p', 'why', '2999-01-01', event_at => '2024-01-20')$$)) v (n, statement),
    lateral (select open_account('p', 'bob')) bob order by n;
select is((select last_seq from account where account_id = account_id('p', 'ann')), 2::bigint, 'and nothing is written');
select is((select row(r.seq, r.balance)::text from earn('p', 'ann', 100, event_at => '2024-01-10', idempotency_key => 'first') r), '(1,100)',
    'a request that was posted before returns its entry');
select is(pg_temp.refused($$select earn('p', 'ann', 99, event_at => '2024-01-10', idempotency_key => 'first')$$), 'JF005 idempotency key reused for another request',
    'another one of its key is refused as such');
select is(pg_temp.refused($$select earn('p', 'ann', 100, event_at => '2024-01-10', idempotency_key => 'second')$$), 'JF008 period is closed', 'one of a new key as late');
select is(array(select row(r.ordinal, r.seq, r.sqlstate, r.message)::text from post(array[posting('p', 'ann', 'earn', 7, event_at => '2024-01-20'),
        posting('p', 'ann', 'earn', 3, event_at => '2024-02-20'), posting('p', 'ann', 'earn', 100, event_at => '2024-01-10', idempotency_key => 'first')], 'skip') r),
    array['(1,,JF008,"period is closed")', '(2,3,,)', '(3,1,,)'], 'a batch skips what is late');
select is(pg_temp.refused($$select post(array[posting('p', 'ann', 'earn', 1), posting('p', 'ann', 'earn', 7, event_at => '2024-01-20')])$$),
    'JF008 period is closed', 'or is refused with it');
select is((select seq from earn('p', 'new', 1, event_at => '2024-02-20')), 1::bigint, 'a new member');
select throws_ok($$select earn('p', 'newer', 1, event_at => '2024-01-20')$$, 'JF008', null, 'whose first posting is late');
select throws_ok($$select account_id('p', 'newer')$$, 'JF003', null, 'is not there');

-- What happened by default happened in the open period.
update program set closed_until = now() + interval '1 minute' where code = 'p';
select is((earn('p', 'ann', 1)).event_at, now() + interval '1 minute', 'without an event_at, it happened no sooner than the books are open');
select is((select lots from extend_expiry('p', 'why', now() + interval '1 day')), 0::bigint, 'an extension likewise');
update program set closed_until = '2024-02-01' where code = 'p';
-- What comes due until then is due for what is posted after it.
select create_program('begun', auto_open => true) \g /dev/null
select earn('begun', m, 10) from unnest(array['ann', 'bob', 'cy']) m \g /dev/null
select hold('begun', m, 4, now() + interval '1 minute') from unnest(array['ann', 'bob', 'cy']) m \g /dev/null
select import('begun', 'cy', 7, expires_at => now() + interval '30 seconds') \g /dev/null
update program set closed_until = now() + interval '1 minute' where code = 'begun';
select is((redeem('begun', 'ann', 8)).balance, 2::point_amount, 'so a hold has ended that had not when the transaction began');
select is(array(select r.balance from post(array[posting('begun', 'bob', 'redeem', 8), posting('begun', 'bob', 'earn', 1)]) r), array[2, 3]::point_amount[],
    'in a batch as well');
select is(array(select coalesce(r.sqlstate, r.balance::text) from post(array[
        posting('begun', 'cy', 'earn', 1, "group" => 'one'), posting('begun', 'cy', 'reverse', seq => 3, "group" => 'one'),
        posting('begun', 'cy', 'redeem', 11, "group" => 'two'), posting('begun', 'cy', 'redeem', 1, "group" => 'two')], 'skip') r),
    array['18', '11', 'JF001', 'JF001'], 'and in groups, where a lot has lapsed meanwhile');
update program set closed_until = null where code = 'begun';

-- ---------- what is late is booked ----------

select is((select row(e.seq, e.amount, e.event_at)::text from earn('q', 'ann', 7, event_at => '2024-01-20') e), '(2,7,"2024-01-20 00:00:00+00")',
    'with late_postings ''book'', what is late is posted as it happened');
select is((select row(e.seq, e.amount)::text from redeem('q', 'ann', 107, event_at => '2024-01-25') e), '(3,-107)', 'by what could be spent then');
select is(pg_temp.reported('q', 'ann'), array['1 earn 100 on 2024-01-10 after 0 on 2024-01-10', '2 earn 7 on 2024-01-20 after 1 on 2024-02-01',
    '3 redeem -107 on 2024-01-25 after 1 on 2024-02-01'], 'and counted in the open period; what was posted before stays where it is');
select is(array(select row(f.movement, f.amount, f.happened_on, f.reported_on)::text from day_flow f join program p using (program_id) where p.code = 'q' order by f.happened_on, f.movement),
    array['(earned,100,2024-01-10,2024-01-10)', '(earned,7,2024-01-20,2024-02-01)', '(redeemed,-107,2024-01-25,2024-02-01)'], 'the reports say so');
select is((alter_program('p', late_postings => 'book')).late_postings, 'book', 'a program changes its mind');
select is((earn('p', 'ann', 1, event_at => '2024-01-20')).seq, 5::bigint, 'what is late is booked');
select is((alter_program('p', late_postings => 'refuse')).late_postings, 'refuse', 'and changes it back');
select is(pg_temp.refused($$select earn('p', 'ann', 1, event_at => '2024-01-20')$$), 'JF008 period is closed', 'what is late is refused');

-- ---------- what follows from others is never refused ----------

do $$
begin
    perform create_program('r', auto_open => true);
    perform earn('r', 'ann', 100, event_at => '2024-01-10', expiry => 'on 2024-01-31'), earn('r', 'ann', 10, event_at => '2024-02-10');
    perform expire_batch('r');
    perform close_period('r', '2024-03-01');
    perform reinstate('r', 'ann', 'system was down', expiry => 'on 2999-12-31');
end
$$;
select is(pg_temp.reported('r', 'ann'), array['1 earn 100 on 2024-01-10 after 0 on 2024-01-10', '2 earn 10 on 2024-02-10 after 0 on 2024-02-10',
        '3 expire -100 on 2024-02-01 after 0 on 2024-02-01', '4 reinstate 100 on 2024-02-01 after 1 on 2024-03-01',
        format('5 extend 0 on %s after 1 on %s', (now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date)],
    'an expiry of a closed time that is undone counts in the open one');
select is(array(select r.invariant from reconcile('r') r), array[]::text[], 'and all is well');

-- ---------- what must be booked first ----------

do $$
begin
    perform create_program('s', auto_open => true);
    perform earn('s', 'ann', 100, event_at => '2024-01-10', expiry => 'on 2024-03-31'), earn('s', 'bob', 100, event_at => '2024-01-10', expiry => '4 months inactive'),
        earn('s', 'cat', 100, event_at => '2024-01-10');
    perform hold('s', 'cat', 10, '2999-01-01', event_at => '2024-01-20');
    update hold h set until = '2024-03-01' from program p where p.program_id = h.program_id and p.code = 's';
end
$$;
select is(pg_temp.refused($$select close_period('s', '2024-03-02')$$), '55000 overdue holds of the period are not booked as released', 'a hold that was overdue');
do $$
declare
    found_hint text;
begin
    perform close_period('s', '2024-03-02');
exception when others then
    get stacked diagnostics found_hint = pg_exception_hint;
    perform set_config('test.hint', found_hint, true);
end
$$;
select is(current_setting('test.hint'), 'Run first: call run_release(''s'');', 'which the job books that it names');
select is((select c.change_no from close_period('s', '2024-03-01') c), 1, 'not one that becomes so as the period ends');
select is((select r.holds from release_batch('s') r), 1::bigint, 'once it is booked');
select is(pg_temp.refused($$select close_period('s', '2024-04-02')$$), '55000 lapsed points of the period are not booked', 'points that had lapsed');
select is((select row(r.detail, r.hint)::text from pg_temp.refusal($$select close_period('s', '2024-04-02')$$) r),
    row('Program "s" has lots that lapsed before 2024-04-02 00:00:00+00.', 'Run first: call run_expiry(''s'');')::text, 'with what to do');
select is((select c.change_no from close_period('s', '2024-04-01') c), 2, 'not those that lapse as it ends');
select is(expire_member('s', 'ann')::bigint, 100::bigint, 'once they are booked');
select is(pg_temp.refused($$select close_period('s', '2024-05-12')$$), '55000 lapsed points of the period are not booked', 'points that had lapsed by inactivity');
select is((select c.change_no from close_period('s', '2024-05-11') c), 3, 'not before');
do $$
begin
    perform hold('s', 'bob', 40, '2999-01-01', event_at => '2024-05-01');
exception when sqlstate 'JF008' then
end
$$;
select is((select last_seq from account where account_id = account_id('s', 'bob')), 1::bigint, 'an activity that is late does not come between');
select is(expire_member('s', 'bob')::bigint, 100::bigint, 'once they are booked');
select is((select c.change_no from close_period('s', day_begin(now()::date, 'UTC')) c), 4, 'the books are closed until today');
select is(array(select r.invariant from reconcile('s') r), array[]::text[], 'and all is well');

-- Points that an overdue hold will give back are no lot yet.
do $$
begin
    perform create_program('t', auto_open => true);
    perform earn('t', 'ann', 100, event_at => '2024-01-10', expiry => 'on 2024-03-31'), earn('t', 'bob', 100, event_at => '2024-01-10', expiry => '4 months inactive or 2 months');
    perform hold('t', m, 100, '2999-01-01', event_at => '2024-01-20') from unnest(array['ann', 'bob']) m;
    update hold h set until = '2024-06-01' from program p where p.program_id = h.program_id and p.code = 't';
end
$$;
select is((select c.change_no from close_period('t', '2024-05-01') c), 1, 'what an overdue hold will give back does not lapse in the period');
select is((select row(r.holds)::text from release_batch('t') r), '(2)', 'it does');
select is(pg_temp.reported('t', m), array['1 earn 100 on 2024-01-10 after 0 on 2024-01-10', '2 hold 0 on 2024-01-20 after 0 on 2024-01-20',
    '3 release 0 on 2024-06-01 after 1 on 2024-06-01', '4 expire -100 on 2024-06-01 after 1 on 2024-06-01'], format('%s: when the hold ends', m)) from unnest(array['ann', 'bob']) m;

-- ---------- more closings, and none at once ----------

select is(array(select c.change_no from (values (1, '2024-02-02'::timestamptz), (2, '2024-02-03')) v (n, until), close_period('p', until, 'a day') c order by n), array[2, 3],
    'a closing in one statement with another');
select is_empty($$select from period_change c join period_change d on d.program_id = c.program_id and d.change_no = c.change_no + 1 where d.changed_at <= c.changed_at$$,
    'each is later than the one before');
select is(pg_temp.refused(statement), refusal, statement)
from (values
    (1, $$select close_period('p', '2024-02-03')$$, '22023 period is closed already'),
    (2, $$select close_period('p', now() + interval '1 day')$$, '22023 until has not come yet'),
    (3, $$select close_period('p', null)$$, '22004 until must not be null'),
    (4, $$select close_period('nowhere', '2024-01-01')$$, 'JF002 unknown program "nowhere"')) v (n, statement, refusal) order by n;

-- ---------- whole days of the program's own clock ----------

do $$
begin
    perform create_program(code, time_zone => time_zone, auto_open => true) from (values ('cn', 'Asia/Shanghai'), ('br', 'America/Sao_Paulo'), ('lb', 'Asia/Beirut'), ('cu', 'America/Havana')) v (code, time_zone);
    perform earn('cn', 'ann', 1, event_at => '2024-03-31 15:59:59.999999+00');
end
$$;
select is((select r::text from pg_temp.refusal($$select close_period('cn', '2024-04-01')$$) r),
    row('22023', 'until is not the beginning of a day', 'In Asia/Shanghai, the time zone of program "cn", it is 2024-04-01 08:00:00.',
        'Give 2024-03-31 16:00:00+00, when that day begins, or 2024-04-01 16:00:00+00, when the next one does.')::text,
    'books are not closed in the middle of a day, as midnight of another time zone is');
select is(pg_temp.changes('cn') || (select closed_until::text from program where code = 'cn'), array[null]::text[], 'and stay open');
select is(pg_temp.refused(format('select close_period(%L, %L)', code, until)), '22023 until is not the beginning of a day', format('%s: not %s', code, until))
from (values
    (1, 'cn', '2024-03-31 15:59:59.999999+00'::timestamptz),
    (2, 'cn', '2024-03-31 16:00:00.000001+00'),
    (3, 'br', '2017-10-15 02:00+00'),
    (4, 'br', '2018-02-18 02:00+00'),
    (5, 'cu', '2015-11-01 05:00+00')) v (n, code, until) order by n;
select is(array(select format('%s %s', code, (close_period(code, until)).closed_until at time zone time_zone)
        from (values (1, 'cn', '2024-03-31 16:00+00'::timestamptz), (2, 'br', '2017-10-15 03:00+00'), (3, 'br', '2018-02-18 03:00+00'), (4, 'lb', '2022-03-26 22:00+00'), (5, 'cu', '2015-11-01 04:00+00'))
            v (n, code, until) join program using (code) order by n),
    array['cn 2024-04-01 00:00:00', 'br 2017-10-15 01:00:00', 'br 2018-02-18 00:00:00', 'lb 2022-03-27 01:00:00', 'cu 2015-11-01 00:00:00'],
    'but as one begins: at its first midnight, or where the clocks skip that, after it');
select is(pg_temp.refused($$select earn('cn', 'ann', 1, event_at => '2024-03-31 15:59:59.999999+00')$$), 'JF008 period is closed', 'until then');
select is((select r::text from pg_temp.refusal($$select reopen_period('cn', '2024-02-29 23:59:59', 'a till came late')$$) r),
    row('22023', 'until is not the beginning of a day', 'In Asia/Shanghai, the time zone of program "cn", it is 2024-03-01 07:59:59.',
        'Give 2024-02-29 16:00:00+00, when that day begins, or 2024-03-01 16:00:00+00, when the next one does.')::text,
    'nor are they opened in the middle of one');
select is(pg_temp.changes('cn'), array['1 2024-03-31'], 'and stay closed');
select is((reopen_period('cn', '2024-02-29 16:00+00', 'a till came late')).closed_until, '2024-02-29 16:00+00', 'but as one begins');

-- ---------- what closed books are kept by ----------

do $$
begin
    perform create_program('kept', time_zone => 'Asia/Shanghai', currency => 'CNY', point_value => 0.01, auto_open => true);
    perform earn('kept', 'ann', 100, event_at => '2024-01-10');
    perform close_period('kept', '2024-02-01 00:00+08');
end
$$;
create temp table kept as select p.* from program p where p.code = 'kept';
select is((select r::text from pg_temp.refusal(statement) r),
    row('55000', 'another time_zone or currency would change closed books', 'The books of program "kept" are closed until 2024-01-31 16:00:00+00.',
        'Open all of them first, with reopen_period().')::text, statement)
from unnest(array[$$select alter_program('kept', name => 'Other', time_zone => 'Asia/Tokyo')$$, $$select alter_program('kept', currency => 'JPY')$$,
    $$select alter_program('kept', unset => '{currency,point_value}')$$]) statement;
select is((select p::text from program p where p.code = 'kept'), (select k::text from kept k), 'nothing is changed');
select is((select row(p.name, p.time_zone, p.currency)::text from alter_program('kept', name => 'Kept', time_zone => 'Asia/Shanghai', currency => 'CNY') p), '(Kept,Asia/Shanghai,CNY)',
    'the same ones, and other rules, are taken');
select is((reopen_period('kept', null, 'another clock')).change_no, 2, 'others are once all books are open:');
select is((select row(p.time_zone, p.currency)::text from alter_program('kept', time_zone => 'Asia/Tokyo', currency => 'JPY') p), '(Asia/Tokyo,JPY)', 'a clock and a currency');
select is((close_period('kept', '2024-02-01 00:00+09')).closed_until, '2024-02-01 00:00+09', 'which end with a day there');

-- ---------- opened again ----------

select is((select row(c.change_no, c.closed_until, c.reason)::text from reopen_period('p', '2024-01-15', 'a till came late') c), '(4,"2024-01-15 00:00:00+00","a till came late")',
    'books are opened again, for a reason');
select is((earn('p', 'ann', 1, event_at => '2024-01-15')).seq, 6::bigint, 'what happened since is posted');
select is(pg_temp.refused($$select earn('p', 'ann', 1, event_at => '2024-01-14')$$), 'JF008 period is closed', 'and no more');
select is((select row(c.change_no, c.closed_until)::text from reopen_period('p', null, 'an audit') c), '(5,)', 'or all of them');
select is((earn('p', 'ann', 1, event_at => '2024-01-01')).seq, 7::bigint, 'back to the beginning');
select is(pg_temp.refused($$select reopen_period('p', null, 'an audit')$$), '22023 period is open already', 'not what is open');
select is(pg_temp.changes('p'), array['1 2024-02-01 January', '2 2024-02-02 a day', '3 2024-02-03 a day', '4 2024-01-15 a till came late', '5 open an audit'], 'all of it is on record');
select is(pg_temp.reported('p', 'ann'),
    array['1 earn 100 on 2024-01-10 after 0 on 2024-01-10', '2 earn 1 on 2024-02-01 after 1 on 2024-02-01', '3 earn 3 on 2024-02-20 after 1 on 2024-02-20',
        format('4 earn 1 on %s after 1 on %1$s', ((now() + interval '1 minute') at time zone 'UTC')::date), '5 earn 1 on 2024-01-20 after 1 on 2024-02-01',
        '6 earn 1 on 2024-01-15 after 4 on 2024-01-15', '7 earn 1 on 2024-01-01 after 5 on 2024-01-01'],
    'what was booked late stays in the period that was open then');
select is(array(select row(c.closed_until, c.posted_from = p.changed_at, c.posted_until = coalesce(n.changed_at, 'infinity'))::text
        from closed_period c
        join period_change p on p.program_id = c.program_id and p.changed_at = c.posted_from
        left join period_change n on n.program_id = p.program_id and n.change_no = p.change_no + 1
        where c.program_id = program_id('p') order by c.posted_from),
    array['("2024-02-01 00:00:00+00",t,t)', '("2024-02-02 00:00:00+00",t,t)', '("2024-02-03 00:00:00+00",t,t)', '("2024-01-15 00:00:00+00",t,t)', '(,t,t)'],
    'closed_period says what was closed for what was posted when');
select is(pg_temp.unsound(), array[]::text[], 'all of it adds up');
select is(array(select r.invariant from reconcile() r), array[]::text[], 'and reconciles');

select * from finish();
rollback;
