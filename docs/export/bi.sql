-- The reports of a points operator, one query each, for a BI tool or psql; :program is a program's code.
-- psql -d DATABASE -v program=shop -f bi.sql runs them all.

\echo what is owed now
select * from jifen.liability where program = :'program';

\echo what was owed at the end of the last month, as is known now and as was known then; by month, the roll-forward tells
select m.ended_at, k.known, l.*
from jifen.program p
cross join lateral (
    select jifen.day_begin(date_trunc('month', now() at time zone p.time_zone)::date, p.time_zone) as ended_at
) m
cross join lateral (values ('now', null), ('then', m.ended_at)) k (known, known_at)
cross join lateral jifen.liability_at(p.code, m.ended_at, k.known_at) l
where p.code = :'program' order by k.known;

\echo what is owed, by the month in which it lapses
select * from jifen.liability_by_expiry where program = :'program' order by expires_month;

\echo what is owed, by month of issue, channel, funder, tier and dormancy
select * from jifen.liability_by_vintage where program = :'program' order by issued_month;
select * from jifen.liability_by_source where program = :'program' order by points desc;
select * from jifen.liability_by_funder where program = :'program' order by points desc;
select * from jifen.liability_by_tier where program = :'program' order by points desc;
select * from jifen.liability_by_dormancy where program = :'program' order by from_months;

\echo the roll-forward as reported, month by month
select month, opening, earned, imported, adjusted, reversed, redeemed, returned, expired, reinstated, closing,
    closing_pending, closing_held
from jifen.roll_forward_by_month where program = :'program' and basis = 'reported' order by month;

\echo the roll-forward as booked, day by day, of the last thirty
select day, opening, earned, imported, adjusted, reversed, redeemed, returned, expired, reinstated, closing,
    closing_pending, closing_held
from jifen.roll_forward_by_day where program = :'program' and basis = 'booked' and day > current_date - 30 order by day;

\echo as reported against restated: what was booked late
select r.month, r.closing as reported, h.closing as restated, h.closing - r.closing as difference
from jifen.roll_forward_by_month r
join jifen.roll_forward_by_month h on h.program = r.program and h.month = r.month and h.basis = 'happened'
where r.program = :'program' and r.basis = 'reported' and h.closing <> r.closing order by r.month;

\echo redemption and breakage of each month of issue, and what comes of it
select issued_month, age, month, issued, redeemed, expired, total_issued, total_redeemed, total_expired, unspent
from jifen.vintage_triangle where program = :'program' order by issued_month, age;
select * from jifen.redemption_rate where program = :'program' order by issued_month;
select * from jifen.ultimate_redemption where program = :'program' order by issued_month;
select * from jifen.run_off where program = :'program' order by month;

\echo revenue as reported
select * from jifen.revenue_by_month where program = :'program' and basis = 'reported' order by issued_years, month;

\echo what free points cost as reported
select * from jifen.cost_by_month where program = :'program' and basis = 'reported' order by issued_years, month;

\echo lines for the general ledger: this month and the last
select * from jifen.gl_journal
where program = :'program' and day >= date_trunc('month', current_date - interval '1 month') order by day, line_no;

\echo settlement with funders and partners
select * from jifen.settlement_by_month where program = :'program' order by month, kind, party;
select * from jifen.settlement_of_party_by_month where program = :'program' order by month, party;
select * from jifen.prepaid_budget where program = :'program' order by party;

\echo behaviour
select * from jifen.channel_by_month where program = :'program' order by month, source;
select * from jifen.redemption_rate_by_month where program = :'program' order by month;
select * from jifen.activity_by_month where program = :'program' order by month;
select * from jifen.tier_mix_by_month where program = :'program' order by month, tier;
select * from jifen.time_to_first_redemption where program = :'program' order by days_from;
select * from jifen.never_redeemed where program = :'program' order by since_month;
select * from jifen.rfm_segment_count where program = :'program' order by members desc;

\echo whose points lie idle longest
select * from jifen.dormant_balance where program = :'program' order by last_activity_at nulls first, points desc limit 100;
