--
-- privileges: who may do what, that the journal stays as it was written, and
-- that a caller's search_path changes nothing
--
set search_path = public, jifen;
\set SHOW_CONTEXT never

create role regress_jifen_nobody;
create role regress_jifen_till;
create role regress_jifen_owner;
create role regress_jifen_attacker;
create role regress_jifen_app;
create role regress_jifen_service;
create role regress_jifen_migration;
create role regress_jifen_analyst;
create role regress_jifen_dba;
create role regress_jifen_marketing;

do $$
begin
    perform create_program('shop', expiry => '1 month', auto_open => true);
    perform create_tier('shop', 'gold', 'Gold', 100);
    perform earn('shop', 'ann', 100, event_at => '2024-01-01');
    perform redeem('shop', 'ann', 30, event_at => '2024-01-02');
    -- No job is due for a program by a time before it was created.
    update program set created_at = '2024-01-01';
end
$$;

-- ---------- what PUBLIC has ----------

-- Nothing but the functions of points and expiry policies, which are immutable
select has_schema_privilege('public', 'jifen', 'usage') as usage, has_schema_privilege('public', 'jifen', 'create') as "create";
select oid::regprocedure as for_all from pg_proc
where pronamespace = 'jifen'::regnamespace and provolatile <> 'i' and has_function_privilege('public', oid, 'execute');
select c.relname as for_all, x.privilege_type from pg_class c, aclexplode(c.relacl) x
where c.relnamespace = 'jifen'::regnamespace and x.grantee = 0;

-- What runs with its owner's privileges looks names up where its caller cannot write.
select oid::regprocedure as not_pinned from pg_proc
where pronamespace = 'jifen'::regnamespace and prosecdef
    and 'search_path=jifen, pg_temp' <> all (coalesce(proconfig, '{}'));

-- ---------- what a role meets that tries everything ----------

-- Statements that use each table, view, sequence and function
set search_path = '';
create temp table attempt as
select 'table' as kind, format(command, relname) as command
from pg_class, unnest(array['table jifen.%I', 'insert into jifen.%I default values', 'delete from jifen.%I',
    'truncate jifen.%I', 'lock jifen.%I', 'create trigger t after insert on jifen.%I execute function f()',
    'alter table jifen.%I disable trigger all', 'drop table jifen.%I']) as command
where relnamespace = 'jifen'::regnamespace and relkind = 'r'
union all
select 'table', format(command, c.relname, a.attname)
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0,
    unnest(array['update jifen.%I set %I = null', 'select %2$I from jifen.%1$I']) as command
where c.relnamespace = 'jifen'::regnamespace and c.relkind = 'r'
union all
select 'view', format('table jifen.%I', relname)
from pg_class where relnamespace = 'jifen'::regnamespace and relkind = 'v'
union all
select 'sequence', format(command, relname)
from pg_class, unnest(array['table jifen.%I', 'select nextval(''jifen.%I'')', 'select setval(''jifen.%I'', 1)']) as command
where relnamespace = 'jifen'::regnamespace and relkind = 'S'
union all
select case prokind when 'p' then 'procedure' else 'function' end,
    format('%s jifen.%I(%s)', case prokind when 'p' then 'call' else 'select' end, proname,
        (select string_agg('null::' || format_type(t, null), ', ' order by n)
         from unnest(proargtypes) with ordinality as a (t, n)))
from pg_proc
where pronamespace = 'jifen'::regnamespace and provolatile <> 'i' and prorettype <> 'trigger'::regtype;
grant select on attempt to public;
set search_path = public, jifen;

-- Each outcome of them; what was not for want of a privilege with the statement.
create function pg_temp.outcomes() returns table (kind text, outcome text)
language plpgsql as $$
declare
    attempt record;
begin
    for attempt in select a.kind, a.command from pg_temp.attempt a loop
        kind := attempt.kind;
        begin
            execute attempt.command;
            outcome := 'done: ' || attempt.command;
        exception
            when insufficient_privilege then
                outcome := sqlstate || ' ' || regexp_replace(sqlerrm, '(for (?!schema)\w+|owner of \w+) \w+$', '\1 …');
            when others then
                outcome := sqlstate || ' ' || sqlerrm || ': ' || regexp_replace(attempt.command, 'null::.*', '…)');
        end;
        return next;
    end loop;
