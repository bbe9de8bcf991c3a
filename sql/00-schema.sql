-- schema: whoever can create objects in it can put them where our functions look first.

do $$
declare
    problem text;
begin
    select case
            when not (r.rolsuper or r.oid = current_user::regrole) then 'It belongs to another role.'
            when exists (select from aclexplode(n.nspacl) a
                    where a.privilege_type = 'CREATE' and a.grantee <> n.nspowner)
                then 'Other roles than its owner may create objects in it.'
            when exists (select from pg_class c where c.relnamespace = n.oid)
                or exists (select from pg_proc p where p.pronamespace = n.oid)
                or exists (select from pg_type t where t.typnamespace = n.oid)
                or exists (select from pg_operator o where o.oprnamespace = n.oid)
                then 'There are objects in it already.'
        end into problem
    from pg_namespace n join pg_roles r on r.oid = n.nspowner
    where n.nspname = 'jifen';
    if problem is not null then
        raise exception using errcode = 'insufficient_privilege',
            message = 'schema jifen cannot be trusted',
            detail = problem || ' What is there could replace what the functions of the extension call.',
            hint = 'Drop the schema and let CREATE EXTENSION make it.';
    end if;
end
$$;

comment on schema jifen is 'The loyalty points ledger of the extension jifen';
