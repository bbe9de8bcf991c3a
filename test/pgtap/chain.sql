-- The hash chain: the canonical form, what tampering it finds, and members who are forgotten without breaking it.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(168);

-- Whether the statement fails with that SQLSTATE, message and detail, and the books stay as they were.
create function pg_temp.books() returns text
language sql as $$
    select concat_ws(' ', (select string_agg(a::text, '' order by a.account_id) from account a), (select string_agg(c::text, '' order by c.account_id, c.change_no) from status_change c),
        (select string_agg(e::text, '' order by e.account_id, e.seq) from entry e), (select string_agg(r::text, '') from erasure r), (select string_agg(f::text, '') from forgetting f))
$$;
create function pg_temp.refused(statement text) returns text
language plpgsql as $$
declare
    before constant text := pg_temp.books();
    detail text;
begin
    execute statement;
    return 'done';
exception when others then
    get stacked diagnostics detail = pg_exception_detail;
    if pg_temp.books() is distinct from before then
        return 'changed';
    end if;
    return concat_ws(' ', sqlstate, sqlerrm || ':', detail);
end
$$;

-- Accounts of the same history: well, and one for each way of tampering.
select create_program('p', time_zone => 'Asia/Shanghai', auto_open => true), create_program('q', auto_open => true);
do $$
declare
    member text;
begin
    foreach member in array array(select 't' || k from generate_series(1, 72) k) || array['well', 'ann'] loop
        perform earn('p', member, 100, event_at => '2024-01-01 00:00:00.000001', expiry => '1 month', source => 'purchase',
            reference => 'order 1', revenue => 9.50, details => jsonb_build_object('till', 3, 'b', array[null, 1.50], 'name', member));    -- 1
        perform earn('p', member, 50, event_at => '2024-01-02', available_at => '2024-01-03', qualifying => 7);  -- 2
        perform redeem('p', member, 120, event_at => '2024-01-10', reference => '礼品');                       -- 3: 100 of lot 1, 20 of lot 2
        perform reverse('p', member, 3, 30, 'sent back by ' || member, event_at => '2024-01-12');                          -- 4
        perform earn('p', member, 25, event_at => '2024-03-10');                                             -- 5
    end loop;
    perform earn('q', 'well', 1, event_at => '1969-12-31 23:59:59+00', details => 'null');
    perform open_account('q', 'empty');
end
$$;

-- ---------- the canonical form, as documented ----------

create function pg_temp.netstring(value text) returns bytea
language sql as $$
    select convert_to(coalesce(octet_length(value) || ':' || value || ',', '-,'), 'UTF8')
$$;
create function pg_temp.micros(value timestamptz) returns text
language sql as $$
    select case when isfinite(value) then (extract(epoch from value) * 1000000)::bigint::text else value::text end
$$;
create function pg_temp.personal(e entry, salt bytea) returns bytea
language sql as $$
    select sha256(salt || pg_temp.netstring(e.account_id::text) || pg_temp.netstring(e.seq::text) || pg_temp.netstring(e.reason)
        || pg_temp.netstring(e.details::text))
    where num_nonnulls(e.reason, e.details) > 0
$$;
create function pg_temp.hash_of(e entry) returns bytea
language sql as $$
    select sha256(coalesce((select p.hash from entry p where p.account_id = e.account_id and p.seq = e.seq - 1), '')
        || (select string_agg(pg_temp.netstring(v), '' order by n) from unnest(array[e.account_id::text, e.seq::text, e.amount::bigint::text,
            e.held::bigint::text, e.debt::bigint::text, e.balance::bigint::text, pg_temp.micros(e.event_at), pg_temp.micros(e.posted_at),
            pg_temp.micros(e.expires_at), pg_temp.micros(e.available_at), pg_temp.micros(e.until), pg_temp.micros(e.issued_at),
            e.reverses_seq::text, e.hold_seq::text, e.debt_seq::text, e.counter_account_id::text, e.counter_seq::text,
            e.qualifying::bigint::text, e.given::text, e.rule_no::text, e.kind, e.source, e.funder, e.partner, e.reference,
            encode(coalesce(r.personal_digest, pg_temp.personal(e, a.salt)), 'hex'), e.idempotency_key, e.expiry::text, e.revenue::text, e.actor])
            with ordinality x (v, n))
        || coalesce((select string_agg(pg_temp.netstring(x.lot_seq::text) || pg_temp.netstring(x.amount::bigint::text), '' order by x.lot_seq)
            from allocation x where x.account_id = e.account_id and x.seq = e.seq), ''))
    from account a left join erasure r on r.account_id = a.account_id and r.seq = e.seq
    where a.account_id = e.account_id