end
$$;

set role regress_jifen_nobody;
select distinct * from pg_temp.outcomes() order by kind, outcome;
select '1'::jifen.point_amount;
reset role;

-- Even where the schema may be used
grant usage on schema jifen to regress_jifen_nobody;
set role regress_jifen_nobody;
select distinct * from pg_temp.outcomes() order by kind, outcome;
select '1'::jifen.point_amount + 1 as two, jifen.expires_at('never', '2024-01-01', 'UTC');
set jifen.clock_tolerance = 3600;
reset role;

-- ---------- a role that posts ----------

grant usage on schema jifen to regress_jifen_till;
grant execute on function jifen.earn, jifen.redeem, jifen.balance to regress_jifen_till;
set role regress_jifen_till;
select seq, kind, amount, balance, actor from earn('shop', 'bob', 100);
select seq, kind, amount, balance, actor from redeem('shop', 'bob', 30::bigint);
select seq, kind, amount, balance, actor from redeem('shop', 'bob', 20::smallint);
select (earn('shop', 'bob', 5::point_amount)).balance;
select balance, available from balance('shop', 'bob');
select distinct * from pg_temp.outcomes() order by kind, outcome;
select reverse('shop', 'bob', 1);
select count(*) from entry;
insert into entry (account_id, seq, amount) values (1, 9, 1000);
update entry set amount = 1000;
delete from entry;
truncate entry;
select * from reconcile();
reset role;

-- ---------- roles for each task ----------

grant usage on schema jifen to regress_jifen_app, regress_jifen_service, regress_jifen_migration, regress_jifen_analyst, regress_jifen_dba;
grant execute on function jifen.earn, jifen.redeem, jifen.hold, jifen.capture, jifen.release, jifen.reverse, jifen.reverse_reference to regress_jifen_app;
grant execute on function jifen.open_account, jifen.balance, jifen.expiring, jifen.statement, jifen.tier_for, jifen.tier_status to regress_jifen_app;
grant execute on function jifen.adjust, jifen.reverse, jifen.freeze_account, jifen.unfreeze_account, jifen.balance, jifen.statement to regress_jifen_service;
grant execute on function jifen.open_account, jifen.post, jifen.posting to regress_jifen_migration;
grant select on all tables in schema jifen to regress_jifen_analyst;
grant execute on function jifen.balance, jifen.expiring, jifen.statement, jifen.tier_for, jifen.tier_status, jifen.reconcile, jifen.preview_policy to regress_jifen_analyst;
grant execute on function jifen.expire_batch, jifen.release_batch, jifen.start_job_run, jifen.add_to_job_run, jifen.end_job_run, jifen.raise_job_error to regress_jifen_dba;
grant execute on function jifen.claim_job, jifen.end_claim, jifen.due_programs, jifen.next_program, jifen.seal(text) to regress_jifen_dba;
grant execute on function jifen.schedule_jobs, jifen.unschedule_jobs, jifen.schedule_program, jifen.require_pg_cron to regress_jifen_dba;
grant execute on procedure jifen.run_expiry, jifen.run_release, jifen.run_batches, jifen.run_seal, jifen.run_scheduled to regress_jifen_dba;
grant select on jifen.job_run to regress_jifen_dba;

grant usage on schema jifen to regress_jifen_marketing;
grant execute on function jifen.expiring_members, jifen.due_notices, jifen.record_notice, jifen.record_notices, jifen.set_notice_template to regress_jifen_marketing;

