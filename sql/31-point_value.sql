-- point_value: what a point was worth on which day.

create table point_value_change (
    program_id integer not null,
    change_no integer not null,
    effective_on date not null,
    point_value numeric,
    changed_at timestamptz not null default now(),
    actor text not null,
    primary key (program_id, change_no)
);

comment on table point_value_change is 'What program.point_value was and came to be, one after the other';
comment on column point_value_change.program_id is 'Program';
comment on column point_value_change.change_no is 'Number of the change within the program, from 1: as it was created';
comment on column point_value_change.effective_on is 'Local day on which it was made';
comment on column point_value_change.point_value is 'Face value of one point from then on; null: none';
comment on column point_value_change.changed_at is 'When it was made';
comment on column point_value_change.actor is 'Role that made it';

select pg_extension_config_dump('point_value_change', '');

create trigger refuse_change before update or delete or truncate on point_value_change
    for each statement execute function refuse_change('Values of points', 'alter_program() adds another one.');
-- Also where session_replication_role is replica.
alter table point_value_change enable always trigger refuse_change;
comment on trigger refuse_change on point_value_change is 'Refuses UPDATE, DELETE and TRUNCATE';

create function record_point_value(program jifen.program) returns void
language sql volatile parallel unsafe
set search_path = jifen, pg_temp
as $$
    insert into jifen.point_value_change (program_id, change_no, effective_on, point_value, actor)
    -- Not before the last one: in another time zone it can be yesterday.
    select program.program_id, coalesce(max(c.change_no), 0) + 1,
        greatest((now() at time zone program.time_zone)::date, max(c.effective_on)), program.point_value, jifen.actor()
    from jifen.point_value_change c
    where c.program_id = program.program_id
$$;

comment on function record_point_value(program) is
    'Records what a point of the program is worth from today on';

revoke all on function record_point_value(program) from public;

-- As a program was created holds for all days before as well, such as those of
-- an import.
create view point_value_term as
select c.program_id, daterange(case when c.change_no > 1 then c.effective_on end, c.until) as valid, c.point_value
from (
    select c.*, lead(c.effective_on) over (partition by c.program_id order by c.change_no) as until
    from point_value_change c
) c
where c.change_no = 1 or c.until is distinct from c.effective_on;

comment on view point_value_term is 'What a point was worth on each day: ranges of days that do not overlap';
comment on column point_value_term.program_id is 'Program';
comment on column point_value_term.valid is 'Local days; of several changes of one day the last one counts';
comment on column point_value_term.point_value is 'Face value of one point in the program''s currency; null: none';
