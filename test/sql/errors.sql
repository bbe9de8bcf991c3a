--
-- errors: what each function refuses, with which SQLSTATE, message, detail and
-- hint, and that a refused call writes nothing
--
set search_path = public, jifen;
set timezone = 'UTC';
set datestyle = 'ISO';
set intervalstyle = 'postgres';
\set SHOW_CONTEXT never

-- A checksum of every table of the ledger.
create function pg_temp.contents() returns text
language plpgsql as $$
declare
    ledger_table regclass;
    checksum text;
    contents text := '';
begin
    for ledger_table in
        select oid from pg_class where relnamespace = 'jifen'::regnamespace and relkind = 'r' order by oid
    loop
        execute format('select md5(string_agg(t::text, '','' order by t::text collate "C")) from %s t', ledger_table)
        into checksum;
        contents := concat_ws(' ', contents, ledger_table, checksum);
    end loop;
    return contents;
end
$$;

-- What comes of a call: "accepted", and it is undone; or SQLSTATE and message,
-- detail and hint, a line for each, and nothing was written.
create function pg_temp.outcome(call text) returns text
language plpgsql as $$
declare
    before text := pg_temp.contents();
    state text;
    message text;
    detail text;
    hint text;
begin
    begin
        execute 'select * from ' || call;
        raise exception using errcode = 'UNDO0';
    exception
        when sqlstate 'UNDO0' then
            return '  accepted';
        when others then
            get stacked diagnostics state = returned_sqlstate, message = message_text,
                detail = pg_exception_detail, hint = pg_exception_hint;
    end;
    assert pg_temp.contents() = before, 'a refused call has written';
    detail := regexp_replace(detail, '^It is \d.*, and it is now .*\.$', 'It is (time), and it is now (time).');
    return concat_ws(E'\n', '  ' || state || ' ' || message, '  ' || nullif(detail, ''), '  ' || nullif(hint, ''));
end
$$;

-- Each call, and what comes of it.
create function pg_temp.outcomes(variadic calls text[]) returns setof text
language plpgsql as $$
declare
    call text;
begin
    foreach call in array calls loop
        return next call;
        return next pg_temp.outcome(call);
    end loop;
end
$$;

-- The functions that are about a member.
create function pg_temp.member_calls(program text, member text) returns text[]
language sql as $$
    select array_agg(format(call, program, member) order by n)
    from unnest(array['earn(%s, %s, 1)', 'redeem(%s, %s, 1)', 'reverse(%s, %s, 1)', 'open_account(%s, %s)',
        'freeze_account(%s, %s, ''why'')', 'unfreeze_account(%s, %s, ''why'')', 'close_account(%s, %s, ''why'')',
        'account_id(%s, %s)', 'balance(%s, %s)', 'expiring(%s, %s, now())', 'statement(%s, %s)', 'tier_for(%s, %s)',
        'tier_status(%s, %s)', 'reconcile(%s, %s)']) with ordinality as c (call, n)
$$;

-- The functions that are about a program.
create function pg_temp.program_calls(program text) returns text[]
language sql as $$
    select array_agg(format(call, program) order by n)
    from unnest(array['create_program(%s)', 'alter_program(%s, name => ''x'')', 'create_tier(%s, ''tin'', ''Tin'', 1)',
        'expire_batch(%s)', 'reconcile(%s)']) with ordinality as c (call, n)
$$;

-- Each outcome, and of which calls it is.
create function pg_temp.common_outcomes(calls text[]) returns setof text
language sql as $$
    select string_agg(call, E'\n' order by n) || E'\n' || outcome
    from (select call, n, pg_temp.outcome(call) from unnest(calls) with ordinality as c (call, n)) o
    group by outcome order by min(n)
$$;

