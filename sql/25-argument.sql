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

-- Whoever does something by hand states why: it is journaled.
create function require_reason(reason text, hint text) returns void
language plpgsql immutable parallel safe
set search_path = jifen, pg_temp
as $$
begin
    if reason is null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'reason must not be null',
            detail = 'It is journaled.',
            hint = hint;
    elsif reason = '' then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'reason must not be empty',
            detail = 'It has 0 characters.',
            hint = hint;
    end if;
end
$$;

comment on function require_reason(text, text) is
    'Raises 22004 for a reason that is null and 22023 for one that is empty, with that hint';

-- As jifen_check_identifier() in C.
create function check_identifier(value text, name text) returns void
language plpgsql immutable parallel safe
set search_path = jifen, pg_temp
as $$
begin
    if length(value) not between 1 and 256 then
        raise exception using errcode = 'invalid_parameter_value',
            message = case length(value) when 0 then name || ' must not be empty' else name || ' is too long' end,
            detail = format('It has %s characters.', length(value)),
            hint = 'An identifier has from 1 to 256 characters.';
    end if;
end
$$;

comment on function check_identifier(text, text) is
    'Raises 22023 for an identifier, the argument of that name, that is empty or longer than 256 characters; null: none is given';

create function require_range(since timestamptz, until timestamptz, names text) returns void
language plpgsql immutable parallel safe
set search_path = jifen, pg_temp
as $$
begin
    if since >= until then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('%s are the wrong way round', names),
            detail = format('They are %s and %s.', since, until),
            hint = 'Nothing lies at or after the one and before the other.';
    end if;
end
$$;

comment on function require_range(timestamptz, timestamptz, text) is
    'Raises 22023 for two bounds, of those names, between which nothing lies; null: no bound';

revoke all on function actor() from public;
revoke all on function require_reason(text, text) from public;
revoke all on function check_identifier(text, text) from public;
revoke all on function require_range(timestamptz, timestamptz, text) from public;
revoke all on function require_writable(text) from public;
