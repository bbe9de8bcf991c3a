-- Debts: what happens where more is taken back than there is, under each rule of a program, and how debts are repaid, undone and forgiven.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(119);
\ir books.psql

do $$
begin
    perform create_program('refuse', auto_open => true);
    perform create_program('debt', auto_open => true, overdraft => 'debt');
    perform create_program('limit', auto_open => true, overdraft => 'debt', overdraft_limit => 100);
    perform create_program('forgive', auto_open => true, overdraft => 'forgive');
    perform create_program('grace', auto_open => true, overdraft => 'debt', return_grace => '30 days');
end
$$;

-- ---------- refuse: the rule unless another is chosen ----------

do $$
begin
    perform earn('refuse', 'ann', 100);
    perform redeem('refuse', 'ann', 80);
end
$$;
select is((select row(r.state, r.message, r.detail)::text from pg_temp.refusal($$select reverse('refuse', 'ann', 1)$$) r),
    '(JF001,"insufficient points","Account ""ann"" of program ""refuse"" was asked for 100 points; 20 are available, 0 pending, 0 held and 0 lapsed.")',
    'refuse: a credit that is spent cannot be taken back');
select throws_ok($$select adjust('refuse', 'ann', -21, 'abuse')$$, 'JF001', 'insufficient points', 'refuse: nor can a penalty take more than there is');
select is((select last_seq from account where account_id = account_id('refuse', 'ann')), 2::bigint, 'refuse: and nothing is written');
select is((adjust('refuse', 'ann', -20, 'abuse')).balance, 0::point_amount, 'refuse: what there is can be taken');

-- ---------- a debt by reversal ----------

do $$
begin
    perform earn('debt', 'ann', 100, event_at => '2024-01-01');
    perform redeem('debt', 'ann', 80, event_at => '2024-01-02');
end
$$;
select is((select row(e.seq, e.amount, e.held, e.debt, e.balance, e.qualifying, e.expires_at)::text from reverse('debt', 'ann', 1, event_at => '2024-01-03') e),
    '(3,-100,0,80,-80,-100,)', 'a credit is taken back whole; what is missing is owed');
select is(pg_temp.allocations('debt', 'ann', 3), array['lot 1: 20'], 'after all of its own lot');
select is(pg_temp.open_debts('debt', 'ann'), array['3: 80'], 'the debt is of the reversal');
select is(pg_temp.owns('debt', 'ann', '2024-01-03'), '-80 = 0 + 0 + 0 + 0 - 80', 'the balance is less than nothing');
select is(pg_temp.owns('debt', 'ann', '2024-01-02 23:59:59.999999'), '20 = 20 + 0 + 0 + 0 - 0', 'from then on');
select is((select row(a.balance, a.held, a.debt)::text from account a where a.account_id = account_id('debt', 'ann')), '(-80,0,80)', 'as the account says');
select throws_ok(statement, 'JF001', 'insufficient points', statement || ': a member spends nothing that is not there')
from unnest(array[$$select redeem('debt', 'ann', 1)$$, $$select hold('debt', 'ann', 1, now() + interval '1 hour')$$,
    $$select transfer('debt', 'ann', 'bob', 1)$$]) with ordinality s (statement, n), open_account('debt', 'bob') order by n;
select is((select row(e.seq, e.amount, e.balance)::text from earn('debt', 'ann', 50, event_at => '2024-01-04') e), '(4,50,-30)', 'the next credit');
select is(pg_temp.journal('debt', 'ann', 4), array['4 earn 50 = -30', '5 repay 0 debt -50 = -30 of 3'], 'repays it');
select is(pg_temp.allocations('debt', 'ann', 5), array['lot 4: 50'], 'with the credit''s lot');
select is((select row(e.event_at, e.reference, e.reason, e.qualifying, e.expires_at)::text from entry e where e.account_id = account_id('debt', 'ann') and e.seq = 5),
    '("2024-01-04 00:00:00+00",,,,)', 'in an entry at its time');