$$;
select is_empty($$select e.account_id, e.seq from entry e where e.hash is distinct from pg_temp.hash_of(e)$$,
    'every entry is hashed as is documented');
select is_empty($$select member from account where octet_length(salt) <> 16 or salt is null or head_hash is distinct from
        (select hash from entry e where e.account_id = account.account_id and e.seq = last_seq)$$,
    'every account has a salt and its head');
select is((select count(distinct salt) from account), 76::bigint, 'each its own');
create temp table posted as select * from redeem('p', 'well', 1);
select is((select hash from posted), (select head_hash from account where account_id = account_id('p', 'well')), 'the entry that a posting returns has its hash');

-- Every kind of value, in a row that no posting writes
create temp table odd as
select (jsonb_populate_record(null::entry, jsonb_build_object('account_id', 9223372036854775807, 'seq', 1, 'amount', '-9223372036854775808', 'held', -1,
    'debt', 0, 'balance', 0, 'event_at', '294276-12-31 23:59:59.999999+00', 'posted_at', '4713-01-01 00:00:00+00 BC', 'expires_at', 'infinity',
    'available_at', '1969-12-31 23:59:59.999999+00', 'until', '-infinity', 'given', -32768, 'rule_no', 32767, 'kind', 'earn', 'source', '', 'funder', 'bank', 'expiry', '12 months end of month',
    'revenue', '0.00', 'reason', repeat('因', 5000), 'details', '{"a": "\n"}', 'actor', '我'))) as line;
create function pg_temp.same(line entry) returns boolean
language sql as $$
    select entry_hash(null, line, '{}', '{}', '\x01', null) = sha256((select string_agg(pg_temp.netstring(v), '' order by n)
        from unnest(array['9223372036854775807', '1', '-9223372036854775808', '-1', '0', '0', '9224318015999999999', '-210863520000000000',
            'infinity', '-1', '-infinity', null, null, null, null, null, null, null, '-32768', '32767', 'earn', '', 'bank', null, null,
            encode(pg_temp.personal(line, '\x01'), 'hex'), null, '12 months end of month', '0.00', '我']) with ordinality x (v, n)))
$$;
select ok(pg_temp.same(line), 'numbers, times and texts at their limits') from odd;
select is(personal_digest(line, '\x01'), pg_temp.personal(line, '\x01'), 'the digest of personal details') from odd;
select is(personal_digest(line, null), pg_temp.personal(line, ''), 'without a salt') from odd;
select is((select count(personal_digest(e, '\x01')) from entry e where e.reason is null and e.details is null), 0::bigint, 'none where there are none');
select is(entry_hash(hash, e, '{2,1}', '{20,100}', null, null), entry_hash(hash, e, '{1,2}', '{100,20}', null, null), 'allocations count by lot_seq')
from entry e where account_id = account_id('p', 'well') and seq = 3;
select is(entry_hash(p, e, null, null, null, d), null, 'what cannot be a hash has none')
from entry e, (values ('\x00'::bytea, null::bytea), (null, '\x00')) x (p, d) where account_id = account_id('p', 'well') and seq = 2;
select is(entry_hash(null, null, null, null, null, null), null, 'nor has nothing');
select is(pg_temp.refused(format($f$select entry_hash(null, e, %s, null, null) from entry e$f$, a)), r, r)
from (values
    ($$'{1}', '{}'$$, '22023 lot_seqs and amounts must be of the same length: They have 1 and 0 elements.'),
    ($$'{null}', '{1}'$$, '22023 lot_seqs must be an array of one dimension without nulls: It lists what the allocations of an entry have, one after the other.'),
    ($$'{1}', '{{1}}'$$, '22023 amounts must be an array of one dimension without nulls: It lists what the allocations of an entry have, one after the other.')) x (a, r);