-- Ann has points of every state in mid March 2024, Bob has some that never
-- lapse, Fay's account is frozen and Cal's is closed.
do $$
begin
    perform create_program('shop', expiry => '1 month');
    perform create_program('auto', auto_open => true);
    perform create_tier('shop', 'gold', 'Gold', 1000);
    perform open_account('shop', 'ann');
    perform earn('shop', 'ann', 100, event_at => '2024-01-10');
    perform earn('shop', 'ann', 50, event_at => '2024-03-01');
    perform earn('shop', 'ann', 30, event_at => '2024-03-01', available_at => '2024-03-20');
    perform earn('auto', 'bob', 500, event_at => '2024-01-10');
    perform redeem('auto', 'bob', 200, event_at => '2024-01-11');
    perform open_account('shop', 'fay');
    perform earn('shop', 'fay', 10, expiry => 'never', event_at => '2024-01-01');
    perform freeze_account('shop', 'fay', 'lost card');
    perform open_account('shop', 'cal');
    perform close_account('shop', 'cal', 'moved');
end
$$;

\pset format unaligned
\pset tuples_only on

-- ---------- identifiers ----------

-- An unknown program
select pg_temp.common_outcomes(pg_temp.member_calls($$'nowhere'$$, $$'ann'$$) || pg_temp.program_calls($$'nowhere'$$));
select pg_temp.outcomes($$earn('Shop', 'ann', 1)$$, $$earn('shop ', 'ann', 1)$$);

-- An unknown member; earn() opens the account where the program says so
select pg_temp.common_outcomes(pg_temp.member_calls($$'shop'$$, $$'nobody'$$));
select pg_temp.common_outcomes(pg_temp.member_calls($$'auto'$$, $$'nobody'$$));
select pg_temp.outcomes($$earn('shop', 'Ann', 1)$$);

-- Empty
select pg_temp.common_outcomes(pg_temp.member_calls($$''$$, $$'ann'$$) || pg_temp.program_calls($$''$$));
select pg_temp.common_outcomes(pg_temp.member_calls($$'shop'$$, $$''$$));
select pg_temp.outcomes($$create_tier('shop', '', 'Tin', 1)$$);

-- Too long: 256 characters are allowed, however many bytes they take
select pg_temp.common_outcomes(pg_temp.member_calls($$repeat('x', 257)$$, $$'ann'$$)
    || array[$$create_program(repeat('x', 257))$$, $$expire_batch(repeat('x', 257))$$]);
select pg_temp.common_outcomes(pg_temp.member_calls($$'shop'$$, $$repeat('员', 257)$$));
select pg_temp.outcomes(
    $$open_account('shop', repeat('x', 256))$$,
    $$open_account('shop', repeat('员', 256))$$,
    $$open_account('shop', repeat('😀', 256))$$,
    $$open_account('shop', repeat('😀', 257))$$,
    $$create_program(repeat('店', 256))$$,
    $$create_program(repeat('店', 257))$$,
    $$create_tier('shop', repeat('金', 256), null, 1)$$,
    $$create_tier('shop', repeat('金', 257), null, 1)$$);

-- References and sources too
select pg_temp.outcomes($$earn('shop', 'ann', 1, reference => '')$$, $$redeem('shop', 'ann', 1, repeat('x', 257))$$,
    $$earn('shop', 'ann', 1, source => '')$$, $$earn('shop', 'ann', 1, source => repeat('员', 257))$$,
    $$earn('shop', 'ann', 1, repeat('x', 256), repeat('员', 256))$$);

-- ---------- nulls ----------