select is(pg_temp.lots('debt', 'ann'), array[]::text[], 'of which nothing is left');
select is(pg_temp.open_debts('debt', 'ann'), array['3: 30'], 'but a debt of 30');
select is((earn('debt', 'ann', 40, event_at => '2024-01-05')).qualifying, 40::point_amount, 'the one after that counts towards a tier as ever');
select is(pg_temp.journal('debt', 'ann', 6), array['6 earn 40 = 10', '7 repay 0 debt -30 = 10 of 3'], 'and repays the rest');
select is(pg_temp.owns('debt', 'ann'), '10 = 10 + 0 + 0 + 0 - 0', 'what is left of it can be spent');
select is(pg_temp.open_debts('debt', 'ann'), array[]::text[], 'nothing is owed any more');
select is(array(select pg_temp.owns('debt', 'ann', t) from unnest(array['2024-01-03', '2024-01-04', '2024-01-05']::timestamptz[]) t),
    array['-80 = 0 + 0 + 0 + 0 - 80', '-30 = 0 + 0 + 0 + 0 - 30', '10 = 10 + 0 + 0 + 0 - 0'], 'what there was at each time');
select is(array(select format('%s %s %s', s.seq, s.balance, s.debt) from statement('debt', 'ann') s),
    array['1 100 0', '2 20 0', '3 -80 80', '4 -30 0', '5 -30 -50', '6 10 0', '7 10 -30'], 'and what a statement tells');
select is((redeem('debt', 'ann', 10, event_at => '2024-01-06')).balance, 0::point_amount, 'and spent');

-- ---------- a debt by adjustment; several debts, oldest first ----------

do $$
begin
    perform earn('debt', 'bob', 30, event_at => '2024-01-01', expiry => '1 year');
    perform adjust('debt', 'bob', -50, 'abuse', event_at => '2024-01-02');
    perform adjust('debt', 'bob', -5, 'more abuse', event_at => '2024-01-03');
end
$$;
select is(pg_temp.journal('debt', 'bob', 2), array['2 adjust -50 debt 20 = -20', '3 adjust -5 debt 5 = -25'], 'a penalty beyond what there is');
select is(pg_temp.open_debts('debt', 'bob'), array['2: 20', '3: 5'], 'is a debt of its own, each');
do $$begin perform earn('debt', 'bob', 22, event_at => '2024-01-04'); end$$;
select is(pg_temp.journal('debt', 'bob', 4), array['4 earn 22 = -3', '5 repay 0 debt -20 = -3 of 2', '6 repay 0 debt -2 = -3 of 3'],
    'the oldest debt is repaid first, an entry for each');
select is(pg_temp.allocations('debt', 'bob', 5) || pg_temp.allocations('debt', 'bob', 6), array['lot 4: 20', 'lot 4: 2'], 'from one lot');
select is(pg_temp.open_debts('debt', 'bob'), array['3: 3'], 'as far as it goes');
do $$begin perform earn('debt', 'bob', 10, event_at => '2024-01-05', available_at => '2999-01-01'); end$$;
select is(pg_temp.journal('debt', 'bob', 7), array['7 earn 10 = 7', '8 repay 0 debt -3 = 7 of 3'], 'pending points repay too');
select is(pg_temp.owns('debt', 'bob'), '7 = 0 + 7 + 0 + 0 - 0', 'and the rest of them waits');
do $$begin perform adjust('debt', 'bob', -4, 'still', event_at => '2024-01-06'); end$$;
select is(pg_temp.owns('debt', 'bob'), '3 = 0 + 7 + 0 + 0 - 4', 'a penalty does not touch what is pending');
do $$begin perform earn('debt', 'bob', 1, event_at => '2024-01-07'); end$$;
select is(pg_temp.owns('debt', 'bob'), '4 = 0 + 7 + 0 + 0 - 3', 'nor does the next credit make it repay: that one does, with what it brings');
select is((reverse('debt', 'bob', 7, 10, event_at => '2024-01-08')).debt, 3::point_amount, 'the pending credit taken back, of which 3 have repaid');
select is(pg_temp.allocations('debt', 'bob', 12), array['lot 7: 7'], 'takes what is left of it');
select is(pg_temp.open_debts('debt', 'bob'), array['9: 3', '12: 3'], 'and is a debt as well');

