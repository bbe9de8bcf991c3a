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
    from unnest(array['earn(%s, %s, 1)', 'redeem(%s, %s, 1)', 'adjust(%s, %s, 1, ''why'')', 'import(%s, %s, 1)',
        'transfer(%s, %s, ''dot'', 1)', 'hold(%s, %s, 1, ''2999-01-01'')', 'capture(%s, %s, 9)', 'release(%s, %s, 9)',
        'reverse(%s, %s, 1)', 'reverse_reference(%s, %s, ''x'')', 'reinstate(%s, %s, ''why'')', 'expire_member(%s, %s)', 'post(array[posting(%s, %s, ''earn'', 1)])', 'open_account(%s, %s)',
        'freeze_account(%s, %s, ''why'')', 'unfreeze_account(%s, %s, ''why'')', 'close_account(%s, %s, ''why'')',
        'account_id(%s, %s)', 'balance(%s, %s)', 'expiring(%s, %s, now())', 'statement(%s, %s)', 'tier_for(%s, %s)',
        'tier_status(%s, %s)', 'reconcile(%s, %s)', 'verify_chain(%s, %s)']) with ordinality as c (call, n)
$$;

-- The functions that are about a program.
create function pg_temp.program_calls(program text) returns text[]
language sql as $$
    select array_agg(format(call, program) order by n)
    from unnest(array['create_program(%s)', 'alter_program(%s, name => ''x'')', 'create_tier(%s, ''tin'', ''Tin'', 1)',
        'extend_expiry(%s, ''why'', ''2999-01-01'')', 'undo_extension(%s, 1, ''why'')',
        'close_period(%s, ''2000-01-01'')', 'reopen_period(%s, null, ''why'')',
        'expire_batch(%s)', 'release_batch(%s)', 'reconcile(%s)', 'verify_chain(%s)']) with ordinality as c (call, n)
$$;

-- Each outcome, and of which calls it is.
create function pg_temp.common_outcomes(calls text[]) returns setof text
language sql as $$
    select string_agg(call, E'\n' order by n) || E'\n' || outcome
    from (select call, n, pg_temp.outcome(call) from unnest(calls) with ordinality as c (call, n)) o
    group by outcome order by min(n)
$$;

-- Ann has points of every state in mid March 2024, Bob has some that never
-- lapse, Dot has none, Fay's account is frozen and Cal's is closed.
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
    perform open_account('shop', 'dot'), open_account('auto', 'dot');
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

-- References, sources, funders and partners too
select pg_temp.outcomes($$earn('shop', 'ann', 1, reference => '')$$, $$redeem('shop', 'ann', 1, repeat('x', 257))$$,
    $$earn('shop', 'ann', 1, source => '')$$, $$earn('shop', 'ann', 1, source => repeat('员', 257))$$,
    $$earn('shop', 'ann', 1, funder => '')$$, $$earn('shop', 'ann', 1, funder => repeat('员', 257))$$,
    $$redeem('shop', 'ann', 1, source => '')$$, $$redeem('shop', 'ann', 1, partner => '')$$, $$capture('shop', 'ann', 9, partner => repeat('员', 257))$$,
    $$earn('shop', 'ann', 1, reference => repeat('x', 256), source => repeat('员', 256))$$);

-- ---------- nulls ----------

select pg_temp.common_outcomes(pg_temp.member_calls('null', $$'ann'$$) || pg_temp.program_calls('null'));
select pg_temp.common_outcomes(pg_temp.member_calls($$'shop'$$, 'null'));
select pg_temp.outcomes(
    $$earn('shop', 'ann', null)$$,
    $$redeem('shop', 'ann', null)$$,
    $$reverse('shop', 'ann', null)$$,
    $$adjust('shop', 'ann', null, 'why')$$,
    $$adjust('shop', 'ann', 1, null)$$,
    $$import('shop', 'ann', null)$$,
    $$transfer('shop', 'ann', null, 1)$$,
    $$transfer('shop', 'ann', 'dot', null)$$,
    $$hold('shop', 'ann', null, '2999-01-01')$$,
    $$hold('shop', 'ann', 1, null)$$,
    $$capture('shop', 'ann', null)$$,
    $$release('shop', 'ann', null)$$,
    $$reverse_reference('shop', 'ann', null)$$,
    $$reverse_reference('shop', 'ann', 'x', null)$$,
    $$reverse_reference('shop', 'ann', 'x', 1, null)$$,
    $$post(null)$$,
    $$post('{}', null)$$,
    $$freeze_account('shop', 'ann', null)$$,
    $$unfreeze_account('shop', 'fay', null)$$,
    $$close_account('shop', 'fay', null)$$,
    $$balance('shop', 'ann', null)$$,
    $$expiring('shop', 'ann', null)$$,
    $$expiring('shop', 'ann', now(), null)$$,
    $$tier_for('shop', 'ann', null)$$,
    $$tier_status('shop', 'ann', null)$$,
    $$expire_member('shop', 'ann', null)$$,
    $$reinstate('shop', 'ann', null)$$,
    $$extend_expiry('shop', null, '2999-01-01')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', members => '{ann,null}')$$,
    $$undo_extension('shop', null, 'why')$$,
    $$undo_extension('shop', 1, null)$$,
    $$expire_batch(as_of => null)$$,
    $$expire_batch(max_accounts => null)$$,
    $$release_batch(as_of => null)$$,
    $$release_batch(max_accounts => null)$$,
    $$create_program('new', time_zone => null)$$,
    $$create_program('new', expiry => null)$$,
    $$create_program('new', auto_open => null)$$,
    $$create_program('new', tier_window => null)$$,
    $$create_program('new', overdraft => null)$$,
    $$create_program('new', activity => null)$$,
    $$create_program('new', late_postings => null)$$,
    $$close_period('shop', null)$$,
    $$reopen_period('shop', null, null)$$,
    $$create_tier('shop', null, 'Tin', 1)$$,
    $$create_tier('shop', 'tin', 'Tin', null)$$,
    $$schedule_jobs(null, null, null, summary => null)$$,
    $$schedule_jobs(workers => null)$$,
    $$claim_job('expire', '00:10', null, now())$$,
    $$preview_policy('shop', null)$$);