select pg_temp.common_outcomes(pg_temp.member_calls('null', $$'ann'$$) || pg_temp.program_calls('null'));
select pg_temp.common_outcomes(pg_temp.member_calls($$'shop'$$, 'null'));
select pg_temp.outcomes(
    $$earn('shop', 'ann', null)$$,
    $$redeem('shop', 'ann', null)$$,
    $$reverse('shop', 'ann', null)$$,
    $$freeze_account('shop', 'ann', null)$$,
    $$unfreeze_account('shop', 'fay', null)$$,
    $$close_account('shop', 'fay', null)$$,
    $$balance('shop', 'ann', null)$$,
    $$expiring('shop', 'ann', null)$$,
    $$expiring('shop', 'ann', now(), null)$$,
    $$tier_for('shop', 'ann', null)$$,
    $$tier_status('shop', 'ann', null)$$,
    $$expire_batch(as_of => null)$$,
    $$expire_batch(max_accounts => null)$$,
    $$create_program('new', time_zone => null)$$,
    $$create_program('new', expiry => null)$$,
    $$create_program('new', auto_open => null)$$,
    $$create_program('new', tier_window => null)$$,
    $$create_tier('shop', null, 'Tin', 1)$$,
    $$create_tier('shop', 'tin', 'Tin', null)$$,
    $$schedule_jobs(null)$$);

-- What is optional may be null.
select pg_temp.common_outcomes(array[
    $$earn('auto', 'bob', 1, null, null, null, null, null, null, null, null)$$,
    $$redeem('auto', 'bob', 1, null, null, null)$$,
    $$reverse('auto', 'bob', 1, 1, null, null, null)$$,
    $$statement('auto', 'bob', null, null)$$,
    $$expire_batch(null)$$,
    $$create_program('new', null, currency => null, point_value => null)$$,
    $$alter_program('shop', null, null, null, null, null, null, null)$$,
    $$create_tier('shop', 'tin', null, 1)$$,
    $$reconcile(null, null)$$]);

-- ---------- amounts ----------

select pg_temp.outcomes(
    $$earn('shop', 'ann', 0)$$,
    $$earn('shop', 'ann', -1)$$,
    $$redeem('shop', 'ann', 0)$$,
    $$redeem('shop', 'ann', -9223372036854775808)$$,
    $$reverse('shop', 'ann', 1, 0)$$,
    $$reverse('shop', 'ann', 1, -1)$$,
    $$earn('shop', 'ann', 1, qualifying => -1)$$,
    $$earn('shop', 'ann', 1, qualifying => 0)$$,
    $$create_tier('shop', 'tin', 'Tin', -1)$$,
    $$create_tier('shop', 'tin', 'Tin', 0)$$);

-- Fractions, and what is beyond 64 bits. A numeric is never taken for points
-- unasked, so that no function is found for it.
select pg_temp.outcomes(
    $$earn('shop', 'ann', '1.5')$$,
    $$earn('shop', 'ann', 1.5::point_amount)$$,
    $$earn('shop', 'ann', 1.5)$$,
    $$redeem('shop', 'ann', 2.0)$$,
    $$redeem('shop', 'ann', 1::double precision)$$,
    $$earn('shop', 'ann', points(1.5, 'floor'))$$,
    $$earn('shop', 'ann', 'ten')$$,
    $$earn('shop', 'ann', '9223372036854775808')$$,
    $$earn('shop', 'ann', 9223372036854775808::point_amount)$$,
    $$earn('shop', 'ann', 9223372036854775808)$$,
    $$earn('shop', 'ann', 9223372036854775807::bigint + 1)$$,
    $$earn('shop', 'ann', 9223372036854775807::point_amount + 1)$$,
    $$reverse('shop', 'ann', 9223372036854775808)$$);

-- A balance is at most what a point_amount can be.
begin;
select pg_temp.outcomes(
    $$earn('auto', 'bob', 9223372036854775507)$$,
    $$earn('auto', 'bob', 9223372036854775508)$$,
    $$earn('auto', 'bob', 9223372036854775807)$$);
do $$ begin perform earn('auto', 'bob', 9223372036854775507); end $$;
select pg_temp.outcomes(
    $$earn('auto', 'bob', 1)$$,
    $$reverse('auto', 'bob', 2, 1)$$,
    $$reverse('auto', 'bob', 1, 1)$$,
    $$redeem('auto', 'bob', 9223372036854775807)$$);
rollback;

