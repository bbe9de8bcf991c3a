-- argument: a check that the PL/pgSQL functions share with those in C.

create function require_writable(command text) returns void
language c stable parallel safe
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function require_writable(text) is
    'Raises 25006 in a read-only transaction and on a standby, naming the command; 22004. Locks nothing';

revoke all on function require_writable(text) from public;