-- One posting that gives to several lots: by their order, debts by theirs.
do $$
begin
    perform earn('debt', 'dan', 10, event_at => '2024-01-01', expiry => '10 years');
    perform earn('debt', 'dan', 20, event_at => '2024-01-01', expiry => '20 years');
    perform earn('debt', 'dan', 30, event_at => '2024-01-01');
    perform redeem('debt', 'dan', 60, event_at => '2024-01-02');
    perform adjust('debt', 'dan', -25, 'one', event_at => '2024-01-03');
    perform adjust('debt', 'dan', -10, 'two', event_at => '2024-01-03');
    perform reverse('debt', 'dan', 4, event_at => '2024-01-04');
end
$$;
select is(pg_temp.journal('debt', 'dan', 7), array['7 reverse 60 = 25 of 4', '8 repay 0 debt -25 = 25 of 5', '9 repay 0 debt -10 = 25 of 6'],
    'what comes back by a reversal repays');
select is(pg_temp.allocations('debt', 'dan', 8), array['lot 1: 10', 'lot 2: 15'], 'the older debt from the first lots');
select is(pg_temp.allocations('debt', 'dan', 9), array['lot 2: 5', 'lot 3: 5'], 'the younger one from the next');
select is(pg_temp.lots('debt', 'dan'), array['lot 3: 25'], 'what is left');

-- Only what came back repays, not what was in the lot before.
do $$
begin
    perform earn('debt', 'dot', 100, event_at => '2024-01-01', available_at => '2999-01-01');
    perform earn('debt', 'dot', 10, event_at => '2024-01-01');
    perform redeem('debt', 'dot', 10, event_at => '2024-01-02');
    perform adjust('debt', 'dot', -25, 'one', event_at => '2024-01-03');
    perform reverse('debt', 'dot', 3, 4, event_at => '2024-01-04');
end
$$;
select is(pg_temp.owns('debt', 'dot'), '79 = 0 + 100 + 0 + 0 - 21', 'a part that comes back repays so much');

-- ---------- lots that have lapsed do not repay ----------

do $$
begin
    perform earn('debt', 'eli', 10, event_at => '2024-01-01', expiry => '1 month');
    perform earn('debt', 'eli', 20, event_at => '2024-01-01');
    perform redeem('debt', 'eli', 30, event_at => '2024-01-10');
    perform adjust('debt', 'eli', -25, 'abuse', event_at => '2024-01-11');
    perform reverse('debt', 'eli', 3, event_at => '2024-02-02');
end
$$;
select is(pg_temp.journal('debt', 'eli', 5), array['5 reverse 30 = 5 of 3', '6 expire -10 = -5', '7 repay 0 debt -20 = -5 of 4'],
    'what comes back to a lapsed lot lapses, the rest repays');

-- A credit that happened before the debt repays it when both were there.
do $$
begin
    perform earn('debt', 'eve', 10, event_at => '2024-01-01');
    perform redeem('debt', 'eve', 10, event_at => '2024-01-02');
    perform adjust('debt', 'eve', -8, 'abuse', event_at => '2024-03-01');
    perform earn('debt', 'eve', 5, event_at => '2024-01-20');
    perform earn('debt', 'eve', 7, event_at => '2024-01-20', expiry => '1 month');
    perform earn('debt', 'eve', 7, event_at => '2024-02-01', expiry => '28 days');
    perform earn('debt', 'eve', 7, event_at => '2024-02-01', expiry => '29 days');
end
$$;
select is(pg_temp.entries_at('debt', 'eve', 4),
    array['4 earn 5 = -3 at 2024-01-20 00:00', '5 repay 0 = -3 at 2024-03-01 00:00', '6 earn 7 = 4 at 2024-01-20 00:00', '7 earn 7 = 11 at 2024-02-01 00:00',
        '8 earn 7 = 18 at 2024-02-01 00:00', '9 repay 0 = 18 at 2024-03-01 00:00'],
    'a back-dated credit repays at the time of the debt, unless it had lapsed by then');
