-- A year of a tea shop's programme, up to the message of 28 January.

\i common.sql

-- The story ends on the latest 28 January that is four days ago or more: what
-- its message announces has lapsed since.
select extract(year from day)::int - 1 as last_year, extract(year from day)::int as this_year
from (select (now() - interval '31 days')::date as day) s \gset
\set today :this_year '-01-28 09:00'

create extension jifen;
create extension pg_cron;

-- The shop's own table. Year 0 is the story's first, year 1 has its last month.
create table orders (
    order_no text primary key,
    member text not null,
    paid numeric(10, 2) not null,
    paid_at timestamptz not null
);
insert into orders
select order_no, member, paid, (:last_year + year || '-' || day)::timestamptz
from (values
    ('T-1001', 'mei', 388.60, 0, '01-12 10:20'),
    ('T-1003', 'jun', 120.00, 0, '01-14 18:05'),
    ('T-1009', 'mei', 245.00, 0, '01-25 11:47'),
    ('T-1020', 'lan', 1500.00, 0, '02-02 14:30'),
    ('T-1033', 'mei', 520.50, 0, '02-14 19:12'),
    ('T-1046', 'jun', 460.00, 0, '03-03 12:00'),
    ('T-1102', 'mei', 680.00, 0, '05-01 15:40'),
    ('T-1120', 'lan', 900.00, 0, '05-20 20:02'),
    ('T-1140', 'mei', 299.90, 0, '06-18 00:03'),
    ('T-1209', 'jun', 310.25, 0, '08-08 13:31'),
    ('T-1260', 'lan', 350.00, 0, '08-20 16:16'),
    ('T-1310', 'jun', 540.00, 0, '11-11 00:01'),
    ('T-1311', 'mei', 216.80, 0, '11-11 00:02'),
    ('T-1402', 'mei', 88.00, 1, '01-05 09:55')
) o (order_no, member, paid, year, day);
\set ECHO queries

\echo :bold'== The programme ==':plain'\n'
\echo 'A tea shop in Shanghai gives a point for each yuan. A point is worth 0.01 yuan'
\echo 'and lapses 12 months later, at the end of that month.\n'
select code, time_zone, expiry, point_value, currency
from jifen.create_program('tea', time_zone => 'Asia/Shanghai',
    expiry => '12 months end of month', currency => 'CNY', point_value => 0.01,
    auto_open => true);

\echo '1000 points earned within 12 months make a member silver, 2000 gold.\n'
select t.code, t.threshold
from (values ('green', 0), ('silver', 1000), ('gold', 2000))
        v (code, threshold),
    jifen.create_tier('tea', v.code, null, v.threshold) t;

\echo :bold'== January' :last_year '==':plain'\n'
\echo 'The orders are in the same database. They earn their points in the transaction'
\echo 'that marks them as paid or, as here, a month of them in one statement.\n'
prepare earn_orders(date) as
select o.order_no, o.member, o.paid, e.amount as points, e.balance, e.expires_at
from (select * from orders
        where paid_at >= $1 and paid_at < $1 + interval '1 month'
        order by paid_at) o,
    jifen.earn('tea', o.member, jifen.points(o.paid, 'floor'),
        reference => o.order_no, event_at => o.paid_at) e;

\set month :last_year '-01-01'
execute earn_orders(:'month');

\echo :bold'== February' :last_year '==':plain'\n'
\set month :last_year '-02-01'
execute earn_orders(:'month');

\echo :bold'== March' :last_year '==':plain'\n'
\set month :last_year '-03-01'
execute earn_orders(:'month');

\echo 'Mei checks in on five days, which earns points and does not count for her tier.\n'
\set first :last_year '-03-10 08:00'
\set last :last_year '-03-14 08:00'
select e.seq, e.event_at, e.source, e.amount, e.balance
from generate_series(timestamptz :'first', :'last',
        '1 day') day,
    jifen.earn('tea', 'mei', 7, source => 'check-in', event_at => day,
        qualifying => 0) e;

\echo 'She takes a cup for 300 points.\n'
\set at :last_year '-03-18 20:15'
select e.seq, e.kind, e.reference, e.amount, e.balance
from jifen.redeem('tea', 'mei', 300, reference => 'cup',
    event_at => :'at') e;

\echo :bold'== May' :last_year '==':plain'\n'
\set month :last_year '-05-01'
execute earn_orders(:'month');

\echo 'Mei sends back a pot of 230 yuan, part of order T-1102: its points go.\n'
\set at :last_year '-05-06 17:30'
select e.seq, e.kind, e.amount, e.balance, e.qualifying, e.reverses_seq
from jifen.statement('tea', 'mei') s,
    jifen.reverse('tea', 'mei', s.seq, 230, reason => 'pot sent back',
        event_at => :'at') e
where s.reference = 'T-1102';

\echo :bold'== June' :last_year '==':plain'\n'
\set month :last_year '-06-01'
execute earn_orders(:'month');

\echo :bold'== August' :last_year '==':plain'\n'
\set month :last_year '-08-01'
execute earn_orders(:'month');

\echo 'Lan redeems 800 points for a tray, which turns out to be sold out. The points go'
\echo 'back where they came from, and lapse when they would have.\n'
\set at :last_year '-08-25 10:00'
select e.seq, e.kind, e.reference, e.amount, e.balance
from jifen.redeem('tea', 'lan', 800, reference => 'tray',
    event_at => :'at') e;
