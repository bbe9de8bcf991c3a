-- Booking what has lapsed: entries at the instants of expiry, in bounded batches, changing no answer about what can be spent.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(38);
\ir books.psql

create function pg_temp.expire(program text, as_of timestamptz, max_accounts int default 1000) returns text
language sql as $$
    select row(e.accounts, e.lots, e.points, e.more)::text
    from expire_batch(expire.program, expire.as_of, expire.max_accounts) e
$$;

-- ---------- what is booked ----------

do $$
declare
    member text;
begin
    perform create_program('p', auto_open => true);
    foreach member in array array['ann', 'bob'] loop
        perform earn('p', member, 10, event_at => '2024-01-01', expiry => '1 month');   -- lapses on 2 February
        perform earn('p', member, 20, event_at => '2024-01-01', expiry => '1 month');   -- the same
        perform earn('p', member, 30, event_at => '2024-01-01', expiry => '2 months');  -- 2 March
        perform earn('p', member, 40, event_at => '2024-01-01', expiry => 'never');
        perform redeem('p', member, 15, event_at => '2024-01-10');                      -- 10 + 5
    end loop;
    perform freeze_account('p', 'bob', 'test');
end
$$;
select is(pg_temp.expire('p', '2024-02-01 23:59:59.999999+00'), '(0,0,0,f)', 'a microsecond before a lot lapses nothing is booked');
select is(pg_temp.expire('p', '2024-02-02 00:00+00', 1), '(1,1,15,t)', 'at its instant it is, for as many accounts as asked');
select is(pg_temp.expire('p', '2024-02-02 00:00+00', 1), '(1,1,15,f)', 'the rest by the next batch, a frozen account included');
select is(pg_temp.expire('p', '2024-02-02 00:00+00'), '(0,0,0,f)', 'once');
select is((select row(e.seq, e.kind, e.amount, e.held, e.balance, e.event_at, e.posted_at = (select booked_from from program where code = 'p'), e.expires_at, e.available_at,
            e.reverses_seq, e.qualifying, e.source, e.reference, e.reason, e.revenue, e.details, e.actor = session_user)::text
        from entry e where e.account_id = account_id('p', 'ann') and e.seq = 6),
    '(6,expire,-15,0,70,"2024-02-02 00:00:00+00",t,,,,,,,,,,t)', 'an expire entry is dated when the lots lapsed');
select is(pg_temp.allocations('p', 'ann', 6), array['lot 2: 15'], 'takes what was left of them');
select is(pg_temp.lots('p', 'ann'), array['lot 3: 30', 'lot 4: 40'], 'and closes them');
select is((select row(a.status, last_activity_at(a), a.last_event_at)::text from account a where a.account_id = account_id('p', 'bob')),
    '(frozen,"2024-01-10 00:00:00+00","2024-02-02 00:00:00+00")', 'it is no activity of the member, nor does it thaw the account');
select is(pg_temp.expire('p', '2024-03-20'), '(2,2,60,f)', 'a later run books what has lapsed since');
select is(pg_temp.entries_at('p', 'ann', 7), array['7 expire -30 = 40 at 2024-03-02 00:00'], 'at its own instant');
select is(pg_temp.expire('p', now()), '(0,0,0,f)', 'what never lapses stays');
select is(pg_temp.lots('p', 'ann') || pg_temp.lots('p', 'bob'), array['lot 4: 40', 'lot 4: 40'], 'as it was');

do $$
begin
    perform earn('p', 'cat', 1, event_at => '2024-01-03', expiry => '1 month');   -- lapses on 4 February
    perform earn('p', 'cat', 2, event_at => '2024-01-01', expiry => '1 month');   -- 2 February
    perform earn('p', 'cat', 4, event_at => '2024-01-01', expiry => '2 months');  -- 2 March
    perform earn('p', 'cat', 8, event_at => '2024-01-03', expiry => '1 month');   -- 4 February
    perform earn('p', 'cat', 16, event_at => '2024-01-01', expiry => 'never');
end
$$;
select is(pg_temp.expire('p', '2024-03-20'), '(1,4,15,f)', 'a run that comes late');
select is(pg_temp.entries_at('p', 'cat', 6),
    array['6 expire -2 = 29 at 2024-02-02 00:00', '7 expire -9 = 20 at 2024-02-04 00:00', '8 expire -4 = 16 at 2024-03-02 00:00'],
    'writes an entry for each instant, in their order');
select is(pg_temp.allocations('p', 'cat', 7), array['lot 1: 1', 'lot 4: 8'], 'of all lots that lapsed then');
select is((earn('p', 'cat', 3, event_at => '2023-01-01', expiry => '1 month')).seq, 9::bigint, 'a credit booked when it has lapsed');
select is(pg_temp.expire('p', '2024-03-20'), '(1,1,3,f)', 'is booked as lapsed by the next run');
select is(pg_temp.entries_at('p', 'cat', 10), array['10 expire -3 = 16 at 2023-02-02 00:00'], 'at its own time');

