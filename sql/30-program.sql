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
    created_at timestamptz not null default now(),
    constraint program_code_length check (length(code) between 1 and 256),
    constraint program_currency_code check (currency ~ '^[A-Z]{3}$'),
    constraint program_point_value_range check (point_value >= 0 and point_value < 'Infinity'),
    constraint program_point_value_currency check (point_value is null or currency is not null),
    constraint program_tier_window_positive check (tier_window > interval '0'),
    constraint program_overdraft_known check (overdraft in ('refuse', 'debt', 'forgive')),
    constraint program_overdraft_limit_positive check (overdraft_limit > 0),
    constraint program_overdraft_limit_of_debt check (overdraft_limit is null or overdraft = 'debt')
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
comment on column program.created_at is 'When the program was created';

select pg_extension_config_dump('program_id_seq', '');
select pg_extension_config_dump('program', '');

-- Raises 22023 for a program that cannot be; the table's constraints say the
-- same once more, for whoever writes to it otherwise.
create function check_program(program jifen.program) returns jifen.program
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
begin
    if length(program.code) not between 1 and 256 then
        raise exception using errcode = 'invalid_parameter_value',
            message = case length(program.code) when 0 then 'code must not be empty' else 'code is too long' end,
            detail = format('It has %s characters.', length(program.code)),
            hint = 'An identifier has from 1 to 256 characters.';
    end if;
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
    -- These raise 22023 for an unknown zone and 0A000 for a policy whose
    -- clocks do not work yet.
    perform jifen.expires_at(program.expiry, now(), program.time_zone);
    perform jifen.expires_at(program.return_grace, now(), program.time_zone);
    return program;
end
$$;

comment on function check_program(program) is
    'Returns the program as it is, or raises what is wrong with it';

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
    return_grace expiry_policy default null
) returns program
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    created jifen.program;
begin
    perform jifen.require_writable('create_program()');
    if num_nulls(code, time_zone, expiry, auto_open, tier_window, overdraft) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of create_program() must not be null',
            detail = 'code, time_zone, expiry, auto_open, tier_window and overdraft need values.',
            hint = 'Leave an argument out to get its default.';
    end if;
    created := row(null, code, coalesce(name, code), time_zone, expiry, currency, point_value,
        auto_open, tier_window, overdraft, overdraft_limit, return_grace, now())::jifen.program;
    created := jifen.check_program(created);
    insert into jifen.program (code, name, time_zone, expiry, currency, point_value, auto_open, tier_window,
        overdraft, overdraft_limit, return_grace)
    values (created.code, created.name, created.time_zone, created.expiry, created.currency,
        created.point_value, created.auto_open, created.tier_window,
        created.overdraft, created.overdraft_limit, created.return_grace)
    on conflict on constraint program_code_key do nothing
    returning * into created;
    if not found then
        raise exception using errcode = 'duplicate_object',
            message = format('program "%s" already exists', create_program.code),
            detail = 'The code of a program is unique in the database.',
            hint = 'alter_program() changes the rules of a program.';
    end if;
    return created;
end
$$;

comment on function create_program(text, text, text, expiry_policy, text, numeric, boolean, interval, text, point_amount, expiry_policy) is
    'Creates a program and returns it. Raises 42710 if its code is taken, 22023 or 22004 for a bad argument, 0A000 for an inactivity policy. Locks nothing else';

create function program_id(program text) returns integer
language c stable parallel safe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function program_id(text) is
    'Number of the program, for joins with the tables. Raises JF002, 22004, 22023. Locks nothing';

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
    unset text[] default null
) returns program
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    altered jifen.program;
begin
    perform jifen.require_writable('alter_program()');
    select p.* into altered from jifen.program p
    where p.program_id = jifen.program_id(alter_program.program) for no key update;
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
    if not (unset <@ array['currency', 'point_value', 'overdraft_limit', 'return_grace']) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'a rule that cannot be unset',
            detail = format('They are %s.', unset),
            hint = 'currency, point_value, overdraft_limit and return_grace can be.';
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
    altered := jifen.check_program(altered);
    update jifen.program p
    set name = altered.name, time_zone = altered.time_zone, expiry = altered.expiry,
        currency = altered.currency, point_value = altered.point_value,
        auto_open = altered.auto_open, tier_window = altered.tier_window,
        overdraft = altered.overdraft, overdraft_limit = altered.overdraft_limit,
        return_grace = altered.return_grace
    where p.program_id = altered.program_id;
    return altered;
end
$$;

comment on function alter_program(text, text, text, expiry_policy, text, numeric, boolean, interval, text, point_amount, expiry_policy, text[]) is
    'Changes the rules that new credits follow and returns the program; null leaves a rule as it is, and unset names those of currency, point_value, overdraft_limit and return_grace that shall be null. Existing lots keep their expiry. Raises JF002 if unknown, else as create_program(). Locks the program''s row against other changes of it; postings do not wait';

revoke all on function program_id(text) from public;
revoke all on function check_program(program) from public;
revoke all on function create_program(text, text, text, expiry_policy, text, numeric, boolean, interval, text, point_amount, expiry_policy) from public;
revoke all on function alter_program(text, text, text, expiry_policy, text, numeric, boolean, interval, text, point_amount, expiry_policy, text[]) from public;