-- What is optional may be null.
select pg_temp.common_outcomes(array[
    $$earn('auto', 'bob', 1, null, null, null, null, null, null, null, null, null, null)$$,
    $$redeem('auto', 'bob', 1, null, null, null, null, null, null)$$,
    $$adjust('auto', 'bob', -1, 'why', null, null, null, null, null, null, null, null, null)$$,
    $$import('auto', 'bob', 1, null, null, null, null, null, null, null, null, null, null, null, null)$$,
    $$transfer('auto', 'bob', 'dot', 1, null, null, null, null, null)$$,
    $$hold('auto', 'bob', 1, '2999-01-01', null, null, null, null)$$,
    $$reverse('auto', 'bob', 1, 1, null, null, null, null, null)$$,
    $$balance('auto', 'bob', now(), null)$$,
    $$statement('auto', 'bob', null, null, null)$$,
    $$expire_batch(null)$$,
    $$release_batch(null)$$,
    $$post('{}')$$,
    $$create_program('new', null, currency => null, point_value => null)$$,
    $$create_program('new', overdraft_limit => null, return_grace => null)$$,
    $$alter_program('shop', null, null, null, null, null, null, null, null, null, null, null)$$,
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
    $$adjust('shop', 'ann', 0, 'why')$$,
    $$adjust('shop', 'ann', '-9223372036854775808', 'why')$$,
    $$import('shop', 'ann', 0)$$,
    $$import('shop', 'ann', -1)$$,
    $$transfer('shop', 'ann', 'dot', 0)$$,
    $$transfer('shop', 'ann', 'dot', -1)$$,
    $$hold('shop', 'ann', 0, '2999-01-01')$$,
    $$hold('shop', 'ann', -1, '2999-01-01')$$,
    $$capture('shop', 'ann', 1, 0)$$,
    $$capture('shop', 'ann', 1, -1)$$,
    $$import('shop', 'ann', 1, qualifying => -1)$$,
    $$adjust('shop', 'ann', 1, 'why', qualifying => -1)$$,
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
select program, expires_month, points from liability_by_expiry where program = 'auto';
rollback;

-- Revenue is a finite number, and not negative.
select pg_temp.outcomes(
    $$earn('shop', 'ann', 1, revenue => 'NaN')$$,
    $$earn('shop', 'ann', 1, revenue => 'infinity')$$,
    $$earn('shop', 'ann', 1, revenue => '-infinity')$$,
    $$earn('shop', 'ann', 1, revenue => -0.01)$$,
    $$import('shop', 'ann', 1, revenue => -1)$$,
    $$earn('shop', 'ann', 1, revenue => 0)$$,
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
    $$adjust('auto', 'bob', 1, 'why', event_at => now() + interval '5 minutes 0.000001 second')$$,
    $$import('auto', 'bob', 1, event_at => now() + interval '5 minutes 0.000001 second')$$,
    $$transfer('auto', 'bob', 'dot', 1, event_at => now() + interval '5 minutes 0.000001 second')$$,
    $$hold('auto', 'bob', 1, '2999-01-01', event_at => now() + interval '5 minutes 0.000001 second')$$,
    $$capture('auto', 'bob', 1, event_at => now() + interval '5 minutes 0.000001 second')$$,
    $$release('auto', 'bob', 1, event_at => now() + interval '5 minutes 0.000001 second')$$,
    $$expire_batch(as_of => now())$$,
    $$expire_batch(as_of => now() + interval '0.000001 second')$$,
    $$release_batch(as_of => now())$$,
    $$release_batch(as_of => now() + interval '0.000001 second')$$,
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
    $$adjust('shop', 'ann', 1, 'why', event_at => 'infinity')$$,
    $$import('shop', 'ann', 1, event_at => 'infinity')$$,
    $$import('shop', 'ann', 1, issued_at => 'infinity')$$,
    $$import('shop', 'ann', 1, issued_at => '-infinity')$$,
    $$import('shop', 'ann', 1, '-infinity')$$,
    $$transfer('shop', 'ann', 'dot', 1, event_at => 'infinity')$$,
    $$hold('shop', 'ann', 1, '2999-01-01', event_at => 'infinity')$$,
    $$hold('shop', 'ann', 1, 'infinity')$$,
    $$hold('shop', 'ann', 1, '-infinity')$$,
    $$capture('shop', 'ann', 1, event_at => 'infinity')$$,
    $$release('shop', 'ann', 1, event_at => 'infinity')$$,
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
    $$release_batch(as_of => 'infinity')$$,
    $$release_batch(as_of => '-infinity')$$,
    $$balance('shop', 'ann', known_at => 'infinity')$$,
    $$balance('shop', 'ann', known_at => '-infinity')$$,
    $$expiring('shop', 'ann', 'infinity')$$,
    $$expiring('shop', 'ann', '-infinity')$$,
    $$statement('shop', 'ann', '-infinity', 'infinity')$$,
    $$statement('shop', 'ann', known_at => 'infinity')$$]);

-- Times of a credit that do not fit each other
select pg_temp.outcomes(
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-03-10 12:00')$$,
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-03-10 11:59:59')$$,
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-04-10 23:59:59')$$,
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-04-11 00:00')$$,
    $$earn('shop', 'ann', 1, event_at => '2024-03-10 12:00', available_at => '2024-04-11', expiry => '2 months')$$,
    $$import('shop', 'ann', 1, '2024-03-10 12:00', event_at => '2024-03-10 12:00')$$,
    $$import('shop', 'ann', 1, event_at => '2024-03-10 12:00', issued_at => '2024-03-10 12:01')$$,
    $$import('shop', 'ann', 1, event_at => '2024-03-10 12:00', issued_at => '2024-01-01')$$,
    $$import('shop', 'ann', 1, '2024-05-01', event_at => '2024-03-10 12:00', expiry => 'never')$$);

-- Expiry policies that are none, that have passed, and that work
select pg_temp.outcomes(
    $$earn('shop', 'ann', 1, expiry => '12 fortnights')$$,
    $$earn('shop', 'ann', 1, expiry => 'on 2023-12-31', event_at => '2024-01-01')$$,
    $$import('shop', 'ann', 1, expiry => '48 months or on 2023-12-31', event_at => '2024-01-01')$$,
    $$earn('shop', 'ann', 1, expiry => '12 months inactive')$$,
    $$earn('shop', 'ann', 1, expiry => '48 months or 18 months inactive')$$,
    $$adjust('shop', 'ann', 1, 'why', expiry => '12 months inactive')$$,
    $$import('shop', 'ann', 1, expiry => '12 months inactive')$$,
    $$create_program('new', expiry => '12 months inactive')$$,
    $$create_program('new', return_grace => '12 months inactive')$$,
    $$alter_program('shop', expiry => '48 months or 18 months inactive')$$);

-- What counts as activity, and how long a notice must have been on record
select pg_temp.outcomes(
    $$create_program('new', activity => '{}')$$,
    $$create_program('new', activity => '{earn,earn}')$$,
    $$create_program('new', activity => '{earn,null}')$$,
    $$create_program('new', activity => '{earn,expire}')$$,
    $$alter_program('shop', activity => '{Redeem}')$$,
    $$alter_program('shop', activity => '{transfer_in,import,adjust}')$$,
    $$create_program('new', notice_days => 0)$$,
    $$create_program('new', notice_days => 3651)$$,
    $$alter_program('shop', notice_days => -1)$$,
    $$alter_program('shop', notice_days => 3650)$$);
-- When the member joined
select pg_temp.outcomes(
    $$open_account('shop', 'new', '2020-02-29')$$,
    $$open_account('shop', 'new', 'infinity')$$,
    $$open_account('shop', 'new', '-infinity')$$);
select pg_temp.outcome($$open_account('shop', 'new', now() + interval '1 day')$$) ~ '22023 opened_at is in the future' as "22023";

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
    $$create_program('new', overdraft => 'allow')$$,
    $$create_program('new', overdraft => 'debt', overdraft_limit => 0)$$,
    $$create_program('new', overdraft_limit => 100)$$,
    $$create_program('new', overdraft => 'forgive', overdraft_limit => 100)$$,
    $$alter_program('shop', overdraft_limit => 100)$$,
    $$alter_program('shop', overdraft => 'allow')$$,
    $$create_program('new', late_postings => 'skip')$$,
    $$alter_program('shop', late_postings => '')$$,
    $$alter_program('shop', unset => array['name'])$$,
    $$alter_program('shop', unset => array['notice_days', 'activity'])$$,
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

-- Each figure is told apart, as balance() tells them at that time.
begin;
do $$ begin perform hold('shop', 'ann', 7, '2999-01-01', event_at => '2024-03-02'); end $$;
select pg_temp.outcomes(
    $$redeem('shop', 'ann', 43, event_at => '2024-03-15')$$,
    $$redeem('shop', 'ann', 44, event_at => '2024-03-15')$$,
    $$redeem('shop', 'ann', 9223372036854775807, event_at => '2024-03-15')$$,
    $$redeem('shop', 'ann', 74, event_at => '2024-03-20')$$,
    $$hold('shop', 'ann', 44, '2999-01-01', event_at => '2024-03-15')$$,
    $$transfer('shop', 'ann', 'dot', 44, event_at => '2024-03-15')$$,
    $$adjust('shop', 'ann', -44, 'abuse', event_at => '2024-03-15')$$,
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
    perform reverse('auto', 'bob', 2, 150, 'sent back', event_at => '2024-01-12');
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

-- What cannot be reversed, and what instead; Dot's account comes to have every kind of entry
begin;
do $$
begin
    perform alter_program('auto', overdraft => 'debt', return_grace => '30 days');
    perform earn('auto', 'dot', 100, 'ORD-1', event_at => '2024-01-01', expiry => '1 month');       -- 1
    perform hold('auto', 'dot', 40, '2999-01-01', event_at => '2024-01-02');                        -- 2
    perform hold('auto', 'dot', 30, '2999-01-01', event_at => '2024-01-02');                        -- 3
    perform capture('auto', 'dot', 2, event_at => '2024-01-03');                                    -- 4
    perform release('auto', 'dot', 3, event_at => '2024-01-03');                                    -- 5
    perform transfer('auto', 'dot', 'bob', 10, event_at => '2024-01-04');                           -- 6
    perform adjust('auto', 'dot', -60, 'abuse', 'ORD-1', event_at => '2024-01-05');                 -- 7
    perform earn('auto', 'dot', 30, event_at => '2024-01-06');                                      -- 8, and 9 repays
    perform reverse('auto', 'dot', 4, event_at => '2024-02-20');                                    -- 10, and 11 extends
    perform earn('auto', 'dot', 5, event_at => '2024-01-07', expiry => '1 month');                  -- 12
    perform expire_batch('auto', '2024-02-25');                                                     -- 13
    perform reverse('auto', 'dot', 13, event_at => '2024-02-26');                                   -- 14, and 15 extends
    perform alter_program('auto', overdraft => 'forgive');
    perform adjust('auto', 'dot', -1000, 'abuse', event_at => '2024-02-27');                        -- 16, and 17 forgives
end
$$;
select concat_ws(' ', seq, kind, amount, held, debt) from entry where account_id = account_id('auto', 'dot') order by seq;
select pg_temp.outcomes(
    $$reverse('auto', 'dot', 2)$$,
    $$reverse('auto', 'dot', 5)$$,
    $$reverse('auto', 'dot', 9)$$,
    $$reverse('auto', 'dot', 10)$$,
    $$reverse('auto', 'dot', 11)$$,
    $$reverse('auto', 'dot', 14)$$,
    $$reverse('auto', 'dot', 17)$$,
    $$reverse('auto', 'dot', 18)$$,
    $$reverse('auto', 'dot', 4)$$,
    $$reverse('auto', 'dot', 13, 1)$$,
    $$reverse('auto', 'dot', 16, 976)$$,
    $$reverse('auto', 'dot', 1, expiry => 'never')$$,
    $$reverse('auto', 'dot', 6, 11)$$,
    $$reverse('auto', 'dot', 7, event_at => '2024-01-05 12:00')$$);
select pg_temp.common_outcomes(array[
    $$reverse_reference('auto', 'dot', 'ORD-1', 1.5)$$,
    $$reverse_reference('auto', 'dot', 'ORD-1', -1, 2)$$,
    $$reverse_reference('auto', 'dot', 'ORD-1', 0, 0)$$,
    $$reverse_reference('auto', 'dot', 'ORD-1', 'NaN')$$,
    $$reverse_reference('auto', 'dot', 'ORD-1', 1, 'infinity')$$,
    $$reverse_reference('auto', 'dot', 'ORD-2')$$,
    $$reverse_reference('auto', 'dot', '')$$,
    $$reverse_reference('auto', 'dot', 'ORD-1', 1, 3)$$]);
rollback;

-- ---------- holds ----------

begin;
do $$
begin
    perform hold('auto', 'bob', 100, '2999-01-01', event_at => '2024-01-12');   -- 3
    perform hold('auto', 'bob', 50, '2999-01-01', event_at => '2024-01-12');    -- 4
    perform capture('auto', 'bob', 4, 20, event_at => '2024-01-13');            -- 5, and 6 releases
    perform hold('auto', 'bob', 10, '2999-01-01', event_at => '2024-01-13');    -- 7
    perform release('auto', 'bob', 7, event_at => '2024-01-13');                -- 8
end
$$;
select pg_temp.outcomes(
    $$capture('auto', 'bob', 4)$$,
    $$release('auto', 'bob', 4)$$,
    $$capture('auto', 'bob', 7)$$,
    $$release('auto', 'bob', 7)$$,
    $$capture('auto', 'dot', 3)$$,
    $$release('auto', 'dot', 3)$$,
    $$capture('auto', 'bob', 1)$$,
    $$capture('auto', 'bob', 0)$$,
    $$release('auto', 'bob', 9)$$,
    $$capture('auto', 'bob', 3, 101)$$,
    $$capture('auto', 'bob', 3, 100)$$,
    $$capture('auto', 'bob', 3, event_at => '2024-01-11')$$,
    $$release('auto', 'bob', 3, event_at => '2024-01-11')$$,
    $$hold('auto', 'bob', 1, now())$$,
    $$hold('auto', 'bob', 1, '2024-02-01', event_at => '2024-01-14')$$,
    $$close_account('auto', 'bob', 'moved')$$);
select pg_temp.outcome($$hold('auto', 'bob', 1, now() + interval '1 minute', event_at => now() + interval '2 minutes')$$) ~ '22023 until is not after event_at' as "22023";
-- One whose deadline has come by what happens
select pg_temp.outcomes(
    $$hold('auto', 'bob', 1, now() + interval '4 minutes')$$);
do $$ begin perform hold('auto', 'bob', 1, now() + interval '4 minutes', event_at => '2024-01-15'); end $$;
select pg_temp.outcomes(
    $$capture('auto', 'bob', 9, event_at => now() + interval '3 minutes')$$,
    $$capture('auto', 'bob', 9, event_at => now() + interval '4 minutes')$$,
    $$release('auto', 'bob', 9, event_at => now() + interval '4 minutes')$$);
rollback;

select pg_temp.outcomes(
    $$release_batch(max_accounts => 0)$$,
    $$release_batch(max_accounts => -1)$$);

-- ---------- adjustments and transfers ----------

select pg_temp.outcomes(
    $$adjust('auto', 'bob', 1, '')$$,
    $$adjust('auto', 'bob', -1, 'abuse', expiry => '1 year')$$,
    $$adjust('auto', 'bob', -1, 'abuse', available_at => '2999-01-01')$$,
    $$adjust('auto', 'bob', -1, 'abuse', qualifying => 1)$$,
    $$adjust('auto', 'bob', -301, 'abuse')$$,
    $$transfer('auto', 'bob', 'bob', 1)$$,
    $$transfer('auto', 'bob', 'nobody', 1)$$,
    $$transfer('auto', 'nobody', 'bob', 1)$$,
    $$transfer('shop', 'ann', 'fay', 1, event_at => '2024-03-15')$$,
    $$transfer('shop', 'ann', 'cal', 1, event_at => '2024-03-15')$$,
    $$transfer('shop', 'fay', 'ann', 1, event_at => '2024-03-15')$$,
    $$transfer('auto', 'bob', '', 1)$$,
    $$transfer('auto', 'bob', repeat('x', 257), 1)$$);

-- ---------- a limit of debts ----------

begin;
do $$ begin perform alter_program('auto', overdraft => 'debt', overdraft_limit => 100); end $$;
select pg_temp.outcomes(
    $$adjust('auto', 'bob', -400, 'abuse')$$,
    $$adjust('auto', 'bob', -401, 'abuse')$$,
    $$reverse('auto', 'bob', 1, 401)$$);
do $$ begin perform adjust('auto', 'bob', -400, 'abuse', event_at => '2024-01-12'); end $$;
select pg_temp.outcomes(
    $$adjust('auto', 'bob', -1, 'abuse')$$,
    $$reverse('auto', 'bob', 1, 1)$$,
    $$redeem('auto', 'bob', 1)$$,
    $$close_account('auto', 'bob', 'moved')$$,
    $$close_account('auto', 'dot', 'moved')$$);
rollback;

-- ---------- keys ----------

begin;
do $$
begin
    perform earn('auto', 'bob', 5, idempotency_key => 'k', event_at => '2024-01-12');
    perform transfer('auto', 'bob', 'dot', 5, idempotency_key => 't', event_at => '2024-01-12');
end
$$;
select pg_temp.outcomes(
    $$earn('auto', 'bob', 5, idempotency_key => 'k', event_at => '2024-01-12')$$,
    $$earn('auto', 'bob', 6, idempotency_key => 'k', event_at => '2024-01-12')$$,
    $$earn('auto', 'bob', 5, idempotency_key => 'k')$$,
    $$earn('auto', 'bob', 5, idempotency_key => 'k', event_at => '2024-01-12', qualifying => 5)$$,
    $$redeem('auto', 'bob', 5, idempotency_key => 'k', event_at => '2024-01-12')$$,
    $$transfer('auto', 'bob', 'nobody', 5, idempotency_key => 't', event_at => '2024-01-12')$$,
    $$earn('auto', 'dot', 5, idempotency_key => 't')$$,
    $$earn('auto', 'bob', 5, idempotency_key => '')$$,
    $$earn('auto', 'bob', 5, idempotency_key => repeat('x', 255))$$,
    $$earn('auto', 'bob', 5, idempotency_key => repeat('x', 256))$$,
    $$earn('auto', 'bob', 5, idempotency_key => repeat('员', 85))$$,
    $$earn('auto', 'bob', 5, idempotency_key => repeat('员', 86))$$);
rollback;

-- ---------- batches ----------

select pg_temp.outcomes(
    $$post(array[posting('auto', 'bob', 'earn', 1)], 'stop')$$,
    $$post(array[null::posting])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), null])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('auto', 'bob', 'redeem', 302)])$$,
    $$post(array[posting('auto', 'bob', 'redeem', 302), posting('auto', 'bob', 'earn', 0)])$$,
    $$post(array[posting('auto', 'nobody', 'redeem', 1), posting('auto', 'nobody', 'earn', 1)])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('nowhere', 'bob', 'earn', 1)])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('shop', 'fay', 'earn', 1)])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('auto', 'bob', 'expire', 1)])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('auto', 'bob', null, 1)])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('auto', 'bob', 'earn')])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('auto', 'bob', 'redeem', 1, funder => 'bank')])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('auto', 'bob', 'capture', 1)])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('auto', 'bob', 'earn', 1, seq => 1)])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('auto', 'bob', 'earn', 1, "group" => '')])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1, idempotency_key => 'k'), posting('auto', 'bob', 'earn', 2, idempotency_key => 'k')])$$,
    $$post(array[posting('auto', 'bob', 'redeem', 1, "group" => 'a'), posting('auto', 'bob', 'redeem', 302, "group" => 'a')])$$,
    $$post(array[posting('auto', 'bob', 'earn', 1), posting('auto', 'new', 'earn', 1)])$$);