-- ---------- scope ----------

select is_empty($$select * from verify_chain()$$, 'nothing is amiss');
select is_empty($$select * from verify_chain('p')$$, 'in a program');
select is_empty($$select * from verify_chain('p', 'well')$$, 'in an account');
select is_empty($$select * from verify_chain('q', 'empty')$$, 'in an empty one');
select is(pg_temp.refused($$select verify_chain('x')$$), 'JF002 unknown program "x": No program has the code "x".', 'an unknown program');
select is(pg_temp.refused($$select verify_chain('p', 'x')$$), 'JF003 unknown member "x": Program "p" has no account of member "x".', 'an unknown member');
select is(pg_temp.refused($$select verify_chain(null, 'x')$$), '22004 program must not be null where member is given: Member "x" may have an account in several programs.', 'a member of no program');

-- ---------- a member is forgotten ----------

select freeze_account('p', 'ann', 'Ann Example moved'), unfreeze_account('p', 'ann', 'Ann is back');
select extend_expiry('p', 'why', 'infinity', members => '{well,ann,t1}', sources => '{none}');
select extend_expiry('p', 'why', 'infinity', members => '{t1}', sources => '{none}');
insert into extension (program_id, reason, members, actor) values (program_id('q'), 'why', '{ann}', 'test');
create temp table ann as select * from account where member = 'ann';
create temp table entries_of_ann as select e.*, pg_temp.personal(e, ann.salt) as digest from entry e join ann using (account_id);
select is(pg_temp.refused($$select forget_member('p', 'x', 'why')$$), 'JF003 unknown member "x": Program "p" has no account of member "x".', 'an unknown member');
select is(pg_temp.refused($$select forget_member('x', 'ann', 'why')$$), 'JF002 unknown program "x": No program has the code "x".', 'an unknown program');
select is(pg_temp.refused($$select forget_member('p', 'ann', null)$$), '22004 reason must not be null: The argument "reason" is null.', 'no reason');
select is(pg_temp.refused($$select forget_member('p', '', 'why')$$), '22023 member must not be empty: It has 0 characters.', 'no member');
create temp table forgotten as select f.* from forget_member('p', 'ann', 'request 17') f;
select matches(member, '^forgotten-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', 'a forgotten member has a random identifier') from forgotten;
select is((f.account_id, f.balance, f.last_seq, f.head_hash, f.status, octet_length(f.salt))::text,
    (a.account_id, a.balance, a.last_seq, a.head_hash, a.status, 16)::text, 'and the same account') from forgotten f, ann a;
select isnt(f.salt, a.salt, 'with another salt') from forgotten f, ann a;
select is(pg_temp.refused($$select balance('p', 'ann')$$), 'JF003 unknown member "ann": Program "p" has no account of member "ann".', 'nobody has the old one');
select is_empty($$select from entry e join ann using (account_id) where e.reason is not null or e.details is not null$$, 'no reason or details are left');
select is_empty($$select from status_change c join ann using (account_id) where c.reason is not null$$, 'nor reasons of status changes');
select is(array(select x.members::text from extension x order by x.extension_id), array[format('{well,%s,t1}', member), '{t1}', '{ann}'],
    'extensions name the new one, and of other programs and members nothing changes') from forgotten;
delete from extension where members = '{ann}';
select is_empty(format($$select t from jifen.%I t where t::text ~* '\mann\M'$$, relname), relname || ' has nothing of the person')
from pg_class where relnamespace = 'jifen'::regnamespace and relkind = 'r' order by relname;
select bag_eq($$select e.seq, e.amount, e.balance, e.event_at, e.reference, e.revenue, e.hash from entry e join ann using (account_id)$$,
    $$select seq, amount, balance, event_at, reference, revenue, hash from entries_of_ann$$, 'everything else is as it was');