-- ---------- programs ----------

do $$
begin
    perform create_program('shanghai', time_zone => 'Asia/Shanghai', expiry => '1 month end of month', auto_open => true);
    perform create_program('new york', time_zone => 'America/New_York', expiry => '1 month end of month', auto_open => true);
    perform earn('shanghai', 'm', 10, event_at => '2024-01-15 12:00+00');
    perform earn('new york', 'm', 20, event_at => '2024-01-15 12:00+00');
end
$$;
select is(pg_temp.expire(null, '2024-02-29 15:59:59.999999+00'), '(0,0,0,f)', 'all programs: none has lapsed');
select is(pg_temp.expire('new york', '2024-03-01 05:00+00'), '(1,1,20,f)', 'one program: its own lots alone');
select is(pg_temp.holds('shanghai', 'm', '2024-03-01 05:00+00'), '10 | 0 | 0 | 10', 'others wait');
select is(pg_temp.expire(null, '2024-03-01 05:00+00'), '(1,1,10,f)', 'all programs: whatever is left');
select is(pg_temp.entries_at('shanghai', 'm', 2) || pg_temp.entries_at('new york', 'm', 2),
    array['2 expire -10 = 0 at 2024-02-29 16:00', '2 expire -20 = 0 at 2024-03-01 05:00'], 'each at its local midnight');
select throws_ok($$select expire_batch('nowhere')$$, 'JF002', 'unknown program "nowhere"', 'an unknown program');

-- ---------- batches ----------

do $$
begin
    for k in 1 .. 5 loop
        perform earn('shanghai', 's' || k, k, event_at => timestamptz '2024-03-10' + k * interval '1 day', expiry => '30 days');
    end loop;
    for k in 1 .. 3 loop
        perform earn('new york', 'n' || k, 10 * k, event_at => '2024-03-01', expiry => '30 days');
    end loop;
end
$$;
select is(array[pg_temp.expire('shanghai', '2024-06-01', 2), pg_temp.expire('shanghai', '2024-06-01', 2), pg_temp.expire('shanghai', '2024-06-01', 2)],
    array['(2,2,3,t)', '(2,2,7,t)', '(1,1,5,f)'], 'a batch takes the accounts whose lots lapsed first, and says whether more is left');
select is(pg_temp.expire('new york', '2024-06-01', 3), '(3,3,60,f)', 'nothing more where the batch was just large enough');
do $$
begin
    for k in 1 .. 3 loop
        perform earn('shanghai', 's' || k, k, event_at => '2024-03-01', expiry => '30 days');
        perform earn('new york', 'n' || k, 10 * k, event_at => '2024-03-01', expiry => '30 days');
    end loop;
end
$$;
select is(array[pg_temp.expire(null, '2024-06-01', 3), pg_temp.expire(null, '2024-06-01', 2), pg_temp.expire(null, '2024-06-01', 1)],
    array['(3,3,6,t)', '(2,2,30,t)', '(1,1,30,f)'], 'more may be in another program');
do $$
begin
    perform earn('p', 'long', 1, event_at => '2024-01-01', expiry => '30 days') from generate_series(1, 2100);
    perform earn('p', 'short', 5, event_at => '2024-01-02', expiry => '30 days');
end
$$;
select is(array[pg_temp.expire('p', '2024-06-01', 1), pg_temp.expire('p', '2024-06-01', 1)], array['(1,2100,2100,t)', '(1,1,5,f)'],
    'an account is done whole, however many lots it has');
do $$
begin
    perform earn('p', 'm' || k, 1, event_at => '2024-01-01', expiry => '30 days') from generate_series(1, 1100) k;
end
$$;
select is((select row(e.accounts, e.lots, e.points, e.more)::text from expire_batch('p') e), '(500,500,500,t)', 'five hundred accounts by default, as of now()');
select is((select row(e.accounts, e.lots, e.points, e.more)::text from expire_batch() e), '(500,500,500,t)', 'of all programs');
select is((select row(e.accounts, e.lots, e.points, e.more)::text from expire_batch() e), '(100,100,100,f)', 'to the end');

-- ---------- no answer depends on it ----------

-- The same random history in two programs: in one of them expiry is booked
-- time and again, late and early, in batches of any size.
create temp table step (n int, member text, verb text, booked_seq bigint, unbooked_seq bigint);
create temp table difference (n int, what text, booked text, unbooked text);

create function pg_temp.try_earn(program text, member text, amount int, event_at timestamptz, available_at timestamptz, expiry expiry_policy,
    out seq bigint, out outcome text)
language plpgsql as $$
begin
    seq := (earn(program, member, amount, event_at => event_at, available_at => available_at, expiry => expiry)).seq;
    outcome := 'earned';
exception when others then
    outcome := sqlstate;
end
$$;

