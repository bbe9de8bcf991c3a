-- seal: one hash for a whole program, to be published, and proofs that an account's entries are part of it.

create table seal (
    program_id integer not null,
    seal_no integer not null,
    sealed_at timestamptz not null default now(),
    accounts bigint not null,
    root bytea not null,
    actor text not null,
    primary key (program_id, seal_no)
);

comment on table seal is 'Seals: the Merkle root over the heads of all accounts of a program that have entries';
comment on column seal.program_id is 'Program';
comment on column seal.seal_no is 'Number of the seal within the program, from 1';
comment on column seal.sealed_at is 'When it was made';
comment on column seal.accounts is 'Accounts that had entries: the leaves of the tree';
comment on column seal.root is 'Root of the tree';
comment on column seal.actor is 'Role that made it';

create table seal_head (
    account_id bigint not null,
    seal_no integer not null,
    last_seq bigint not null,
    program_id integer not null,
    primary key (account_id, seal_no)
);

comment on table seal_head is 'Latest entries of accounts at a seal, as far as they had changed since the one before it';
comment on column seal_head.account_id is 'Account';
comment on column seal_head.seal_no is 'Seal of the program, from which on this is the account''s head until a later row';
comment on column seal_head.last_seq is 'Number of the account''s latest entry then';
comment on column seal_head.program_id is 'Program of the account';

select pg_extension_config_dump('seal', '');
select pg_extension_config_dump('seal_head', '');

create trigger refuse_change before update or delete or truncate on seal
    for each statement execute function refuse_change('Seals', 'seal() makes another one.');
create trigger refuse_change before update or delete or truncate on seal_head
    for each statement execute function refuse_change('Seals', 'seal() makes another one.');
alter table seal enable always trigger refuse_change;
alter table seal_head enable always trigger refuse_change;
comment on trigger refuse_change on seal is 'Refuses UPDATE, DELETE and TRUNCATE';
comment on trigger refuse_change on seal_head is 'Refuses UPDATE, DELETE and TRUNCATE';

-- ---------- Merkle trees ----------

create function seal_leaf(account_id bigint, last_seq bigint, head_hash bytea) returns bytea
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function seal_leaf(bigint, bigint, bytea) is
    'The bytes that stand for an account in a seal: account_id and last_seq, eight bytes each, the highest first, and the hash';

create function merkle_accumulate(state internal, leaf bytea) returns internal
language c immutable parallel safe
as 'MODULE_PATHNAME';

comment on function merkle_accumulate(internal, bytea) is 'Transition function of merkle_root(). Raises 22004';

create function merkle_accumulate(state internal, leaf bytea, is_wanted boolean) returns internal
language c immutable parallel safe
as 'MODULE_PATHNAME';

comment on function merkle_accumulate(internal, bytea, boolean) is 'Transition function of merkle_path(). Raises 22004, 22023';

create function merkle_root_final(state internal) returns bytea
language c immutable parallel safe
as 'MODULE_PATHNAME';

comment on function merkle_root_final(internal) is 'Final function of merkle_root()';

create function merkle_path_final(state internal) returns text[]
language c immutable parallel safe
as 'MODULE_PATHNAME';

comment on function merkle_path_final(internal) is 'Final function of merkle_path()';

create aggregate merkle_root(leaf bytea) (
    sfunc = merkle_accumulate, stype = internal, sspace = 4096,
    finalfunc = merkle_root_final, parallel = safe
);

comment on aggregate merkle_root(bytea) is
    'Root of the Merkle tree of RFC 6962 over the leaves in the order given; of no leaves, the hash of nothing';

create aggregate merkle_path(leaf bytea, is_wanted boolean) (
    sfunc = merkle_accumulate, stype = internal, sspace = 4096,
    finalfunc = merkle_path_final, parallel = safe
);

comment on aggregate merkle_path(bytea, boolean) is
    'Siblings on the way from the wanted leaf to the root of the same tree, with their sides; null where none is wanted';

-- ---------- seals ----------

create function seal(program text) returns seal
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set jit = off
as $$
declare
    own_program integer;
    sealed jifen.seal;
