-- A program without members, in tables that are not analyzed.
create extension jifen;
set search_path = jifen, public;
select from create_program('bench', time_zone => 'Asia/Shanghai', expiry => '12 months end of month', auto_open => true);
select format('alter table %s set (autovacuum_enabled = off)', oid::regclass) from pg_class
where relnamespace = 'jifen'::regnamespace and relkind = 'r'
\gexec