-- Skipped, one bad row at a time: it has its refusal, and nothing is written of it.
create function pg_temp.skipped(call text) returns setof text
language plpgsql as $$
declare
    before text := pg_temp.contents();
begin
    return next call;
    return query execute format($query$
        select format('  %%s', concat_ws(' ', r.ordinal, r.seq, r.balance, r.sqlstate, r.message, regexp_replace(r.detail, 'it is now .*', 'it is now (time).')))
        from post(array[%s], 'skip') r
    $query$, call);
    assert pg_temp.contents() = before, 'a skipped posting has written';
end
$$;
select pg_temp.skipped(call) from unnest(array[
    $$null::posting$$,
    $$posting('auto', 'bob', 'redeem', 302)$$,
    $$posting('auto', 'nobody', 'redeem', 1)$$,
    $$posting('auto', 'nobody', 'earn', 0)$$,
    $$posting('auto', 'nobody', 'earn', 1, event_at => '2024-01-02', available_at => '2024-01-01')$$,
    $$posting('nowhere', 'bob', 'earn', 1)$$,
    $$posting('shop', 'fay', 'earn', 1)$$,
    $$posting('auto', 'bob', 'reverse', 201, seq => 2)$$,
    $$posting('auto', 'bob', 'release', seq => 2)$$,
    $$posting('auto', 'bob', 'hold', 1, until => '2024-01-01')$$,
    $$posting('auto', 'bob', 'transfer', 1, to_member => 'bob')$$,
    $$posting('auto', 'bob', 'adjust', 1)$$,
    $$posting('auto', 'bob', 'import', 1, expires_at => '2999-01-01', expiry => 'never')$$,
    $$posting('auto', 'bob', 'earning', 1)$$,
    $$posting('auto', 'bob', 'redeem', 1, to_member => 'dot')$$,
    $$posting('auto', 'bob', 'redeem', 200, "group" => 'g'), posting('auto', 'bob', 'redeem', 200, "group" => 'g'), posting('auto', 'new', 'earn', 1, "group" => 'g')$$]) with ordinality c (call, n)
