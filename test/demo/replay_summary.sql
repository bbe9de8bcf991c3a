-- What a replay came to; seconds is the time that its postings took, last_day the file's last.

\set ON_ERROR_STOP on
\pset footer off
\pset null 'never'
set search_path = jifen;

-- Without entries of a kind there is no sum.
create temporary view figure as
select
    (select count(*) from account) as members,
    (select count(*) from replay.invoice) as invoices,
    (select count(*) from entry) as entries,
    (select coalesce(sum(amount)::numeric, 0) from entry where kind = 'earn') as earned,
    (select coalesce(-sum(amount)::numeric, 0) from entry where kind = 'redeem') as redeemed,
    (select coalesce(-sum(amount)::numeric, 0) from entry where kind = 'expire') as expired,
    (select sum(balance)::numeric from account) as points_left;

\echo
select what as "summary", to_char(value, 'FM999,999,999,999,990') as " "
from figure, lateral (values
    (1, 'members', members::numeric),
    (2, 'invoices', invoices),
    (3, 'points earned', earned),
    (4, 'points redeemed', redeemed),
    (5, 'points expired', expired),
    (6, 'points left', points_left),
    (7, 'entries posted', entries),
    (8, 'entries a second', round(entries / greatest(:seconds, 0.01)))
) v (no, what, value)
order by no;

\echo 'Liability by the month in which it lapses\n'
select to_char(expires_month, 'YYYY-MM') as month, members, lots, points, face_value, currency
from liability_by_expiry
order by expires_month;

\echo 'Tiers on' :last_day'\n'
select t.code as tier, t.threshold, count(s.tier) as members
from tier t
left join (select tier_for('retail', member, timestamp :'last_day' at time zone 'Europe/London' + interval '1 day') as tier
    from account) s on s.tier = t.code
group by t.code, t.threshold
order by t.threshold;
