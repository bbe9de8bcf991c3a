-- What others hang on to the tables that postings write: triggers, rules, constraints, indexes and publications hold as they
-- do for statements.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(41);
\ir books.psql

do $$
begin
    perform create_program('p', expiry => '12 months', overdraft => 'debt', auto_open => true);
end
$$;

-- Earns three lots, spends the first and a part of the second, holds points and captures some of them, and takes so many
-- back that a debt is left, which is then repaid in two steps: each kind of change to each table.
create function pg_temp.live(member text) returns void language plpgsql as $$
begin
    perform earn('p', member, 10, event_at => '2026-01-01');
    perform earn('p', member, 20, event_at => '2026-02-01');
    perform earn('p', member, 30, event_at => '2026-03-01');
    perform redeem('p', member, 15, event_at => '2026-03-02');
    perform hold('p', member, 20, until => now() + interval '1 day', event_at => '2026-03-03');
    perform capture('p', member, 5, 12, event_at => '2026-03-04');
    perform redeem('p', member, 30, event_at => '2026-03-05');
    perform reverse('p', member, 3, event_at => '2026-03-06');
    perform earn('p', member, 10, event_at => '2026-03-07');
    perform earn('p', member, 30, event_at => '2026-03-08');
end
$$;

-- The same as one batch, which refers to its own postings and so stores in between.
create function pg_temp.live_at_once(member text) returns bigint language sql as $$
    select count(*) filter (where sqlstate is null) from post(array[
        posting('p', member, 'earn', 10, event_at => '2026-01-01', idempotency_key => 'first'),
        posting('p', member, 'earn', 20, event_at => '2026-02-01'),
        posting('p', member, 'earn', 10, event_at => '2026-01-01', idempotency_key => 'first'),
        posting('p', member, 'earn', 30, event_at => '2026-03-01'),
        posting('p', member, 'redeem', 15, event_at => '2026-03-02', idempotency_key => 'second'),
        posting('p', member, 'hold', 20, until => now() + interval '1 day', event_at => '2026-03-03'),
        posting('p', member, 'redeem', 15, event_at => '2026-03-02', idempotency_key => 'second'),
        posting('p', member, 'capture', 12, seq => 5, event_at => '2026-03-04'),
        posting('p', member, 'redeem', 30, event_at => '2026-03-05', idempotency_key => 'third'),
        posting('p', member, 'reverse', seq => 3, event_at => '2026-03-06'),
        posting('p', member, 'earn', 10, event_at => '2026-03-07'),
        posting('p', member, 'redeem', 30, event_at => '2026-03-05', idempotency_key => 'third'),
        posting('p', member, 'earn', 30, event_at => '2026-03-08')], 'skip')
$$;

-- What the tables say of the member, hashes and times of booking apart.
create function pg_temp.books_of(member text) returns text[] language sql as $$
    select array(
        select line from (
            select format('account %s %s %s %s', a.balance, a.held, a.debt, a.last_seq) as line
            from account a where a.account_id = account_id('p', books_of.member)
            union all
            select format('entry %s %s %s %s %s', e.seq, e.kind, e.amount, e.held, e.debt)
            from entry e where e.account_id = account_id('p', books_of.member)
            union all
            select format('allocation %s %s %s', x.seq, x.lot_seq, x.amount)
            from allocation x where x.account_id = account_id('p', books_of.member)
            union all
            select format('lot %s %s %s', l.seq, l.expires_at, l.remaining)
            from lot l where l.account_id = account_id('p', books_of.member)
            union all
            select format('hold %s %s', h.seq, h.amount) from hold h where h.account_id = account_id('p', books_of.member)
            union all
            select format('debt %s %s', d.seq, d.remaining) from debt d where d.account_id = account_id('p', books_of.member)
        ) b order by line)
$$;

select pg_temp.live('plain') \g /dev/null
select cmp_ok(array_length(pg_temp.books_of('plain'), 1), '>', 20, 'a member lives through a good deal');
select is(pg_temp.live_at_once('plain at once'), 13::bigint, 'so does one whose postings come at once');
select is(pg_temp.books_of('plain at once'), pg_temp.books_of('plain'), 'and ends with the same books');

-- ---------- triggers ----------

create table public.seen (place text, op text, n bigint);
create function pg_temp.see() returns trigger language plpgsql as $$
begin
    insert into public.seen values (tg_table_name || ' ' || tg_argv[0], lower(tg_op), 1);
    return case when tg_op = 'DELETE' then old else new end;
end
$$;
create function pg_temp.seen() returns text[] language sql as $$
    select array(select format('%s %s %s', place, op, count(*)) from public.seen group by place, op order by place, op)
$$;

