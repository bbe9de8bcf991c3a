-- extend: lots are given a later expiry, which can be taken back.

create sequence extension_id_seq;
comment on sequence extension_id_seq is 'Numbers of extensions';

create table extension (
    extension_id bigint primary key default nextval('jifen.extension_id_seq'),
    program_id integer not null,
    undoes bigint,
    reason text not null,
    until timestamptz,
    by_interval interval,
    members text[],
    sources text[],
    expiring_since timestamptz,
    expiring_until timestamptz,
    event_at timestamptz,
    idempotency_key text collate "C",
    posted_at timestamptz not null default now(),
    actor text not null,
    accounts bigint not null default 0,
    lots bigint not null default 0,
    points numeric not null default 0,
    last_account bigint not null default 0,
    finished_at timestamptz,
    constraint extension_key unique (program_id, idempotency_key)
);

create index extension_undoes on extension (undoes) where undoes is not null;

comment on table extension is 'Extensions of expiry and their undoing: what was asked for, and how far it has been carried out';
comment on column extension.extension_id is 'Number of the extension; the reference of its entries names it';
comment on column extension.program_id is 'Program';
comment on column extension.undoes is 'The extension that this one undoes; null for one that extends';
comment on column extension.reason is 'Why, as stated by the caller';
comment on column extension.until is 'When the lots lapse from then on';
comment on column extension.by_interval is 'By how much later they lapse';
comment on column extension.members is 'Whose lots; null: all members''';
comment on column extension.sources is 'Of which source; null: of any';
comment on column extension.expiring_since is 'Lots that would lapse at that time or later; null: no bound';
comment on column extension.expiring_until is 'Lots that would lapse before that time; null: no bound';
comment on column extension.event_at is 'When it happens; null: when each account is worked on';
comment on column extension.idempotency_key is 'The caller''s key of the request, unique in the program';
comment on column extension.posted_at is 'When the transaction that began it began';
comment on column extension.actor is 'Role that asked for it';
comment on column extension.accounts is 'Accounts of which lots were moved so far';
comment on column extension.lots is 'Lots moved so far';
comment on column extension.points is 'Points in them';
comment on column extension.last_account is 'The accounts up to this one are done';
comment on column extension.finished_at is 'When it was done, or undone before that; null: the same call goes on with it';

select pg_extension_config_dump('extension_id_seq', '');
select pg_extension_config_dump('extension', '');

create function extend_batch(
    program_id integer,
    after_account bigint,
    max_accounts integer,
    undoing boolean,
    reference text,
    reason text,
    event_at timestamptz,
    members text[],
    sources text[],
    until timestamptz,
    by_interval interval,
    expiring_since timestamptz,
    expiring_until timestamptz,
    out accounts bigint,
    out lots bigint,
    out points numeric,
    out last_account bigint
)
language c volatile parallel unsafe
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function extend_batch(integer, bigint, integer, boolean, text, text, timestamptz, text[], text[], timestamptz, interval, timestamptz, timestamptz) is
    'Carries out an extension or, undoing, takes back what the one of that reference did, on at most max_accounts accounts after that one; last_account is null once all are done. Locks the accounts';

create function carry_out(extension extension, max_accounts integer) returns extension
language plpgsql volatile parallel unsafe
set search_path = jifen, pg_temp
as $$
declare
    done record;
    carried_out jifen.extension;
begin
    select * into done from jifen.extend_batch(extension.program_id, extension.last_account, max_accounts,
        extension.undoes is not null, format('extension %s', coalesce(extension.undoes, extension.extension_id)),
        extension.reason, extension.event_at, extension.members, extension.sources, extension.until, extension.by_interval,
        extension.expiring_since, extension.expiring_until);
    -- Nobody was forgotten while this waited for the account.
    perform jifen.require_members(p.program_id, p.code, extension.members)
    from jifen.program p where p.program_id = extension.program_id;
    update jifen.extension x
    set accounts = x.accounts + done.accounts, lots = x.lots + done.lots, points = x.points + done.points,
        last_account = coalesce(done.last_account, x.last_account),
        finished_at = case when done.last_account is null then clock_timestamp() end
    where x.extension_id = extension.extension_id
    returning * into carried_out;
    return carried_out;
end
$$;

comment on function carry_out(extension, integer) is
    'Goes on with an extension on at most so many accounts and returns it as it is then. Raises JF003 for a member who is unknown by then';

-- The member must be known: a slip in an identifier would go unnoticed.
create function require_members(program_id integer, program text, members text[]) returns void
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
declare
    unknown text := (select m from unnest(members) m
        where not exists (select from jifen.account a
            where a.program_id = require_members.program_id and a.member = m)
        limit 1);
