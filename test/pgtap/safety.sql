-- Safe by default: what the functions of the extension are, who may do what, and that everything is documented.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(65);
\ir books.psql

-- The objects of the extension.
create function pg_temp.members(catalog regclass) returns setof oid
language sql stable as $$
    select d.objid from pg_depend d join pg_extension x on x.oid = d.refobjid
    where x.extname = 'jifen' and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' and d.classid = members.catalog
$$;
create temp view member_function as
select p.*, exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x where x.grantee = 0) as public_may
from pg_proc p where p.oid in (select pg_temp.members('pg_proc'));

-- ---------- functions ----------

select bag_eq($$select proname::text from member_function where provolatile = 'v'$$,
    array['create_program', 'alter_program', 'open_account', 'freeze_account', 'unfreeze_account', 'close_account', 'earn', 'redeem', 'reverse',
        'expire_batch', 'run_expiry', 'create_tier', 'start_job_run', 'add_to_job_run', 'end_job_run', 'schedule_jobs', 'unschedule_jobs',
        'refuse_change', 'forget_member', 'seal', 'hold', 'capture', 'release', 'adjust', 'transfer', 'import', 'reverse_reference', 'lock_account',
        'post', 'release_batch', 'run_release', 'run_batches', 'run_seal', 'run_scheduled', 'claim_job', 'end_claim', 'schedule_program', 'expire_member', 'record_expiry_rule', 'record_point_value', 'reinstate', 'extend_expiry', 'undo_extension',
        'run_extension', 'extend_batch', 'carry_out', 'set_notice_template', 'record_notice', 'record_notices', 'lock_periods', 'change_period', 'close_period', 'reopen_period',
        'announce_summary', 'advance_summaries', 'drop_summaries', 'run_summary', 'index_new_entries',
        'add_to_flows', 'add_to_settlement', 'add_to_behaviour', 'drop_flows', 'drop_settlement', 'drop_behaviour',
        'set_agreement', 'end_agreement', 'record_prepayment', 'lock_program', 'record_redemption_estimate', 'set_gl_account'],
    'the functions that write, and no others, are volatile');
select is_empty($$select oid::regprocedure from member_function where provolatile = 'v' and proparallel <> 'u'$$, 'they are parallel unsafe');
select bag_eq($$select proname::text from member_function where provolatile = 'v' and not prosecdef$$,
    array['run_batches', 'run_expiry', 'run_release', 'run_extension', 'run_seal', 'run_scheduled', 'schedule_jobs', 'unschedule_jobs', 'refuse_change', 'lock_account',
        'record_expiry_rule', 'record_point_value', 'extend_batch', 'carry_out', 'lock_periods', 'change_period', 'lock_program', 'run_summary'],
    'and write as the owner, but for the procedures that commit, the trigger function and pg_cron''s jobs, which are the caller''s, and what only those call that do');
select is_empty($$select oid::regprocedure from member_function
        where prosecdef and not coalesce('search_path=jifen, pg_temp' = any (proconfig), false)$$,
    'whatever runs as the owner has its search_path pinned, temporary objects last');
select bag_eq($$select f.proname::text from member_function f join pg_language l on l.oid = f.prolang
        where l.lanname in ('sql', 'plpgsql') and not coalesce('search_path=jifen, pg_temp' = any (f.proconfig), false)$$,
    array['run_batches', 'run_expiry', 'run_release', 'run_extension', 'run_seal', 'run_scheduled', 'run_summary', 'posting', 'activity_at', 'last_activity_at',
        'filled_template', 'lots_to_lapse', 'reminder_of', 'movement', 'lot_expires', 'lot_expires_month', 'pending_until_day', 'months_between', 'expected_redeemed', 'earned_consideration', 'entry_sums', 'lot_sums', 'settlement_sums',
        'history_of_changed'],
    'and so has every function in SQL, but for the procedures, since one that sets something cannot commit, and those that are expanded where they are called');