-- Each calls what it may, and is refused what it may not.
set role regress_jifen_app;
select seq, balance, actor from earn('shop', 'app', 100, 'ORD-1', 'key', event_at => '2024-01-01', expiry => 'never');
select seq, balance, actor from earn('shop', 'app', 100, 'ORD-1', 'key', event_at => '2024-01-01', expiry => 'never');
select seq, held, actor from hold('shop', 'app', 30, '2999-01-01', event_at => '2024-01-02');
select seq, amount, actor from capture('shop', 'app', 2, 20, event_at => '2024-01-03');
select seq, held, actor from hold('shop', 'app', 5, '2999-01-01', event_at => '2024-01-03');
select seq, held, actor from release('shop', 'app', 5, event_at => '2024-01-04');
select seq, amount, actor from redeem('shop', 'app', 10, event_at => '2024-01-04');
select seq, amount, actor from reverse('shop', 'app', 7, event_at => '2024-01-05');
select seq, amount, actor from reverse_reference('shop', 'app', 'ORD-1', 1, 2, event_at => '2024-01-05');
select balance, available, held, debt from balance('shop', 'app', '2024-01-05');
select count(*) from statement('shop', 'app', known_at => now());
select seq, kind, nullif(actor, session_user) as actor from transfer('shop', 'app', 'ann', 1);
select seq from adjust('shop', 'app', 1, 'why');
select seq from import('shop', 'app', 1);
select seq from post(array[posting('shop', 'app', 'earn', 1)]);
select seq from post('{}');
select lock_account('shop', 'app');
select * from release_batch();
call run_release();
select count(*) from hold;
insert into hold (account_id, seq) values (1, 1);
delete from debt;
set role regress_jifen_service;
select seq, amount, actor from adjust('shop', 'app', -5, 'abuse', event_at => '2024-01-06');
select seq, amount, actor from reverse('shop', 'app', 10, event_at => '2024-01-07');
select member, status from freeze_account('shop', 'app', 'why');
select member, status from unfreeze_account('shop', 'app', 'why');
select seq from earn('shop', 'app', 1);
set role regress_jifen_migration;
select ordinal, seq, balance, sqlstate from post(array[posting('shop', 'moved', 'import', 50), posting('shop', 'moved', 'adjust', 5, reason => 'why')], 'skip');
select seq from import('shop', 'moved', 1);
select balance from balance('shop', 'moved');
set role regress_jifen_analyst;
select kind, count(*) from entry join account using (account_id) where member in ('app', 'moved') group by kind order by kind;
select (select count(*) from hold) as holds, (select count(*) from debt) as debts;
select balance from balance('shop', 'moved');
select * from reconcile('shop', 'app');
select sum(points) = sum(new_points) as all_of_them from preview_policy('shop', 'never');
select seq from earn('shop', 'app', 1);
set role regress_jifen_marketing;
select language, template from set_notice_template('shop', 'en', '{expiring} points lapse');
select member, expiring, message from expiring_members('shop', '2024-02-04', '2024-01-10');
select member, window_days, expiring, message from due_notices('shop', as_of => '2024-01-10');
select notice_no, points, actor from record_notice('shop', 'ann', 'sms', window_days => 30, sent_at => '2024-01-10');
select notice_no, points, actor from record_notices('shop', array['ann', 'app'], 'sms', window_days => 30, sent_at => '2024-01-10');
select balance from balance('shop', 'ann');
select seq from lots_at('shop', 'ann', '2024-01-10', '2024-01-10');
select count(*) from reminders(1, now(), '{7}', array[now()], true, null, 1, null, null, false);
select count(*) from notice;
insert into notice_template (language) values ('fr');
set role regress_jifen_dba;
select accounts, holds, points, more from release_batch('shop', '2024-02-01');
call run_release('shop', '2024-02-01');
call run_expiry('shop', '2024-01-01');
call run_seal();
select job, local_time from schedule_program('shop', expiry => '04:00');
call run_scheduled('seal', '00:00');
select program from due_programs('seal', '00:00');
select job, accounts, lots, holds, points, error, actor from job_run order by job_run_id;
select count(*) from entry;
select count(*) from preview_policy('shop', '1 year');
reset role;
delete from job_run;
select distinct nullif(e.actor, session_user) as actor from entry e join account using (account_id) where member in ('app', 'moved') order by 1;

-- ---------- who is on record ----------

-- The role that posts, not the one whose privileges do it
create function public.regress_jifen_earn(member text) returns jifen.entry
language sql security definer set search_path = jifen, pg_temp
return jifen.earn('shop', member, 1);
select nullif(actor, session_user) as actor from earn('shop', 'cat', 1);
set role regress_jifen_till;
select actor from earn('shop', 'dan', 1);
select actor from public.regress_jifen_earn('eve');
reset role;
set session authorization regress_jifen_till;
select actor from earn('shop', 'fay', 1);
reset session authorization;
select a.member, nullif(c.actor, session_user) as opened_by
from account a join status_change c using (account_id) where a.member <> 'ann' order by a.member, c.change_no;
drop function public.regress_jifen_earn;

-- ---------- the journal ----------