order by n;
begin;
select concat_ws(' ', r.ordinal, r.seq, r.balance, r.sqlstate, r.message, r.detail)
from post(array[posting('auto', 'bob', 'redeem', 200), posting('auto', 'bob', 'redeem', 200), posting('auto', 'bob', 'redeem', 100)], 'skip') r;
select concat_ws(' ', seq, kind, amount, balance) from entry where account_id = account_id('auto', 'bob') order by seq;
rollback;

-- ---------- expiry ----------

select pg_temp.outcomes(
    $$expire_batch(max_accounts => 0)$$,
    $$expire_batch(max_accounts => -1)$$,
    $$expire_member('shop', 'ann', 'infinity')$$,
    $$expire_member('shop', 'fay')$$,
    $$expire_member('shop', 'cal')$$);

-- Reinstated is what has lapsed, and no more; ann's 100 points have, on 11 February.
select pg_temp.outcomes(
    $$reinstate('shop', 'ann', 'why', 0)$$,
    $$reinstate('shop', 'ann', 'why', -1)$$,
    $$reinstate('shop', 'ann', 'why', 100, lapsed_until => '2024-02-11 00:00:01')$$,
    $$reinstate('shop', 'ann', 'why', 101, lapsed_until => '2024-02-11 00:00:01')$$,
    $$reinstate('shop', 'ann', 'why', 1, lapsed_until => '2024-02-11')$$,
    $$reinstate('shop', 'ann', 'why', expiry => 'on 2024-12-31', event_at => '2025-01-01')$$,
    $$reinstate('shop', 'ann', 'why', event_at => 'infinity')$$,
    $$reinstate('auto', 'bob', 'why')$$);

