-- What a spec finds: a new extension, and a procedure with which each of its
-- permutations starts. To create the extension for each takes many times as long.

drop extension if exists jifen cascade;
create extension jifen;

create or replace procedure public.start_anew()
language plpgsql
as $$
declare
    filled regclass[] := '{}';
    guarded regclass;
    is_filled boolean;
    relation record;
begin
    for relation in
        select c.oid::regclass as name, c.relkind
        from pg_class c
        join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
        join pg_extension x on d.refclassid = 'pg_extension'::regclass and x.oid = d.refobjid and x.extname = 'jifen'
        where c.relkind in ('r', 'S')
        order by c.oid
    loop
        if relation.relkind = 'S' then
            perform setval(relation.name, 1, false);
        else
            execute format('select exists (select from %s)', relation.name) into is_filled;
            if is_filled then
                filled := filled || relation.name;
            end if;
        end if;
    end loop;
    for guarded in select t.tgrelid from pg_trigger t where t.tgname = 'refuse_change' and t.tgrelid = any (filled) loop
        execute format('alter table %s disable trigger refuse_change', guarded);
    end loop;
    execute format('truncate %s', array_to_string(filled, ', '));
    for guarded in select t.tgrelid from pg_trigger t where t.tgname = 'refuse_change' and t.tgrelid = any (filled) loop
        execute format('alter table %s enable always trigger refuse_change', guarded);
    end loop;
    insert into jifen.summary_state default values;
end
$$;