select is(array(select e.expires_at from entry e where e.account_id = account_id('debt', 'eve') and e.seq in (7, 8) order by e.seq),
    array['2024-03-01', '2024-03-02']::timestamptz[], 'in whose instant the one lapsed, and the other a day later');
select is(pg_temp.allocations('debt', 'eve', 9), array['lot 8: 3'], 'which repaid');
select is(pg_temp.owns('debt', 'eve', '2024-02-15'), '26 = 26 + 0 + 0 + 0 - 0', 'between the credits and the debt nothing was owed');

-- ---------- whatever brings points repays ----------

-- The member owes 5.
create function pg_temp.owing(member text) returns void
language plpgsql as $$
begin
    perform adjust('grace', member, -5, 'abuse', event_at => '2024-01-05');
end
$$;
do $$
begin
    perform open_account('grace', m) from unnest(array['import', 'goodwill', 'in', 'give']) m;
    perform pg_temp.owing('import'), pg_temp.owing('goodwill'), pg_temp.owing('in');
    perform import('grace', 'import', 8, event_at => '2024-01-06');
    perform adjust('grace', 'goodwill', 8, 'sorry', event_at => '2024-01-06');
    perform earn('grace', 'give', 3, event_at => '2024-01-06', expiry => '10 years');
    perform earn('grace', 'give', 10, event_at => '2024-01-06');
    perform transfer('grace', 'give', 'in', 8, event_at => '2024-01-07');
    -- points that come back to a lapsed lot with grace
    perform earn('grace', 'back', 8, event_at => '2024-01-01', expiry => '1 month');
    perform redeem('grace', 'back', 8, event_at => '2024-01-04');
    perform pg_temp.owing('back');
    perform reverse('grace', 'back', 2, event_at => '2024-03-01');
    -- an expiry undone
    perform earn('grace', 'undone', 8, event_at => '2024-01-01', available_at => '2024-01-20', expiry => '1 month');
    perform pg_temp.owing('undone');
    perform expire_batch('grace', '2024-02-10');
    perform reverse('grace', 'undone', 3, event_at => '2024-03-01');
    -- a hold released
    perform earn('grace', 'hold', 8, event_at => '2024-01-01');
    perform hold('grace', 'hold', 8, now() + interval '1 hour', event_at => '2024-01-04');
    perform pg_temp.owing('hold');
    perform release('grace', 'hold', 2, event_at => '2024-03-01');
    -- a hold captured in part
    perform earn('grace', 'capture', 8, event_at => '2024-01-01');
    perform hold('grace', 'capture', 8, now() + interval '1 hour', event_at => '2024-01-04');
    perform pg_temp.owing('capture');
    perform capture('grace', 'capture', 2, 2, event_at => '2024-03-01');
    -- a transfer returned
    perform earn('grace', 'giver', 8, event_at => '2024-01-01');
    perform open_account('grace', 'taker');
    perform transfer('grace', 'giver', 'taker', 8, event_at => '2024-01-04');
    perform pg_temp.owing('giver');
    perform reverse('grace', 'taker', 1, event_at => '2024-03-01');
