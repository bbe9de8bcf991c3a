-- The tables and functions with which test/demo/replay turns a purchase file into a retailer's programme.

\set ON_ERROR_STOP on
set client_min_messages = warning;

create extension jifen;
create schema replay;

create table replay.line (
    invoice_no text not null,
    stock_code text not null,
    quantity integer not null,
    invoice_date timestamp not null,
    unit_price numeric not null,
    customer_id text
);

-- What the lines of an invoice come to for a customer. Returns, whose numbers
-- begin with C, and lines that name no customer are left aside.
create table replay.invoice (
    invoice_no text not null,
    customer_id text not null,
    invoice_at timestamptz not null,
    day date not null,
    points jifen.point_amount not null,
    -- The customer redeems with it: every fifth invoice, once a day.
    redeems boolean not null,
    primary key (day, invoice_no, customer_id)
);

create function replay.gather_invoices() returns void
language sql
as $$
    insert into replay.invoice
    select invoice_no, customer_id, invoice_date at time zone 'Europe/London', day, points,
        fifth and row_number() over (partition by customer_id, day, fifth order by invoice_date, invoice_no) = 1
    from (
        select *, invoice_date::date as day,
            row_number() over (partition by customer_id order by invoice_date, invoice_no) % 5 = 0 as fifth
        from (
            select invoice_no, customer_id, min(invoice_date) as invoice_date,
                jifen.points(greatest(sum(quantity * unit_price), 0), 'floor') as points
            from replay.line
            where invoice_no not like 'C%' and customer_id is not null
            group by invoice_no, customer_id
        ) summed
    ) numbered;
    analyze replay.invoice;
$$;
comment on function replay.gather_invoices() is 'Fills replay.invoice from replay.line';

create function replay.open_program() returns void
language sql
as $$
    select jifen.create_program('retail', time_zone => 'Europe/London', expiry => '12 months end of month',
        currency => 'GBP', point_value => 0.01);
    select jifen.create_tier('retail', code, null, threshold)
    from (values ('bronze', 0), ('silver', 1000), ('gold', 5000)) t (code, threshold);
    select jifen.open_account('retail', customer_id)
    from (select distinct customer_id from replay.invoice order by customer_id) members;
$$;
comment on function replay.open_program() is 'Creates the program and opens an account for each customer';

-- Posts a day's invoices in the order of their time. With a redeeming one the
-- customer first spends half of what was available at the day's beginning.
create function replay.post_day(
    today date,
    out invoices bigint,
    out earned jifen.point_amount,
    out redeemed jifen.point_amount
)
language sql
set search_path = replay, jifen, pg_temp
as $$
    select count(*), coalesce(sum((earned).amount), 0), coalesce(-sum((redeemed).amount), 0)
    from (
        select
            case when spends > 0 then
                redeem('retail', customer_id, spends, reference => invoice_no, event_at => invoice_at)
            end as redeemed,
            case when points > 0 then
                earn('retail', customer_id, points, reference => invoice_no, event_at => invoice_at)
            end as earned
        from (
            select i.*,
                case when redeems then
                    (select available::bigint / 2 / 100 * 100
                    from balance('retail', customer_id, today::timestamp at time zone 'Europe/London'))
                end as spends
            from invoice i
            where day = today
            order by invoice_at, invoice_no, customer_id
        ) in_order
    ) posted
$$;
comment on function replay.post_day(date) is 'Posts the redemptions and the earnings of the day';

-- The statements of the replay in order: what has lapsed is booked on the first
-- of each month, also after the last day of the file up to the given day.
create function replay.steps(until date, out expire text, out post text) returns setof record
language sql
as $$
    select case when extract(day from at) = 1 then
            format('call jifen.run_expiry(%L, as_of => %L)', 'retail', at at time zone 'Europe/London')
        end,
        format('select %L, *, (select sum(points) from jifen.job_run) from replay.post_day(%L)',
            at::date, at::date)
    from generate_series((select min(day)::timestamp from replay.invoice), until, '1 day') at
    where extract(day from at) = 1 or exists (select from replay.invoice where day = at::date)
    order by at
$$;
comment on function replay.steps(date) is 'The statements of the replay, a row a day, each to run in a transaction of its own';
