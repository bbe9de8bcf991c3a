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

do $$
begin
    perform create_program('shop', expiry => '1 month', auto_open => true);
    perform create_tier('shop', 'gold', 'Gold', 100);
    perform earn('shop', 'ann', 100, event_at => '2024-01-01');
    perform redeem('shop', 'ann', 30, event_at => '2024-01-02');
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
insert into entry select 1, 9, 1000, 0, 1000, now(), now(), 'infinity', now(), null, 0, 'earn', null, null, null, null, null, 'me';
update entry set amount = 1000;
delete from entry;
truncate entry;
select * from reconcile();
reset role;

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
from account a join status_change c using (account_id) where a.member <> 'ann' order by a.member;
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
select b.balance, available, lapsed from jifen.balance('shop', 'gus', '2024-03-01') b;
select b.balance, available, lapsed from jifen.balance('shop', 'gus', '2024-01-02') b;
select jifen.expiring('shop', 'gus', '2024-03-01', '2024-01-05');
select accounts, lots, points, more from jifen.expire_batch('shop', '2024-03-01');
select seq, amount, balance from jifen.redeem('shop', 'gus', 20, event_at => '2024-01-20');
select seq, kind, amount, balance from jifen.statement('shop', 'gus', '2024-01-01', '2024-12-31');
select jifen.tier_for('shop', 'gus', '2024-04-01');
select tier, qualifying, threshold, missing from jifen.tier_status('shop', 'gus', '2024-04-01');
select member, status from jifen.freeze_account('shop', 'gus', 'why');
select member, status from jifen.unfreeze_account('shop', 'gus', 'why');
select member, status from jifen.open_account('shop', 'hal');
select member, status from jifen.close_account('shop', 'hal', 'why');
select code, tier_window from jifen.create_program('mall', currency => 'EUR', point_value => 1);
select code, name from jifen.create_program('mall', currency => 'euro');
select code, name from jifen.alter_program('mall', name => 'Mall', tier_window => '2 years');
select code, threshold from jifen.create_tier('mall', 'tin', null, 10);
select * from jifen.reconcile();
select * from jifen.reconcile('shop', 'gus');
select is_called as any_call from calls;
call jifen.run_expiry('shop', '2024-03-01');
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
call jifen.run_expiry('nowhere');
select is_called as any_call from calls;
set search_path = public, jifen;
select program, accounts, lots, points, error, nullif(actor, session_user) as actor from job_run order by job_run_id;

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

drop owned by regress_jifen_nobody, regress_jifen_till, regress_jifen_owner, regress_jifen_attacker;
drop role regress_jifen_nobody, regress_jifen_till, regress_jifen_owner, regress_jifen_attacker;
create extension jifen;
