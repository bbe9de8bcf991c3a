-- argument: what the PL/pgSQL functions share with those in C.

create function require_writable(command text) returns void
language c stable parallel safe
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function require_writable(text) is
    'Raises 25006 in a read-only transaction and on a standby, naming the command; 22004. Locks nothing';

create function actor() returns text
language sql stable parallel safe
set search_path = jifen, pg_temp
as $$
    select case current_setting('role') when 'none' then session_user else current_setting('role') end
$$;

comment on function actor() is
    'The role that acts: the outer user, also within functions that run as the owner';

revoke all on function actor() from public;
revoke all on function require_writable(text) from public;
