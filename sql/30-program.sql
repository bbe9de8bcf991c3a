-- program: a points currency of one issuer, with the rules for its points.

create sequence program_id_seq as integer;
comment on sequence program_id_seq is 'Numbers of programs';

create table program (
    program_id integer primary key default nextval('jifen.program_id_seq'),
    code text collate "C" not null unique,
    name text not null,
    time_zone text not null,
    expiry expiry_policy not null,
    currency text,
    point_value numeric,
    auto_open boolean not null,
    tier_window interval not null,
    overdraft text not null,
    overdraft_limit point_amount,
    return_grace expiry_policy,
    activity text[] not null,
    notice_days integer,
    rule_no smallint not null,
    created_at timestamptz not null default now(),
    late_postings text not null,
    closed_until timestamptz,
    booked_from timestamptz not null default clock_timestamp(),
    constraint program_code_length check (length(code) between 1 and 256),
    constraint program_currency_code check (currency ~ '^[A-Z]{3}$'),
    constraint program_point_value_range check (point_value >= 0 and point_value < 'Infinity'),
    constraint program_point_value_currency check (point_value is null or currency is not null),
    constraint program_tier_window_positive check (tier_window > interval '0'),
    constraint program_overdraft_known check (overdraft in ('refuse', 'debt', 'forgive')),
    constraint program_overdraft_limit_positive check (overdraft_limit > 0),
    constraint program_overdraft_limit_of_debt check (overdraft_limit is null or overdraft = 'debt'),
    constraint program_activity_known check (cardinality(activity) > 0 and activity <@ array['earn', 'redeem', 'adjust',
        'hold', 'capture', 'transfer_out', 'transfer_in', 'import']),
    constraint program_notice_days_range check (notice_days between 1 and 3650),
    constraint program_late_postings_known check (late_postings in ('refuse', 'book'))
);

comment on table program is 'Points currencies: the rules that new credits follow';
comment on column program.program_id is 'Number of the program, internal';
comment on column program.code is 'Name by which callers refer to the program, case-sensitive';
comment on column program.name is 'Name to show to people';
comment on column program.time_zone is 'Time zone in which days, months and years are reckoned';
comment on column program.expiry is 'Expiry policy that new credits are given; existing lots keep theirs';
comment on column program.currency is 'Currency of point_value, ISO 4217';
comment on column program.point_value is 'Face value of one point in currency';
comment on column program.auto_open is 'Whether earn() opens the account of an unknown member';
comment on column program.tier_window is 'Length of the rolling window in which qualifying points count towards a tier';
comment on column program.overdraft is 'What happens where points are taken back that the member has spent: refuse, debt or forgive';
comment on column program.overdraft_limit is 'Most points that a member may owe; null: no limit';
comment on column program.return_grace is 'Expiry policy of points that come back to a lot that has lapsed; null: they lapse at once';
comment on column program.activity is 'Kinds of entry that count as the member''s activity where points lapse by inactivity';
comment on column program.notice_days is 'Days for which a notice must have been on record before points lapse; null: none is needed';
comment on column program.rule_no is 'The latest of its expiry_rule';
comment on column program.created_at is 'When the program was created';
comment on column program.late_postings is 'What happens to postings of a time that is closed: refuse, or book in the open period';
comment on column program.closed_until is 'Before this business time the books are closed; null: nowhere';
comment on column program.booked_from is 'No entry still to come has an earlier posted_at';

create table expiry_rule (
    program_id integer not null,
    rule_no smallint not null,
    since timestamptz not null default now(),
    time_zone text not null,
    expiry expiry_policy not null,
    activity text[] not null,
    notice_days integer,
    actor text not null,
    primary key (program_id, rule_no)
);

comment on table expiry_rule is 'The rules by which each program''s points lapse, one after the other: a lot whose expiry can move keeps to the one that it was credited under';
comment on column expiry_rule.program_id is 'Program';
comment on column expiry_rule.rule_no is 'Number of the rule within the program, from 1';
comment on column expiry_rule.since is 'Since when new credits follow it';
comment on column expiry_rule.time_zone is 'Time zone of the program';
comment on column expiry_rule.expiry is 'Expiry policy of the program';
comment on column expiry_rule.activity is 'Kinds of entry that count as activity';
comment on column expiry_rule.notice_days is 'Days for which a notice must have been on record; null: none is needed';
comment on column expiry_rule.actor is 'Role that made it the rule';

