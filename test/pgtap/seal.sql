-- Seals: the Merkle root over all heads, proofs that a third party can check, and a journal rewritten as a whole.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(85);

-- Whether the statement fails with that SQLSTATE and detail, and seals stay as they were.
create function pg_temp.seals() returns text
language sql as $$
    select concat_ws(' ', (select string_agg(s::text, '') from seal s), (select string_agg(h::text, '') from seal_head h))
$$;
create function pg_temp.refused(statement text) returns text
language plpgsql as $$
declare
    before constant text := pg_temp.seals();
    detail text;
begin
    execute statement;
    return 'done';
exception when others then
    get stacked diagnostics detail = pg_exception_detail;
    if pg_temp.seals() is distinct from before then
        return 'changed';
    end if;
    return concat_ws(' ', sqlstate, sqlerrm || ':', detail);
end
$$;

-- ---------- Merkle trees ----------

-- The tree as RFC 6962 defines it, by recursion.
create function pg_temp.root_of(leaves bytea[]) returns bytea
language plpgsql as $$
declare
    k int := 1;
begin
    case cardinality(leaves)
        when 0 then return sha256('');
        when 1 then return sha256('\x00' || leaves[1]);
        else
            while k * 2 < cardinality(leaves) loop
                k := k * 2;
            end loop;
            return sha256('\x01' || pg_temp.root_of(leaves[:k]) || pg_temp.root_of(leaves[k + 1:]));
    end case;
end
$$;
create function pg_temp.leaves(n int) returns bytea[]
language sql as $$ select array(select int4send(k) || '\xff' from generate_series(1, n) k) $$;

select is((select merkle_root(l order by k) from unnest(pg_temp.leaves(n)) with ordinality x (l, k)), pg_temp.root_of(pg_temp.leaves(n)),
    format('the root of %s leaves', n))
from unnest(array[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 100]) n;
-- The roots of the reference implementation of RFC 6962.
select is(merkle_root(l order by k),
    '\x5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'::bytea, 'the root of a known tree')
from unnest(array['', '\x00', '\x10', '\x2021', '\x3031', '\x40414243', '\x5051525354555657', '\x606162636465666768696a6b6c6d6e6f']::bytea[])
    with ordinality x (l, k);
select throws_ok($$select merkle_root(null::bytea)$$, '22004', null, 'a leaf is not null');
select throws_ok($$select merkle_path('\x00', true) from generate_series(1, 2)$$, '22023', null, 'one leaf is wanted at most');
select is((select merkle_path('\x00', false) from generate_series(1, 3)), null, 'no path where none is wanted');
select is(merkle_path('\x00', true), '{}', 'an empty path in a tree of one leaf');
select is(seal_leaf(258, -1, '\xabcd'), '\x0000000000000102ffffffffffffffffabcd', 'the bytes of a leaf');

-- ---------- seals ----------

select create_program('p', auto_open => true), create_program('q', auto_open => true), create_program('none');
create temp table made as select s.* from seal('p') s;
select is((select row(seal_no, accounts, root)::text from made), row(1, 0, sha256(''))::text, 'a seal of nothing');
select earn('p', 'm' || n, 10 * n), open_account('p', 'without ' || n), earn('q', 'm' || n, 1) from generate_series(1, 21) n;
select is((select row(s.seal_no, s.accounts, s.actor, s.sealed_at = now())::text from seal('p') s), row(2, 21, current_user, true)::text,
    'a seal counts the accounts that have entries');
select is((select count(*)::int from seal_head), 21, 'with a row for each of them');
select is((select root from seal where seal_no = 2 and program_id = program_id('p')),
    pg_temp.root_of(array(select int8send(account_id) || int8send(last_seq) || head_hash
        from account where program_id = program_id('p') and last_seq > 0 order by account_id)), 'its root is that of their heads');
select redeem('p', 'm' || n, 5) from generate_series(3, 5) n;
select is((seal('p')).seal_no, 3, 'the next seal');
select is(array(select a.member || ' ' || h.last_seq from seal_head h join account a using (account_id) where seal_no = 3 order by 1),
    array['m3 2', 'm4 2', 'm5 2'], 'has rows for what has changed');
select is((seal('p')).root, (select root from seal where seal_no = 3), 'nothing posted, the same root');
select is((select count(*)::int from seal_head where seal_no = 4), 0, 'and no rows');
select earn('p', 'late', 1);
select is((seal('q')).seal_no, 1, 'each program has its own numbers');
select is_empty($$select * from verify_seals()$$, 'all seals agree with the journal');
select is_empty($$select * from verify_seals('p', 3)$$, 'and one of them');