begin
    perform jifen.require_writable('seal()');
    own_program := jifen.program_id(program);
    -- One seal at a time; the next statement sees what the one before it did.
    perform from jifen.program p where p.program_id = own_program for no key update;
    with head as materialized (
        select a.account_id, a.last_seq, a.head_hash
        from jifen.account a
        where a.program_id = own_program and a.last_seq > 0
    ),
    new_seal as (
        insert into jifen.seal (program_id, seal_no, accounts, root, actor)
        select own_program,
            (select coalesce(max(s.seal_no), 0) + 1 from jifen.seal s where s.program_id = own_program),
            count(*),
            jifen.merkle_root(jifen.seal_leaf(h.account_id, h.last_seq, h.head_hash) order by h.account_id),
            jifen.actor()
        from head h
        on conflict (program_id, seal_no) do nothing
        returning *
    ),
    new_head as (
        insert into jifen.seal_head (account_id, seal_no, last_seq, program_id)
        select h.account_id, n.seal_no, h.last_seq, own_program
        from new_seal n cross join head h
        left join (
            select distinct on (p.account_id) p.account_id, p.last_seq
            from jifen.seal_head p where p.program_id = own_program
            order by p.account_id, p.seal_no desc
        ) p on p.account_id = h.account_id
        where p.last_seq is distinct from h.last_seq
    )
    select n.* into sealed from new_seal n;
    return sealed;
end
$$;

comment on function seal(text) is
    'Records a seal of the program as it is now and returns it. Raises JF002, 22004, 22023, 25006, 40001 where another session sealed the program after this transaction''s snapshot was taken. Locks the program''s row against other seals and alter_program(); postings do not wait';

-- The role that runs the jobs need not be allowed to read program.
create function next_program(program text) returns text
language sql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
    select p.code from jifen.program p
    where next_program.program is null or p.code > next_program.program
    order by p.code limit 1
$$;

comment on function next_program(text) is
    'Code of the program that follows that one by code, of the first one for null; null where none does';

-- COMMIT needs a procedure without SET and without SECURITY DEFINER, which runs
-- with the caller's search_path: all names and operators are qualified.
create procedure run_seal(program text default null)
language plpgsql
as $$
declare
    run pg_catalog.int8;
    code pg_catalog.text := coalesce(program, jifen.next_program(null));
    accounts pg_catalog.int8;
    failure pg_catalog.text;
    failure_message pg_catalog.text;
    failure_detail pg_catalog.text;
    failure_hint pg_catalog.text;
begin
    run := jifen.start_job_run('seal', program);
    commit;
    while code is not null loop
        begin
            select s.accounts into accounts from jifen.seal(code) s;
        exception when others or query_canceled then
            get stacked diagnostics
                failure = returned_sqlstate,
                failure_message = message_text,
                failure_detail = pg_exception_detail,
                failure_hint = pg_exception_hint;
        end;
        if failure is not null then
            perform jifen.end_job_run(run, failure_message);
            commit;
            perform jifen.raise_job_error(failure, failure_message, failure_detail, failure_hint);
        end if;
        perform jifen.add_to_job_run(run, accounts, 0, 0, 0);
        commit;
        exit when program is not null;
        code := jifen.next_program(code);
    end loop;
    perform jifen.end_job_run(run, null);
    commit;
end
$$;

comment on procedure run_seal(text) is
    'Makes a seal of the program (null: of each program, with a COMMIT after each) and records the run in job_run. Cannot be called within a transaction block. Raises what seal() raises, after recording it';

-- The heads as a seal had them, with the hashes that the journal has; null
-- where the entry is gone. Each is looked up by the journal's key, however
-- long the journal is.
create function sealed_heads(program_id integer, seal_no integer)
returns table (account_id bigint, last_seq bigint, head_hash bytea)
language sql stable parallel safe
set search_path = jifen, pg_temp
set jit = off
as $$
    select h.account_id, h.last_seq, e.hash
    from (
        select distinct on (h.account_id) h.account_id, h.last_seq
        from jifen.seal_head h
        where h.program_id = sealed_heads.program_id and h.seal_no <= sealed_heads.seal_no
        order by h.account_id, h.seal_no desc
    ) h
    left join lateral (
        select e.hash from jifen.entry e where e.account_id = h.account_id and e.seq = h.last_seq offset 0
    ) e on true
$$;

comment on function sealed_heads(integer, integer) is
    'The accounts of a seal, by numbers of program and seal, each with the latest entry then and the hash that the journal has for it now, null where it has none';