select pg_extension_config_dump('program_id_seq', '');
select pg_extension_config_dump('program', '');
select pg_extension_config_dump('expiry_rule', '');

create trigger refuse_change before update or delete or truncate on expiry_rule
    for each statement execute function refuse_change('Expiry rules', 'alter_program() makes another one.');
alter table expiry_rule enable always trigger refuse_change;
comment on trigger refuse_change on expiry_rule is 'Refuses UPDATE, DELETE and TRUNCATE';

-- Raises 22023 for a program that cannot be; the table's constraints say the
-- same once more, for whoever writes to it otherwise.
create function check_program(program jifen.program) returns jifen.program
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
begin
    perform jifen.check_identifier(program.code, 'code');
    if program.currency !~ '^[A-Z]{3}$' then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('invalid currency "%s"', program.currency),
            detail = 'A currency is named by three capital letters.',
            hint = 'Use the ISO 4217 code, such as CNY, EUR or USD.';
    end if;
    if not (program.point_value >= 0 and program.point_value < 'Infinity') then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'point_value must be finite and not negative',
            detail = format('It is %s.', program.point_value),
            hint = 'Give the face value of one point in the program''s currency.';
    end if;
    if program.point_value is not null and program.currency is null then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'point_value without currency',
            detail = format('A point of program "%s" would be worth %s of no currency.', program.code, program.point_value),
            hint = 'Give the currency as well.';
    end if;
    if program.tier_window <= interval '0' then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'tier_window must be more than zero',
            detail = format('It is %s.', program.tier_window),
            hint = 'Give the length of the window in which points count towards a tier, such as 12 months.';
    end if;
    if program.tier_window > interval '1000 years' then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'tier_window is too long',
            detail = format('It is %s.', program.tier_window),
            hint = 'A window is at most 1000 years long.';
    end if;
    if program.overdraft not in ('refuse', 'debt', 'forgive') then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('invalid overdraft "%s"', program.overdraft),
            detail = 'It says what happens where points are taken back that the member has spent.',
            hint = 'Use refuse, debt or forgive.';
    end if;
    if program.overdraft_limit <= 0 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'overdraft_limit must be more than zero',
            detail = format('It is %s points.', program.overdraft_limit),
            hint = 'Leave it out for no limit; overdraft ''refuse'' allows no debt.';
    end if;
    if program.overdraft_limit is not null and program.overdraft <> 'debt' then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'overdraft_limit without debt',
            detail = format('The overdraft rule of program "%s" is %s.', program.code, program.overdraft),
            hint = 'A limit goes with overdraft ''debt''.';
    end if;
    if not (cardinality(program.activity) > 0
        and program.activity <@ array['earn', 'redeem', 'adjust', 'hold', 'capture', 'transfer_out', 'transfer_in', 'import']
        and cardinality(program.activity) = (select count(distinct kind) from unnest(program.activity) kind)) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'invalid activity',
            detail = format('It is %s.', program.activity),
            hint = 'Name, once each, the kinds of entry that count as activity, of earn, redeem, hold, capture, transfer_out, transfer_in, import and adjust.';
    end if;
    if program.notice_days not between 1 and 3650 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'notice_days out of range',
            detail = format('It is %s.', program.notice_days),
            hint = 'Give from 1 to 3650 days, or leave it out where no notice is needed.';
    end if;
    if program.late_postings not in ('refuse', 'book') then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('invalid late_postings "%s"', program.late_postings),
            detail = 'It says what happens to postings of a time that is closed.',
            hint = 'Use refuse or book.';
    end if;
    -- These raise 22023 for an unknown zone.
    perform jifen.expires_at(program.expiry, now(), program.time_zone, now());
    perform jifen.expires_at(program.return_grace, now(), program.time_zone, now());
    return program;
end
$$;

comment on function check_program(program) is
    'Returns the program as it is, or raises what is wrong with it';

create function record_expiry_rule(program jifen.program) returns void
language sql volatile parallel unsafe
set search_path = jifen, pg_temp
as $$
    insert into jifen.expiry_rule (program_id, rule_no, time_zone, expiry, activity, notice_days, actor)
    values (program.program_id, program.rule_no, program.time_zone, program.expiry, program.activity, program.notice_days,
        jifen.actor())