create trigger see_row after insert or update or delete on lot for each row execute function pg_temp.see('row');
create trigger see_before before insert or update on account for each row execute function pg_temp.see('before');
create trigger see_statement after insert or update or delete on debt for each statement execute function pg_temp.see('statement');
create trigger see_row after insert or delete on hold for each row execute function pg_temp.see('row');
create trigger see_row after insert on allocation for each row execute function pg_temp.see('row');
create trigger see_row after insert on entry for each row execute function pg_temp.see('row');
select pg_temp.live('watched') \g /dev/null
select is(pg_temp.seen(), array['account before insert 1', 'account before update 10', 'allocation row insert 11', 'debt statement delete 1',
    'debt statement insert 1', 'debt statement update 1', 'entry row insert 13', 'hold row delete 1', 'hold row insert 1',
    'lot row delete 4', 'lot row insert 5', 'lot row update 4'], 'triggers are run for every row, or statement, that is written');
select is(array[(select count(*) from entry e where e.account_id = account_id('p', 'watched')),
        (select count(*) from allocation x where x.account_id = account_id('p', 'watched')),
        (select count(*) from lot l where l.account_id = account_id('p', 'watched'))], array[13, 11, 5 - 4]::bigint[], 'no more and no less often');
select is(pg_temp.books_of('watched'), pg_temp.books_of('plain'), 'and the books are the same');
select is(pg_temp.live_at_once('watched at once'), 13::bigint, 'triggers may watch a batch that stores in between as well');
select is(pg_temp.books_of('watched at once'), pg_temp.books_of('plain'), 'with the same books');
drop trigger see_row on lot;
select pg_temp.live_at_once('watched in part') \g /dev/null
select is(pg_temp.books_of('watched in part'), pg_temp.books_of('plain'), 'and so it is where only some of the tables are watched');

create function pg_temp.refuse() returns trigger language plpgsql as $$
begin
    raise exception 'not on Sundays';
end
$$;
create trigger refuse before delete on lot for each row execute function pg_temp.refuse();
select throws_ok($$select redeem('p', 'plain', (select available from balance('p', 'plain')))$$, 'P0001', 'not on Sundays', 'what a trigger refuses is not posted');
select is(pg_temp.books_of('plain'), pg_temp.books_of('watched'), 'not even in part');
drop trigger refuse on lot;
drop trigger see_before on account;
drop trigger see_statement on debt;
drop trigger see_row on hold;
drop trigger see_row on allocation;
drop trigger see_row on entry;

create table public.told (seq bigint, adds_up boolean, debts_add_up boolean);
create function pg_temp.tell() returns trigger language plpgsql as $$
begin
    insert into public.told
    select new.seq, b.balance = b.available + b.pending + b.held + b.lapsed - b.debt,
        a.debt = (select coalesce(sum(d.remaining), 0) from debt d where d.account_id = new.account_id)
    from balance('p', 'told') b, account a
    where a.account_id = new.account_id;
    return null;
end
$$;
create trigger tell after insert on entry for each row execute function pg_temp.tell();
select pg_temp.live('told') \g /dev/null
select is((select array[count(*), count(*) filter (where adds_up), count(*) filter (where debts_add_up)] from public.told),
    array[13, 13, 13]::bigint[], 'a trigger of entry finds lots, holds and debts as the entry left them');
drop trigger tell on entry;

create table public.planner (settings text);
create function pg_temp.look_at_planner() returns trigger language plpgsql as $$
begin
    insert into public.planner values (concat_ws(' ', current_setting('enable_seqscan'), current_setting('enable_hashjoin'), current_setting('jit')));
    return null;
end
$$;
create trigger look_at_planner after insert on allocation for each row execute function pg_temp.look_at_planner();
select redeem('p', 'told', 1) from earn('p', 'told', 2) \g /dev/null
select is(array(table public.planner), array[concat_ws(' ', current_setting('enable_seqscan'), current_setting('enable_hashjoin'), current_setting('jit'))],
    'and plans its own statements as the session says');
drop trigger look_at_planner on allocation;

create function pg_temp.rename() returns trigger language plpgsql as $$
begin
    new.member := lower(new.member);
    return new;
end
$$;
create trigger rename before insert on account for each row execute function pg_temp.rename();
select throws_ok($$select earn('p', 'Renamed', 1)$$, '27000', 'the member of an account that was opened is not found by its name',
    'an account that a trigger renames while it is opened is not posted to');
select throws_ok($$select post(array[posting('p', 'Renamed', 'earn', 1), posting('p', 'Other', 'earn', 1)], 'skip')$$, '27000',
    'the member of an account that was opened is not found by its name', 'nor by a batch');
select is((select count(*) from account where member in ('renamed', 'other')), 0::bigint, 'and is not opened');
select is((select balance from earn('p', 'renamed', 1)), 1::point_amount, 'but the name that the trigger leaves is as good as any');
drop trigger rename on account;

-- ---------- rules ----------

truncate public.seen;
select open_account('p', 'ruled') \g /dev/null
create rule see as on insert to entry do also insert into public.seen values ('entry', 'insert', new.seq);
create rule see as on update to account do also insert into public.seen values ('account', 'update', new.last_seq);
select earn('p', 'ruled', 10) \g /dev/null
select redeem('p', 'ruled', 4) \g /dev/null
select is(array(select format('%s %s', place, n) from public.seen order by 1), array['account 1', 'account 2', 'entry 1', 'entry 2'],
    'rules are obeyed');
drop rule see on entry;
drop rule see on account;