select is_empty($$select oid::regprocedure from member_function where public_may and (prosecdef or provolatile <> 'i')$$,
    'PUBLIC may execute only what is immutable');
select is_empty($$select oid::regprocedure from member_function where public_may
        and not (array['point_amount', 'expiry_policy']::regtype[] && (proargtypes::oid[]::regtype[] || prorettype::regtype)
            or proname in ('point_amount_accumulate', 'point_amount_accumulate_inverse', 'point_amount_sum_final', 'activity_at',
                'chain_ladder', 'movement', 'lot_expires', 'lot_expires_month', 'pending_until_day', 'local_day', 'local_month', 'day_until', 'month_until', 'day_begin', 'months_between', 'expected_redeemed',
                'earned_consideration'))$$,
    'and belongs to the two types, to a view, or to the calendar');
select is_empty($$select f.oid::regprocedure from member_function f
        where not f.public_may and not f.prosecdef and exists (select from pg_depend d
            join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
            where d.refclassid = 'pg_proc'::regclass and d.refobjid = f.oid)$$,
    'so that whoever may read a view can read it, but for what reads tables, which docs/privileges.md grants');
select isnt_empty($$select 1 from member_function where public_may$$, 'which are of use to everyone');
select is_empty($$select oid::regprocedure from member_function
        where proleakproof and proname !~ '^(point_amount|expiry_policy)_(eq|ne|lt|le|gt|ge|cmp|hash|hash_extended)$'$$,
    'only comparisons and hashes claim to leak nothing');

-- ---------- tables, sequences and the schema ----------

-- What is made anew from the journal.
create temp table derived as
select unnest(array['day_summary', 'program_summary', 'pending_summary', 'cohort_summary', 'vintage_summary', 'activity_summary', 'member_summary',
    'settlement_summary', 'tier_summary', 'tier_summary_rule']) as name;
create temp view member_relation as select c.* from pg_class c where c.oid in (select pg_temp.members('pg_class'));
select bag_eq($$select relname::text from member_relation where relkind = 'r'$$,
    array['program', 'account', 'status_change', 'entry', 'lot', 'allocation', 'hold', 'debt', 'tier', 'job_run', 'erasure', 'forgetting',
        'seal', 'seal_head', 'program_schedule', 'job_claim', 'expiry_rule', 'extension', 'notice', 'notice_lot', 'notice_template', 'period_change',
        'agreement', 'prepayment', 'redemption_estimate', 'gl_account', 'point_value_change', 'summary_state'] || array(select name from derived), 'the tables');
select is_empty($$select c.oid::regclass, x.privilege_type from member_relation c, aclexplode(c.relacl) x where x.grantee = 0$$,
    'PUBLIC may nothing with tables, views and sequences');
select is_empty($$select a.attrelid::regclass, a.attname from pg_attribute a join member_relation c on c.oid = a.attrelid, aclexplode(a.attacl) x
        where x.grantee = 0$$, 'nor with columns of them');
select is_empty($$select x.privilege_type from pg_namespace n, aclexplode(n.nspacl) x where n.nspname = 'jifen' and x.grantee = 0$$,
    'nor with the schema');
select is_empty($$select tgrelid::regclass, tgname from pg_trigger
        where tgrelid in (select oid from member_relation) and not tgisinternal and tgtype & 1 = 1$$,
    'no table has a trigger for each row: a restore would run it again');
select is((select row(x.extrelocatable, n.nspname)::text from pg_extension x join pg_namespace n on n.oid = x.extnamespace where x.extname = 'jifen'),
    '(f,jifen)', 'the extension stays in its schema');

-- ---------- comments ----------

