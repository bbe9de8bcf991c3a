-- period: the books of a time are closed, and what comes late is refused or booked in the open period.

create table period_change (
    program_id integer not null,
    change_no integer not null,
    changed_at timestamptz not null,
    closed_until timestamptz,
    reason text,
    actor text not null,
    primary key (program_id, change_no)
);

comment on table period_change is 'Closings and reopenings of each program''s books, one after the other';
comment on column period_change.program_id is 'Program';
comment on column period_change.change_no is 'Number of the change within the program, from 1';
comment on column period_change.changed_at is 'When it was made: entries with this posted_at or a later one are of after it, all others of before';
comment on column period_change.closed_until is 'Before this business time the books are closed from then on; null: nowhere';
comment on column period_change.reason is 'Why, as the caller stated it';
comment on column period_change.actor is 'Role that made it';

select pg_extension_config_dump('period_change', '');

create trigger refuse_change before update or delete or truncate on period_change
    for each statement execute function refuse_change('Closings and reopenings', 'close_period() and reopen_period() add another one.');
alter table period_change enable always trigger refuse_change;
comment on trigger refuse_change on period_change is 'Refuses UPDATE, DELETE and TRUNCATE';

-- Each is the last for entries posted since it, until the next one.
create view closed_period as
select c.program_id, c.closed_until, c.changed_at as posted_from,
    coalesce(lead(c.changed_at) over (partition by c.program_id order by c.change_no), 'infinity') as posted_until
from period_change c;

comment on view closed_period is 'Until when the books of a program were closed for what was posted when';
comment on column closed_period.program_id is 'Program';
comment on column closed_period.closed_until is 'Before this business time they were closed; null: nowhere';
comment on column closed_period.posted_from is 'For entries with this posted_at or a later one';
comment on column closed_period.posted_until is 'And an earlier one than this';

-- Postings in flight have read the program's rules: the lock waits for them to
-- end and lets others begin to read them only once the change is committed. So
-- whatever has an earlier posted_at than changed_at is committed by then, and
-- seen by a statement that begins after the lock was taken. All other postings
-- wait behind a lock that waits, so it does not do so for long.
create function lock_periods(program text) returns program
language plpgsql volatile parallel unsafe
set search_path = jifen, pg_temp
as $$
declare
    own jifen.program;
    own_timeout constant text := current_setting('lock_timeout');
begin
    perform jifen.require_writable('lock_periods()');
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using errcode = 'active_sql_transaction',
            message = 'periods are closed and opened in READ COMMITTED only',
            detail = format('The transaction is %s: it would not see what was posted since it began.',
                upper(current_setting('transaction_isolation'))),
            hint = 'Begin it with ISOLATION LEVEL READ COMMITTED.';
    end if;
    begin
        if own_timeout = '0' then
            perform set_config('lock_timeout', '5s', true);
        end if;
        lock table jifen.program in exclusive mode;
        perform set_config('lock_timeout', own_timeout, true);
    exception when lock_not_available then
        raise exception using errcode = 'lock_not_available',
            message = 'a transaction that has posted is still open',
            detail = format('Books are closed and opened between postings; after %s there was none.',
                case own_timeout when '0' then '5s' else own_timeout end),
            hint = 'Try again; pg_stat_activity shows who is idle in a transaction, and lock_timeout says how long to wait while other postings do.';
    end;
    select p.* into own from jifen.program p where p.code = lock_periods.program;
    if not found then
        perform jifen.program_id(lock_periods.program);
    end if;
    return own;
end
$$;

comment on function lock_periods(text) is
    'Returns the program, its periods locked: waits for postings in flight and holds off others, of all programs, until the end of the transaction. Raises JF002; 25001 in another isolation level than READ COMMITTED; 55P03 after lock_timeout, 5 seconds where none is set';

-- Reports are of whole local days: a closing within one would leave a part of
-- it, and of its month, open.
create function require_day_begin(own program, until timestamptz) returns void
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
declare
    day constant date := jifen.local_day(until, own.time_zone);
begin
    if until <> jifen.day_begin(day, own.time_zone) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'until is not the beginning of a day',
            detail = format('In %s, the time zone of program "%s", it is %s.', own.time_zone, own.code, until at time zone own.time_zone),
            hint = format('Give %s, when that day begins, or %s, when the next one does.',
                jifen.day_begin(day, own.time_zone), jifen.day_begin(day + 1, own.time_zone));
    end if;
end
$$;

comment on function require_day_begin(program, timestamptz) is
    'Raises 22023 unless until is null or the beginning of a local day of the program, whose periods are locked';

create function change_period(own program, until timestamptz, reason text) returns period_change
language plpgsql volatile parallel unsafe
set search_path = jifen, pg_temp
as $$
declare
    change jifen.period_change;
