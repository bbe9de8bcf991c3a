-- reconcile: what must always hold, checked from the rows themselves.

create type breach as (
    program text,
    member text,
    account_id bigint,
    seq bigint,
    invariant text,
    expected text,
    found text
);
comment on type breach is 'Something that must hold and does not';
comment on column breach.program is 'Program; null if the account or it is unknown';
comment on column breach.member is 'Member; null if the account is unknown';
comment on column breach.account_id is 'Account; null if it concerns none';
comment on column breach.seq is 'Entry of the account; null if it concerns none';
comment on column breach.invariant is 'What must hold';
comment on column breach.expected is 'What should be there';
comment on column breach.found is 'What is there';

create function reconcile(program text default null, member text default null) returns setof breach
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
declare
    own_program integer;
    own_account bigint;
begin
    if program is null and member is not null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'program must not be null where member is given',
            hint = 'Give the program of the member, or neither.';
    end if;
    if member is not null then
        own_account := jifen.account_id(program, member);
    elsif program is not null then
        own_program := jifen.program_id(program);
    end if;
    return query select b.* from jifen.breaches(own_program, own_account) b;
end
$$;

comment on function reconcile(text, text) is
    'Checks all that must hold for one member, one program or everything, and returns a row for each breach: none where all is well. Raises JF002, JF003, 22004. Locks nothing; reads one snapshot';

-- The check behind reconcile(). Each breaches_of_…() sees to one topic, for one
-- account, all accounts of a program, or all (both null). They are set-based
-- and use nothing of what posted the rows; their sums are numeric, which no
-- tampering can overflow.
--
-- All are planned for the given scope each time, as is good on tables that
-- were never analyzed: with joins in the order in which they are written, which
-- never pairs rows by their account alone, and without nested loops.
create function breaches(own_program integer, own_account bigint) returns setof breach
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set from_collapse_limit = 1
set join_collapse_limit = 1
set jit = off
as $$
#variable_conflict use_column
begin
return query
with scope as (
    select a.account_id, a.member, p.code
    from account a left join program p on p.program_id = a.program_id
    where (own_program is null or a.program_id = own_program)
        and (own_account is null or a.account_id = own_account)
)
select s.code, s.member, b.account_id, b.seq, b.invariant, b.expected, b.found
from (
    select * from breaches_of_accounts(own_program, own_account)
    union all select * from breaches_of_journal(own_program, own_account)
    union all select * from breaches_of_lots(own_program, own_account)
    union all select * from breaches_of_spending(own_program, own_account)
    union all select * from breaches_of_lapses(own_program, own_account)
    union all select * from breaches_of_holds_and_debts(own_program, own_account)
    union all select * from breaches_of_reversals(own_program, own_account)
    union all select * from breaches_of_transfers(own_program, own_account)
    union all select * from breaches_of_notices(own_program, own_account)
    union all select * from breaches_of_tables(own_program, own_account)
    union all select * from breaches_of_summaries(own_program, own_account)
    union all select * from breaches_of_settlement(own_program, own_account)
    union all select * from breaches_of_behaviour(own_program, own_account)
) b
left join scope s on s.account_id = b.account_id;
end
$$;

comment on function breaches(integer, bigint) is
    'The check behind reconcile(), by numbers of program and account, null: all';

revoke all on function reconcile(text, text) from public;
revoke all on function breaches(integer, bigint) from public;