$$;

comment on function record_expiry_rule(program) is
    'Records the rule by which the program''s points lapse from now on';

create function create_program(
    code text,
    name text default null,
    time_zone text default 'UTC',
    expiry expiry_policy default 'never',
    currency text default null,
    point_value numeric default null,
    auto_open boolean default false,
    tier_window interval default '12 months',
    overdraft text default 'refuse',
    overdraft_limit point_amount default null,
    return_grace expiry_policy default null,
    activity text[] default '{earn,redeem,hold,capture,transfer_out}',
    notice_days integer default null,
    late_postings text default 'refuse'
) returns program
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    created jifen.program;
begin
    perform jifen.require_writable('create_program()');
    if num_nulls(code, time_zone, expiry, auto_open, tier_window, overdraft, activity, late_postings) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of create_program() must not be null',
            detail = 'code, time_zone, expiry, auto_open, tier_window, overdraft, activity and late_postings need values.',
            hint = 'Leave an argument out to get its default.';
    end if;
    created := row(null, code, coalesce(name, code), time_zone, expiry, currency, point_value,
        auto_open, tier_window, overdraft, overdraft_limit, return_grace, activity, notice_days, 1, now(), late_postings, null, null)::jifen.program;
    created := jifen.check_program(created);
    insert into jifen.program (code, name, time_zone, expiry, currency, point_value, auto_open, tier_window,
        overdraft, overdraft_limit, return_grace, activity, notice_days, rule_no, late_postings, booked_from)
    values (created.code, created.name, created.time_zone, created.expiry, created.currency,
        created.point_value, created.auto_open, created.tier_window,
        created.overdraft, created.overdraft_limit, created.return_grace,
        created.activity, created.notice_days, created.rule_no, created.late_postings,
        -- a clock that was set back
        greatest(clock_timestamp(), (select s.summarized_until from jifen.summary_state s)))
    on conflict on constraint program_code_key do nothing
    returning * into created;
    if not found then
        raise exception using errcode = 'duplicate_object',
            message = format('program "%s" already exists', create_program.code),
            detail = 'The code of a program is unique in the database.',
            hint = 'alter_program() changes the rules of a program.';
    end if;
    perform jifen.record_expiry_rule(created);
    perform jifen.record_point_value(created);
    return created;
end
$$;

comment on function create_program(text, text, text, expiry_policy, text, numeric, boolean, interval, text, point_amount, expiry_policy, text[], integer, text) is
    'Creates a program and returns it. Raises 42710 if its code is taken, 22023 or 22004 for a bad argument. Locks nothing else';

create function program_id(program text) returns integer
language c stable parallel safe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function program_id(text) is
    'Number of the program, for joins with the tables. Raises JF002, 22004, 22023. Locks nothing';

-- Who holds the row numbers what is recorded for the program; its rules do not
-- change and no period is closed meanwhile.
create function lock_program(program text) returns program
language plpgsql volatile parallel unsafe
set search_path = jifen, pg_temp
as $$
declare
    own jifen.program;
begin
    select p.* into own from jifen.program p where p.program_id = jifen.program_id(lock_program.program) for no key update;
    return own;
end
$$;

comment on function lock_program(text) is
    'Locks the program''s row until the end of the transaction and returns it; postings do not wait. Raises JF002, 22004, 22023';

create function alter_program(
    program text,
    name text default null,
    time_zone text default null,
    expiry expiry_policy default null,
    currency text default null,
    point_value numeric default null,
    auto_open boolean default null,
    tier_window interval default null,
    overdraft text default null,
    overdraft_limit point_amount default null,
    return_grace expiry_policy default null,
    unset text[] default null,
    activity text[] default null,
    notice_days integer default null,
    late_postings text default null
) returns program
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    altered jifen.program;
    before jifen.program;
