-- tier: ranks of members by the qualifying points of a rolling window.

create table tier (
    program_id integer not null,
    code text collate "C" not null,
    name text not null,
    threshold point_amount not null,
    primary key (program_id, code),
    constraint tier_threshold_key unique (program_id, threshold),
    constraint tier_code_length check (length(code) between 1 and 256),
    constraint tier_threshold_not_negative check (threshold >= 0)
);

comment on table tier is 'Tiers of a program; a member is in the highest whose threshold is reached';
comment on column tier.program_id is 'Program';
comment on column tier.code is 'Name by which callers refer to the tier, case-sensitive';
comment on column tier.name is 'Name to show to people';
comment on column tier.threshold is 'Qualifying points within the program''s tier_window that reach the tier';

select pg_extension_config_dump('tier', '');

create function create_tier(
    program text,
    code text,
    name text,
    threshold point_amount
) returns tier
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    created jifen.tier;
    own_program integer;
begin
    perform jifen.require_writable('create_tier()');
    own_program := jifen.program_id(program);
    if num_nulls(code, threshold) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of create_tier() must not be null',
            detail = 'code and threshold need values.',
            hint = 'Only name may be null; the tier is then named by its code.';
    end if;
    perform jifen.check_identifier(code, 'code');
    if threshold < 0 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'threshold must not be negative',
            detail = format('It is %s points.', threshold),
            hint = 'Give 0 for the tier that every member is in.';
    end if;
    insert into jifen.tier (program_id, code, name, threshold)
    values (own_program, code, coalesce(name, code), threshold)
    on conflict do nothing
    returning * into created;
    if not found then
        raise exception using errcode = 'duplicate_object',
            message = format('tier already exists'),
            detail = (select format('Tier "%s" of program "%s" has the threshold %s.', t.code, program, t.threshold)
                from jifen.tier t
                where t.program_id = own_program
                    and (t.code = create_tier.code or t.threshold = create_tier.threshold)
                order by t.code = create_tier.code desc limit 1),
            hint = 'The code and the threshold of a tier are unique in its program.';
    end if;
    return created;
end
$$;

comment on function create_tier(text, text, text, point_amount) is
    'Creates a tier of the program, reached with threshold qualifying points, and returns it. Raises JF002, 42710 if the code or the threshold is taken, 22004, 22023';

-- It and tier_status() run no statement, so nothing depends on a role or a
-- search_path.
create function tier_for(
    program text,
    member text,
    as_of timestamptz default now()
) returns text
language c stable parallel safe
as 'MODULE_PATHNAME';

comment on function tier_for(text, text, timestamptz) is
    'Code of the member''s tier at as_of: the highest whose threshold is at most the sum of the qualifying points that count then; an entry counts from its event_at until its local time plus the program''s tier_window. Null if there is none. Raises JF002, JF003, 22004, 22023. Locks nothing';

create function tier_status(
    program text,
    member text,
    as_of timestamptz default now(),
    out tier text,
    out name text,
    out qualifying point_amount,
    out threshold point_amount,
    out window_start timestamptz,
    out window_end timestamptz,
    out next_tier text,
    out next_threshold point_amount,
    out missing point_amount,
    out holds_until timestamptz
)
language c stable parallel safe
as 'MODULE_PATHNAME';

comment on function tier_status(text, text, timestamptz) is
    'Why the member is in a tier at as_of: the qualifying points that count, the window that ends then, the threshold reached, the next one and what is missing to it, and when the tier ends if nothing more is earned (null: never). Raises as tier_for(). Locks nothing';

revoke all on function create_tier(text, text, text, point_amount) from public;
revoke all on function tier_for(text, text, timestamptz) from public;
revoke all on function tier_status(text, text, timestamptz) from public;