end
$$;
select is(pg_temp.journal('grace', member), journal, reason)
from (values
    (1, 'import', array['1 adjust -5 debt 5 = -5', '2 import 8 = 3', '3 repay 0 debt -5 = 3 of 1'], 'an opening lot'),
    (2, 'goodwill', array['1 adjust -5 debt 5 = -5', '2 adjust 8 = 3', '3 repay 0 debt -5 = 3 of 1'], 'goodwill'),
    (3, 'in', array['1 adjust -5 debt 5 = -5', '2 transfer_in 3 = -2', '3 repay 0 debt -3 = -2 of 1', '4 transfer_in 5 = 3', '5 repay 0 debt -2 = 3 of 1'],
        'each lot that another member gives'),
    (4, 'back', array['1 earn 8 = 8', '2 redeem -8 = 0', '3 adjust -5 debt 5 = -5', '4 reverse 8 = 3 of 2', '5 extend 0 = 3', '6 repay 0 debt -5 = 3 of 3'],
        'what comes back with grace'),
    (5, 'undone', array['1 earn 8 = 8', '2 adjust -5 debt 5 = 3', '3 expire -8 = -5', '4 reinstate 8 = 3 of 3', '5 extend 0 = 3', '6 repay 0 debt -5 = 3 of 2'],
        'what had lapsed'),
    (6, 'hold', array['1 earn 8 = 8', '2 hold 0 held 8 = 8', '3 adjust -5 debt 5 = 3', '4 release 0 held -8 = 3 of 2', '5 repay 0 debt -5 = 3 of 3'],
        'what was held'),
    (7, 'capture', array['1 earn 8 = 8', '2 hold 0 held 8 = 8', '3 adjust -5 debt 5 = 3', '4 capture -2 held -2 = 1 of 2', '5 release 0 held -6 = 1 of 2',
        '6 repay 0 debt -5 = 1 of 3'], 'what is not captured'),
    (8, 'giver', array['1 earn 8 = 8', '2 transfer_out -8 = 0', '3 adjust -5 debt 5 = -5', '4 reverse 8 = 3 of 2', '5 repay 0 debt -5 = 3 of 3'],
        'what was given away')) v (n, member, journal, reason) order by n;
select is(pg_temp.allocations('grace', 'back', 6) || pg_temp.allocations('grace', 'undone', 6), array['lot 5: 5', 'lot 5: 5'],
    'extended points repay from their new lots');

-- Overdue holds, at their deadlines, one after the other.
set local jifen.clock_tolerance = '1h';
do $$
begin
    perform earn('debt', 'due', 100);
    perform hold('debt', 'due', 30, now() + interval '10 minutes');  -- 2
    perform hold('debt', 'due', 40, now() + interval '20 minutes');  -- 3
    perform adjust('debt', 'due', -80, 'abuse');                     -- 4: takes 30
end
$$;
select is(pg_temp.owns('debt', 'due'), '20 = 0 + 0 + 70 + 0 - 50', 'held points do not make up for a penalty');
select is(array(select pg_temp.owns('debt', 'due', now() + t) from unnest(array['9 minutes', '10 minutes', '20 minutes']::interval[]) t),
    array['20 = 0 + 0 + 70 + 0 - 50', '20 = 0 + 0 + 40 + 0 - 20', '20 = 20 + 0 + 0 + 0 - 0'], 'released ones do, before anything is booked');
do $$begin perform earn('debt', 'due', 1, event_at => now() + interval '30 minutes'); end$$;
select is(pg_temp.journal('debt', 'due', 5),
    array['5 release 0 held -30 = 20 of 2', '6 repay 0 debt -30 = 20 of 4', '7 release 0 held -40 = 20 of 3', '8 repay 0 debt -20 = 20 of 4', '9 earn 1 = 21'],
    'each release repays before the next');
select is(array(select e.event_at - now() from entry e where e.account_id = account_id('debt', 'due') and e.seq between 5 and 8 order by e.seq),
    array['10 minutes', '10 minutes', '20 minutes', '20 minutes']::interval[], 'at its deadline');
reset jifen.clock_tolerance;

-- ---------- a penalty undone ----------

do $$
begin
    perform earn('debt', 'fay', 30, event_at => '2024-01-01');
    perform adjust('debt', 'fay', -50, 'abuse', event_at => '2024-01-02');
    perform reverse('debt', 'fay', 2, 15, event_at => '2024-01-03');
    perform reverse('debt', 'fay', 2, 10, event_at => '2024-01-04');
end
$$;
select is(pg_temp.journal('debt', 'fay', 3), array['3 reverse 15 debt -15 = -5 of 2', '4 reverse 10 debt -5 = 5 of 2'],
    'its open debt is undone first, then points come back');