begin
    update jifen.program p
    set closed_until = until, booked_from = greatest(clock_timestamp(), own.booked_from + interval '1 microsecond')
    where p.program_id = own.program_id
    returning p.booked_from into change.changed_at;
    insert into jifen.period_change (program_id, change_no, changed_at, closed_until, reason, actor)
    select own.program_id, coalesce(max(c.change_no), 0) + 1, change.changed_at, until, change_period.reason, jifen.actor()
    from jifen.period_change c where c.program_id = own.program_id
    returning * into change;
    return change;
end
$$;

comment on function change_period(program, timestamptz, text) is
    'Makes the change and records it, of a program with its periods locked; what close_period() and reopen_period() share. Entries posted from then on have its changed_at or a later posted_at';

create function close_period(program text, until timestamptz, reason text default null) returns period_change
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    own jifen.program;
begin
    perform jifen.require_writable('close_period()');
    if until is null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'until must not be null',
            detail = 'It says before which business time the books are closed.',
            hint = 'Give the instant at which the period ends, such as the first of the next month, 0:00 in the program''s time zone.';
    end if;
    if not isfinite(until) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'until must be finite',
            detail = format('It is %s.', until),
            hint = 'Give the instant at which the period ends, such as the first of the next month, 0:00 in the program''s time zone.';
    end if;
    own := jifen.lock_periods(close_period.program);
    if until > clock_timestamp() then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'until has not come yet',
            detail = format('It is %s.', until),
            hint = 'A period is closed once it is over.';
    end if;
    if until <= own.closed_until then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'period is closed already',
            detail = format('The books of program "%s" are closed until %s, and until is %s.', own.code, own.closed_until, until),
            hint = 'Give the beginning of a later day; reopen_period() opens the books again.';
    end if;
    perform jifen.require_day_begin(own, until);
    if exists (select from jifen.hold h where h.program_id = own.program_id and h.until < close_period.until) then
        raise exception using errcode = 'object_not_in_prerequisite_state',
            message = 'overdue holds of the period are not booked as released',
            detail = format('Program "%s" has holds whose deadline was before %s.', own.code, until),
            hint = format('Run first: call run_release(%L);', own.code);
    end if;
    -- open_lot counts what overdue holds will give back, too; what they have not
    -- given back yet is not in lot and cannot be booked as lapsed in the period.
    if exists (select from jifen.lot l
            where l.program_id = own.program_id and l.rule_no is null and l.expires_at < close_period.until)
        or exists (select from jifen.account a
            cross join lateral (
                select from jifen.open_lot o
                join jifen.lot l on l.account_id = o.account_id and l.seq = o.seq
                where o.account_id = a.account_id and o.lapses_at < close_period.until
                limit 1) l
            where a.program_id = own.program_id and a.due_at < close_period.until) then
        raise exception using errcode = 'object_not_in_prerequisite_state',
            message = 'lapsed points of the period are not booked',
            detail = format('Program "%s" has lots that lapsed before %s.', own.code, until),
            hint = format('Run first: call run_expiry(%L);', own.code);
    end if;
    return jifen.change_period(own, until, reason);
end
$$;

comment on function close_period(text, timestamptz, text) is
    'Closes the program''s books of what happened before until, the beginning of a local day, and returns the change. Later postings with an event_at in it are refused (JF008) or, with late_postings ''book'', count in the open period. Entries that follow from others, such as an expiry undone, are never refused and count there. Raises JF002; 55000 while lapsed points or overdue holds of the period are not booked; 25001 in another isolation level than READ COMMITTED; 55P03 where postings in flight do not end within lock_timeout, 5 seconds where none is set; 22004, 22023, 25006. Locks the table program against postings: waits for those in flight and holds off others, of all programs, until the end of the transaction';

create function reopen_period(program text, until timestamptz, reason text) returns period_change
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    own jifen.program;
begin
    perform jifen.require_writable('reopen_period()');
    perform jifen.require_reason(reason, 'Say why the books are opened again.');
    if not isfinite(until) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'until must be finite',
            detail = format('It is %s.', until),
            hint = 'Give the beginning of a day, or null to open everything.';
    end if;
    own := jifen.lock_periods(reopen_period.program);
    if own.closed_until is null or until >= own.closed_until then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'period is open already',
            detail = case when own.closed_until is null then format('No books of program "%s" are closed.', own.code)
                else format('The books of program "%s" are closed until %s, and until is %s.', own.code, own.closed_until, until) end,
            hint = 'Give the beginning of an earlier day, or null to open everything.';
    end if;
    perform jifen.require_day_begin(own, until);
    return jifen.change_period(own, until, reason);
end
$$;

comment on function reopen_period(text, timestamptz, text) is
    'Opens the program''s books of what happened since until, the beginning of a local day, or null: all, for a reason that must be stated, and returns the change. What was booked late meanwhile stays in the period that was open then. Raises JF002, 22004, 22023, 25001, 25006, 55P03. Locks as close_period() does';

revoke all on function lock_periods(text) from public;
revoke all on function require_day_begin(program, timestamptz) from public;
revoke all on function change_period(program, timestamptz, text) from public;
revoke all on function close_period(text, timestamptz, text) from public;
revoke all on function reopen_period(text, timestamptz, text) from public;
