-- chain: proof that the journal is as it was written.

-- These look nothing up: without a search_path of their own a call costs half.
create function entry_hash(
    previous bytea,
    line entry,
    lot_seqs bigint[],
    amounts bigint[],
    salt bytea,
    personal_digest bytea
) returns bytea
language c immutable parallel safe
as 'MODULE_PATHNAME';

comment on function entry_hash(bytea, entry, bigint[], bigint[], bytea, bytea) is
    'Hash of an entry. previous: the hash of the entry before it, null for the first; lot_seqs and amounts: its allocations, in any order; salt: the account''s; personal_digest: that of reason and details where they were erased, else null. Null where previous or personal_digest cannot be a hash. Raises 22023 for arrays that do not match. Locks nothing';

create function personal_digest(line entry, salt bytea) returns bytea
language c immutable parallel safe
as 'MODULE_PATHNAME';

comment on function personal_digest(entry, bytea) is
    'Salted digest that stands for reason and details in the hash of the entry; null where it has neither. Locks nothing';

-- Each entry is hashed with the stored hash of the one before it, so that no
-- order is needed and the work is shared out among parallel workers. Planned
-- for the given scope each time; without nested loops, which the planner takes
-- for cheap on tables that were never analyzed.
create function verify_chain(program text default null, member text default null) returns setof breach
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set jit = off
as $$
declare
    own_program integer;
    own_account bigint;
begin
    if program is null and member is not null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'program must not be null where member is given',
            detail = format('Member "%s" may have an account in several programs.', member),
            hint = 'Give the program of the member, or neither.';
    end if;
    if member is not null then
        own_account := jifen.account_id(program, member);
    elsif program is not null then
        own_program := jifen.program_id(program);
    end if;
    return query
    with scope as not materialized (
        select a.account_id, a.member, a.last_seq, a.head_hash, a.salt, p.code
        from account a join program p on p.program_id = a.program_id
        where (own_program is null or a.program_id = own_program)
            and (own_account is null or a.account_id = own_account)
    ),
    own_entry as not materialized (
        select e as line, e.* from entry e where own_account is null or e.account_id = own_account
    ),
    own_allocation as not materialized (
        select x.* from allocation x where own_account is null or x.account_id = own_account
    ),
    own_erasure as not materialized (
        select r.* from erasure r where own_account is null or r.account_id = own_account
    ),
    found as (
        select c.account_id, c.seq,
            case
                when c.beyond is not null then 'last_seq is the number of the latest entry'
                when c.without_previous then 'seq has no gap'
                when c.unerased then 'what was erased stays so'
                else 'an entry has the hash of what it says'
            end as invariant,
            case
                when c.beyond is not null then c.seq::text
                when c.without_previous then format('entry %s', c.seq - 1)
                when c.unerased then 'no reason and no details'
                else encode(c.computed, 'hex')
            end as expected,
            case
                when c.beyond is not null then c.beyond::text
                when c.without_previous then 'none'
                when c.unerased then concat_ws(' and ', 'a reason', 'details')
                else encode(c.hash, 'hex')
            end as found
        from (
            select e.account_id, e.seq, e.hash,
                case when e.seq > s.last_seq then s.last_seq end as beyond,
                e.seq <> 1 and p.seq is null as without_previous,
                r.seq is not null and num_nonnulls(e.reason, e.details) > 0 as unerased,
                entry_hash(p.hash, e.line, x.lot_seqs, x.amounts, s.salt, r.personal_digest) as computed
            from own_entry e
            join scope s on s.account_id = e.account_id
            left join own_entry p on p.account_id = e.account_id and p.seq = e.seq - 1
            left join (
                select account_id, seq, array_agg(lot_seq) as lot_seqs, array_agg(amount::bigint) as amounts
                from own_allocation group by account_id, seq
            ) x on x.account_id = e.account_id and x.seq = e.seq
            left join own_erasure r on r.account_id = e.account_id and r.seq = e.seq
            offset 0
        ) c
        where c.beyond is not null or c.without_previous or c.unerased or c.computed is distinct from c.hash
        union all
        select s.account_id, null,
            case when s.last_seq > 0 and e.seq is null then 'last_seq is the number of the latest entry'
                else 'head_hash is the hash of the latest entry' end,
            case when s.last_seq > 0 and e.seq is null then format('entry %s', s.last_seq)
                else coalesce(encode(e.hash, 'hex'), 'null') end,
            case when s.last_seq > 0 and e.seq is null then 'none'
                else coalesce(encode(s.head_hash, 'hex'), 'null') end
        from scope s left join own_entry e on e.account_id = s.account_id and e.seq = s.last_seq
        where s.last_seq > 0 and e.seq is null or e.hash is distinct from s.head_hash
        union all
        select x.account_id, x.seq, 'an allocation has its entry', format('entry %s', x.seq), 'none'
        from own_allocation x
        join scope s on s.account_id = x.account_id
        left join own_entry e on e.account_id = x.account_id and e.seq = x.seq
        where e.seq is null
        union all
        select r.account_id, r.seq, 'what was erased was an entry of a member who was forgotten', 'both',
            case when e.seq is null then 'no such entry' else 'no such call of forget_member()' end
        from own_erasure r
        join scope s on s.account_id = r.account_id
        left join own_entry e on e.account_id = r.account_id and e.seq = r.seq
        left join (select account_id, max(last_seq) as last_seq from forgetting group by account_id) f
            on f.account_id = r.account_id and f.last_seq >= r.seq
        where e.seq is null or f.account_id is null
        union all
        select o.account_id, o.seq, 'every row has its account', 'an account', o.what
        from (
            select account_id, seq, 'an entry' as what from entry
            union all select account_id, seq, 'an allocation' from allocation
            union all select account_id, seq, 'an erasure' from erasure
            union all select account_id, null, 'a forgetting' from forgetting
        ) o
        where own_program is null and own_account is null
            and not exists (select from account a where a.account_id = o.account_id)
    )
    select s.code, s.member, f.account_id, f.seq, f.invariant, f.expected, f.found
    from found f left join scope s on s.account_id = f.account_id;
end
$$;

comment on function verify_chain(text, text) is
    'Recomputes the hash chains of one member, of one program or of everything, and returns a row for each entry, allocation, head or erasure that was altered, removed, inserted or reordered: none where all is as it was written. Raises JF002, JF003, 22004. Locks nothing; reads one snapshot';

revoke all on function entry_hash(bytea, entry, bigint[], bigint[], bytea, bytea) from public;
revoke all on function personal_digest(entry, bytea) from public;
revoke all on function verify_chain(text, text) from public;