select is(pg_temp.allocations('debt', 'fay', 3) || pg_temp.allocations('debt', 'fay', 4), array['lot 1: -5'], 'as many as the debt did not cover');
select is(pg_temp.owns('debt', 'fay'), '5 = 5 + 0 + 0 + 0 - 0', 'nothing is owed');
select is((reverse('debt', 'fay', 2, event_at => '2024-01-05')).amount, 25::point_amount, 'the rest');
select is(pg_temp.lots('debt', 'fay'), array['lot 1: 30'], 'returns to its lot');
select throws_ok($$select reverse('debt', 'fay', 2, 1)$$, 'JF006', 'more reversed than was posted', 'and no more');

do $$
begin
    perform earn('debt', 'gus', 30, event_at => '2024-01-01', expiry => '10 years');
    perform adjust('debt', 'gus', -50, 'abuse', event_at => '2024-01-02');
    perform earn('debt', 'gus', 12, event_at => '2024-01-05');     -- 3, repaid with it: 4
    perform adjust('debt', 'gus', -1, 'another', event_at => '2024-01-06');  -- 5
end
$$;
select is((select row(r.state, r.message)::text from pg_temp.refusal($$select reverse('debt', 'gus', 2, event_at => '2024-01-04 23:59:59.999999')$$) r),
    '(22023,"reversal before the entry that it reverses")', 'a penalty is not undone before it was repaid');
select is((reverse('debt', 'gus', 2, 9, event_at => '2024-01-07')).debt, '-8'::point_amount, 'its debt is 8 by now');
select is(pg_temp.allocations('debt', 'gus', 6), array['lot 3: -1'], 'the points of the last lot come back first, as which those count that repaid it');
select is(pg_temp.journal('debt', 'gus', 6), array['6 reverse 9 debt -8 = 0 of 2', '7 repay 0 debt -1 = 0 of 5'], 'and repay another debt');
select is((reverse('debt', 'gus', 2, event_at => '2024-01-08')).amount, 41::point_amount, 'the rest of it');
select is(pg_temp.allocations('debt', 'gus', 8), array['lot 1: -30', 'lot 3: -11'], 'from both entries that took points for it');
select is(pg_temp.owns('debt', 'gus'), '41 = 41 + 0 + 0 + 0 - 0', 'it is as if there had been the other one alone');

-- The reversal that made a debt is final, and the redemption behind it is not.
do $$
begin
    perform earn('debt', 'hal', 100, event_at => '2024-01-01');
    perform redeem('debt', 'hal', 100, event_at => '2024-01-02');
    perform reverse('debt', 'hal', 1, event_at => '2024-01-03');
end
$$;
select throws_ok($$select reverse('debt', 'hal', 3)$$, '22023', 'entry cannot be reversed', 'a reversal that made a debt is not reversed');
select is((reverse('debt', 'hal', 2, event_at => '2024-01-04')).balance, 0::point_amount, 'the redemption is');
select is(pg_temp.journal('debt', 'hal', 4), array['4 reverse 100 = 0 of 2', '5 repay 0 debt -100 = 0 of 3'], 'and repays all');
select is(pg_temp.open_debts('debt', 'hal') || pg_temp.lots('debt', 'hal'), array[]::text[], 'nothing is left of either');

-- ---------- a limit ----------

do $$begin perform open_account('limit', 'ann'); end$$;
select is((select row(r.state, r.message, r.detail, r.hint)::text from pg_temp.refusal($$select adjust('limit', 'ann', -101, 'abuse')$$) r),
    '(JF009,"limit of debt reached","Account ""ann"" of program ""limit"" owes 0 points, would owe 101 more, and may owe 100.",'
    || '"Take back less, or raise the program''s overdraft_limit.")', 'a debt beyond the limit is refused');