-- Neither a superuser changes it
update entry set amount = amount + 1;
delete from entry where false;
truncate entry;
update allocation set amount = amount + 1;
delete from allocation where false;
truncate allocation;
truncate entry, allocation, lot, account, status_change, tier, program cascade;
with gone as (delete from entry returning *) select * from gone;
insert into entry select * from entry on conflict (account_id, seq) do update set amount = 0;
\set VERBOSITY sqlstate
set session_replication_role = replica;
update entry set amount = amount + 1;
delete from entry;
truncate entry;
update allocation set amount = amount + 1;
delete from allocation;
truncate allocation;
reset session_replication_role;

-- nor its owner, nor who has been granted it
begin;
alter table entry owner to regress_jifen_owner;
alter table allocation owner to regress_jifen_owner;
grant usage on schema jifen to regress_jifen_owner;
grant all on entry, allocation to regress_jifen_till;
create function pg_temp.refused(statement text) returns text
language plpgsql as $$
begin
    execute statement;
    return 'done';
exception when others then
    return sqlstate || ' ' || sqlerrm;
end
$$;
create temp table change as
select format(command, name) as statement, n
from unnest(array['entry', 'allocation']) as name,
    unnest(array['update jifen.%s set amount = amount', 'delete from jifen.%s', 'truncate jifen.%s']) with ordinality as c (command, n);
grant select on change to public;
set role regress_jifen_owner;
select statement, pg_temp.refused(statement) from change order by statement;
set role regress_jifen_till;
select statement, pg_temp.refused(statement) from change order by statement;
rollback;
\set VERBOSITY default

-- Whoever removes the guard is found out.
begin;
alter table entry disable trigger refuse_change;
select invariant, expected, found from reconcile() order by found;
alter table entry enable trigger refuse_change;
select invariant, expected, found from reconcile() order by found;
drop trigger refuse_change on allocation;
select invariant, expected, found from reconcile() order by found;
rollback;
select * from reconcile();

-- ---------- search_path ----------

-- A role that may call everything has, in a schema of its own, operators,
-- functions, aggregates, types and tables that are named like those of the
-- server and of this extension and take the very same arguments. Each of them
-- counts its calls.
create schema regress_jifen_attack authorization regress_jifen_attacker;
grant usage on schema jifen to regress_jifen_attacker;
grant execute on all routines in schema jifen to regress_jifen_attacker;

set role regress_jifen_attacker;
set search_path = '';
create sequence regress_jifen_attack.calls;
create function regress_jifen_attack.is_fine(value text) returns boolean
language plpgsql as $$ begin perform pg_catalog.nextval('regress_jifen_attack.calls'); return true; end $$;

do $$
declare
    body constant text := 'language plpgsql as ''begin perform pg_catalog.nextval(''''regress_jifen_attack.calls''''); return null; end''';
    imitated record;
begin
    for imitated in
        select oprname as name, nullif(oprleft, 0)::regtype as left_type, oprright::regtype as right_type,
            oprresult::regtype as result_type, 'operator_' || oid as function
        from pg_operator o
        where oprnamespace in ('pg_catalog'::regnamespace, 'jifen'::regnamespace)
            and not exists (select from pg_type t where t.oid in (oprleft, oprright, oprresult) and t.typtype = 'p')
    loop
        execute format('create function regress_jifen_attack.%I(%s) returns %s %s',
            imitated.function, concat_ws(', ', imitated.left_type, imitated.right_type), imitated.result_type, body);
        execute format('create operator regress_jifen_attack.%s (%s rightarg = %s, function = regress_jifen_attack.%I)',
            imitated.name, 'leftarg = ' || imitated.left_type || ',', imitated.right_type, imitated.function);
    end loop;

    for imitated in
        select proname as name, prokind, prorettype::regtype as result_type, 'aggregate_' || oid as function,
            (select string_agg(t::regtype::text, ', ' order by n)
             from unnest(proargtypes) with ordinality as a (t, n)) as argument_types
        from pg_proc
        where pronamespace in ('pg_catalog'::regnamespace, 'jifen'::regnamespace) and prokind in ('f', 'a')
            and not exists (select from pg_type t
                where t.typtype = 'p' and (t.oid = any (proargtypes) or t.oid = prorettype and t.typname <> 'record'))
    loop
        if imitated.prokind = 'f' then
            execute format('create function regress_jifen_attack.%I(%s) returns %s %s',
                imitated.name, imitated.argument_types, imitated.result_type, body);
        else
            execute format('create function regress_jifen_attack.%I(%s) returns %s %s',
                imitated.function, concat_ws(', ', imitated.result_type, imitated.argument_types), imitated.result_type, body);
            execute format('create aggregate regress_jifen_attack.%I(%s) (sfunc = regress_jifen_attack.%I, stype = %s)',
                imitated.name, coalesce(imitated.argument_types, '*'), imitated.function, imitated.result_type);
        end if;
    end loop;

    for imitated in
        select format('%I.%I', n.nspname, typname) as type, typname as name
        from pg_type t join pg_namespace n on n.oid = typnamespace
        where typname in ('text', 'int4', 'int8', 'bool', 'numeric', 'timestamptz', 'timestamp', 'interval', 'jsonb', 'date',
            'regclass', 'point_amount', 'expiry_policy') and n.nspname in ('pg_catalog', 'jifen')
    loop
        execute format('create domain regress_jifen_attack.%I as %s check (regress_jifen_attack.is_fine(value::text))',
            imitated.name, imitated.type);
    end loop;