select is_empty($$select pg_describe_object(d.classid, d.objid, 0) from pg_depend d join pg_extension x on x.oid = d.refobjid
        where x.extname = 'jifen' and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
            and obj_description(d.objid, (select relname from pg_class where oid = d.classid)) is null
            -- From 18 on arrays and rows of relations are objects of the extension too.
            and not (d.classid = 'pg_type'::regclass and exists (select from pg_type t left join pg_class c on c.oid = t.typrelid
                where t.oid = d.objid and (t.typcategory = 'A' or c.relkind in ('r', 'v'))))$$,
    'every object of the extension has its comment');
select is_empty($$select a.attrelid::regclass, a.attname from pg_attribute a
        where a.attnum > 0 and not a.attisdropped and col_description(a.attrelid, a.attnum) is null
            and a.attrelid in (select oid from member_relation where relkind in ('r', 'v')
                union select t.typrelid from pg_type t where t.oid in (select pg_temp.members('pg_type')))$$,
    'so has every column of a table, a view or a type');
select is_empty($$select t.tgrelid::regclass, t.tgname from pg_trigger t
        where t.tgrelid in (select oid from member_relation) and not t.tgisinternal and obj_description(t.oid, 'pg_trigger') is null$$,
    'and every trigger');

-- ---------- entries and allocations stay as they were written ----------

do $$
begin
    perform create_program('p', auto_open => true);
    perform earn('p', 'ann', 10, event_at => '2024-01-01');
    perform redeem('p', 'ann', 4, event_at => '2024-01-02');
end
$$;
select throws_ok(statement, '42501', message, statement || ': not even by a superuser')
from (values
    (1, 'update entry set amount = amount', 'UPDATE of jifen.entry is refused'),
    (2, 'delete from entry where false', 'DELETE of jifen.entry is refused'),
    (3, 'truncate entry', 'TRUNCATE of jifen.entry is refused'),
    (4, 'update allocation set amount = amount', 'UPDATE of jifen.allocation is refused'),
    (5, 'delete from allocation', 'DELETE of jifen.allocation is refused'),
    (6, 'truncate allocation', 'TRUNCATE of jifen.allocation is refused'),
    (7, 'update expiry_rule set notice_days = null', 'UPDATE of jifen.expiry_rule is refused'),
    (8, 'delete from expiry_rule', 'DELETE of jifen.expiry_rule is refused'),
    (9, 'truncate expiry_rule', 'TRUNCATE of jifen.expiry_rule is refused'),
    (10, 'update notice set sent_at = now()', 'UPDATE of jifen.notice is refused'),
    (11, 'delete from notice_lot', 'DELETE of jifen.notice_lot is refused'),
    (12, 'update period_change set closed_until = null', 'UPDATE of jifen.period_change is refused')) v (n, statement, message) order by n;
set local session_replication_role = replica;
select throws_ok(statement, '42501', null, statement || ': not as a replica')
from unnest(array['update entry set amount = amount', 'delete from entry', 'truncate entry', 'delete from allocation', 'update expiry_rule set activity = ''{earn}''',
    'delete from notice', 'truncate period_change']) statement;
set local session_replication_role = origin;
select is(pg_temp.entries('p', 'ann'), array['1 earn 10 = 10', '2 redeem -4 = 6'], 'all is as it was');

-- ---------- what a caller puts in the way ----------

