-- Whatever jobs run, and whether postings come one by one or in batches: the same postings have the same outcomes and leave the same points.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(19);
\ir books.psql
\ir clocks.psql

-- How each program is served: expiry booked after each posting with a probability, so
-- many days late, so many accounts at a time; posted in one call or so many together.
create temp table schedule (program text primary key, likelihood float8, days_late int, max_accounts int, at_once int, grouped boolean);
insert into schedule values
    ('never', 0, 0, 1, 1, false),
    ('twice', 2, 0, 1000, 1, false),
    ('late', 0.2, 40, 1, 1, false),
    ('batches', 0, 0, 1, 17, false),
    ('booked batches', 2, 0, 1000, 10, false),
    ('groups', 0.5, 0, 2, 13, true);

-- The postings, in the order in which they come; some happened long before.
create temp table request (n int primary key, at timestamptz, posting posting);
do $$
declare
    at timestamptz := '2025-01-01';
    event_at timestamptz;
    dice float8;
    policies text[] := array['45 days inactive', '2 months inactive end of month', '60 days or 20 days inactive', 'end of quarter or 1 month inactive', '50 days', 'never', '30 days inactive end of half'];
    members text[] := array['a', 'b', 'c'];
    kind text;
begin
    perform setseed(0.4);
    for n in 1 .. 150 loop
        at := at + random() * interval '4 days';
        event_at := case when random() < 0.65 then at else at - random() * interval '80 days' end;
        dice := random();
        kind := case when dice < 0.35 then 'earn' when dice < 0.5 then 'import' when dice < 0.6 then 'adjust' when dice < 0.8 then 'redeem'
            when dice < 0.9 then 'hold' else 'transfer' end;
        insert into request values (n, at, posting(null, members[1 + n % 3], kind, event_at => event_at,
            amount => (case when kind = 'adjust' and random() < 0.5 then -1 else 1 end * (1 + floor(random() * 60)))::bigint::text::point_amount,
            expiry => case when kind in ('earn', 'import') and random() < 0.6 then policies[1 + floor(random() * 7)]::expiry_policy end,
            available_at => case when kind = 'earn' and random() < 0.2 then event_at + random() * interval '9 days' end,
            issued_at => case when kind = 'import' and random() < 0.6 then event_at - random() * interval '90 days' end,
            reason => case kind when 'adjust' then 'r' end,
            until => case kind when 'hold' then now() + interval '1 day' end,
            to_member => case kind when 'transfer' then members[1 + (n + 1) % 3] end));
    end loop;
end
$$;

create temp table outcome (program text, n int, result text);
do $$
declare
    s schedule;
    since int;
    latest timestamptz;
begin
    for s in select * from schedule loop
        perform setseed(0.2);
        perform create_program(s.program, time_zone => 'America/New_York', expiry => '45 days inactive', auto_open => true);
        perform open_account(s.program, m) from unnest(array['a', 'b', 'c']) m;
        since := 1;
        while since <= 150 loop
            insert into outcome
            select s.program, r.n, coalesce(p.sqlstate, 'done')
            from (select array_agg(posting(s.program, (q.posting).member, (q.posting).kind, (q.posting).amount, event_at => (q.posting).event_at,
                    expiry => (q.posting).expiry, available_at => (q.posting).available_at, issued_at => (q.posting).issued_at,
                    reason => (q.posting).reason, until => (q.posting).until, to_member => (q.posting).to_member,
                    "group" => case when s.grouped then q.n::text end) order by q.n) as postings, min(q.n) as first
                from request q where q.n >= since and q.n < since + s.at_once) b,
                lateral post(b.postings, 'skip') p
            join request r on true
            where r.n = b.first + p.ordinal - 1;
            since := since + s.at_once;
            latest := (select max(q.at) from request q where q.n < since);
            if random() < s.likelihood then
                perform expire_batch(s.program, latest - random() * s.days_late * interval '1 day', s.max_accounts);
            end if;
            if s.likelihood > 1 then
                perform expire_batch(s.program, latest, s.max_accounts);
            end if;
        end loop;
    end loop;
end
$$;
select cmp_ok((select count(*) from outcome where program = 'never' and result = 'done'), '>', 75::bigint, 'most postings are done');
select is(array(select format('%s: %s, %s', o.n, o.result, never.result) from outcome o join outcome never using (n)
        where o.program = s.program and never.program = 'never' and o.result <> never.result order by o.n), array[]::text[],
    s.program || ': each posting is done or refused as elsewhere')
from schedule s where s.program <> 'never' order by s.program;
select is(array(select format('%s %s: %s, %s', m, at, b.says, e.says) from unnest(array['a', 'b', 'c']) m, generate_series(timestamptz '2025-01-01', '2026-03-01', '3 days 7 hours') at
        cross join lateral (select concat_ws(' | ', x.available, x.pending, x.held, x.balance - x.lapsed, x.next_expires_at, x.next_expiring) as says from balance(s.program, m, at) x) b
        cross join lateral (select concat_ws(' | ', x.available, x.pending, x.held, x.balance - x.lapsed, x.next_expires_at, x.next_expiring) as says from balance('never', m, at) x) e
        where b.says <> e.says), array[]::text[],
    s.program || ': there is the same at any time, and lapses next')
from schedule s where s.program <> 'never' order by s.program;
select is(pg_temp.misbooked(s.program), array[]::text[], s.program || ': booked as the journal has it') from schedule s order by s.program;
select is(pg_temp.misjudged('never'), array[]::text[], 'and there is what the journal has');
select is(pg_temp.breaches() || pg_temp.unsound(), array[]::text[], 'all of it adds up');

select * from finish();
rollback;