begin
    perform jifen.require_writable('alter_program()');
    altered := jifen.lock_program(alter_program.program);
    before := altered;
    altered.name := coalesce(name, altered.name);
    altered.time_zone := coalesce(time_zone, altered.time_zone);
    altered.expiry := coalesce(expiry, altered.expiry);
    altered.currency := coalesce(currency, altered.currency);
    altered.point_value := coalesce(point_value, altered.point_value);
    altered.auto_open := coalesce(auto_open, altered.auto_open);
    altered.tier_window := coalesce(tier_window, altered.tier_window);
    altered.overdraft := coalesce(overdraft, altered.overdraft);
    -- A rule that makes no debts has no limit of them.
    altered.overdraft_limit := coalesce(overdraft_limit,
        case when altered.overdraft = 'debt' then altered.overdraft_limit end);
    altered.return_grace := coalesce(return_grace, altered.return_grace);
    altered.activity := coalesce(activity, altered.activity);
    altered.notice_days := coalesce(notice_days, altered.notice_days);
    altered.late_postings := coalesce(late_postings, altered.late_postings);
    if not (unset <@ array['currency', 'point_value', 'overdraft_limit', 'return_grace', 'notice_days']) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'a rule that cannot be unset',
            detail = format('They are %s.', unset),
            hint = 'currency, point_value, overdraft_limit, return_grace and notice_days can be.';
    end if;
    if 'currency' = any (unset) then
        altered.currency := null;
    end if;
    if 'point_value' = any (unset) then
        altered.point_value := null;
    end if;
    if 'overdraft_limit' = any (unset) then
        altered.overdraft_limit := null;
    end if;
    if 'return_grace' = any (unset) then
        altered.return_grace := null;
    end if;
    if 'notice_days' = any (unset) then
        altered.notice_days := null;
    end if;
    altered := jifen.check_program(altered);
    if altered.closed_until is not null and (altered.time_zone, altered.currency) is distinct from (before.time_zone, before.currency) then
        raise exception using errcode = 'object_not_in_prerequisite_state',
            message = 'another time_zone or currency would change closed books',
            detail = format('The books of program "%s" are closed until %s.', altered.code, altered.closed_until),
            hint = 'Open all of them first, with reopen_period().';
    end if;
    -- As printed: an expiry of the same meaning may be written in other units.
    if not exists (select from jifen.expiry_rule r
        where r.program_id = altered.program_id and r.rule_no = altered.rule_no
            and (r.time_zone, r.expiry::text, r.activity, r.notice_days) is not distinct from
                (altered.time_zone, altered.expiry::text, altered.activity, altered.notice_days)) then
        altered.rule_no := altered.rule_no + 1;
        perform jifen.record_expiry_rule(altered);
    end if;
    if altered.point_value is distinct from before.point_value then
        perform jifen.record_point_value(altered);
    end if;
    update jifen.program p
    set name = altered.name, time_zone = altered.time_zone, expiry = altered.expiry,
        currency = altered.currency, point_value = altered.point_value,
        auto_open = altered.auto_open, tier_window = altered.tier_window,
        overdraft = altered.overdraft, overdraft_limit = altered.overdraft_limit,
        return_grace = altered.return_grace, activity = altered.activity,
        notice_days = altered.notice_days, rule_no = altered.rule_no,
        late_postings = altered.late_postings
    where p.program_id = altered.program_id;
    -- By another clock entries are of other days.
    if altered.time_zone <> before.time_zone then
        perform jifen.drop_summaries();
    end if;
    return altered;
end
$$;

comment on function alter_program(text, text, text, expiry_policy, text, numeric, boolean, interval, text, point_amount, expiry_policy, text[], text[], integer, text) is
    'Changes the rules that new credits follow and returns the program; null leaves a rule as it is, and unset names those of currency, point_value, overdraft_limit, return_grace and notice_days that shall be null. Existing lots keep the rules that they were credited under. Raises JF002 if unknown, 55000 for another time_zone or currency while books are closed, else as create_program(). Another time_zone drops the summaries, for the next run_summary() to make anew. Locks the program''s row against other changes of it; postings do not wait';

revoke all on function program_id(text) from public;
revoke all on function lock_program(text) from public;
revoke all on function check_program(program) from public;
revoke all on function record_expiry_rule(program) from public;
revoke all on function create_program(text, text, text, expiry_policy, text, numeric, boolean, interval, text, point_amount, expiry_policy, text[], integer, text) from public;
revoke all on function alter_program(text, text, text, expiry_policy, text, numeric, boolean, interval, text, point_amount, expiry_policy, text[], text[], integer, text) from public;