create temp table program (program_id int, code text);
create temp table account (account_id bigint, member text);
create temp table entry (account_id bigint, seq bigint);
create temp table lot (account_id bigint, remaining bigint);
create temp table allocation (account_id bigint, seq bigint);
create temp table tier (code text);
create temp table hold (account_id bigint, seq bigint);
create temp table debt (account_id bigint, remaining bigint);
create temp table status_change (account_id bigint);
create temp table expiry_rule (program_id int);
create temp table extension (extension_id bigint);
create temp table notice (account_id bigint);
create temp table notice_lot (account_id bigint);
create temp table notice_template (template text);
create temp table period_change (program_id int);
create function pg_temp.now() returns timestamptz language sql as 'select timestamptz ''1970-01-01''';
create function pg_temp.expires_at(jifen.expiry_policy, timestamptz, text) returns timestamptz language sql as 'select timestamptz ''1970-01-01''';
create function pg_temp.minus(jifen.point_amount, jifen.point_amount) returns boolean language sql as 'select true';
create operator pg_temp.= (leftarg = jifen.point_amount, rightarg = jifen.point_amount, function = pg_temp.minus);
set local search_path = pg_temp, jifen, public, pg_catalog;
select is((jifen.create_program('q', expiry => '1 month', auto_open => true, overdraft => 'debt')).code::text, 'q', 'temporary objects of the same names');
select is((jifen.create_tier('q', 'all', 'All', 0)).code::text, 'all', 'and a search_path');
select is((jifen.earn('q', 'ann', 10, event_at => '2024-01-01')).expires_at, '2024-02-02 00:00+00'::timestamptz, 'that puts them before');
select is((jifen.redeem('q', 'ann', 4, event_at => '2024-01-02')).balance::bigint, 6::bigint, 'what the functions use,');
select is((jifen.reverse('q', 'ann', 2, event_at => '2024-01-03')).balance::bigint, 10::bigint, 'change nothing');
select is(jifen.tier_for('q', 'ann', '2024-01-03'), 'all', 'of what they read');
select is((jifen.hold('q', 'ann', 6, '2999-01-01', event_at => '2024-01-03')).held::bigint, 6::bigint, 'hold,');
select is((jifen.capture('q', 'ann', 4, 2, event_at => '2024-01-03')).balance::bigint, 8::bigint, 'capture,');
select is((jifen.adjust('q', 'ann', -10, 'test', event_at => '2024-01-03')).debt::bigint, 2::bigint, 'owe,');
select is((jifen.import('q', 'bob', 5, event_at => '2024-01-03', idempotency_key => 'key')).seq, 1::bigint, 'import,');
select is((jifen.import('q', 'bob', 5, event_at => '2024-01-03', idempotency_key => 'key')).seq, 1::bigint, 'remember,');
select is((select count(*) from jifen.transfer('q', 'bob', 'ann', 4, event_at => '2024-01-04')), 2::bigint, 'give,');
select is((select array_agg(p.balance::bigint) from jifen.post(array[jifen.posting('q', 'ann', 'earn', 1, event_at => '2024-01-04'), jifen.posting('q', 'ann', 'redeem', 1, event_at => '2024-01-04')]) p),
    array[3, 2]::bigint[], 'post together,');
select is((select r.holds from jifen.release_batch('q') r), 0::bigint, 'release,');
select is((jifen.alter_program('q', expiry => '1 month inactive', notice_days => 1)).rule_no, 2::smallint, 'rule,');
select is((jifen.extend_expiry('q', 'test', by_interval => '1 day', members => '{bob}', event_at => '2024-01-05')).points, 1::numeric, 'extend,');
select is(jifen.expire_member('q', 'ann', '2024-01-06')::bigint, 0::bigint, 'expire,');
select is((select count(*) from jifen.statement('q', 'ann')), 11::bigint, 'or return');
select is((jifen.set_notice_template('q', 'en', '{expiring} lapse')).template_no, 1, 'or tell');
select is((select array_agg(message) from jifen.expiring_members('q', '2024-03-01', '2024-01-05')), array['2 lapse', '1 lapse'], 'what lapses,');
select is((select points::bigint from jifen.record_notice('q', 'bob', 'sms', window_days => 60, sent_at => '2024-01-05')), 1::bigint, 'or record that,');
select is((select e.accounts from jifen.expire_batch('q', '2024-03-01') e), 2, 'or book');
select is((jifen.freeze_account('q', 'ann', 'test')).status::text, 'frozen', 'or change');
select is((jifen.close_period('q', '2024-01-02')).change_no, 1, 'close,');
select is((jifen.reopen_period('q', null, 'test')).change_no, 2, 'reopen');
select is((select count(*) from jifen.reconcile()), 0::bigint, 'or check');

select * from finish();
rollback;