end
$$;

-- Its tables are made for each session, in that schema and as temporary ones.
create function regress_jifen_attack.make_tables(schema text) returns void
language plpgsql set search_path = '' as $$
declare
    definition text;
begin
    for definition in
        select format('create table %s.%I (%s)', schema, relname, string_agg(format('%I %s', attname, atttypid::regtype), ', ' order by attnum))
        from pg_class join pg_attribute on attrelid = pg_class.oid and attnum > 0
        where relnamespace = 'jifen'::regnamespace and relkind in ('r', 'v')
        group by relname
        union all
        select format('create table %1$s.%2$I (like %1$s.%3$I)', schema, name, imitated)
        from (values ('changed_account', 'account'), ('new_entry', 'entry'), ('new_allocation', 'allocation'),
            ('new_lot', 'lot'), ('changed_lot', 'lot'), ('spent_lot', 'lot')) as t (name, imitated)
    loop
        execute definition;
    end loop;
end
$$;
select regress_jifen_attack.make_tables('regress_jifen_attack');
reset role;

-- A new session plans everything anew.
\c -
set timezone = 'UTC';
set datestyle = 'ISO';
set intervalstyle = 'postgres';
set role regress_jifen_attacker;
select regress_jifen_attack.make_tables('pg_temp');
set search_path = regress_jifen_attack, pg_temp, pg_catalog, jifen;

-- What it calls itself is its own.
select 1 + 1 as two, length('two') as three, sum('2'::jifen.point_amount), 'one'::text = 'one' as same,
    account_id('shop', 'gus'), 'x'::text as imitated;
select is_called as any_call from calls;
select pg_catalog.setval('calls', 1, false);

-- What the extension calls is not.
select seq, amount, balance from jifen.earn('shop', 'gus', 100, event_at => '2024-01-01', qualifying => 250);
select seq, amount, balance from jifen.earn('shop', 'gus', 50, event_at => '2024-03-01', expiry => 'never');
select seq, amount, balance from jifen.redeem('shop', 'gus', 30, event_at => '2024-01-02');
select seq, amount, balance from jifen.redeem('shop', 'gus', 1000, event_at => '2024-03-02');
select seq, amount, balance from jifen.reverse('shop', 'gus', 3, 10, event_at => '2024-01-03');
select seq, held, hold_seq from jifen.hold('shop', 'gus', 20, '2999-01-01', 'doc', 'hold', '2024-01-03');
select seq, held, hold_seq from jifen.hold('shop', 'gus', 20, '2999-01-01', 'doc', 'hold', '2024-01-03');
select seq, held, hold_seq from jifen.hold('shop', 'gus', 21, '2999-01-01', 'doc', 'hold', '2024-01-03');
select seq, amount, hold_seq from jifen.capture('shop', 'gus', 5, 4, event_at => '2024-01-04');
select seq, held, hold_seq from jifen.hold('shop', 'gus', 3, '2999-01-01', event_at => '2024-01-04');
select seq, held, hold_seq from jifen.release('shop', 'gus', 8, event_at => '2024-01-04');
select seq, amount, balance from jifen.adjust('shop', 'gus', 2, 'sorry', event_at => '2024-01-04');
select seq, amount, balance from jifen.adjust('shop', 'gus', -2, 'abuse', event_at => '2024-01-04');
select seq, amount, balance from jifen.import('shop', 'gus', 4, event_at => '2024-01-04', issued_at => '2024-01-01');
select seq, kind, amount from jifen.transfer('shop', 'gus', 'ann', 4, event_at => '2024-01-04');
select seq, amount, balance from jifen.reverse('shop', 'gus', 13, event_at => '2024-01-04');
select ordinal, seq, balance, sqlstate from jifen.post(array[jifen.posting('shop', 'gus', 'redeem', 1, event_at => '2024-01-04'),
    jifen.posting('shop', 'gus', 'redeem', 1000, event_at => '2024-01-04', "group" => 'g'), jifen.posting('shop', 'gus', 'earn', 5, "group" => 'g'),
    jifen.posting('shop', 'gus', 'reverse', seq => 15, event_at => '2024-01-04')], 'skip');
