-- The tables and functions with which test/demo/replay turns a purchase file into a retailer's programme.
--
-- An invoice happens at the time of its first line. Lines that name no
-- customer are left aside.

\set ON_ERROR_STOP on
set client_min_messages = warning;

create extension jifen;
create schema replay;

create table replay.line (
    line_no bigint generated always as identity primary key,
    invoice_no text not null,
    stock_code text not null,
    quantity integer not null,
    invoice_date timestamp not null,
    unit_price numeric not null,
    customer_id text
);

create table replay.document (
    customer_id text not null,
    invoice_no text not null,
    invoice_date timestamp not null,
    is_return boolean not null,
    primary key (customer_id, invoice_no)
);
comment on table replay.document is 'Invoices of purchases and of returns, whose number begins with C';

create table replay.invoice (
    invoice_no text not null,
    customer_id text not null,
    invoice_date timestamp not null,
    value numeric not null,
    points jifen.point_amount not null,
    -- The customer redeems with it.
    redeems boolean not null,
    -- The value of what has come back; grows as the returns are matched.
    returned numeric not null default 0,
    primary key (customer_id, invoice_no)
);
create index on replay.invoice (invoice_date);
comment on table replay.invoice is 'What the purchase lines of an invoice come to for a customer';

-- An article that stands on several lines of an invoice at the same price is
-- one item: six and six may come back as twelve. At another price it is
-- another item, so that the value of what comes back is exact.
create table replay.item (
    customer_id text not null,
    stock_code text not null,
    invoice_date timestamp not null,
    last_line bigint not null,
    invoice_no text not null,
    unit_price numeric not null,
    unreturned bigint not null,
    primary key (customer_id, stock_code, invoice_date, last_line)
);
comment on table replay.item is 'How many of each article of an invoice have not come back';

create table replay.return (
    line_no bigint primary key,
    invoice_no text not null,
    customer_id text not null,
    invoice_date timestamp not null,
    -- The purchase that it returns, and how much of that has come back with it; null where it matches none.
    purchase_no text,
    returned numeric
);
create index on replay.return (invoice_date);
comment on table replay.return is 'Lines of returns with a quantity below zero';

create function replay.gather_purchases() returns void
language plpgsql
set work_mem = '64MB'
as $$
begin
    insert into replay.document
    select customer_id, invoice_no, min(invoice_date), invoice_no like 'C%'
    from replay.line
    where customer_id <> ''
    group by customer_id, invoice_no;
    analyze replay.document;
    insert into replay.invoice (invoice_no, customer_id, invoice_date, value, points, redeems)
    select invoice_no, customer_id, invoice_date, value, jifen.points(value, 'floor'),
        value >= 1 and row_number() over (partition by customer_id order by invoice_date, invoice_no) % 5 = 0
    from (
        select d.invoice_no, d.customer_id, d.invoice_date, greatest(sum(l.quantity * l.unit_price), 0) as value
        from replay.document d
        join replay.line l using (customer_id, invoice_no)
        where not d.is_return
        group by d.customer_id, d.invoice_no
    ) summed;
    insert into replay.item
    select d.customer_id, l.stock_code, d.invoice_date, max(l.line_no), d.invoice_no, l.unit_price, sum(l.quantity)
    from replay.document d
    join replay.line l using (customer_id, invoice_no)
    where not d.is_return and l.quantity > 0 and l.unit_price >= 0
    group by d.customer_id, d.invoice_no, l.stock_code, l.unit_price;
    analyze replay.invoice, replay.item;
end
$$;
comment on function replay.gather_purchases() is 'Fills replay.document, replay.invoice and replay.item from replay.line';

-- A line of a return belongs to the customer's latest earlier item of that
-- article of which so many have not come back, at the price that was paid.
create function replay.match_returns() returns void
language plpgsql
as $$
declare
    line record;
    item replay.item;
    so_far numeric;
