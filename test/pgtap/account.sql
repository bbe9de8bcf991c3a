-- Accounts: opening, freezing and closing them, what each status refuses, and who is on record for it.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(54);

-- The status changes of an account, in order, by the role that runs the test where none is named.
create function pg_temp.changes(program text, member text) returns text[]
language sql as $$
    select array_agg(concat_ws(' ', c.change_no, c.status, c.reason,
        'by ' || nullif(c.actor, session_user)) order by c.change_no)
    from status_change c where c.account_id = account_id(program, member)
$$;

create function pg_temp.status(program text, member text) returns text
language sql as $$
    select a.status from account a where a.account_id = account_id(status.program, status.member)
$$;

do $$
begin
    perform create_program('p', expiry => '1 month end of month');
    perform create_program('auto', auto_open => true);
end
$$;

-- ---------- open ----------

select is((select (a.member, a.status::text, a.balance, a.held, a.last_seq, last_activity_at(a), a.last_event_at, a.opened_at)
        from open_account('p', 'ann') a),
    row('ann'::text collate "C", 'open'::text collate "C", 0::point_amount, 0::point_amount, 0::bigint, null::timestamptz,
        null::timestamptz, now()),
    'a new account is open and empty');
select is((open_account('p', 'ann')).account_id, account_id('p', 'ann'), 'opening an open account returns it');
select is(pg_temp.changes('p', 'ann'), array['1 open'], 'and is no change of status');
select is((select (a.program_id, a.member)::text from account a where a.account_id = account_id('p', 'ann')),
    (select (program_id, 'ann')::text from program where code = 'p'), 'it belongs to its program');
select isnt((open_account('auto', 'ann')).account_id, account_id('p', 'ann'),
    'the same member has another account in another program');
select isnt((open_account('p', 'Ann')).account_id, account_id('p', 'ann'), 'members are case-sensitive');
select is((open_account('p', repeat('员', 256))).member::text, repeat('员', 256),
    'a member has up to 256 characters, not bytes');
select throws_ok($$select open_account('nowhere', 'ann')$$, 'JF002', 'unknown program "nowhere"', 'an unknown program');

-- ---------- automatic opening ----------

select throws_ok($$select earn('p', 'new', 10)$$, 'JF003', 'unknown member "new"',
    'a program that does not open by itself refuses an unknown member');
select is((earn('auto', 'new', 10)).seq, 1::bigint, 'one that does posts at once');
select is(pg_temp.changes('auto', 'new'), array['1 open'], 'and has recorded the opening');
select is((earn('auto', 'new', 10)).seq, 2::bigint, 'the second earn finds the account');
select is(pg_temp.changes('auto', 'new'), array['1 open'], 'and opens nothing');
select throws_ok($$select redeem('auto', 'newer', 10)$$, 'JF003', 'unknown member "newer"', 'redeem() opens nothing');
select throws_ok($$select reverse('auto', 'newer', 1)$$, 'JF003', 'unknown member "newer"', 'nor does reverse()');
select throws_ok($$select earn('auto', 'newer', 10, event_at => '2020-01-01', available_at => '2019-01-01')$$, '22023', null,
    'an earn that is refused');
select throws_ok($$select account_id('auto', 'newer')$$, 'JF003', null, 'leaves no account behind');
select is((alter_program('auto', auto_open => false)).auto_open, false, 'the program stops opening');
select throws_ok($$select earn('auto', 'late', 10)$$, 'JF003', 'unknown member "late"', 'which holds from then on');

-- ---------- freeze and unfreeze ----------

select is((earn('p', 'ann', 100, event_at => '2024-01-10')).balance, 100::point_amount, 'ann has 100 points');
select is((freeze_account('p', 'ann', 'card stolen')).status::text, 'frozen', 'freeze_account() returns the account');
select is(pg_temp.status('p', 'ann'), 'frozen', 'and has stored it');
select throws_ok($$select earn('p', 'ann', 1)$$, 'JF004', 'account is not open', 'a frozen account takes no earn');
select throws_ok($$select redeem('p', 'ann', 1, event_at => '2024-01-11')$$, 'JF004', 'account is not open', 'no redeem');
select throws_ok($$select reverse('p', 'ann', 1, event_at => '2024-01-11')$$, 'JF004', 'account is not open', 'no reversal');
select throws_ok($$select open_account('p', 'ann')$$, 'JF004', 'account is not open', 'and is not opened');
select throws_ok($$select freeze_account('p', 'ann', 'again')$$, 'JF004', 'account is not open', 'or frozen twice');
select is((balance('p', 'ann', '2024-01-11')).available, 100::point_amount, 'it can be read');
select is((unfreeze_account('p', 'ann', 'card found')).status::text, 'open', 'unfreeze_account() opens it again');
select throws_ok($$select unfreeze_account('p', 'ann', 'again')$$, 'JF004', 'account is not frozen', 'once');
select is((redeem('p', 'ann', 30, event_at => '2024-01-11')).balance, 70::point_amount, 'and it is as it was');
select is(pg_temp.changes('p', 'ann'), array['1 open', '2 frozen card stolen', '3 open card found'],
    'every change is on record with its reason');