select is((adjust('limit', 'ann', -60, 'abuse')).debt, 60::point_amount, 'below it');
select throws_ok($$select adjust('limit', 'ann', -41, 'abuse')$$, 'JF009', 'limit of debt reached', 'the limit is of all debts');
select is((adjust('limit', 'ann', -40, 'abuse')).debt, 40::point_amount, 'up to it');
select throws_ok($$select adjust('limit', 'ann', -1, 'abuse')$$, 'JF009', 'limit of debt reached', 'no point more');
do $$begin perform earn('limit', 'ann', 30); end$$;
select is(pg_temp.open_debts('limit', 'ann'), array['1: 30', '2: 40'], 'what is repaid');
select throws_ok($$select reverse('limit', 'ann', 3, 30), reverse('limit', 'ann', 3, 1)$$, 'JF006', null, 'a credit that repaid is taken back once');
select is((reverse('limit', 'ann', 3)).debt, 30::point_amount, 'which is owed again');
select throws_ok($$select adjust('limit', 'ann', -1, 'abuse')$$, 'JF009', 'limit of debt reached', 'to the limit');
do $$
begin
    perform earn('limit', 'bob', 50);
    perform redeem('limit', 'bob', 50);
    perform earn('limit', 'bob', 51);
    perform redeem('limit', 'bob', 51);
    perform reverse('limit', 'bob', 1);
end
$$;
select throws_ok($$select reverse('limit', 'bob', 3)$$, 'JF009', 'limit of debt reached', 'it holds for reversals too');
select is((reverse('limit', 'bob', 3, 50)).debt, 50::point_amount, 'which can be of a part');
do $$
begin
    perform earn('limit', 'cat', 10);
    perform adjust('limit', 'cat', -70, 'abuse');
    perform earn('limit', 'cat', 5, available_at => '2999-01-01') from generate_series(1, 2);
    perform alter_program('limit', overdraft_limit => 20);
    perform adjust('limit', 'dot', 30, 'sorry') from open_account('limit', 'dot');
end
$$;
select is(pg_temp.owns('limit', 'cat'), '-50 = 0 + 0 + 0 + 0 - 50', 'a limit lowered later');
select throws_ok($$select adjust('limit', 'cat', -1, 'abuse')$$, 'JF009', 'limit of debt reached', 'ends new debts');
select is((adjust('limit', 'dot', -50, 'abuse')).debt, 20::point_amount, 'that go beyond it');
do $$begin perform alter_program('refuse', overdraft => 'debt'), alter_program('debt', overdraft => 'refuse'); end$$;
select is((adjust('refuse', 'ann', -9, 'abuse')).debt, 9::point_amount, 'a rule changed later holds from then on');
select throws_ok($$select adjust('debt', 'bob', -9, 'abuse')$$, 'JF001', 'insufficient points', 'in both directions');
do $$begin perform earn('debt', 'bob', 100, event_at => '2024-02-01'); end$$;
select is(pg_temp.open_debts('debt', 'bob'), array[]::text[], 'old debts are repaid all the same');

-- Debts are no end: a balance is.
do $$begin perform alter_program('debt', overdraft => 'debt'), open_account('debt', 'most'); end$$;
select lives_ok($$select adjust('debt', 'most', -9223372036854775807, 'abuse')$$, 'as much can be owed as can be counted');
select throws_ok($$select adjust('debt', 'most', -1, 'abuse')$$, '22003', null, 'and not a point more');
select lives_ok($$select earn('debt', 'most', 9223372036854775807)$$, 'and repaid at once');
select is(pg_temp.owns('debt', 'most'), '0 = 0 + 0 + 0 + 0 - 0', 'to the last one');

-- ---------- forgive ----------

do $$
begin
    perform earn('forgive', 'ann', 100, event_at => '2024-01-01');
    perform redeem('forgive', 'ann', 80, event_at => '2024-01-02');
end
$$;
select is((select row(e.seq, e.amount, e.debt, e.balance)::text from reverse('forgive', 'ann', 1, event_at => '2024-01-03') e), '(3,-100,80,-80)',
    'forgive: the reversal takes all');
select is(pg_temp.journal('forgive', 'ann', 3), array['3 reverse -100 debt 80 = -80 of 1', '4 adjust 80 debt -80 = 0 of 3'],
    'and what is missing is forgiven at once');