-- ---------- extensions ----------

select pg_temp.outcomes(
    $$extend_expiry('shop', 'why')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', '1 month')$$,
    $$extend_expiry('shop', 'why', by_interval => '0')$$,
    $$extend_expiry('shop', 'why', by_interval => '-1 day')$$,
    $$extend_expiry('shop', 'why', '-infinity')$$,
    $$extend_expiry('shop', 'why', 'infinity')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', event_at => 'infinity')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', max_accounts => 1)$$,
    $$extend_expiry('shop', 'why', '2999-01-01', max_accounts => 0, idempotency_key => 'k')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', members => '{ann,nobody}')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', members => '{}')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', members => '{cal}')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', idempotency_key => '')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', idempotency_key => repeat('员', 85))$$,
    $$extend_expiry('shop', 'why', '2999-01-01', idempotency_key => repeat('员', 86))$$,
    $$undo_extension('shop', 0, 'why')$$,
    $$undo_extension('shop', 1, 'why', max_accounts => 0)$$);
select pg_temp.outcome($$extend_expiry('shop', 'why', '2999-01-01', event_at => now() + interval '1 day')$$) ~ '22023 event_at is in the future' as "22023";
begin;
do $$
begin
    perform extend_expiry('shop', 'why', '2999-01-01', idempotency_key => 'k', event_at => '2024-03-15');
    perform setval('extension_id_seq', 100);
    insert into extension (program_id, reason, idempotency_key, until, event_at, actor, finished_at)
    values (program_id('shop'), 'why', 'done', '2999-01-01', '2024-03-15', 'test', now());