-- What all members hold together is not bound by that.
begin;
do $$
begin
    perform earn('auto', 'dan', 9223372036854775807);
    perform earn('auto', 'eve', 9223372036854775807);
end
$$;
select program, expires_month, members, points from liability_by_expiry where program = 'auto';
rollback;

-- Revenue is a finite number.
select pg_temp.outcomes(
    $$earn('shop', 'ann', 1, revenue => 'NaN')$$,
    $$earn('shop', 'ann', 1, revenue => 'infinity')$$,
    $$earn('shop', 'ann', 1, revenue => '-infinity')$$,
    $$earn('shop', 'ann', 1, revenue => 0.005)$$);

-- ---------- times ----------

-- The future begins after a tolerance for clocks that run ahead.
select pg_temp.outcomes(
    $$earn('auto', 'bob', 1, event_at => now() + interval '5 minutes')$$,
    $$earn('auto', 'bob', 1, event_at => now() + interval '5 minutes 0.000001 second')$$,
    $$redeem('auto', 'bob', 1, event_at => now() + interval '5 minutes')$$,
    $$redeem('auto', 'bob', 1, event_at => now() + interval '5 minutes 0.000001 second')$$,
    $$reverse('auto', 'bob', 1, 1, event_at => now() + interval '5 minutes')$$,
    $$reverse('auto', 'bob', 1, 1, event_at => now() + interval '5 minutes 0.000001 second')$$,
    $$expire_batch(as_of => now())$$,
    $$expire_batch(as_of => now() + interval '0.000001 second')$$,
    $$earn('auto', 'bob', 1, event_at => '294276-12-31')$$);
set jifen.clock_tolerance = 0;
select pg_temp.outcomes(
    $$earn('auto', 'bob', 1, event_at => now())$$,
    $$earn('auto', 'bob', 1, event_at => now() + interval '0.000001 second')$$);
reset jifen.clock_tolerance;

-- What is only asked may lie ahead.
select pg_temp.common_outcomes(array[
    $$balance('shop', 'ann', '2999-01-01')$$,
    $$expiring('shop', 'ann', '2999-12-31', '2999-01-01')$$,
    $$statement('shop', 'ann', '2999-01-01', '2999-12-31')$$,
    $$tier_for('shop', 'ann', '2999-01-01')$$,
    $$tier_status('shop', 'ann', '2999-01-01')$$,
    $$earn('auto', 'bob', 1, available_at => '2999-01-01')$$]);

-- Infinite times
select pg_temp.common_outcomes(array[
    $$earn('shop', 'ann', 1, event_at => 'infinity')$$,
    $$redeem('shop', 'ann', 1, event_at => 'infinity')$$,
    $$reverse('shop', 'ann', 1, event_at => 'infinity')$$,
    $$earn('shop', 'ann', 1, event_at => '-infinity')$$,
    $$redeem('shop', 'ann', 1, event_at => '-infinity')$$,
    $$reverse('shop', 'ann', 1, event_at => '-infinity')$$,
    $$earn('shop', 'ann', 1, available_at => 'infinity')$$,
    $$earn('shop', 'ann', 1, available_at => '-infinity')$$,
    $$balance('shop', 'ann', 'infinity')$$,
    $$tier_for('shop', 'ann', 'infinity')$$,
    $$tier_status('shop', 'ann', 'infinity')$$,
    $$expiring('shop', 'ann', now(), 'infinity')$$,
    $$expire_batch(as_of => 'infinity')$$,
    $$balance('shop', 'ann', '-infinity')$$,
    $$tier_for('shop', 'ann', '-infinity')$$,
    $$tier_status('shop', 'ann', '-infinity')$$,
    $$expiring('shop', 'ann', now(), '-infinity')$$,
    $$expire_batch(as_of => '-infinity')$$,
    $$expiring('shop', 'ann', 'infinity')$$,
    $$expiring('shop', 'ann', '-infinity')$$,
    $$statement('shop', 'ann', '-infinity', 'infinity')$$]);