-- ---------- proofs ----------

create temp table proof as select inclusion_proof('p', 'm' || n, 3) as p from generate_series(1, 21) n;
select is((select count(*)::int from proof where verify_inclusion(p, (select root from seal where seal_no = 3))), 21,
    'every account has its proof');
select is((select array_agg((p).leaf_index order by (p).account_id) from proof), (select array_agg(n::bigint) from generate_series(0, 20) n),
    'at its place');
select is((select row((p).program, (p).seal_no, (p).sealed_at = now(), (p).account_id, (p).last_seq, (p).head_hash, (p).tree_size,
            cardinality((p).path))::text
        from proof where (p).leaf_index = 2),
    (select row('p', 3, true, e.account_id, 2, e.hash, 21, 5)::text from entry e where e.account_id = account_id('p', 'm3') and e.seq = 2),
    'with all that it takes');
select is((inclusion_proof('p', 'm3', 2)).last_seq, 1::bigint, 'an earlier seal proves an earlier head');
select is((inclusion_proof('p', 'm3')).seal_no, 4, 'the latest seal by default');
select is((inclusion_proof('q', 'm1')).tree_size, 21::bigint, 'of the program');

-- A proof with one thing altered is none.
create temp table one as select p as proof, (p).root from proof where (p).leaf_index = 2;
create function pg_temp.verified(changes jsonb) returns boolean
language sql as $$
    select verify_inclusion(jsonb_populate_record(o.proof, changes), o.root) from one o
$$;
select ok(pg_temp.verified('{}'), 'the proof holds');
select ok(not pg_temp.verified(changes), 'but not with ' || changes::text)
from unnest(array['{"account_id": 1}', '{"last_seq": 3}', '{"head_hash": "\\x00"}', '{"head_hash": null}', '{"leaf_index": 3}', '{"leaf_index": 1}',
    '{"leaf_index": -1}', '{"leaf_index": 21}', '{"leaf_index": null}', '{"tree_size": 2}', '{"tree_size": 64}', '{"tree_size": null}',
    '{"path": null}', '{"path": []}', '{"path": [null]}', '{"path": ["left 00"]}', '{"root": "\\x00"}', '{"root": null}']::jsonb[]) changes;
select ok(not verify_inclusion(tampered, o.root), 'nor with a step ' || what)
from one o cross join lateral (values
    ('less', (o.proof).path[:4]), ('more', (o.proof).path || (o.proof).path[5]),
    ('on the other side', array[replace((o.proof).path[1], 'right', 'left')] || (o.proof).path[2:]),
    ('swapped', (o.proof).path[2:2] || (o.proof).path[1:1] || (o.proof).path[3:])) x (what, path)
    cross join lateral jsonb_populate_record(o.proof, jsonb_build_object('path', x.path)) as tampered;
select ok(not verify_inclusion(proof, (select root from seal where seal_no = 2)), 'nor with the root of another seal') from one;
select is(verify_inclusion(proof, null), false, 'nor with none') from one;

-- ---------- what is refused ----------

select is(pg_temp.refused($$select inclusion_proof('p', 'm1', 9)$$), '22023 no such seal: Program "p" has 4 seals.', 'an unknown seal');
select is(pg_temp.refused($$select inclusion_proof('none', 'm1')$$), 'JF003 unknown member "m1": Program "none" has no account of member "m1".', 'an unknown member');
select is(pg_temp.refused($$select inclusion_proof('p', 'late')$$),
    '22023 the account is not part of the seal: Account "late" of program "p" had no entries when seal 4 was made.', 'an account without entries then');
select is(pg_temp.refused($$select seal('nowhere')$$), 'JF002 unknown program "nowhere": No program has the code "nowhere".', 'an unknown program');
select is(pg_temp.refused($$select seal(null)$$), '22004 program must not be null: The argument "program" is null.', 'no program');
select is(pg_temp.refused($$select verify_seals(null, 1)$$), '22004 program must not be null where seal_no is given: Each program has its own seal 1.', 'a seal of no program');
select is(pg_temp.refused($$select verify_seals('p', 5)$$), '22023 no such seal: Program "p" has no seal 5.', 'a seal that is none');
select is(pg_temp.refused(s || t), format('42501 %s of jifen.%s is refused: Seals are kept as they were written.', split_part(s, ' ', 1), t), s || t)
from unnest(array['seal', 'seal_head']) t, unnest(array['DELETE from ', 'TRUNCATE ']) s;
select is(pg_temp.refused($$update seal set root = ''$$), '42501 UPDATE of jifen.seal is refused: Seals are kept as they were written.', 'UPDATE seal');