begin
    if array_position(members, null) is not null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'members must not contain null',
            detail = 'A member is named by the issuer''s own identifier.',
            hint = 'Leave members out to mean all.';
    end if;
    if unknown is not null then
        raise exception using errcode = 'JF003',
            message = format('unknown member "%s"', unknown),
            detail = format('Program "%s" has no account of member "%s".', program, unknown),
            hint = 'Nothing was changed; leave the member out or correct the identifier.';
    end if;
end
$$;

comment on function require_members(integer, text, text[]) is
    'Raises JF003 for a member without an account in the program, 22004 for one that is null';

-- A plan made while there were few extensions must not read all of them for good.
create function extend_expiry(
    program text,
    reason text,
    until timestamptz default null,
    by_interval interval default null,
    members text[] default null,
    sources text[] default null,
    expiring_since timestamptz default null,
    expiring_until timestamptz default null,
    idempotency_key text default null,
    event_at timestamptz default null,
    max_accounts integer default null
) returns extension
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_variable
declare
    own_program integer;
    asked jifen.extension;
begin
    perform jifen.require_writable('extend_expiry()');
    own_program := jifen.program_id(program);
    perform jifen.require_reason(reason, 'State why the points lapse later.');
    perform jifen.require_range(expiring_since, expiring_until, 'expiring_since and expiring_until');
    if octet_length(idempotency_key) not between 1 and 255 then
        raise exception using errcode = 'invalid_parameter_value',
            message = case idempotency_key when '' then 'idempotency_key must not be empty' else 'idempotency_key is too long' end,
            detail = format('It has %s bytes.', octet_length(idempotency_key)),
            hint = 'A key has from 1 to 255 bytes.';
    end if;
    if num_nonnulls(until, by_interval) <> 1 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'exactly one of until and by_interval must be given',
            detail = format('until is %s, and by_interval is %s.', coalesce(until::text, 'null'), coalesce(by_interval::text, 'null')),
            hint = 'Give until for a new date of all lots, or by_interval for how much later each lapses.';
    end if;
    if not (by_interval > interval '0') then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'by_interval must be more than zero',
            detail = format('It is %s.', by_interval),
            hint = 'Points can be made to lapse later, never sooner.';
    end if;
    if by_interval > interval '1000 years' then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'by_interval is too long',
            detail = format('It is %s.', by_interval),
            hint = 'It is at most 1000 years; until => ''infinity'' is for good.';
    end if;
    if until = '-infinity' or not isfinite(event_at) or event_at > now() then
        raise exception using errcode = 'invalid_parameter_value',
            message = case when until = '-infinity' then 'until must not be -infinity'
                when isfinite(event_at) then 'event_at is in the future' else 'event_at must be finite' end,
            detail = format('It is %s.', case when until = '-infinity' then until else event_at end),
            hint = 'Give until as an instant or infinity, and event_at as one that has passed, or leave it out.';
    end if;
    if max_accounts <= 0 or max_accounts is not null and idempotency_key is null then
        raise exception using errcode = 'invalid_parameter_value',
            message = case when max_accounts <= 0 then 'max_accounts must be more than zero'
                else 'max_accounts without idempotency_key' end,
            detail = format('It is %s.', max_accounts),
            hint = 'With a key, the same call goes on with what is left until finished_at is set.';
    end if;
    perform jifen.require_members(own_program, program, members);

    if idempotency_key is not null then
        insert into jifen.extension (program_id, reason, until, by_interval, members, sources, expiring_since, expiring_until,
            event_at, idempotency_key, actor)
        values (own_program, reason, until, by_interval, members, sources, expiring_since, expiring_until,
            event_at, idempotency_key, jifen.actor())
        on conflict on constraint extension_key do nothing;
        select * into asked from jifen.extension x
        where x.program_id = own_program and x.idempotency_key = extend_expiry.idempotency_key
        for no key update;
        if (asked.undoes, asked.reason, asked.until, asked.by_interval, asked.members, asked.sources, asked.expiring_since,
                asked.expiring_until, asked.event_at)
            is distinct from (null::bigint, reason, until, by_interval, members, sources, expiring_since, expiring_until, event_at) then
            raise exception using errcode = 'JF005',
                message = 'idempotency key reused for another request',
                detail = format('Key "%s" of program "%s" is of extension %s, whose request differs.',
                    idempotency_key, program, asked.extension_id),
                hint = 'Repeat the request as it was, or use another key for another one.';
        end if;
        if asked.finished_at is not null then
            return asked;
        end if;
    else
        insert into jifen.extension (program_id, reason, until, by_interval, members, sources, expiring_since, expiring_until,
            event_at, actor)
        values (own_program, reason, until, by_interval, members, sources, expiring_since, expiring_until, event_at, jifen.actor())
        returning * into asked;
    end if;
    return jifen.carry_out(asked, coalesce(max_accounts, 2147483647));
end
$$;