-- Times of a credit that do not fit each other
select pg_temp.outcomes(
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-03-10 12:00')$$,
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-03-10 11:59:59')$$,
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-04-10 23:59:59')$$,
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-04-11 00:00')$$,
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-04-11', expiry => '2 months')$$);

-- Expiry policies that are none, or do not work yet
select pg_temp.outcomes(
    $$earn('shop', 'ann', 1, expiry => '12 fortnights')$$,
    $$earn('shop', 'ann', 1, expiry => '12 months inactive')$$,
    $$earn('shop', 'ann', 1, expiry => '48 months or 18 months inactive')$$,
    $$create_program('new', expiry => '12 months inactive')$$,
    $$alter_program('shop', expiry => '48 months or 18 months inactive')$$);

-- ---------- programs and tiers ----------

select pg_temp.outcomes(
    $$create_program('shop')$$,
    $$create_program('new', time_zone => 'Mars/Olympus')$$,
    $$create_program('new', time_zone => '')$$,
    $$create_program('new', time_zone => 'UTC+8')$$,
    $$alter_program('shop', time_zone => 'Mars/Olympus')$$,
    $$create_program('new', currency => 'euro')$$,
    $$create_program('new', currency => 'EUR', point_value => -0.01)$$,
    $$create_program('new', currency => 'EUR', point_value => 'NaN')$$,
    $$create_program('new', currency => 'EUR', point_value => 'infinity')$$,
    $$create_program('new', point_value => 0.01)$$,
    $$alter_program('shop', point_value => 0.01)$$,
    $$alter_program('shop', currency => 'US')$$,
    $$create_program('new', tier_window => '0')$$,
    $$alter_program('shop', tier_window => '-1 month')$$,
    $$create_tier('shop', 'gold', 'Gold', 2000)$$,
    $$create_tier('shop', 'silver', 'Silver', 1000)$$,
    $$create_tier('auto', 'gold', 'Gold', 1000)$$);

-- ---------- accounts that are not open ----------

select pg_temp.common_outcomes(pg_temp.member_calls($$'shop'$$, $$'fay'$$));
select pg_temp.common_outcomes(pg_temp.member_calls($$'shop'$$, $$'cal'$$));
select pg_temp.outcomes(
    $$unfreeze_account('auto', 'bob', 'found')$$,
    $$close_account('auto', 'bob', 'moved')$$,
    $$close_account('shop', 'ann', 'moved')$$);

-- ---------- insufficient points ----------

-- Each figure is told apart, as balance() tells them at that time. No function
-- holds points yet: held is set here.
begin;
update account set held = 7, balance = balance + 7 where account_id = account_id('shop', 'ann');
select pg_temp.outcomes(
    $$redeem('shop', 'ann', 50, event_at => '2024-03-15')$$,
    $$redeem('shop', 'ann', 51, event_at => '2024-03-15')$$,
    $$redeem('shop', 'ann', 9223372036854775807, event_at => '2024-03-15')$$,
    $$redeem('shop', 'ann', 81, event_at => '2024-03-20')$$,
    $$redeem('shop', 'ann', 1)$$);
select concat_ws(' ', 'balance', b.balance, 'available', available, 'pending', pending, 'held', held, 'lapsed', lapsed)
from balance('shop', 'ann', '2024-03-15') b;
rollback;
select pg_temp.outcomes(
    $$redeem('auto', 'bob', 301, event_at => '2024-01-12')$$,
    $$redeem('auto', 'bob', 301, event_at => '2024-01-10 12:00')$$,
    $$redeem('auto', 'bob', 9223372036854775807)$$);
-- What was earned later is not pending.
select pg_temp.outcomes($$redeem('auto', 'bob', 1, event_at => '2024-01-09')$$);
select concat_ws(' ', 'balance', b.balance, 'available', available, 'pending', pending, 'held', held, 'lapsed', lapsed)
from balance('auto', 'bob', '2024-01-09') b;

-- ---------- reversals ----------

begin;
do $$
begin
    perform reverse('auto', 'bob', 2, 150, 'sent back', '2024-01-12');
    perform redeem('auto', 'bob', 400, event_at => '2024-01-13');
    perform expire_batch('shop', '2024-03-15');
end
$$;
select pg_temp.outcomes(
    $$reverse('auto', 'bob', 0)$$,
    $$reverse('auto', 'bob', 5)$$,
    $$reverse('auto', 'bob', -9223372036854775808)$$,
    $$reverse('auto', 'bob', 3)$$,
    $$reverse('shop', 'ann', 4)$$,
    $$reverse('auto', 'bob', 2, 50)$$,
    $$reverse('auto', 'bob', 2, 51)$$,
    $$reverse('auto', 'bob', 2, 50, event_at => '2024-01-10 23:59:59')$$,
    $$reverse('auto', 'bob', 1, 50)$$,
    $$reverse('auto', 'bob', 1, 51)$$,
    $$reverse('auto', 'bob', 1)$$);
do $$ begin perform reverse('auto', 'bob', 2); end $$;
select pg_temp.outcomes($$reverse('auto', 'bob', 2, 1)$$, $$reverse('auto', 'bob', 2)$$);
rollback;

-- ---------- expiry ----------

select pg_temp.outcomes(
    $$expire_batch(max_accounts => 0)$$,
    $$expire_batch(max_accounts => -1)$$);

-- run_expiry() commits, so that it cannot be part of a transaction.
begin;
call run_expiry();
rollback;
-- What it raises is recorded as well.
call run_expiry('nowhere');
call run_expiry('shop', max_accounts => 0);
call run_expiry('shop', as_of => null);
select program, batches, accounts, lots, points, error, ended_at >= started_at as ended from job_run order by job_run_id;
delete from job_run;

-- ---------- pg_cron elsewhere ----------

select replace(line, current_database(), '(this database)')
from unnest(array['schedule_jobs()', 'unschedule_jobs()']) with ordinality as c (call, n),
    lateral split_part(pg_temp.outcome(call), E'\n', 1) as line
order by n;

-- ---------- a read-only transaction ----------

begin;
set transaction read only;
select pg_temp.common_outcomes(pg_temp.member_calls($$'auto'$$, $$'bob'$$) || array[
    $$create_program('new')$$, $$alter_program('shop', name => 'x')$$, $$create_tier('auto', 'tin', 'Tin', 1)$$, $$expire_batch()$$]);
rollback;
set default_transaction_read_only = on;
call run_expiry();
reset default_transaction_read_only;

-- ---------- any text ----------

-- Whatever is in it, a name comes back as it went in, in rows and in refusals.
create temp table name_given (n int, name text);
insert into name_given
select n, name
from unnest(array[
    'O''Reilly', '"quoted"', '''''''', 'a\b', E'\\''', '$1', '$$', '%', '%s %L %I %n %d %1$s %%', '{a,b}', '(1,2)', '(,)', 'null', ' ',
    ' ann ', E'tab\tand\nline', '''; drop table jifen.entry; --', '" or true --', '*/ select 1 /*', '<b>&amp;</b>', '../../x', '张伟',
    '积分（会员）', 'Ünïcödé', U&'cafe\0301', U&'caf\00e9', 'مرحبا', '👩‍👩‍👧', U&'\200b', 'true', '1e3', '-', repeat('%s', 127)])
    with ordinality as t (name, n);

do $$
declare
    given record;
begin
    for given in select * from name_given order by n loop
        perform create_program(given.name, given.name);
        perform create_tier(given.name, given.name, given.name, 1);
        perform open_account(given.name, given.name);
        perform earn(given.name, given.name, 10, given.name, given.name, details => to_jsonb(given.name));
        perform redeem(given.name, given.name, 4, given.name, details => jsonb_build_object(given.name, given.name));
        perform reverse(given.name, given.name, 2, 1, given.name, details => jsonb_build_array(given.name));
        perform freeze_account(given.name, given.name, given.name);
        perform unfreeze_account(given.name, given.name, given.name);
    end loop;
end
$$;

select pg_temp.outcomes(variadic array_agg(format(call, name, name) order by n, call))
from name_given, unnest(array['earn(%L, ''nobody'', 1)', 'redeem(%L, %L, 8)']) as call
where name in ('O''Reilly', '%s %L %I %n %d %1$s %%', '张伟', '''; drop table jifen.entry; --');

\pset tuples_only off
\pset format aligned

select to_jsonb(name) as not_as_given from name_given g
where not exists (select from program where code = g.name and program.name = g.name)
    or not exists (select from account where account_id = account_id(g.name, g.name) and member = g.name)
    or (select (tier, s.name) is distinct from (g.name, g.name) from tier_status(g.name, g.name) s)
    or tier_for(g.name, g.name) <> g.name
    or (select b.balance from balance(g.name, g.name) b) <> 7
    or (select array_agg(reason order by change_no) from status_change where account_id = account_id(g.name, g.name))
        is distinct from array[null, g.name, g.name]
    or not exists (select from statement(g.name, g.name)
        where seq = 1 and (source, reference, details) = (g.name, g.name, to_jsonb(g.name)))
    or not exists (select from statement(g.name, g.name)
        where seq = 2 and (reference, details) = (g.name, jsonb_build_object(g.name, g.name)))
    or not exists (select from statement(g.name, g.name)
        where seq = 3 and (reason, details) = (g.name, jsonb_build_array(g.name)))
    or exists (select from reconcile(g.name, g.name));
select count(*) as programs, count(distinct code) as different from program where code in (select name from name_given);

-- Whether the call is refused so, with the name in quotes in what is said.
create function pg_temp.is_named(name text, expected text, call text) returns boolean
language plpgsql as $$
declare
    message text;
    detail text;
begin
    execute 'select * from ' || call;
    return false;
exception when others then
    get stacked diagnostics message = message_text, detail = pg_exception_detail;
    return sqlstate = expected and strpos(message || detail, '"' || name || '"') > 0;
end
$$;

select to_jsonb(name) as not_named, call from name_given g,
    lateral (values
        ('42710', format('create_program(%L)', name)),
        ('42710', format('create_tier(%L, %L, null, 2)', name, name)),
        ('JF001', format('redeem(%L, %L, 8)', name, name)),
        ('JF003', format('redeem(%L, ''nobody'', 1)', name)),
        ('JF003', format('redeem(''shop'', %L, 1)', name)),
        ('JF002', format('redeem(%L, ''ann'', 1)', name || '?')),
        ('JF002', format('alter_program(%L)', name || '?')),
        ('JF002', format('create_tier(%L, ''tin'', null, 0)', name || '?')),
        ('JF002', format('expire_batch(%L)', name || '?')),
        ('JF002', format('reconcile(%L)', name || '?')),
        ('JF004', format('unfreeze_account(%L, %L, ''why'')', name, name)),
        ('55000', format('close_account(%L, %L, ''why'')', name, name)),
        ('JF006', format('reverse(%L, %L, 2, 4)', name, name)),
        ('22023', format('reverse(%L, %L, 3, 1)', name, name)),
        ('22023', format('reverse(%L, %L, 9)', name, name)),
        ('22003', format('earn(%L, %L, 9223372036854775807)', name, name)),
        ('22023', format('alter_program(%L, point_value => 1)', name)),
        ('22023', format('create_program(''new'', currency => %L)', name)),
        ('22023', format('create_program(''new'', time_zone => %L)', name))) as c (expected, call)
where not pg_temp.is_named(name || case expected when 'JF002' then '?' else '' end, expected, call)
order by n, call;

select * from reconcile();

-- What was written goes with the extension.
drop extension jifen;
create extension jifen;