begin
    for line in
        select d.*, l.line_no, l.stock_code, l.quantity
        from replay.document d
        join replay.line l using (customer_id, invoice_no)
        where d.is_return and l.quantity < 0
        order by d.invoice_date, l.line_no
    loop
        update replay.item i set unreturned = unreturned + line.quantity
        where i.customer_id = line.customer_id and i.stock_code = line.stock_code
            and (i.invoice_date, i.last_line) = (
                select c.invoice_date, c.last_line from replay.item c
                where c.customer_id = line.customer_id and c.stock_code = line.stock_code
                    and c.invoice_date < line.invoice_date and c.unreturned >= -line.quantity
                order by c.invoice_date desc, c.last_line desc
                limit 1)
        returning i.* into item;
        -- Lines below zero can make an invoice worth less than its items.
        update replay.invoice i set returned = least(value, returned - line.quantity * item.unit_price)
        where i.customer_id = item.customer_id and i.invoice_no = item.invoice_no
        returning returned into so_far;
        insert into replay.return
        values (line.line_no, line.invoice_no, line.customer_id, line.invoice_date, item.invoice_no, so_far);
    end loop;
    analyze replay.return;
end
$$;
comment on function replay.match_returns() is 'Fills replay.return from replay.line, and notes in replay.invoice what came back';

-- What is to be posted, in the order of the file's times. No points were
-- given or taken with an invoice below a pound.
create view replay.event as
select i.invoice_date, 0 as line_no, i.invoice_no, i.customer_id,
    i.invoice_date at time zone 'Europe/London' as event_at,
    i.points, i.redeems, null as reason, null::numeric as returned, i.value
from replay.invoice i
where i.value >= 1
union all
-- A local time that the clocks skipped is later than it reads.
select r.invoice_date, r.line_no, i.invoice_no, i.customer_id,
    greatest(r.invoice_date, i.invoice_date) at time zone 'Europe/London',
    i.points, false, r.invoice_no, r.returned, i.value
from replay.return r
join replay.invoice i on i.customer_id = r.customer_id and i.invoice_no = r.purchase_no
where i.value >= 1;

create function replay.open_program() returns void
language sql
as $$
    select jifen.create_program('retail', time_zone => 'Europe/London', expiry => '12 months end of month',
        currency => 'GBP', point_value => 0.01, overdraft => 'debt');
    select jifen.create_tier('retail', code, null, threshold)
    from (values ('bronze', 0), ('silver', 1000), ('gold', 5000)) t (code, threshold);
    select jifen.record_redemption_estimate('retail', 0.8, '2000-01-01', reason => 'of the first business plan');
    select jifen.open_account('retail', customer_id)
    from (select distinct customer_id from replay.invoice order by customer_id) members;
$$;
comment on function replay.open_program() is 'Creates the program and opens an account for each customer';

-- Posts a day's invoices and returns in the order of their time. With a
-- redeeming invoice the customer first spends what is available, in whole
-- hundreds. With a return the redemption made with the purchase is undone too:
-- of those points the customer gets back the share that the goods were of the
-- invoice.
create function replay.post_day(
    today date,
    out invoices bigint,
    out returns bigint,
    out earned numeric,
    out redeemed numeric,
    out reversed numeric,
    out given_back numeric
)
language plpgsql
set search_path = replay, jifen, pg_temp
as $$
declare
    event replay.event;
    spends bigint;
    gone numeric;
    back numeric;