select seq, amount, reverses_seq from jifen.reverse_reference('shop', 'gus', 'none');
select b.balance, available, lapsed from jifen.balance('shop', 'gus', '2024-03-01') b;
select b.balance, available, lapsed from jifen.balance('shop', 'gus', '2024-01-02') b;
select b.balance, available, held from jifen.balance('shop', 'gus', '2024-01-03', pg_catalog.now()) b;
select jifen.expiring('shop', 'gus', '2024-03-01', '2024-01-05');
select accounts, lots, points, more from jifen.expire_batch('shop', '2024-03-01');
select accounts, holds, points, more from jifen.release_batch('shop', '2024-03-01');
select seq, amount, balance from jifen.redeem('shop', 'gus', 20, event_at => '2024-01-20');
select seq, kind, amount, balance from jifen.statement('shop', 'gus', '2024-01-01', '2024-12-31');
select jifen.tier_for('shop', 'gus', '2024-04-01');
select tier, qualifying, threshold, missing from jifen.tier_status('shop', 'gus', '2024-04-01');
select member, status from jifen.freeze_account('shop', 'gus', 'why');
select member, status from jifen.unfreeze_account('shop', 'gus', 'why');
select member, status from jifen.open_account('shop', 'hal');
select member, status from jifen.close_account('shop', 'hal', 'why');
select code, tier_window from jifen.create_program('mall', currency => 'EUR', point_value => 1, auto_open => true, overdraft => 'debt');
select seq, amount, balance from jifen.earn('mall', 'gus', 10, 'doc', event_at => '2024-01-01', expiry => '1 month');
select seq, amount, balance from jifen.redeem('mall', 'gus', 4, 'doc', event_at => '2024-01-02');
select seq, amount, debt, balance from jifen.reverse_reference('mall', 'gus', 'doc', 1, 2, event_at => '2024-01-02');
select seq, amount, debt, balance from jifen.adjust('mall', 'gus', -10, 'abuse', event_at => '2024-01-03');
select seq, amount, debt, balance from jifen.earn('mall', 'gus', 10, event_at => '2024-01-03', expiry => '1 month');
select accounts, lots, points, more from jifen.expire_batch('mall', '2024-03-01');
select seq, kind, amount, balance from jifen.reverse('mall', 'gus', 8, event_at => '2024-03-01', expiry => '1 year');
select seq, kind, amount, balance, held, debt from jifen.statement('mall', 'gus', known_at => pg_catalog.now());
select code, name from jifen.create_program('mall', currency => 'euro');
select code, name from jifen.alter_program('mall', name => 'Mall', tier_window => '2 years', return_grace => '1 month', unset => array['overdraft_limit']);
select code, threshold from jifen.create_tier('mall', 'tin', null, 10);
select * from jifen.reconcile();
select * from jifen.reconcile('shop', 'gus');
select language, template from jifen.set_notice_template('shop', 'en', '{expiring:FM999} of {available} until {expires_on:DD.MM.YYYY}');
select member, expiring, to_notify, message from jifen.expiring_members('shop', '2024-06-01', '2024-01-20');
select member, window_days, expiring, message from jifen.due_notices('shop', as_of => '2024-01-20');
select notice_no, points, actor from jifen.record_notices('shop', array['gus', 'ann'], 'sms', window_days => 60, sent_at => '2024-01-20', messages => array['to gus', 'to ann']);
select notice_no, points, actor from jifen.record_notice('shop', 'gus', 'sms', window_days => 60, sent_at => '2024-01-20');
select seal_no, accounts from jifen.seal('shop');
select seal_no, jifen.verify_inclusion(p, root) from jifen.inclusion_proof('shop', 'gus') p;
select last_seq, status from jifen.forget_member('shop', 'fay', 'why');
select * from jifen.verify_chain();
select * from jifen.verify_seals();
select is_called as any_call from calls;
call jifen.run_expiry('shop', '2024-03-01');
call jifen.run_release('shop', '2024-03-01');
call jifen.run_seal('shop');
select program from jifen.due_programs('expire', '00:00');
select month, at_once, points, new_points from jifen.preview_policy('shop', '1 year end of month or 6 months inactive', as_of => '2024-01-05') limit 2;
call jifen.run_scheduled('seal', '00:00', 2);
call jifen.run_expiry('nowhere');
select is_called as any_call from calls;
select exists (table pg_temp.entry) or exists (table pg_temp.new_entry) or exists (table pg_temp.account)
    or exists (table pg_temp.lot) or exists (table pg_temp.allocation) or exists (table pg_temp.job_run) as any_row;
