-- schema: whoever owns it can put objects where our functions look first.

do $$
begin
    if not (select r.rolsuper or r.oid = current_user::regrole
            from pg_namespace n join pg_roles r on r.oid = n.nspowner
            where n.nspname = 'jifen') then
        raise exception using errcode = 'insufficient_privilege',
            message = 'schema jifen exists and belongs to another role',
            detail = 'Its owner could replace what the functions of the extension call.',
            hint = 'Drop the schema, or make the role that creates the extension its owner.';
    end if;
end
$$;

comment on schema jifen is 'The loyalty points ledger of the extension jifen';