create function pg_temp.try_redeem(program text, member text, amount int, event_at timestamptz, out seq bigint, out outcome text)
language plpgsql as $$
begin
    seq := (redeem(program, member, amount, event_at => event_at)).seq;
    outcome := 'redeemed';
exception when others then
    outcome := sqlstate;
end
$$;

create function pg_temp.try_reverse(program text, member text, reverses_seq bigint, amount int, event_at timestamptz,
    out seq bigint, out outcome text)
language plpgsql as $$
begin
    select e.seq, format('reversed %s %s', e.amount, e.qualifying) into seq, outcome
    from reverse(program, member, reverses_seq, amount, event_at => event_at) e;
exception when others then
    outcome := sqlstate;
end
$$;

-- What can be told of an account without regard to what is booked.
create function pg_temp.answers(program text, member text, as_of timestamptz) returns text
language sql as $$
    select concat_ws(' | ', b.available, b.pending, b.balance - b.lapsed, b.next_expires_at, b.next_expiring,
        expiring(program, member, as_of + interval '40 days', as_of))
    from balance(program, member, as_of) b
$$;

do $$
declare
    at timestamptz := '2024-01-01';
    event_at timestamptz;
    member text;
    dice float8;
    amount int;
    target step;
    booked record;
    unbooked record;
    expiry expiry_policy;
    available_at timestamptz;
begin
    perform setseed(0.1);
    perform create_program('booked', time_zone => 'America/New_York', auto_open => true);
    perform create_program('unbooked', time_zone => 'America/New_York', auto_open => true);
    perform open_account(p, m) from unnest(array['booked', 'unbooked']) p, unnest(array['a', 'b', 'c', 'd']) m;
    for n in 1 .. 400 loop
        at := at + random() * interval '1 day';
        event_at := case when random() < 0.6 then at else at - random() * interval '50 days' end;
        member := (array['a', 'b', 'c', 'd'])[1 + floor(random() * 4)];
        amount := 1 + floor(random() * 60);
        dice := random();
        if dice < 0.4 then
            expiry := (array['10 days', '30 days', '1 month end of month', '2 months', 'never'])[1 + floor(random() * 5)];
            available_at := case when random() < 0.2 then event_at + random() * interval '9 days' else event_at end;
            select * into booked from pg_temp.try_earn('booked', member, amount, event_at, available_at, expiry);
            select * into unbooked from pg_temp.try_earn('unbooked', member, amount, event_at, available_at, expiry);
            insert into step values (n, member, 'earn', booked.seq, unbooked.seq);
        elsif dice < 0.7 then
            select * into booked from pg_temp.try_redeem('booked', member, amount, event_at);
            select * into unbooked from pg_temp.try_redeem('unbooked', member, amount, event_at);
            insert into step values (n, member, 'redeem', booked.seq, unbooked.seq);
        else
            select s.* into target from step s where s.booked_seq is not null and s.unbooked_seq is not null
            order by s.n desc offset floor(random() * 60) limit 1;
            continue when not found;
            member := target.member;
            if random() < 0.5 then
                amount := null;
            end if;
            select * into booked from pg_temp.try_reverse('booked', member, target.booked_seq, amount, event_at);
            select * into unbooked from pg_temp.try_reverse('unbooked', member, target.unbooked_seq, amount, event_at);
        end if;
        if booked.outcome <> unbooked.outcome then
            insert into difference values (n, 'outcome', booked.outcome, unbooked.outcome);
        end if;
        if random() < 0.4 then
            perform expire_batch('booked', at - random() * interval '20 days', 1 + floor(random() * 4)::int);
        end if;
        insert into difference
        select n, format('answers at %s', t), pg_temp.answers('booked', member, t), pg_temp.answers('unbooked', member, t)
        from unnest(array[event_at, at, at - random() * interval '60 days', at + random() * interval '60 days']) t
        where pg_temp.answers('booked', member, t) <> pg_temp.answers('unbooked', member, t);
    end loop;
end
$$;
select is(array(select format('%s %s: %s, %s', d.n, d.what, d.booked, d.unbooked) from difference d order by d.n limit 5), array[]::text[],
    'over a random history every outcome and every answer is the same whether or not expiry is booked');
select cmp_ok((select count(*)::int from entry e join account a on a.account_id = e.account_id join program p on p.program_id = a.program_id
        where p.code = 'booked' and e.kind = 'reinstate'), '>', 10, 'a history in which booked expiry is often given back');
do $$begin perform expire_batch('booked'), expire_batch('unbooked'); end$$;
select is((pg_temp.differences('booked', 'unbooked', m, '2024-01-01', '2025-01-15'))[1:3], array[]::text[],
    format('%s: once all is booked in both, what there was at any time is the same to the point', m))
from unnest(array['a', 'b', 'c', 'd']) m;

select is(array(select concat_ws(': ', b.program, b.member, b.invariant) from reconcile() b), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
