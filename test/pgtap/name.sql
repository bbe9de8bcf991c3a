-- Names: whatever is in one, it comes back as it went in, in rows and in refusals.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(12);
\ir books.psql

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
    perform create_program('shop');
    for given in select * from name_given order by n loop
        perform create_program(given.name, given.name);
        perform create_tier(given.name, given.name, given.name, 1);
        perform open_account(given.name, given.name);
        perform earn(given.name, given.name, 10, given.name, given.name, given.name, details => to_jsonb(given.name));
        perform redeem(given.name, given.name, 4, given.name, left(given.name, 250) || '2', details => jsonb_build_object(given.name, given.name));
        perform reverse(given.name, given.name, 2, 1, given.name, left(given.name, 250) || '3', details => jsonb_build_array(given.name));
        perform freeze_account(given.name, given.name, given.name);
        perform unfreeze_account(given.name, given.name, given.name);
    end loop;
end
$$;


-- ---------- in rows ----------

select is_empty($query$
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
        or (select array_agg(e.idempotency_key order by e.seq) from entry e where e.account_id = account_id(g.name, g.name))
            is distinct from array[g.name, left(g.name, 250) || '2', left(g.name, 250) || '3']
        or (select (e.seq, e.balance) is distinct from (1::bigint, 10::point_amount)
            from earn(g.name, g.name, 10, g.name, g.name, g.name, details => to_jsonb(g.name)) e)
        or exists (select from reconcile(g.name, g.name))
$query$, 'programs, members, tiers, channels, references, reasons, keys and details come back');
select is((select array[count(*), count(distinct code)] from program where code in (select name from name_given)), array[33, 33]::bigint[],
    'and none is another');

-- ---------- in refusals ----------

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

select is_empty($query$
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
            ('JF005', format('earn(%L, %L, 11, idempotency_key => %L)', name, name, name)),
            ('JF006', format('reverse(%L, %L, 2, 4)', name, name)),
            ('JF006', format('reinstate(%L, %L, ''why'', 1)', name, name)),
            ('JF002', format('extend_expiry(%L, ''why'', ''2999-01-01'')', name || '?')),
            ('JF003', format('extend_expiry(''shop'', ''why'', ''2999-01-01'', members => array[%L])', name)),
            ('22023', format('undo_extension(%L, 0, ''why'')', name)),
            ('JF007', format('capture(%L, %L, 1)', name, name)),
            ('22023', format('transfer(%L, %L, %L, 1)', name, name, name)),
            ('22023', format('reverse_reference(%L, %L, %L)', name, name, left(name, 200) || '?')),
            ('22023', format('post(array[posting(%L, %L, %L, 1)])', name, name, name)),
            ('22023', format('post(''{}'', %L)', name)),
            ('22023', format('reverse(%L, %L, 3, 1)', name, name)),
            ('22023', format('reverse(%L, %L, 9)', name, name)),
            ('22003', format('earn(%L, %L, 9223372036854775807)', name, name)),
            ('22023', format('reopen_period(%L, null, ''why'')', name)),
            ('22023', format('alter_program(%L, point_value => 1)', name)),
            ('22023', format('create_program(''new'', currency => %L)', name)),
            ('22023', format('create_program(''new'', time_zone => %L)', name))) as c (expected, call)
    where not pg_temp.is_named(name || case expected when 'JF002' then '?' else '' end, expected, call)
    order by n, call
$query$, 'each refusal names what was given');
select is((select array[state, message, detail, hint] from pg_temp.refusal(format('select earn(%L, ''nobody'', 1)', name))),
    array['JF003', 'unknown member "nobody"',
        'Program "' || name || '" has no account of member "nobody".',
        'open_account() opens one; earn() and import() do too where the program''s auto_open is true.'], 'a program: ' || name)
from name_given where name in ('O''Reilly', '%s %L %I %n %d %1$s %%', '张伟', '''; drop table jifen.entry; --') order by n;
select is((select array[state, message, detail, hint] from pg_temp.refusal(format('select redeem(%L, %L, 8)', name, name))),
    array['JF001', 'insufficient points',
        'Account "' || name || '" of program "' || name || '" was asked for 8 points; 7 are available, 0 pending, 0 held and 0 lapsed.',
        'Ask for at most the available points; balance() shows them.'], 'a member: ' || name)
from name_given where name in ('O''Reilly', '%s %L %I %n %d %1$s %%', '张伟', '''; drop table jifen.entry; --') order by n;

select is_empty('select * from reconcile()', 'and nothing is amiss');

select * from finish();
rollback;