create type inclusion as (
    program text,
    seal_no integer,
    sealed_at timestamptz,
    account_id bigint,
    last_seq bigint,
    head_hash bytea,
    leaf_index bigint,
    tree_size bigint,
    path text[],
    root bytea
);
comment on type inclusion is 'Proof that an account''s entries, up to one, are part of a seal';
comment on column inclusion.program is 'Program';
comment on column inclusion.seal_no is 'Seal';
comment on column inclusion.sealed_at is 'When the seal was made';
comment on column inclusion.account_id is 'Account';
comment on column inclusion.last_seq is 'Number of the account''s latest entry then';
comment on column inclusion.head_hash is 'Hash of that entry, which stands for all entries up to it';
comment on column inclusion.leaf_index is 'Place of the account among the leaves, from 0';
comment on column inclusion.tree_size is 'Number of leaves';
comment on column inclusion.path is 'Siblings from the leaf to the root: left or right, and the hash in hexadecimal';
comment on column inclusion.root is 'Root of the seal';

create function verify_inclusion(proof inclusion, root bytea) returns boolean
language plpgsql immutable parallel safe
set search_path = jifen, pg_temp
as $$
declare
    place bigint := proof.leaf_index;
    last_place bigint := proof.tree_size - 1;
    hash bytea := sha256(decode('00', 'hex') || jifen.seal_leaf(proof.account_id, proof.last_seq, proof.head_hash));
    step text;
    sibling bytea;
    is_left boolean;
begin
    if (place between 0 and last_place and cardinality(proof.path) <= 63) is not true then
        return false;
    end if;
    foreach step in array proof.path loop
        if (last_place > 0 and step ~ '^(left|right) [0-9a-f]{64}$') is not true then
            return false;
        end if;
        sibling := decode(split_part(step, ' ', 2), 'hex');
        is_left := place % 2 = 1 or place = last_place;
        if is_left <> (split_part(step, ' ', 1) = 'left') then
            return false;
        end if;
        hash := sha256(decode('01', 'hex') || case when is_left then sibling || hash else hash || sibling end);
        -- The last subtree of a level may have no sibling there, and goes up as it is.
        while is_left and place % 2 = 0 and place > 0 loop
            place := place / 2;
            last_place := last_place / 2;
        end loop;
        place := place / 2;
        last_place := last_place / 2;
    end loop;
    return coalesce(last_place = 0 and hash = proof.root and hash = verify_inclusion.root, false);
end
$$;

comment on function verify_inclusion(inclusion, bytea) is
    'Whether the proof leads to that root, which is to come from where the seal was published: what a third party does without the database. Null or malformed parts make it false. Locks nothing';

create function inclusion_proof(program text, member text, seal_no integer default null) returns inclusion
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
declare
    own_account bigint;
    sealed jifen.seal;
    proof jifen.inclusion;
begin
    own_account := jifen.account_id(program, member);
    select s.* into sealed from jifen.seal s
    where s.program_id = jifen.program_id(program)
        and (inclusion_proof.seal_no is null or s.seal_no = inclusion_proof.seal_no)
    order by s.seal_no desc limit 1;
    if not found then
        raise exception using errcode = 'invalid_parameter_value',
            message = case when seal_no is null then 'the program has no seal' else 'no such seal' end,
            detail = format('Program "%s" has %s seals.', program,
                (select count(*) from jifen.seal s where s.program_id = jifen.program_id(program))),
            hint = 'seal() makes one; the table seal lists them.';
    end if;
    proof.program := program;
    proof.seal_no := sealed.seal_no;
    proof.sealed_at := sealed.sealed_at;
    proof.account_id := own_account;
    proof.root := sealed.root;
    select count(*) filter (where h.account_id < own_account), count(*),
        jifen.merkle_path(jifen.seal_leaf(h.account_id, h.last_seq, h.head_hash), h.account_id = own_account order by h.account_id),
        max(h.last_seq) filter (where h.account_id = own_account),
        (array_agg(h.head_hash) filter (where h.account_id = own_account))[1]
    into proof.leaf_index, proof.tree_size, proof.path, proof.last_seq, proof.head_hash
    from jifen.sealed_heads(sealed.program_id, sealed.seal_no) h;
    if proof.last_seq is null then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'the account is not part of the seal',
            detail = format('Account "%s" of program "%s" had no entries when seal %s was made.', member, program, sealed.seal_no),
            hint = 'Ask for a later seal, or make one with seal().';
    end if;
    if not jifen.verify_inclusion(proof, sealed.root) then
        raise exception using errcode = 'data_corrupted',
            message = 'the journal does not give the root of the seal',
            detail = format('What seal %s of program "%s" was made of has been altered.', sealed.seal_no, program),
            hint = 'verify_seals() and verify_chain() tell what was altered.';
    end if;
    return proof;