-- ---------- tampering ----------

alter table entry disable trigger refuse_change;
alter table seal disable trigger refuse_change;
alter table seal_head disable trigger refuse_change;
create function pg_temp.breaches() returns text[]
language sql as $$
    select array(select concat_ws(' ', v.member, v.seq, v.invariant, split_part(v.expected, ':', 1)) from verify_seals('p') v order by 1)
$$;

-- Somebody who makes a whole chain anew leaves no trace in it.
create function pg_temp.rewrite(own_account bigint) returns void
language plpgsql as $$
declare
    line entry;
    previous bytea;
begin
    for line in select * from entry e where e.account_id = own_account order by e.seq loop
        previous := (select entry_hash(previous, line,
                array(select x.lot_seq from allocation x where x.account_id = own_account and x.seq = line.seq order by x.lot_seq),
                array(select x.amount::bigint from allocation x where x.account_id = own_account and x.seq = line.seq order by x.lot_seq),
                a.salt, null)
            from account a where a.account_id = own_account);
        update entry e set hash = previous where e.account_id = own_account and e.seq = line.seq;
    end loop;
    update account a set head_hash = previous where a.account_id = own_account;
end
$$;
savepoint whole;
update entry set amount = amount + 1000 where account_id = account_id('p', 'm4') and seq = 1;
select isnt_empty($$select * from verify_chain('p')$$, 'an altered entry breaks the chain');
select pg_temp.rewrite(account_id('p', 'm4'));
select is_empty($$select * from verify_chain('p')$$, 'a chain made anew is sound');
select is(pg_temp.breaches(), array['the journal gives the root of the seal seal 2', 'the journal gives the root of the seal seal 3',
        'the journal gives the root of the seal seal 4'], 'but the seals tell');
select is(pg_temp.refused($$select inclusion_proof('p', 'm4')$$),
    'XX001 the journal does not give the root of the seal: What seal 4 of program "p" was made of has been altered.', 'and there is no proof');
rollback to whole;
delete from entry where account_id = account_id('p', 'm4') and seq = 2;
update account set last_seq = 1, head_hash = (select hash from entry where account_id = account_id('p', 'm4')) where member = 'm4';
select is(pg_temp.breaches(), array['m4 2 a sealed entry is in the journal seal 3', 'the journal gives the root of the seal seal 3',
        'the journal gives the root of the seal seal 4'], 'the latest entry removed without a trace');
rollback to whole;
update seal_head set last_seq = 1 where seal_no = 3 and account_id = account_id('p', 'm3');
select is(pg_temp.breaches(), array['the journal gives the root of the seal seal 3', 'the journal gives the root of the seal seal 4'], 'an altered head');
rollback to whole;
delete from seal_head where seal_no = 2 and account_id = account_id('p', 'm21');
select is(pg_temp.breaches(), array['a seal counts its accounts seal 2', 'a seal counts its accounts seal 3', 'a seal counts its accounts seal 4',
        'the journal gives the root of the seal seal 2', 'the journal gives the root of the seal seal 3',
        'the journal gives the root of the seal seal 4'], 'a head removed');
rollback to whole;
update seal set root = sha256('') where seal_no = 3;
select is(pg_temp.breaches(), array['the journal gives the root of the seal seal 3'], 'an altered seal');
rollback to whole;
delete from seal where seal_no = 3;
select is(pg_temp.breaches(), array['m3 2 a sealed head has its seal seal 3', 'm4 2 a sealed head has its seal seal 3',
        'm5 2 a sealed head has its seal seal 3', 'seals are numbered without gaps seal 3'], 'a seal removed');
rollback to whole;

-- Whoever is forgotten stays part of what was sealed.
select forget_member('p', 'm3', 'asked for it');
select is_empty($$select * from verify_seals()$$, 'seals outlive a member who is forgotten');
select ok(verify_inclusion(inclusion_proof('p', (select member from account where member ~ '^forgotten'), 3), root), 'and so does the proof') from one;

select * from finish();
rollback;
