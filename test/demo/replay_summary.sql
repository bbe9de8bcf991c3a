-- What a replay came to; seconds is the time that its postings took, last_day the file's last.

\set ON_ERROR_STOP on
\pset footer off
\pset null 'never'
set search_path = jifen;

-- Without entries of a kind there is no sum. An expiry that a late return
-- undoes was none.
create temporary view figure as
select
    (select count(*) from account) as members,
    (select count(*) from replay.invoice) as invoices,
    (select count(purchase_no) from replay.return) as matched,
    (select count(*) from replay.return where purchase_no is null) as unmatched,
    (select count(*) from replay.invoice where returned > 0) as touched,
    (select count(*) from replay.invoice where value > 0 and returned = value) as came_back,
    (select count(*) from entry) as entries,
    b.*,
    (select sum(balance)::numeric from account) as points_left,
    (select count(*) from entry where debt > 0) as debts,
    (select count(*) from debt) as open_debts,
    (select coalesce(sum(debt) filter (where debt > 0)::numeric, 0) from entry) as owed,
    (select coalesce(-sum(debt) filter (where debt < 0)::numeric, 0) from entry) as repaid,
    (select coalesce(sum(remaining)::numeric, 0) from debt) as still_owed
from (
    select coalesce(sum(amount) filter (where kind = 'earn'), 0) as earned,
        coalesce(-sum(amount) filter (where undone = 'earn'), 0) as reversed,
        coalesce(-sum(amount) filter (where kind = 'redeem'), 0) as redeemed,
        coalesce(sum(amount) filter (where undone = 'redeem'), 0) as given_back,
        coalesce(-sum(amount) filter (where kind in ('expire', 'reinstate')), 0) as expired
    from replay.by_reference
) b;

\echo
select what as "summary", to_char(value, 'FM999,999,999,999,990') as " "
from figure, lateral (values
    (1, 'members', members::numeric),
    (2, 'invoices', invoices),
    (3, '  of which something came back', touched),
    (4, '  of which all came back', came_back),
    (5, 'lines of returns that match a purchase', matched),
    (6, 'lines of returns that match none', unmatched),
    (7, 'points earned', earned),
    (8, '  reversed with the returns', reversed),
    (9, 'points redeemed', redeemed),
    (10, '  given back with the returns', given_back),
    (11, 'points expired', expired),
    (12, 'points left', points_left),
    (13, 'debts: points reversed that were spent', debts),
    (14, '  points', owed),
    (15, '  points repaid by later credits', repaid),
    (16, '  points still owed', still_owed),
    (17, '  debts repaid in full', debts - open_debts),
    (18, 'entries posted', entries),
    (19, 'entries a second', round(entries / greatest(:seconds, 0.01)))
) v (no, what, value)
order by no;

\echo 'Liability by the month in which it lapses; what members owe is not taken off\n'
select to_char(expires_month, 'YYYY-MM') as month, points, face_value, currency
from liability_by_expiry
order by expires_month;

\echo 'What is owed month by month; the last months of the file\n'
select to_char(month, 'YYYY-MM') as month, opening, earned, reversed, redeemed, returned, expired, reinstated, closing
from roll_forward_by_month
where basis = 'reported' and month > date :'last_day' - interval '7 months' and month <= date :'last_day'
order by roll_forward_by_month.month;

\echo 'What the points were paid for, and what of it is earned since\n'
select to_char(month, 'YYYY-MM') as month, opening, consideration, revenue, deferred, rate, currency
from revenue_by_month
where basis = 'reported' and month > date :'last_day' - interval '7 months' and month <= date :'last_day'
order by revenue_by_month.month;

\echo 'Tiers on' :last_day'\n'
select t.code as tier, t.threshold, count(s.tier) as members
from tier t
left join (select tier_for('retail', member, timestamp :'last_day' at time zone 'Europe/London' + interval '1 day') as tier
    from account) s on s.tier = t.code
group by t.code, t.threshold
order by t.threshold;
