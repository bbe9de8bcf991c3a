-- notice template: what a reminder says, in any language.

create table notice_template (
    program_id integer not null,
    language text collate "C" not null,
    template_no integer not null,
    template text not null,
    primary key (program_id, language),
    constraint notice_template_language_length check (length(language) between 1 and 256)
);

comment on table notice_template is 'Texts of reminders, one for each language of a program';
comment on column notice_template.program_id is 'Program';
comment on column notice_template.language is 'Language as callers name it, such as zh or en, case-sensitive';
comment on column notice_template.template_no is 'Order in which the languages came; the first is the program''s default';
comment on column notice_template.template is 'Text with placeholders such as {expiring}';

select pg_extension_config_dump('notice_template', '');

-- The pieces of a template, in order: text as it is, or the name of a value
-- with its format, null for the usual one; neither for a brace that opens
-- nothing.
create function template_parts(template text)
returns table (piece text, name text, format text)
language sql immutable parallel safe
set search_path = jifen, pg_temp
as $$
    select coalesce(left(m[1], 1), m[5]), m[2], m[4]
    from regexp_matches(template_parts.template, '(\{\{|\}\})|\{([^{}:]*)(:([^{}]*))?\}|([^{}]+|\})|\{', 'g') with ordinality x (m, place)
    order by place
$$;

comment on function template_parts(text) is
    'Pieces of a template: text, or the name of a value and its format';

create function check_template(template text) returns void
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
declare
    part record;
    texts constant text[] := '{member,program}';
    amounts constant text[] := '{balance,available,expiring}';
    dates constant text[] := '{expires_on,last_expires_on,as_of}';
    failure text;
begin
    if length(template) not between 1 and 10000 then
        raise exception using errcode = 'invalid_parameter_value',
            message = case length(template) when 0 then 'template must not be empty' else 'template is too long' end,
            detail = format('It has %s characters.', length(template)),
            hint = 'A template has from 1 to 10000 characters; null removes it.';
    end if;
    for part in select * from jifen.template_parts(template) loop
        continue when part.piece is not null;
        if part.name is null then
            raise exception using errcode = 'invalid_parameter_value',
                message = 'a placeholder of the template does not end',
                detail = 'A brace is not closed before the next one.',
                hint = 'Write {{ and }} for braces that are meant as such.';
        end if;
        if part.name <> all (texts || amounts || dates) then
            raise exception using errcode = 'invalid_parameter_value',
                message = format('unknown placeholder "{%s}"', part.name),
                detail = format('A template can tell {%s}.', array_to_string(texts || amounts || dates, '}, {')),
                hint = 'Use one of these, or write {{ and }} for braces that are meant as such.';
        end if;
        failure := case
            when part.format = '' then 'It is empty.'
            when part.format is not null and part.name = any (texts) then 'A text has none.' end;
        begin
            if part.name = any (amounts) then
                perform to_char(1234::numeric, part.format);
            elsif part.name = any (dates) then
                perform to_char(timestamp '2024-01-28', part.format);
            end if;
        exception when others then
            failure := format('to_char() says: %s.', sqlerrm);
        end;
        if failure is not null then
            raise exception using errcode = 'invalid_parameter_value',
                message = format('invalid format of placeholder "{%s}"', part.name),
                detail = failure,
                hint = 'After a colon a date or an amount may have a format of to_char().';
        end if;
    end loop;
end
$$;

comment on function check_template(text) is
    'Raises 22023 for a template that cannot be filled in';

create function set_notice_template(program text, language text, template text) returns notice_template
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    own_program integer;
    changed jifen.notice_template;
begin
    perform jifen.require_writable('set_notice_template()');
    own_program := jifen.program_id(program);
    if set_notice_template.language is null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'language must not be null',
            detail = 'A template is in one language.',
            hint = 'Name it as you like, such as zh or en.';
    end if;
    perform jifen.check_identifier(set_notice_template.language, 'language');
    if set_notice_template.template is null then
        delete from jifen.notice_template t
        where t.program_id = own_program and t.language = set_notice_template.language
        returning * into changed;
        return changed;
    end if;
    perform jifen.check_template(set_notice_template.template);
    insert into jifen.notice_template as t (program_id, language, template_no, template)
    select own_program, set_notice_template.language,
        coalesce((select max(o.template_no) from jifen.notice_template o where o.program_id = own_program), 0) + 1,
        set_notice_template.template
    on conflict (program_id, language) do update set template = excluded.template
    returning * into changed;
    return changed;
end
$$;

comment on function set_notice_template(text, text, text) is
    'Sets the text of the program''s reminders in a language and returns it; null removes it and returns what was removed. Placeholders: {member}, {program}, {balance}, {available}, {expiring}, {expires_on}, {last_expires_on}, {as_of}; dates and amounts may have a format of to_char() after a colon, as in {as_of:FMMM月FMDD日}; {{ and }} are braces. Raises JF002, 22004, 22023, 25006. Locks the template';

-- The text for one reminder, null without pieces. Plain SQL without settings,
-- which the planner puts in place of the call.
create function filled_template(pieces text[], names text[], formats text[], member text, program text, time_zone text,
    as_of timestamptz, balance point_amount, available point_amount, expiring point_amount,
    first_expires_at timestamptz, last_expires_at timestamptz)
returns table (message text)
language sql stable parallel safe
begin atomic
    select string_agg(
        case t.name
            when 'member' then filled_template.member
            when 'program' then filled_template.program
            when 'balance' then coalesce(to_char(filled_template.balance::numeric, t.format), filled_template.balance::text)
            when 'available' then coalesce(to_char(filled_template.available::numeric, t.format), filled_template.available::text)
            when 'expiring' then coalesce(to_char(filled_template.expiring::numeric, t.format), filled_template.expiring::text)
            -- The last day is the one before the midnight at which points lapse.
            when 'expires_on' then to_char(
                (filled_template.first_expires_at - interval '1 microsecond') at time zone filled_template.time_zone, coalesce(t.format, 'YYYY-MM-DD'))
            when 'last_expires_on' then to_char(
                (filled_template.last_expires_at - interval '1 microsecond') at time zone filled_template.time_zone, coalesce(t.format, 'YYYY-MM-DD'))
            when 'as_of' then to_char(filled_template.as_of at time zone filled_template.time_zone, coalesce(t.format, 'YYYY-MM-DD'))
            else t.piece
        end, '' order by t.place)
    from unnest(filled_template.pieces, filled_template.names, filled_template.formats) with ordinality t (piece, name, format, place);
end;

comment on function filled_template(text[], text[], text[], text, text, text, timestamptz, point_amount, point_amount, point_amount, timestamptz, timestamptz) is
    'Fills in a template, given as the columns of template_parts()';

revoke all on function template_parts(text) from public;
revoke all on function check_template(text) from public;
revoke all on function set_notice_template(text, text, text) from public;
revoke all on function filled_template(text[], text[], text[], text, text, text, timestamptz, point_amount, point_amount, point_amount, timestamptz, timestamptz) from public;