select is((select row(e.event_at, e.debt_seq, e.reason, e.reference, e.source, e.expires_at, e.available_at, e.qualifying, e.idempotency_key)::text
        from entry e where e.account_id = account_id('forgive', 'ann') and e.seq = 4), '("2024-01-03 00:00:00+00",3,forgiven,,,,,,)',
    'by an adjustment that says so and is no credit');
select is(pg_temp.lots('forgive', 'ann') || pg_temp.open_debts('forgive', 'ann') || pg_temp.allocations('forgive', 'ann', 4), array[]::text[],
    'no lot, no debt');
select is(pg_temp.owns('forgive', 'ann', '2024-01-03'), '0 = 0 + 0 + 0 + 0 - 0', 'nothing is owed by either');
select is((select row(r.state, r.message, r.detail, r.hint)::text from pg_temp.refusal($$select reverse('forgive', 'ann', 4)$$) r),
    '(22023,"entry cannot be reversed","Entry 4 of account ""ann"" of program ""forgive"" is of kind adjust.","A debt that was forgiven can be taken back with adjust().")',
    'what was forgiven is not reversed');
select throws_ok($$select reverse('forgive', 'ann', 1)$$, 'JF006', 'more reversed than was posted', 'the credit is reversed in full');
do $$
begin
    perform earn('forgive', 'bob', 60, event_at => '2024-01-01');
    perform adjust('forgive', 'bob', -100, 'abuse', event_at => '2024-01-02');
end
$$;
select is(pg_temp.journal('forgive', 'bob', 2), array['2 adjust -100 debt 40 = -40', '3 adjust 40 debt -40 = 0 of 2'], 'a penalty takes what there is');
select is((select row(r.state, r.detail)::text from pg_temp.refusal($$select reverse('forgive', 'bob', 2, 61, event_at => '2024-01-03')$$) r),
    '(JF006,"Entry 2 of account ""bob"" of program ""forgive"" is of 100 points; 40 are reversed and 60 are left of it.")',
    'and undone, so much comes back');
select is((reverse('forgive', 'bob', 2, event_at => '2024-01-03')).amount, 60::point_amount, 'and no more');
select is(pg_temp.lots('forgive', 'bob'), array['lot 1: 60'], 'to its lot');
select is((redeem('forgive', 'bob', 60, event_at => '2024-01-04')).balance, 0::point_amount, 'where it can be spent');
select lives_ok($$select adjust('forgive', 'bob', -9223372036854775807, 'abuse')$$, 'there is no limit to what is forgiven');
select throws_ok($$select redeem('forgive', 'bob', 1)$$, 'JF001', 'insufficient points', 'a redemption is not');

-- ---------- an account with a debt is not closed ----------

select throws_ok($$select close_account('debt', 'dot', 'moved')$$, '55000', null, 'who owes cannot be closed');
do $$
begin
    perform adjust('grace', 'even', 10, 'sorry', available_at => '2999-01-01') from open_account('grace', 'even');
    perform adjust('grace', 'even', -10, 'abuse');
end
$$;
select is(pg_temp.owns('grace', 'even'), '0 = 0 + 10 + 0 + 0 - 10', 'one who owes as much as is pending');
select throws_ok($$select close_account('grace', 'even', 'moved')$$, '55000', null, 'cannot either, with a balance of nothing');

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

-- ---------- a lot that a debit took from twice: at first, and in repayment of its debt ----------

do $$
begin
    perform create_program('twice', overdraft => 'debt', auto_open => true);
    perform earn('twice', 'ann', 100);
    perform redeem('twice', 'ann', 40);
    perform adjust('twice', 'ann', -80, 'penalty');
    perform post(array[posting('twice', 'ann', 'reverse', 10, seq => 2), posting('twice', 'ann', 'reverse', 75, seq => 3)]);
end
$$;
select is(pg_temp.allocations('twice', 'ann', 5) || pg_temp.allocations('twice', 'ann', 6), array['lot 1: 10', 'lot 1: -65'], 'gives it back at once, in the same batch too');
select is(array(select b.invariant from reconcile('twice') b), array[]::text[], 'and it reconciles');

select * from finish();
rollback;