end
$$;
select pg_temp.outcomes(
    $$extend_expiry('shop', 'why', '2999-01-01', idempotency_key => 'done', event_at => '2024-03-15')$$,
    $$extend_expiry('shop', 'because', '2999-01-01', idempotency_key => 'done', event_at => '2024-03-15')$$,
    $$extend_expiry('shop', 'why', '2999-01-02', idempotency_key => 'done', event_at => '2024-03-15')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', idempotency_key => 'done')$$,
    $$extend_expiry('shop', 'why', '2999-01-01', sources => '{}', idempotency_key => 'done', event_at => '2024-03-15')$$,
    $$undo_extension('auto', 101, 'why')$$,
    $$undo_extension('shop', 101, 'why', '{nobody}')$$,
    $$undo_extension('shop', 101, 'why')$$);
rollback;

-- run_expiry() and run_release() commit, so that they cannot be part of a transaction.
begin;
call run_expiry();
rollback;
begin;
call run_release();
rollback;
-- What they raise is recorded as well.
call run_expiry('nowhere');
call run_expiry('shop', max_accounts => 0);
call run_expiry('shop', as_of => null);
call run_release('nowhere');
call run_release('shop', as_of => null);
select job, program, batches, accounts, lots, holds, points, error, ended_at >= started_at as ended from job_run order by job_run_id;
delete from job_run;