\set at :last_year '-08-27 10:00'
select e.seq, e.kind, e.reason, e.amount, e.balance, e.reverses_seq
from jifen.reverse('tea', 'lan', 4, reason => 'sold out',
    event_at => :'at') e;

\echo :bold'== November' :last_year '==':plain'\n'
\set month :last_year '-11-01'
execute earn_orders(:'month');

\echo 'Who buys on Singles'' Day is given 200 points more, which lapse after 30 days.\n'
\set at :last_year '-11-11 00:05'
select v.member, e.amount, e.balance, e.expires_at
from (values ('mei'), ('jun')) v (member),
    jifen.earn('tea', v.member, 200, source => 'singles-day',
        expiry => '30 days', event_at => :'at', qualifying => 0) e;

\echo 'Mei spends 500. What lapses soonest goes first: the gift, then January''s.\n'
\set at :last_year '-11-20 21:40'
select e.seq, e.kind, e.reference, e.amount, e.balance
from jifen.redeem('tea', 'mei', 500, reference => 'kettle',
    event_at => :'at') e;
select c.reference, c.source, c.event_at, c.amount as earned, a.amount as taken
from jifen.allocation a
join jifen.entry c on c.account_id = a.account_id and c.seq = a.lot_seq
where a.account_id = jifen.account_id('tea', 'mei') and a.seq = 15
order by c.expires_at, c.seq;

\echo :bold'== December' :last_year '==':plain'\n'
\echo 'Mei buys 500 points: what is paid for never lapses.\n'
\set at :last_year '-12-08 12:34'
select e.amount, e.balance, e.revenue, e.expires_at
from jifen.earn('tea', 'mei', 500, source => 'bought', expiry => 'never',
    event_at => :'at', qualifying => 0, revenue => 5.00) e;

\echo :bold'== January' :this_year '==':plain'\n'
\set month :this_year '-01-01'
execute earn_orders(:'month');

\echo 'Jun orders online. The points can be spent once it is too late to send it back.'
\echo 'The answer gets lost and the shop sends it again, with the same key: nothing is'
\echo 'posted twice.\n'
\set at :this_year '-01-18 15:00'
\set later :this_year '-02-01 15:00'
prepare earn_online as
select e.seq, e.amount, e.balance, e.available_at, e.expires_at
from jifen.earn('tea', 'jun', 180, reference => 'W-77', idempotency_key => 'W-77',
    event_at => :'at', available_at => :'later') e;
execute earn_online;
execute earn_online;
\set ECHO none
select pg_temp.expect('the entries of W-77', '1', count(*)::text)
from jifen.statement('tea', 'jun') where reference = 'W-77' \g /dev/null
\set ECHO queries

\echo :bold'== 28 January' :this_year '==':plain'\n'
\echo 'What everybody holds. Jun''s gift has lapsed: nothing has booked that yet, but it'
\echo 'cannot be spent.\n'
select v.member, b.available, b.pending, b.lapsed, b.balance, b.next_expiring,
    b.next_expires_at::date as next_on
from (values ('mei'), ('jun'), ('lan')) v (member),
    jifen.balance('tea', v.member, :'today') b;

\echo 'The message to Mei:\n'
\set month_end :this_year '-02-01'
select format(
    'as of %s you hold %s points, %s of them lapse at the end of the month',
    to_char(timestamptz :'today', 'FMDD FMMonth'), b.available,
    jifen.expiring('tea', 'mei', until => :'month_end',
        as_of => :'today')) as message
from jifen.balance('tea', 'mei', :'today') b \gset
\echo '\n':bold:message:plain'\n'
\set ECHO none
select pg_temp.expect('the message',
    'as of 28 January you hold 2141 points, 33 of them lapse at the end of the month',
    :'message') \g /dev/null
\set ECHO queries

\echo 'Jun asks for more than there is.\n'
\set ON_ERROR_STOP off
select jifen.redeem('tea', 'jun', 1500, reference => 'chest',
    event_at => :'today');
\set refusal :SQLSTATE
\set ON_ERROR_STOP on
\echo 'SQLSTATE:' :refusal '\n'
\set ECHO none
select pg_temp.expect('the refusal', 'JF001', :'refusal') \g /dev/null
\set ECHO queries

\echo 'The tiers: what is missing to the next, and when this one ends if nothing more'
\echo 'is earned. Then Mei''s in the course of the year.\n'
select v.member, t.tier, t.qualifying, t.next_tier, t.missing,
    t.holds_until::date
from (values ('mei'), ('jun'), ('lan')) v (member),
    jifen.tier_status('tea', v.member, :'today') t;
\set days '{' :last_year '-01-31,' :last_year '-02-28,' :last_year '-11-30,' :this_year '-01-28}'
select day::date, t.tier, t.qualifying, t.next_tier, t.missing,
    t.holds_until::date
from unnest(:'days'::timestamptz[]) day,
    jifen.tier_status('tea', 'mei', day) t;
\set ECHO none
select pg_temp.expect('the tiers of 28 January', 'mei silver 427, jun silver 510, lan gold ',
    string_agg(format('%s %s %s', v.member, t.tier, t.missing), ', ' order by v.no))
from (values (1, 'mei'), (2, 'jun'), (3, 'lan')) v (no, member),
    jifen.tier_status('tea', v.member, :'today') t \g /dev/null
select pg_temp.expect('the tiers of mei', 'green 367, silver 847, gold , silver 427',
    string_agg(format('%s %s', t.tier, t.missing), ', ' order by day))
from unnest(:'days'::timestamptz[]) day, jifen.tier_status('tea', 'mei', day) t \g /dev/null