select bag_eq($$select seq, personal_digest from erasure$$, $$select seq, digest from entries_of_ann where seq in (1, 4)$$,
    'the digests stand for what was erased');
select is((select row(f.forgetting_no, f.last_seq, f.reason, f.actor, f.forgotten_at)::text from forgetting f join ann using (account_id)),
    row(1, 5, 'request 17', current_user, now())::text, 'it is on record');
select is_empty($$select * from verify_chain()$$, 'the chain is whole');
select is_empty($$select e.account_id, e.seq from entry e where e.hash is distinct from pg_temp.hash_of(e)$$, 'and as is documented');
select is((select count(*)::int from reconcile() where invariant !~ 'kind|sign'), 0, 'the books are in order');

create function pg_temp.member_of(id bigint) returns text
language sql as $$ select member from account where account_id = id $$;
select redeem('p', pg_temp.member_of(account_id), 5, details => '{"to": "Ann"}') from ann;
select is_empty($$select * from verify_chain()$$, 'postings go on, with details');
select freeze_account('p', pg_temp.member_of(account_id), 'why') from ann;
select is((select status from forget_member('p', (select pg_temp.member_of(account_id) from ann), 'once more')), 'frozen', 'a frozen account can be forgotten, and again');
select is((select array_agg(seq order by seq) from erasure), '{1,4,6}', 'what came later is erased too');
select is_empty($$select * from verify_chain()$$, 'and the chain is whole');
select open_account('q', 'closed'), close_account('q', 'closed', 'left'), forget_member('q', 'closed', 'why');
select is((select count(*)::int from forgetting f join account a using (account_id) where a.status = 'closed'), 1, 'so can a closed one, and one without entries');
select earn('p', 'ann', 1);
select is((select last_seq from account where account_id = account_id('p', 'ann')), 1::bigint, 'the old identifier opens another account');

-- Its own update of the journal is the only one.
select is(pg_temp.refused(format('update entry set %s where account_id = account_id(''p'', ''well'')', what)),
    '42501 UPDATE of jifen.entry is refused: Entries and allocations are kept as they were written.', 'update entry set ' || what)
from unnest(array['reason = null, details = null', 'reason = ''x''', 'hash = hash']) what;
create function pg_temp.intrude() returns trigger
language plpgsql as $$
begin
    if pg_trigger_depth() = 1 then
        update jifen.entry set reason = null, details = null where account_id = jifen.account_id('p', 't1');
    end if;
    return null;
end
$$;
create trigger a_before before update on entry for each statement execute function pg_temp.intrude();
create trigger z_after after update on entry for each statement execute function pg_temp.intrude();
select throws_ok($$select forget_member('p', 't2', 'why')$$, '42501', 'UPDATE of jifen.entry is refused', 'a trigger beside it cannot use the occasion');
drop trigger a_before on entry;
select throws_ok($$select forget_member('p', 't2', 'why')$$, '42501', 'UPDATE of jifen.entry is refused', 'neither before nor after');
drop trigger z_after on entry;
alter table entry add constraint no_erasure check (seq <> 1 or details is not null) not valid;
select throws_ok($$select forget_member('p', 't2', 'why')$$, '23514', null, 'an update that fails');
alter table entry drop constraint no_erasure;
select is(pg_temp.refused($$update entry set reason = null, details = null$$),
    '42501 UPDATE of jifen.entry is refused: Entries and allocations are kept as they were written.', 'leaves no way open');
select is_empty($$select * from verify_chain()$$, 'nothing has come of all that');

-- ---------- tampering, each time with another account ----------

alter table entry disable trigger refuse_change;
alter table allocation disable trigger refuse_change;
alter table entry drop constraint entry_kind_known;

create function pg_temp.id(k int) returns bigint
language sql as $$
    select account_id('p', 't' || k)
$$;
create function pg_temp.found(k int) returns text[]
language sql as $$
    select array(select concat_ws(' ', v.seq, v.invariant) from verify_chain('p', 't' || k) v order by v.seq, 1)
$$;