select pg_catalog.setval('calls', 1, false);
reset role;

-- Nor where the caller is a superuser who has that schema in his search_path
\c -
set timezone = 'UTC';
set datestyle = 'ISO';
set intervalstyle = 'postgres';
set search_path = regress_jifen_attack, pg_catalog, jifen;
select seq, amount, balance from jifen.earn('shop', 'ivy', 100, event_at => '2024-01-01');
select seq, amount, balance from jifen.redeem('shop', 'ivy', 30, event_at => '2024-01-02');
select b.balance, available, lapsed from jifen.balance('shop', 'ivy', '2024-03-01') b;
select * from jifen.reconcile();
select points from jifen.liability_by_expiry order by points desc limit 1;
delete from jifen.entry;
select is_called as any_call from calls;
call jifen.run_expiry('shop', '2024-03-01');
call jifen.run_release('shop', '2024-03-01');
call jifen.run_seal('shop');
select program from jifen.due_programs('expire', '00:00');
select month, at_once, points, new_points from jifen.preview_policy('shop', '1 year end of month or 6 months inactive', as_of => '2024-01-05') limit 2;
call jifen.run_scheduled('seal', '00:00', 3);
call jifen.run_expiry('nowhere');
select is_called as any_call from calls;
set search_path = public, jifen;
select job, program, accounts, lots, holds, points, error, nullif(actor, session_user) as actor from job_run order by job_run_id;

-- and nothing has gone astray. A run of a job is on record as an entry is.
select seq, kind, amount, actor from entry where account_id = account_id('shop', 'gus') order by seq;
select exists (table regress_jifen_attack.entry) or exists (table regress_jifen_attack.new_entry)
    or exists (table regress_jifen_attack.account) or exists (table regress_jifen_attack.lot)
    or exists (table regress_jifen_attack.allocation) or exists (table regress_jifen_attack.job_run) as any_row;

-- ---------- the end ----------

set client_min_messages = warning;
drop extension jifen cascade;
drop schema regress_jifen_attack cascade;

-- A schema that others own, may create in, or have filled is not taken over.
drop schema jifen;
create schema jifen authorization regress_jifen_attacker;
create extension jifen;
alter schema jifen owner to current_user;
grant create on schema jifen to regress_jifen_attacker;
create extension jifen;
revoke create on schema jifen from regress_jifen_attacker;
create function jifen.add_to_job_run(run bigint, accounts integer, lots bigint, points bigint) returns void
language sql as 'select';
create extension jifen;
drop schema jifen cascade;

drop owned by regress_jifen_nobody, regress_jifen_till, regress_jifen_owner, regress_jifen_attacker, regress_jifen_app,
    regress_jifen_service, regress_jifen_migration, regress_jifen_analyst, regress_jifen_dba, regress_jifen_marketing;
drop role regress_jifen_nobody, regress_jifen_till, regress_jifen_owner, regress_jifen_attacker, regress_jifen_app,
    regress_jifen_service, regress_jifen_migration, regress_jifen_analyst, regress_jifen_dba, regress_jifen_marketing;
create extension jifen;