end
$$;

comment on function inclusion_proof(text, text, integer) is
    'Proof that the member''s entries, up to the latest one then, are part of the seal, by default the program''s latest. Raises JF002, JF003, 22004, 22023 for an unknown seal or one made before the account''s first entry, XX001 where the journal no longer gives the seal''s root. Locks nothing; reads all heads of the seal';

create function verify_seals(program text default null, seal_no integer default null) returns setof breach
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
    own_program integer;
begin
    if program is null and seal_no is not null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'program must not be null where seal_no is given',
            detail = format('Each program has its own seal %s.', seal_no),
            hint = 'Give the program of the seal, or neither.';
    end if;
    if program is not null then
        own_program := jifen.program_id(program);
    end if;
    if seal_no is not null and not exists (select from jifen.seal s
            where s.program_id = own_program and s.seal_no = verify_seals.seal_no) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'no such seal',
            detail = format('Program "%s" has no seal %s.', program, seal_no),
            hint = 'The table seal lists them.';
    end if;
    return query
    with own_seal as (
        select s.*, row_number() over (partition by s.program_id order by s.seal_no) as place
        from seal s where own_program is null or s.program_id = own_program
    ),
    own_head as (
        select h.* from seal_head h
        where (own_program is null or h.program_id = own_program)
            and (verify_seals.seal_no is null or h.seal_no <= verify_seals.seal_no)
    ),
    found as (
        select s.program_id, null::bigint as account_id, null::bigint as seq, t.invariant, t.expected, t.found
        from own_seal s
        cross join lateral (
            select count(*) as accounts,
                merkle_root(seal_leaf(h.account_id, h.last_seq, coalesce(h.head_hash, '')) order by h.account_id) as root
            from sealed_heads(s.program_id, s.seal_no) h
        ) now
        cross join lateral (values
            ('seals are numbered without gaps', format('seal %s', s.place), format('seal %s', s.seal_no)),
            ('a seal counts its accounts', format('seal %s: %s', s.seal_no, now.accounts), s.accounts::text),
            ('the journal gives the root of the seal', format('seal %s: %s', s.seal_no, encode(s.root, 'hex')), encode(now.root, 'hex'))
        ) t (invariant, expected, found)
        where (verify_seals.seal_no is null or s.seal_no = verify_seals.seal_no)
            and case t.invariant
                when 'seals are numbered without gaps' then s.place <> s.seal_no
                when 'a seal counts its accounts' then s.accounts <> now.accounts
                else s.root <> now.root
            end
        union all
        select h.program_id, h.account_id, h.last_seq, 'a sealed entry is in the journal',
            format('seal %s: entry %s', h.seal_no, h.last_seq), 'none'
        from own_head h
        left join lateral (
            select e.seq from entry e where e.account_id = h.account_id and e.seq = h.last_seq offset 0
        ) e on true
        where e.seq is null
        union all
        select h.program_id, h.account_id, h.last_seq, 'a sealed head has its seal', format('seal %s', h.seal_no), 'none'
        from own_head h
        where not exists (select from seal s where s.program_id = h.program_id and s.seal_no = h.seal_no)
    )
    select p.code, a.member, f.account_id, f.seq, f.invariant, f.expected, f.found
    from found f
    left join program p on p.program_id = f.program_id
    left join account a on a.account_id = f.account_id;
end
$$;

comment on function verify_seals(text, integer) is
    'Compares one seal, those of a program or all of them with the journal, and returns a row for each breach: none where every sealed head is as it was. A chain that was rewritten as a whole is found here, for verify_chain() takes it for sound. Each seal is computed anew from all its heads. Raises JF002, 22004, 22023. Locks nothing; reads one snapshot';

revoke all on function seal_leaf(bigint, bigint, bytea) from public;
revoke all on function merkle_accumulate(internal, bytea) from public;
revoke all on function merkle_accumulate(internal, bytea, boolean) from public;
revoke all on function merkle_root_final(internal) from public;
revoke all on function merkle_path_final(internal) from public;
revoke all on function merkle_root(bytea) from public;
revoke all on function merkle_path(bytea, boolean) from public;
revoke all on function seal(text) from public;
revoke all on function next_program(text) from public;
revoke all on procedure run_seal(text) from public;
revoke all on function sealed_heads(integer, integer) from public;
revoke all on function verify_inclusion(inclusion, bytea) from public;
revoke all on function inclusion_proof(text, text, integer) from public;
revoke all on function verify_seals(text, integer) from public;