-- Every column of entry, at the middle one, each in an account of its own
create temp table altered as
select row_number() over (order by attnum)::int as k, attname as name,
    format(case atttypid::regtype::text
        when 'timestamp with time zone' then 'coalesce(%1$I + interval ''1 microsecond'', ''2024-01-10'')'
        when 'text' then 'coalesce(%1$I, '''') || ''x'''
        when 'expiry_policy' then '''never'''
        when 'numeric' then '0'
        when 'jsonb' then '''null'''
        when 'bytea' then 'sha256(%1$I)'
        else 'coalesce(%1$I, 0) + 1' end, attname) as value
from pg_attribute where attrelid = 'entry'::regclass and attnum > 0 and attname not in ('account_id', 'seq');
do $$
declare
    a record;
begin
    for a in select * from altered loop
        execute format('update entry set %I = %s where account_id = pg_temp.id(%s) and seq = 3', a.name, a.value, a.k);
    end loop;
end
$$;
select is(pg_temp.found(k), case name when 'hash' then array['3 an entry has the hash of what it says', '4 an entry has the hash of what it says']
        else array['3 an entry has the hash of what it says'] end, format('entry.%s altered', name)) from altered order by k;

update entry set revenue = 9.5 where account_id = pg_temp.id(31) and seq = 1;
update entry set details = details || '{"till": 4}' where account_id = pg_temp.id(32) and seq = 1;
update entry set hash = '' where account_id = pg_temp.id(33) and seq = 2;
update entry set hash = '' where account_id = pg_temp.id(34) and seq = 5;
update entry set reason = null where account_id = pg_temp.id(35) and seq = 4;
-- Removed, inserted, reordered
delete from entry where account_id = pg_temp.id(36) and seq = 2;
delete from entry where account_id = pg_temp.id(37) and seq = 5;
delete from entry where account_id = pg_temp.id(38) and seq = 1;
delete from entry where account_id = pg_temp.id(39) and seq in (2, 3);
delete from entry where account_id = pg_temp.id(40);
create function pg_temp.copy_entry(k int, from_seq int, to_seq int, chained boolean default false) returns void
language plpgsql as $$
declare
    line entry;
begin
    select * into line from entry where account_id = pg_temp.id(k) and seq = from_seq;
    line.seq := to_seq;
    if chained then
        line.hash := entry_hash((select hash from entry where account_id = pg_temp.id(k) and seq = to_seq - 1), line, null, null,
            (select salt from account where account_id = pg_temp.id(k)), null);
    end if;
    insert into entry select (line).*;
end
$$;
select pg_temp.copy_entry(41, 5, 6), pg_temp.copy_entry(42, 5, 0), pg_temp.copy_entry(43, 5, 8), pg_temp.copy_entry(44, 5, 6, true), pg_temp.copy_entry(45, 5, -1);
update entry set seq = seq + 10 where account_id = pg_temp.id(46) and seq > 2;
update entry set seq = seq - 9 where account_id = pg_temp.id(46) and seq > 10;
select pg_temp.copy_entry(46, 2, 3);
update entry set seq = 99 where account_id = pg_temp.id(47) and seq = 1;
update entry set seq = 1 where account_id = pg_temp.id(47) and seq = 2;
update entry set seq = 2 where account_id = pg_temp.id(47) and seq = 99;
update entry set account_id = case account_id when pg_temp.id(48) then -1 else pg_temp.id(48) end where account_id in (pg_temp.id(48), pg_temp.id(49)) and seq = 5;
update entry set account_id = pg_temp.id(49) where account_id = -1;
-- Allocations
update allocation set amount = amount + 1 where account_id = pg_temp.id(50) and seq = 3 and lot_seq = 1;
update allocation set lot_seq = 5 where account_id = pg_temp.id(51) and seq = 3 and lot_seq = 2;
update allocation set seq = 2 where account_id = pg_temp.id(52) and seq = 4;
delete from allocation where account_id = pg_temp.id(53) and seq = 4;
delete from allocation where account_id = pg_temp.id(54) and seq = 3 and lot_seq = 2;
insert into allocation values (pg_temp.id(55), 3, 5, 1);
insert into allocation values (pg_temp.id(56), 5, 1, 1);
insert into allocation values (pg_temp.id(57), 6, 1, 1);
-- Heads
update account set head_hash = sha256(head_hash) where account_id = pg_temp.id(58);
update account set head_hash = null where account_id = pg_temp.id(59);
update account set last_seq = 4, head_hash = (select hash from entry where account_id = pg_temp.id(60) and seq = 4) where account_id = pg_temp.id(60);
update account set last_seq = 6 where account_id = pg_temp.id(61);
update account set last_seq = 0, head_hash = null where account_id = pg_temp.id(62);
update account set salt = sha256(salt) where account_id = pg_temp.id(63);
-- Erasures
select forget_member('p', 't64', 'why'), forget_member('p', 't65', 'why'), forget_member('p', 't66', 'why'), forget_member('p', 't67', 'why'),
    forget_member('p', 't68', 'why');