-- ---------- books that are closed ----------

begin;
do $$
begin
    perform create_program('books'), open_account('books', 'ann'), open_account('books', 'bob');
    perform earn('books', 'ann', 100, event_at => '2024-01-10', expiry => 'on 2024-03-31', idempotency_key => 'before');
    perform earn('books', 'ann', 10, event_at => '2024-02-10', expiry => 'on 2024-04-30');
    perform hold('books', 'ann', 20, '2999-01-01', event_at => '2024-01-20');
    update hold h set until = '2024-03-20' from program p where p.program_id = h.program_id and p.code = 'books';
end
$$;
select pg_temp.outcomes($$close_period('books', '2024-03-21')$$, $$close_period('books', '2024-03-20')$$);
update hold set until = '2999-01-01' where program_id = program_id('books');
select pg_temp.outcomes(
    $$close_period('books', '2024-04-02')$$,
    $$close_period('books', '2024-04-01')$$,
    $$close_period('books', '2998-01-01')$$,
    $$close_period('books', 'infinity')$$,
    $$close_period('books', '-infinity')$$,
    $$close_period('books', '2024-03-01 08:00')$$,
    $$reopen_period('books', '2024-01-01', 'why')$$,
    $$reopen_period('books', null, '')$$);
select change_no from close_period('books', '2024-04-01');
select pg_temp.outcomes(
    $$alter_program('books', time_zone => 'Asia/Shanghai')$$,
    $$alter_program('books', currency => 'CNY')$$,
    $$alter_program('books', time_zone => 'UTC', name => 'Books', late_postings => 'book')$$,
    $$close_period('books', '2024-04-01')$$,
    $$close_period('books', '2024-03-01')$$,
    $$reopen_period('books', '2024-04-01', 'why')$$,
    $$reopen_period('books', 'infinity', 'why')$$,
    $$reopen_period('books', '2024-02-29 23:59:59.999999', 'why')$$,
    $$reopen_period('books', '2024-03-01', 'why')$$,
    $$reopen_period('books', null, 'why')$$);