-- ---------- points of a frozen account lapse all the same ----------

select is((freeze_account('p', 'ann', 'card stolen again')).status::text, 'frozen', 'frozen again');
select is((select (e.accounts, e.lots, e.points, e.more)::text from expire_batch('p', '2024-03-01') e), '(1,1,70,f)',
    'expire_batch() books what lapsed of it');
select is((balance('p', 'ann', '2024-03-01')).balance, 0::point_amount, 'so that nothing is left');

-- ---------- close ----------

select is((close_account('p', 'ann', 'moved away')).status::text, 'closed', 'a frozen account can be closed');
select throws_ok($$select earn('p', 'ann', 1)$$, 'JF004', 'account is not open', 'a closed account takes no earn');
select throws_ok($$select earn('p', 'ann', 1, event_at => '2024-01-02', available_at => '2024-01-01')$$, 'JF004', 'account is not open',
    'whatever else is wrong with it');
select throws_ok($$select redeem('p', 'ann', 1)$$, 'JF004', 'account is not open', 'no redeem');
select throws_ok($$select reverse('p', 'ann', 2)$$, 'JF004', 'account is not open', 'no reversal');
select throws_ok($$select open_account('p', 'ann')$$, 'JF004', 'account is not open', 'is not opened again');
select throws_ok($$select freeze_account('p', 'ann', 'x')$$, 'JF004', 'account is not open', 'not frozen');
select throws_ok($$select unfreeze_account('p', 'ann', 'x')$$, 'JF004', 'account is not frozen', 'not unfrozen');
select throws_ok($$select close_account('p', 'ann', 'x')$$, 'JF004', 'account is not open', 'and not closed twice');
select is(array(select format('%s %s %s', s.seq, s.kind, s.amount) from statement('p', 'ann') s),
    array['1 earn 100', '2 redeem -30', '3 expire -70'], 'its history stays');
select is((pg_temp.changes('p', 'ann'))[5], '5 closed moved away', 'and its closure is on record');

select is((earn('p', 'Ann', 40, event_at => '2024-01-10')).seq, 1::bigint, 'another account: 40 points long lapsed');
select is((earn('p', 'Ann', 5, expiry => 'never')).seq, 2::bigint, 'and 5 that are not');
select throws_ok($$select close_account('p', 'Ann', 'x')$$, '55000', 'account still holds points',
    'an account that holds points is not closed');
select is((balance('p', 'Ann')).lapsed, 40::point_amount, 'and the refusal books nothing');
select is((redeem('p', 'Ann', 5)).balance, 40::point_amount, 'once they are spent');
select is((close_account('p', 'Ann', 'x')).balance, 0::point_amount, 'closing books what has lapsed');
select is(array(select format('%s %s %s %s', e.seq, e.kind, e.amount, e.event_at) from entry e
        where e.account_id = account_id('p', 'Ann') and e.kind = 'expire'),
    array['4 expire -40 2024-03-01 00:00:00+00'], 'as the expiry job would have');

-- ---------- who did it ----------

create role jifen_test_clerk;
grant usage on schema jifen to jifen_test_clerk;
grant execute on all functions in schema jifen to jifen_test_clerk;
grant execute on all functions in schema public to jifen_test_clerk;
set local role jifen_test_clerk;
do $$
begin
    perform open_account('p', 'cy');
    perform earn('p', 'cy', 7, event_at => '2024-01-10');
    perform expire_batch('p', '2024-03-01');
    perform freeze_account('p', 'cy', 'test');
end
$$;
reset role;
select is(pg_temp.changes('p', 'cy') || array(select concat_ws(' ', e.kind, e.actor) from entry e
            where e.account_id = account_id('p', 'cy') order by e.seq),
    array['1 open by jifen_test_clerk', '2 frozen test by jifen_test_clerk', 'earn jifen_test_clerk', 'expire jifen_test_clerk'],
    'the role that called is on record, not the owner of the functions');

select * from finish();
rollback;