update account a set member = 't' || 64 + n
from (select account_id, row_number() over (order by account_id) - 1 as n from forgetting where reason = 'why' and last_seq = 5) f
where f.account_id = a.account_id;
update erasure set personal_digest = sha256('') where account_id = pg_temp.id(64) and seq = 1;
delete from erasure where account_id = pg_temp.id(65) and seq = 4;
update entry set reason = 'a better one' where account_id = pg_temp.id(66) and seq = 4;
insert into erasure values (pg_temp.id(67), 9, '');
delete from forgetting where account_id = pg_temp.id(68);
insert into erasure select e.account_id, e.seq, personal_digest(e, a.salt) from entry e join account a using (account_id)
where e.account_id = pg_temp.id(69) and seq = 4;
update entry set reason = null where account_id = pg_temp.id(69) and seq = 4;

create temp table wanted (k int, breaches text[], tampering text);
insert into wanted values
    (31, '{"1 an entry has the hash of what it says"}', 'a revenue of another scale'),
    (32, '{"1 an entry has the hash of what it says"}', 'details altered'),
    (33, '{"2 an entry has the hash of what it says", "3 an entry has the hash of what it says"}', 'a hash emptied'),
    (34, '{"5 an entry has the hash of what it says", "head_hash is the hash of the latest entry"}', 'the latest hash emptied'),
    (35, '{"4 an entry has the hash of what it says"}', 'a reason erased by hand'),
    (36, '{"3 seq has no gap"}', 'an entry removed'),
    (37, '{"last_seq is the number of the latest entry"}', 'the latest entry removed'),
    (38, '{"2 seq has no gap"}', 'the first entry removed'),
    (39, '{"3 an allocation has its entry", "3 an allocation has its entry", "4 seq has no gap"}', 'two entries removed'),
    (40, '{"3 an allocation has its entry", "3 an allocation has its entry", "4 an allocation has its entry", "4 an allocation has its entry",
        "last_seq is the number of the latest entry"}', 'all entries removed'),
    (41, '{"6 last_seq is the number of the latest entry"}', 'an entry added'),
    (42, '{"0 seq has no gap", "1 an entry has the hash of what it says"}', 'an entry put before the first'),
    (43, '{"8 last_seq is the number of the latest entry"}', 'an entry added with a gap'),
    (44, '{"6 last_seq is the number of the latest entry"}', 'an entry added with its hash'),
    (45, '{"-1 seq has no gap"}', 'an entry of a negative number'),
    (46, '{"3 an entry has the hash of what it says", "4 an entry has the hash of what it says", "5 an entry has the hash of what it says",
        "6 last_seq is the number of the latest entry", "head_hash is the hash of the latest entry"}', 'an entry inserted'),
    (47, '{"1 an entry has the hash of what it says", "2 an entry has the hash of what it says", "3 an entry has the hash of what it says"}', 'two entries swapped'),
    (48, '{"5 an entry has the hash of what it says", "head_hash is the hash of the latest entry"}', 'entries swapped between accounts'),
    (49, '{"5 an entry has the hash of what it says", "head_hash is the hash of the latest entry"}', 'in both'),
    (50, '{"3 an entry has the hash of what it says"}', 'an amount of an allocation'),
    (51, '{"3 an entry has the hash of what it says"}', 'a lot of an allocation'),
    (52, '{"2 an entry has the hash of what it says", "4 an entry has the hash of what it says"}', 'an entry of an allocation'),
    (53, '{"4 an entry has the hash of what it says"}', 'an allocation removed'),
    (54, '{"3 an entry has the hash of what it says"}', 'one of several removed'),
    (55, '{"3 an entry has the hash of what it says"}', 'an allocation inserted'),
    (56, '{"5 an entry has the hash of what it says"}', 'the first one of an entry'),
    (57, '{"6 an allocation has its entry"}', 'an allocation of no entry'),
    (58, '{"head_hash is the hash of the latest entry"}', 'a head altered'),
    (59, '{"head_hash is the hash of the latest entry"}', 'a head removed'),
    (60, '{"5 last_seq is the number of the latest entry"}', 'a head put back'),
    (61, '{"last_seq is the number of the latest entry"}', 'last_seq put forward'),
    (62, '{"1 last_seq is the number of the latest entry", "2 last_seq is the number of the latest entry", "3 last_seq is the number of the latest entry",
        "4 last_seq is the number of the latest entry", "5 last_seq is the number of the latest entry"}', 'a head put back to nothing'),
    (63, '{"1 an entry has the hash of what it says", "4 an entry has the hash of what it says"}', 'a salt altered'),
    (64, '{"1 an entry has the hash of what it says"}', 'a digest altered'),
    (65, '{"4 an entry has the hash of what it says"}', 'a digest removed'),
    (66, '{"4 what was erased stays so"}', 'a reason given to what was erased'),
    (67, '{"9 what was erased was an entry of a member who was forgotten"}', 'a digest of no entry'),
    (68, '{"1 what was erased was an entry of a member who was forgotten", "4 what was erased was an entry of a member who was forgotten"}', 'a forgetting removed'),
    (69, '{"4 what was erased was an entry of a member who was forgotten"}', 'an erasure of what nobody forgot'),
    (70, '{}', 'nothing');