comment on function extend_expiry(text, text, timestamptz, interval, text[], text[], timestamptz, timestamptz, text, timestamptz, integer) is
    'Makes unspent points lapse later that have not lapsed, and returns the extension: an extend entry for each lot, which keeps its source and when it was issued. until: when they lapse from then on, or by_interval: how much later than so far, in the program''s calendar; lots that lapse later already or never stay as they are. members, sources: whose and which lots, by default all; expiring_since, expiring_until: those that would lapse at or after the one and before the other; reason must be stated; idempotency_key: the same call again does nothing more; with max_accounts, it goes on where the last one stopped, until finished_at is set; event_at: by default now. Points that are held keep the expiry of their lot. Raises JF002, JF003, JF005, 22004, 22023. Locks the accounts, in account order';

create function undo_extension(
    program text,
    extension_id bigint,
    reason text,
    members text[] default null,
    max_accounts integer default null
) returns extension
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_variable
declare
    own_program integer;
    asked jifen.extension;
begin
    perform jifen.require_writable('undo_extension()');
    own_program := jifen.program_id(program);
    perform jifen.require_reason(reason, 'State why the extension is undone.');
    if extension_id is null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'extension_id must not be null',
            detail = 'Extensions are undone one by one.',
            hint = 'Give the number that extend_expiry() returned.';
    end if;
    if max_accounts <= 0 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'max_accounts must be more than zero',
            detail = format('It is %s.', max_accounts),
            hint = 'The same call goes on with what is left until finished_at is set.';
    end if;
    perform jifen.require_members(own_program, program, members);
    -- Locked, so that two who undo it follow each other.
    perform from jifen.extension x
    where x.program_id = own_program and x.extension_id = undo_extension.extension_id and x.undoes is null
    for no key update;
    if not found then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'no such extension',
            detail = format('Program "%s" has no extension %s that could be undone.', program, extension_id),
            hint = 'The table extension lists them.';
    end if;
    -- One that was not finished extends nobody further.
    if members is null then
        update jifen.extension x set finished_at = clock_timestamp()
        where x.extension_id = undo_extension.extension_id and x.finished_at is null;
    end if;
    select * into asked from jifen.extension x
    where x.undoes = undo_extension.extension_id and x.finished_at is null
        and x.members is not distinct from undo_extension.members
    for no key update;
    if not found then
        insert into jifen.extension (program_id, undoes, reason, members, actor)
        values (own_program, extension_id, reason, members, jifen.actor())
        returning * into asked;
    end if;
    return jifen.carry_out(asked, coalesce(max_accounts, 2147483647));
end
$$;

comment on function undo_extension(text, bigint, text, text[], integer) is
    'Takes back what is unspent of the lots that an extension made, of these members or all, and returns the undoing: an extend entry for each lot, which lapses as it would have without the extension, at once if that has passed; an extension that was not finished goes no further, unless members are named. With max_accounts, the same call goes on where the last one stopped, until finished_at is set. Raises JF002, JF003, 22004, 22023 for an extension that is unknown. Locks the accounts, in account order';

-- COMMIT needs a procedure without SET and without SECURITY DEFINER, which runs
-- with the caller's search_path: all names and operators are qualified.
create procedure run_extension(
    program text,
    reason text,
    idempotency_key text,
    until timestamptz default null,
    by_interval interval default null,
    members text[] default null,
    sources text[] default null,
    expiring_since timestamptz default null,
    expiring_until timestamptz default null,
    event_at timestamptz default null,
    max_accounts integer default 1000
)
language plpgsql
as $$
declare
    done pg_catalog.timestamptz;
begin
    loop
        select x.finished_at into done
        from jifen.extend_expiry(program, reason, until, by_interval, members, sources, expiring_since, expiring_until,
            idempotency_key, event_at, max_accounts) x;
        commit;
        exit when done is not null;
    end loop;
end
$$;

comment on procedure run_extension(text, text, text, timestamptz, interval, text[], text[], timestamptz, timestamptz, timestamptz, integer) is
    'Calls extend_expiry() until nothing is left, with a COMMIT after each max_accounts accounts. Cannot be called within a transaction block';

revoke all on function extend_batch(integer, bigint, integer, boolean, text, text, timestamptz, text[], text[], timestamptz, interval, timestamptz, timestamptz) from public;
revoke all on function carry_out(extension, integer) from public;
revoke all on function require_members(integer, text, text[]) from public;
revoke all on function extend_expiry(text, text, timestamptz, interval, text[], text[], timestamptz, timestamptz, text, timestamptz, integer) from public;
revoke all on function undo_extension(text, bigint, text, text[], integer) from public;
revoke all on procedure run_extension(text, text, text, timestamptz, interval, text[], text[], timestamptz, timestamptz, timestamptz, integer) from public;