-- ---------- constraints ----------

alter table lot add constraint few_points check (remaining <= 1000000::point_amount) not valid;
select throws_ok($$select earn('p', 'checked', 1000001)$$, '23514', null, 'a constraint that was added holds at once');
select lives_ok($$select earn('p', 'checked', 1000000)$$, 'what keeps to it is posted');
alter table lot drop constraint few_points;
select lives_ok($$select earn('p', 'checked', 1000001)$$, 'and one that was dropped no longer holds');

alter table lot add constraint not_seven check (remaining <> 7::point_amount);
select throws_ok($$select redeem('p', 'checked', 999993)$$, '23514', null, 'a lot that changes is checked as well');
alter table lot drop constraint not_seven;

alter table account add constraint not_rich check (balance < 3000000::point_amount);
select throws_ok($$select earn('p', 'checked', 1000000)$$, '23514', null, 'so is an account');
select is((select a.balance from account a where a.account_id = account_id('p', 'checked')), 2000001::point_amount, 'which stays as it was');
alter table account drop constraint not_rich;
select lives_ok($$select earn('p', 'checked', 1000000)$$, 'and may change once the constraint is gone');

create function public.is_fine(points bigint) returns boolean language sql immutable as 'select points > 0';
alter table lot add constraint is_fine check (public.is_fine(remaining::bigint)) not valid;
select lives_ok($$select earn('p', 'checked', 1)$$, 'a constraint may call a function');
create or replace function public.is_fine(points bigint) returns boolean language sql immutable as 'select points > 1';
select throws_ok($$select earn('p', 'checked', 1)$$, '23514', null, 'which holds as it is by now');
alter table lot drop constraint is_fine;

create function public.is_whole(l lot) returns boolean language plpgsql immutable as 'begin return l.account_id > 0; end';
alter table lot add constraint is_whole check (public.is_whole(lot.*)) not valid;
select is((select count(earn('p', 'checked', n)) from generate_series(1, 20) n), 20::bigint, 'a constraint may be of whole rows, however often it is checked');
alter table lot drop constraint is_whole;

-- ---------- indexes ----------

create index account_by_balance on account (balance);
create index lot_by_remaining on lot ((remaining::bigint % 100)) where remaining > 5::point_amount;
select pg_temp.live('indexed') \g /dev/null
select pg_temp.live_at_once('indexed at once') \g /dev/null
select is(pg_temp.books_of('indexed'), pg_temp.books_of('plain'), 'indexes may be added on what postings change');
set local enable_seqscan = off;
set local enable_indexscan = on;
set local enable_bitmapscan = off;
select is(array(select a.member from account a where a.balance = (select b.balance from account b where b.member = 'plain')
        and a.member like '%index%' order by 1), array['indexed', 'indexed at once'], 'an update is found by an index on its column');
select is((select count(*) from account a where a.balance > 0 and a.member like 'indexed%'), 2::bigint, 'once');
select is(array(select l.seq from lot l where l.remaining > 5::point_amount and l.remaining::bigint % 100 >= 0
        and l.account_id = account_id('p', 'indexed') order by 1),
    array(select l.seq from lot l where l.remaining::bigint > 5 and l.account_id = account_id('p', 'plain') order by 1),
    'and a lot by one with an expression and a predicate');
reset enable_seqscan;
reset enable_bitmapscan;
drop index account_by_balance;
drop index lot_by_remaining;
select lives_ok($$select pg_temp.live('no longer indexed')$$, 'and they may be dropped');

-- ---------- publications ----------

set local client_min_messages = error;
create publication changes for table account, lot;
reset client_min_messages;
alter table lot replica identity nothing;
select lives_ok($$select earn('p', 'published', 10)$$, 'what is added to a published table needs no identity');
select throws_ok($$select redeem('p', 'published', 4)$$, '55000', 'cannot update table "lot" because it does not have a replica identity and publishes updates',
    'what changes does');
select throws_ok($$select redeem('p', 'published', 10)$$, '55000', 'cannot delete from table "lot" because it does not have a replica identity and publishes deletes',
    'so does what goes');
alter table lot replica identity default;
select lives_ok($$select redeem('p', 'published', 4)$$, 'its key is one');
drop publication changes;

-- ---------- what postings need ----------

create index spare_key on entry (account_id, hashtextextended(idempotency_key, 0)) where idempotency_key is not null;
update pg_index set indisvalid = false where indexrelid = 'jifen.entry_key'::regclass;
select throws_ok($$select earn('p', 'plain', 1, idempotency_key => 'x')$$, '55000', 'index jifen.entry_key is not valid',
    'an index that a posting needs has to be valid');
update pg_index set indisvalid = true where indexrelid = 'jifen.entry_key'::regclass;
select lives_ok($$select earn('p', 'plain', 1, idempotency_key => 'x')$$, 'then it posts');

alter index entry_key rename to a_key;
select throws_ok($$select earn('p', 'plain', 1, idempotency_key => 'y')$$, '55000', 'index jifen.entry_key is missing', 'and has to be there');
alter index a_key rename to entry_key;

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