select is(pg_temp.found(k), breaches, tampering) from (select * from wanted order by k) w;

select is_empty($$select * from verify_chain('p', 'well')$$, 'an account is not blamed for another');
select is_empty($$select * from verify_chain('q')$$, 'nor a program');
select set_eq($$select v::text from verify_chain('p') v$$, $$select v::text from verify_chain() v$$, 'all breaches are of the program');
select set_eq($$select v::text from verify_chain('p') v where member like 't%'$$,
    $$select v::text from generate_series(1, 72) k, verify_chain('p', 't' || k) v$$, 'and the same one by one');
select is((select row(v.program, v.member, v.account_id, v.seq, v.expected, v.found)::text from verify_chain('p', 't58') v),
    (select row('p', 't58', account_id, null::bigint, encode(e.hash, 'hex'), encode(sha256(e.hash), 'hex'))::text from entry e where account_id = pg_temp.id(58) and seq = 5),
    'a row names the account, what should be there and what is');

insert into entry select (jsonb_populate_record(e, '{"account_id": -5}')).* from entry e where account_id = pg_temp.id(70) and seq = 1;
insert into allocation values (-6, 1, 1, 1);
insert into erasure values (-7, 1, '');
insert into forgetting values (-8, 1, now(), 1, '', '');
select set_eq($$select v.account_id, v.seq, v.invariant || ': ' || v.found from verify_chain() v where program is null$$,
    $$values (-5::bigint, 1::bigint, 'every row has its account: an entry'), (-6, 1, 'every row has its account: an allocation'),
        (-7, 1, 'every row has its account: an erasure'), (-8, null, 'every row has its account: a forgetting')$$, 'rows without an account');

-- Where the head is no hash, nothing can be posted on it.
update account set head_hash = '\x00' where account_id = pg_temp.id(70);
select is(pg_temp.refused($$select redeem('p', 't70', 1)$$), 'XX001 a hash has 1 bytes instead of 32: The head_hash of an account has been altered.',
    'nothing is posted on a head that is none');

select * from finish();
rollback;