select pg_temp.common_outcomes(array[
    $$earn('books', 'ann', 1, event_at => '2024-03-31 23:59:59.999999')$$,
    $$redeem('books', 'ann', 1, event_at => '2024-03-31 23:59:59.999999')$$,
    $$adjust('books', 'ann', 1, 'why', event_at => '2024-03-31 23:59:59.999999')$$,
    $$import('books', 'ann', 1, event_at => '2024-03-31 23:59:59.999999')$$,
    $$transfer('books', 'ann', 'bob', 1, event_at => '2024-03-31 23:59:59.999999')$$,
    $$hold('books', 'ann', 1, '2999-01-01', event_at => '2024-03-31 23:59:59.999999')$$,
    $$capture('books', 'ann', 2, event_at => '2024-03-31 23:59:59.999999')$$,
    $$release('books', 'ann', 2, event_at => '2024-03-31 23:59:59.999999')$$,
    $$reverse('books', 'ann', 1, event_at => '2024-03-31 23:59:59.999999')$$,
    $$extend_expiry('books', 'why', '2999-01-01', event_at => '2024-03-31 23:59:59.999999')$$]);
select pg_temp.outcomes(
    $$earn('books', 'ann', 1, event_at => '2024-04-01')$$,
    $$earn('books', 'ann', 100, event_at => '2024-01-10', expiry => 'on 2024-03-31', idempotency_key => 'before')$$,
    $$earn('books', 'ann', 101, event_at => '2024-01-10', expiry => 'on 2024-03-31', idempotency_key => 'before')$$,
    $$post(array[posting('books', 'ann', 'earn', 1), posting('books', 'ann', 'earn', 1, event_at => '2024-03-31')])$$);
rollback;
begin isolation level repeatable read;
select pg_temp.outcomes($$close_period('auto', '2000-01-01')$$, $$reopen_period('auto', null, 'why')$$);
rollback;

-- ---------- pg_cron elsewhere ----------

select replace(line, current_database(), '(this database)')
from unnest(array['schedule_jobs()', 'unschedule_jobs()']) with ordinality as c (call, n),
    lateral split_part(pg_temp.outcome(call), E'\n', 1) as line
order by n;

-- ---------- a read-only transaction ----------

begin;
set transaction read only;
select pg_temp.common_outcomes(pg_temp.member_calls($$'auto'$$, $$'bob'$$) || array[
    $$create_program('new')$$, $$alter_program('shop', name => 'x')$$, $$create_tier('auto', 'tin', 'Tin', 1)$$, $$expire_batch()$$, $$release_batch()$$,
    $$extend_expiry('shop', 'why', '2999-01-01')$$, $$undo_extension('shop', 1, 'why')$$,
    $$close_period('shop', '2000-01-01')$$, $$reopen_period('shop', null, 'why')$$]);
rollback;
set default_transaction_read_only = on;
call run_expiry();
call run_release();
reset default_transaction_read_only;

\pset tuples_only off
\pset format aligned
select * from reconcile();

-- What was written goes with the extension.
drop extension jifen;
create extension jifen;