begin
    invoices := 0;
    returns := 0;
    earned := 0;
    redeemed := 0;
    reversed := 0;
    given_back := 0;
    for event in
        select * from event e
        where e.invoice_date >= today and e.invoice_date < today + 1
        order by e.event_at, e.line_no, e.invoice_no, e.customer_id
    loop
        if event.returned is not null then
            select sum(-r.amount::numeric) filter (where r.amount < 0), sum(r.amount::numeric) filter (where r.amount > 0)
            into gone, back
            from reverse_reference('retail', event.customer_id, event.invoice_no,
                returned => event.returned, total => event.value,
                reason => event.reason, event_at => event.event_at) r;
            returns := returns + 1;
            reversed := reversed + coalesce(gone, 0);
            given_back := given_back + coalesce(back, 0);
            continue;
        end if;
        if event.redeems then
            select available::bigint / 100 * 100 into spends
            from balance('retail', event.customer_id, event.event_at);
            if spends > 0 then
                perform redeem('retail', event.customer_id, spends,
                    reference => event.invoice_no, event_at => event.event_at);
                redeemed := redeemed + spends;
            end if;
        end if;
        perform earn('retail', event.customer_id, event.points,
            reference => event.invoice_no, event_at => event.event_at,
            revenue => allocate_to_points('retail', round(event.value, 2), event.points, as_of => today));
        invoices := invoices + 1;
        earned := earned + event.points::numeric;
    end loop;
end
$$;
comment on function replay.post_day(date) is 'Posts the redemptions, the earnings and the returns of the day, and returns the points';

-- The statements of the replay in order: what has lapsed is booked on the first
-- of each month, also after the last day of the file up to the given day; then
-- the books of the month are closed, and what is booked is summarized.
create function replay.steps(until date, out expire text, out close text, out summarize text, out post text) returns setof record
language sql
as $$
    select case when extract(day from day) = 1 then
            format('call jifen.run_expiry(%L, as_of => %L)', 'retail', day::timestamp at time zone 'Europe/London')
        end,
        case when extract(day from day) = 1 then
            format('select from jifen.close_period(%L, %L)', 'retail', jifen.day_begin(day, 'Europe/London'))
        end,
        case when extract(day from day) = 1 then 'call jifen.run_summary()' end,
        format('select %L, *, (select sum(points) from jifen.job_run) from replay.post_day(%L)', day, day)
    from (
        select distinct invoice_date::date as day from replay.event
        union
        select first::date
        from (select min(invoice_date) as begun from replay.event) e,
            generate_series(date_trunc('month', begun) + interval '1 month', until, '1 month') first
    ) days
    order by day
$$;
comment on function replay.steps(date) is 'The statements of the replay, a row a day, each to run in a transaction of its own';

create view replay.by_reference as
select a.member, coalesce(o.reference, e.reference) as reference, e.kind, o.kind as undone, e.amount::numeric
from jifen.entry e
join jifen.account a on a.account_id = e.account_id
left join jifen.entry o on o.account_id = e.account_id and o.seq = e.reverses_seq;
comment on view replay.by_reference is 'Entries by the document that they, or those that they undo, belong to';

create view replay.ledger as
select customer_id, coalesce(earned, 0) as earned, coalesce(reversed, 0) as reversed, coalesce(matched, 0) as matched,
    came_back
from (
    select customer_id, count(*) filter (where value > 0 and returned = value) as came_back
    from replay.invoice
    group by customer_id
) i
left join (
    select customer_id, count(purchase_no) as matched
    from replay.return
    group by customer_id
) r using (customer_id)
left join (
    select member as customer_id, sum(amount) filter (where kind = 'earn') as earned,
        -sum(amount) filter (where undone = 'earn') as reversed
    from replay.by_reference
    group by member
) b using (customer_id);
comment on view replay.ledger is
    'Of each customer what count_points.pl counts: points earned, points reversed, lines of returns matched, and invoices of which all came back';

create view replay.not_at_zero as
select i.customer_id, i.invoice_no, sum(b.amount) as points
from replay.invoice i
join replay.by_reference b on b.member = i.customer_id and b.reference = i.invoice_no
where i.value > 0 and i.returned = i.value
group by i.customer_id, i.invoice_no
having sum(b.amount) <> 0;
comment on view replay.not_at_zero is 'Invoices all of which came back, and which have points nevertheless';
