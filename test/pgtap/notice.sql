-- Reminders and notices: whom to tell, what, and what was told, with the points that wait for it.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(174);
\ir books.psql

-- Rows of expiring_members() and due_notices(), in short.
create function pg_temp.listed(program text, as_of timestamptz, until timestamptz default null, window_days int default null,
    after text default null, max_members int default 1000) returns text[]
language sql as $$
    select array(select format('%s: %s of %s, %s to tell, %s to %s, %s lots', m.member, m.expiring, m.available, m.to_notify,
            to_char(m.first_expires_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), to_char(m.last_expires_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), m.lots)
        from expiring_members(listed.program, listed.until, listed.as_of, listed.after, listed.max_members, listed.window_days)
            with ordinality m (member, status, balance, available, expiring, to_notify, first_expires_at, last_expires_at, lots, held_back,
                last_activity_at, last_redeem_at, message, place)
        order by m.place)
$$;
-- The same, page by page.
create function pg_temp.paged(program text, as_of timestamptz, until timestamptz, max_members int) returns text[]
language plpgsql as $$
declare
    page text[];
    pages text[] := '{}';
begin
    loop
        page := pg_temp.listed(program, as_of, until, after => split_part(pages[cardinality(pages)], ':', 1), max_members => max_members);
        pages := pages || page;
        exit when cardinality(page) < max_members;
    end loop;
    return pages;
end
$$;
create function pg_temp.due(program text, as_of timestamptz, windows int[] default '{60,30,7}') returns text[]
language sql as $$
    select array(select format('%s in %s: %s, %s to tell', d.member, d.window_days, d.expiring, d.to_notify)
        from due_notices(due.program, due.windows, due.as_of) d order by d.member)
$$;
-- Notices of a member: number, window, points, dates, lots.
create function pg_temp.notices(program text, member text) returns text[]
language sql as $$
    select array(select format('%s in %s by %s at %s: %s, %s to %s; %s', n.notice_no, n.window_days, n.channel,
            to_char(n.sent_at at time zone 'UTC', 'YYYY-MM-DD'), n.points, to_char(n.first_expires_at at time zone 'UTC', 'YYYY-MM-DD'),
            to_char(n.last_expires_at at time zone 'UTC', 'YYYY-MM-DD'),
            (select string_agg(format('%s of lot %s', l.points, l.lot_seq), ', ' order by l.lot_seq)
             from notice_lot l where l.account_id = n.account_id and l.notice_no = n.notice_no))
        from notice n where n.account_id = account_id(notices.program, notices.member) order by n.notice_no)
$$;
create function pg_temp.refused(statement text) returns text
language plpgsql as $$
declare
    r record;
begin
    r := pg_temp.refusal(statement);
    if r.state is not null and (r.detail = '' or r.hint = '') then
        return r.state || ' without detail or hint';
    end if;
    return r.state || ' ' || r.message;
end
$$;

-- ---------- the text ----------

do $$
begin
    perform create_program('茶', name => '茶馆', time_zone => 'Asia/Shanghai', expiry => '12 months end of month', auto_open => true);
    perform set_notice_template('茶', 'zh', '截至{as_of:FMMM月FMDD日},您拥有{available}积分,其中{expiring}分将于月末失效');
    perform earn('茶', '张伟', 33, event_at => '2024-01-10 09:00+08');
    perform earn('茶', '张伟', 2108, event_at => '2024-07-10 09:00+08');
end
$$;
select is((select message from expiring_members('茶', until => '2025-02-01 00:00+08', as_of => '2025-01-28 12:00+08')),
    '截至1月28日,您拥有2141积分,其中33分将于月末失效', 'the text of a program, in its language');
select is((select message from due_notices('茶', as_of => '2025-01-28 12:00+08')), '截至1月28日,您拥有2141积分,其中33分将于月末失效', 'by windows too');
select lives_ok($$select expire_batch('茶')$$);
select is((select message from expiring_members('茶', until => '2025-02-01 00:00+08', as_of => '2025-01-28 12:00+08')),
    '截至1月28日,您拥有2141积分,其中33分将于月末失效', 'and the same once the points have lapsed and that is booked');
select is((select row(m.member, m.status, m.balance, m.available, m.expiring, m.to_notify, m.first_expires_at, m.last_expires_at, m.lots, m.held_back, m.last_activity_at, m.last_redeem_at)::text
        from expiring_members('茶', until => '2025-02-01 00:00+08', as_of => '2025-01-28 12:00+08') m),
    '(张伟,open,2141,2141,33,33,"2025-01-31 16:00:00+00","2025-01-31 16:00:00+00",1,0,"2024-07-10 01:00:00+00",)', 'the figures that it is made of');

select is(row(t.language, t.template_no, t.template)::text, '(en,2,"{member}: {{{expiring}}} of {balance} {{}} {program}, {expires_on} to {last_expires_on}, {as_of}")', 'another language')
from set_notice_template('茶', 'en', '{member}: {{{expiring}}} of {balance} {{}} {program}, {expires_on} to {last_expires_on}, {as_of}') t;
select is((select message from expiring_members('茶', until => '2026-01-01', as_of => '2025-01-28 23:30+08', language => 'en')),
    '张伟: {2141} of 2141 {} 茶馆, 2025-01-31 to 2025-07-31, 2025-01-28', 'every placeholder, doubled braces, the last days in the program''s zone');
select is((select message from expiring_members('茶', until => '2026-01-01', as_of => '2025-01-28 23:30+08')),
    '截至1月28日,您拥有2141积分,其中2141分将于月末失效', 'the first language is the default');
select is((set_notice_template('茶', 'en', '{balance:FM999,999.00}|{available:FM000000}|{expires_on:Mon DD, YYYY "at" HH24:MI}|{last_expires_on:FMDDth}|{as_of:YYYY年}}}')).template_no, 2, 'set anew, it keeps its place');
select is((select message from expiring_members('茶', until => '2026-01-01', as_of => '2025-01-28 23:30+08', language => 'en')),
    '2,141.00|002141|Jan 31, 2025 at 23:59|31st|2025年}', 'formats of to_char()');
select is((set_notice_template('茶', 'zh', null)).language, 'zh', 'a text can be removed');
select is((set_notice_template('茶', 'zh', null)).language, null, 'once');
select is((select left(message, 8) from expiring_members('茶', until => '2026-01-01', as_of => '2025-01-28 23:30+08')), '2,141.00', 'the only one left is the default');
select lives_ok($$select set_notice_template('茶', 'en', null)$$);
select is((select row(count(*), count(message))::text from expiring_members('茶', until => '2026-01-01', as_of => '2025-01-28 23:30+08')), '(1,0)', 'without any there is no text');

select is(pg_temp.refused(format('select set_notice_template(%L, %L, %L)', '茶', language, template)), refusal, format('template %s', left(template, 40)))
from (values
    ('en', '{points}', '22023 unknown placeholder "{points}"'),
    ('en', '{}', '22023 unknown placeholder "{}"'),
    ('en', 'you have {available', '22023 a placeholder of the template does not end'),
    ('en', '{available {expiring}', '22023 a placeholder of the template does not end'),
    ('en', '{{{', '22023 a placeholder of the template does not end'),
    ('en', '{member:FM99}', '22023 invalid format of placeholder "{member}"'),
    ('en', '{as_of:}', '22023 invalid format of placeholder "{as_of}"'),
    ('en', '{expiring:9PR9}', '22023 invalid format of placeholder "{expiring}"'),
    ('en', '{as_of:IYYY-MM TZH:TZM TZ OF}', null),
    ('en', 'a } alone', null),
    ('en', '', '22023 template must not be empty'),
    ('en', repeat('x', 10001), '22023 template is too long'),
    ('', 'x', '22023 language must not be empty'),
    (repeat('x', 257), 'x', '22023 language is too long'),
    (null, 'x', '22004 language must not be null')) v (language, template, refusal);
select is(pg_temp.refused($$select set_notice_template('nowhere', 'en', 'x')$$), 'JF002 unknown program "nowhere"', 'of an unknown program');
select is(pg_temp.refused($$select * from expiring_members('茶', '2026-01-01', '2025-01-01', language => 'fr')$$), '22023 no template in language "fr"', 'a language without a text');

-- ---------- whom ----------

do $$
begin
    perform create_program('s', time_zone => 'Europe/London', expiry => 'never', auto_open => true);
    perform earn('s', member, points, event_at => '2024-01-01', expiry => days::expiry_policy)
    from (values ('ann', 10, '20 days'), ('ann', 5, '29 days'), ('ann', 100, '100 days'), ('Bob', 7, '59 days'), ('cat', 1, '5 days'),
        ('dan', 50, '200 days'), ('eve', 9, 'never'), ('éva', 3, '10 days')) v (member, points, days);
    perform open_account('s', 'none');
end
$$;
select is(pg_temp.listed('s', '2024-01-01 10:00', '2024-02-01'),
    array['ann: 15 of 115, 15 to tell, 2024-01-22 00:00 to 2024-01-31 00:00, 2 lots', 'cat: 1 of 1, 1 to tell, 2024-01-07 00:00 to 2024-01-07 00:00, 1 lots',
        'éva: 3 of 3, 3 to tell, 2024-01-12 00:00 to 2024-01-12 00:00, 1 lots'], 'those whose points lapse by then, in the order of the bytes');
select is((pg_temp.listed('s', '2024-01-01 10:00', '2024-03-01'))[1:2],
    array['Bob: 7 of 7, 7 to tell, 2024-03-01 00:00 to 2024-03-01 00:00, 1 lots', 'ann: 15 of 115, 15 to tell, 2024-01-22 00:00 to 2024-01-31 00:00, 2 lots'],
    'by until itself too');
select is((pg_temp.listed('s', '2024-01-01 10:00', '2024-02-29 23:59:59.999999'))[1], (pg_temp.listed('s', '2024-01-01 10:00', '2024-02-01'))[1], 'not after it');
select is((pg_temp.listed('s', '2024-01-07', '2024-02-01'))[1:2],
    array['ann: 15 of 115, 15 to tell, 2024-01-22 00:00 to 2024-01-31 00:00, 2 lots', 'éva: 3 of 3, 3 to tell, 2024-01-12 00:00 to 2024-01-12 00:00, 1 lots'],
    'nor what has lapsed');
select is(cardinality(pg_temp.listed('s', '2024-01-01', 'infinity')), 5, 'infinity: whoever holds points that lapse at all');
select is(pg_temp.listed('s', '2024-01-01', '2024-01-01'), '{}'::text[], 'nobody by as_of itself');
select is((select array_agg(m.member) from unnest(array[null, 'Bob', 'ann', 'cat', 'd', 'dan', 'éva']) with ordinality x (after, n),
        lateral (select member from expiring_members('s', '2025-01-01', '2024-01-01', after => x.after, max_members => 1)) m),
    array['Bob', 'ann', 'cat', 'dan', 'dan', 'éva'], 'page by page, after a member who need not exist');
select is((select count(*) from expiring_members('s', '2025-01-01', '2024-01-01', max_members => 2)), 2::bigint, 'a page has an end');

-- Windows end with a local day, also where the clock is changed.
select is((select to_char(d.until, 'YYYY-MM-DD HH24:MI') from due_notices('s', windows => '{7}', as_of => '2024-01-01 23:59:59.999999') d limit 1),
    '2024-01-09 00:00', 'seven days from the last microsecond of a day');
select is(array(select format('%s %s', w, to_char((window_ends((select program_id from program where code = 's'), array[w], '2024-03-28 12:00'))[1] at time zone 'UTC', 'MM-DD HH24:MI'))
        from unnest(array[1, 2, 3, 4]) w),
    array['1 03-30 00:00', '2 03-31 00:00', '3 03-31 23:00', '4 04-01 23:00'], 'over the change of the clock in London');
select is((pg_temp.listed('s', '2024-01-01 00:00', window_days => 20))[1], 'ann: 10 of 115, 10 to tell, 2024-01-22 00:00 to 2024-01-22 00:00, 1 lots', 'what lapses at the end of the window''s last day is in it');
select is((pg_temp.listed('s', '2024-01-01 00:00', window_days => 19))[1], 'cat: 1 of 1, 1 to tell, 2024-01-07 00:00 to 2024-01-07 00:00, 1 lots', 'what lapses later is not');

-- A member's row is what balance() and expiring() say, at any time, whatever is booked.
do $$
begin
    perform create_program('q', time_zone => 'America/New_York', expiry => '90 days', auto_open => true, overdraft => 'debt', return_grace => '10 days');
    perform create_program('i', time_zone => 'Asia/Kathmandu', expiry => '6 months inactive', auto_open => true, notice_days => 14);
    for n in 1 .. 24 loop
        perform earn(p, 'm' || n, 10 * n, event_at => '2024-01-01'::timestamptz + n * interval '7 hours'),
            earn(p, 'm' || n, 5, event_at => '2024-01-20'::timestamptz + n * interval '1 day', available_at => '2024-03-01'),
            earn(p, 'm' || n, 3, event_at => '2024-02-01', expiry => 'never')
        from unnest(array['q', 'i']) p;
        perform redeem(p, 'm' || n, n, event_at => '2024-02-02'::timestamptz + n * interval '1 day') from unnest(array['q', 'i']) p where n % 3 = 0;
        perform hold(p, 'm' || n, n, now() + interval '1 hour', event_at => '2024-03-05') from unnest(array['q', 'i']) p where n % 4 = 0;
        perform reverse(p, 'm' || n, 1, event_at => '2024-03-06') from unnest(array['q']) p where n % 6 = 0;
        perform freeze_account(p, 'm' || n, 'test') from unnest(array['q', 'i']) p where n % 5 = 0;
        perform earn(p, 'm' || n, 8, event_at => '2024-05-02'::timestamptz + n * interval '3 days') from unnest(array['q', 'i']) p where n % 7 = 0;
    end loop;
    perform record_notices('i', array(select 'm' || n from generate_series(1, 24, 2) n), 'sms', window_days => 30, sent_at => '2024-06-20 12:00');
end
$$;
create function pg_temp.wrong(program text, as_of timestamptz, days int) returns text[]
language sql as $$
    select array(
        select format('%s at %s: %s, %s, %s, %s, not %s, %s, %s, %s', coalesce(m.member, a.member), as_of, m.balance, m.available, m.expiring, m.held_back, b.balance, b.available, b.expiring, b.held_back)
        from account a
        cross join lateral (
            select b.balance - b.lapsed as balance, b.available, expiring(wrong.program, a.member, as_of + days * interval '1 day', as_of) as expiring, b.held_back
            from balance(wrong.program, a.member, as_of) b
        ) b
        full join (select * from expiring_members(wrong.program, as_of + days * interval '1 day', as_of)) m on m.member = a.member
        where a.program_id = program_id(wrong.program) and (b.expiring > 0 or m.member is not null)
            and (m.balance, m.available, m.expiring, m.held_back) is distinct from (b.balance, b.available, b.expiring, b.held_back))
$$;
create function pg_temp.all_wrong() returns text[]
language sql as $$
    select array(select w from unnest(array['q', 'i']) p, generate_series('2024-01-01 12:00'::timestamptz, '2024-12-31', '17 days 5 hours') at,
        unnest(array[16, 30, 90]) days, unnest(pg_temp.wrong(p, at, days)) w)
$$;
select is(pg_temp.all_wrong(), '{}'::text[], 'each row is what balance() and expiring() say, throughout a year');
select cmp_ok((select sum(cardinality(pg_temp.listed(p, at, at + interval '30 days'))) from unnest(array['q', 'i']) p,
    generate_series('2024-01-01 12:00'::timestamptz, '2024-12-31', '17 days 5 hours') at), '>', 100::bigint, 'of not a few');
create temp table before as
select p, at, pg_temp.listed(p, at, at + interval '30 days') as listed
from unnest(array['q', 'i']) p, generate_series('2024-01-01 12:00'::timestamptz, '2024-12-31', '17 days 5 hours') at;
do $$
begin
    perform release_batch('q'), expire_batch('q'), expire_batch('i', '2024-08-01'), release_batch('i'), expire_batch('i');
end
$$;
select is(pg_temp.all_wrong(), '{}'::text[], 'after the jobs too');
select is((select count(*) from before where listed is distinct from pg_temp.listed(p, at, at + interval '30 days')), 0::bigint, 'and what it says is the same');
select is((select count(*) from before where listed is distinct from pg_temp.paged(p, at, at + interval '30 days', 3)), 0::bigint, 'page by page too');

-- The index of the jobs and a walk through all members find the same.
do $$
begin
    perform create_program('w', expiry => '30 days', auto_open => true);
    perform earn('w', 'm' || n, n, event_at => now() - n % 40 * interval '1 day' - interval '1 minute') from generate_series(1, 60) n;
    perform earn('w', 'm' || n, 2, event_at => now() - interval '20 days', expiry => '2 months inactive') from generate_series(1, 60, 7) n;
    perform redeem('w', 'm' || n, 1, event_at => now() - interval '2 minutes') from generate_series(1, 60, 9) n where n % 40 <> 0 and n % 40 < 30;
    perform hold('w', 'm2', 2, now() + interval '1 hour', event_at => now() - interval '2 hours');
    perform record_notice('w', 'm3', 'sms', window_days => 60);
end
$$;
select is(pg_temp.paged('w', at, now() + interval '50 days', 1), pg_temp.listed('w', at, now() + interval '50 days'),
    format('one by one at %s, through all members, as by the index', at - now()))
from unnest(array[now(), now() + interval '2 hours', now() + interval '10 days']) at;
select is(pg_temp.wrong('w', at, 50), '{}'::text[], 'as balance() and expiring() say') from unnest(array[now(), now() + interval '2 hours', now() + interval '10 days']) at;
select cmp_ok(cardinality(pg_temp.listed('w', now(), now() + interval '50 days')), '>', 40, 'they are many');
select is(array(select count(*) from unnest(array[interval '59 minutes', interval '1 hour']) later, unnest(pg_temp.listed('w', now() + later, now() + interval '50 days')) r
        where r like 'm2:%' group by later order by later), array[1]::bigint[], 'a hold that is overdue counts as released');

-- Who sleeps, and who never redeemed.
do $$
begin
    perform create_program('z', expiry => '1 year', auto_open => true);
    perform earn('z', member, 10, event_at => '2024-01-01') from unnest(array['active', 'asleep', 'captured', 'redeemed']) member;
    perform earn('z', 'active', 1, event_at => '2024-09-01', expiry => 'never');
    perform redeem('z', 'redeemed', 1, event_at => '2024-03-01');
    perform capture('z', 'captured', (hold('z', 'captured', 1, '2100-01-01', event_at => '2024-08-01')).seq, event_at => '2024-08-01');
end
$$;
select is(array(select member from expiring_members('z', '2025-02-01', '2024-12-01', inactive_since => '2024-06-01')), array['asleep', 'redeemed'], 'those who were not active since');
select is(array(select member from expiring_members('z', '2025-02-01', '2024-12-01', inactive_since => '2024-08-01')), array['asleep', 'redeemed'], 'active at that very instant is active');
select is(array(select member from expiring_members('z', '2025-02-01', '2024-12-01', never_redeemed => true)), array['active', 'asleep'], 'those who never redeemed, nor captured a hold');
select is(array(select member from expiring_members('z', '2025-02-01', '2024-07-01', never_redeemed => true)), array['active', 'asleep', 'captured'], 'by then');
select is(array(select member from due_notices('z', as_of => '2024-12-20', inactive_since => '2024-06-01', never_redeemed => true)), array['asleep'], 'both');
select is(array(select format('%s %s %s', member, last_activity_at::date, last_redeem_at::date) from expiring_members('z', '2025-02-01', '2024-08-15')),
    array['active 2024-01-01 ', 'asleep 2024-01-01 ', 'captured 2024-08-01 2024-08-01', 'redeemed 2024-03-01 2024-03-01'], 'with when they were and did');

select is(pg_temp.refused(statement), refusal, statement)
from (values
    ($$select * from expiring_members('nowhere', '2025-01-01')$$, 'JF002 unknown program "nowhere"'),
    ($$select * from expiring_members(null, '2025-01-01')$$, '22004 program must not be null'),
    ($$select * from expiring_members('s')$$, '22004 until must not be null where there is no window_days'),
    ($$select * from expiring_members('s', '2025-01-01', null)$$, '22004 an argument of expiring_members() must not be null'),
    ($$select * from expiring_members('s', '2025-01-01', 'infinity')$$, '22023 as_of must be finite'),
    ($$select * from expiring_members('s', '2025-01-01', max_members => null)$$, '22004 an argument of expiring_members() must not be null'),
    ($$select * from expiring_members('s', '2025-01-01', max_members => 0)$$, '22023 max_members must be at least 1'),
    ($$select * from expiring_members('s', '2025-01-01', never_redeemed => null)$$, '22004 an argument of expiring_members() must not be null'),
    ($$select * from expiring_members('s', window_days => 0)$$, '22023 invalid length of a window'),
    ($$select * from expiring_members('s', window_days => 3651)$$, '22023 invalid length of a window'),
    ($$select * from due_notices('nowhere')$$, 'JF002 unknown program "nowhere"'),
    ($$select * from due_notices('s', null)$$, '22004 windows must not be null'),
    ($$select * from due_notices('s', '{}')$$, '22023 invalid length of a window'),
    ($$select * from due_notices('s', '{7,7}')$$, '22023 invalid length of a window'),
    ($$select * from due_notices('s', '{7,null}')$$, '22023 invalid length of a window'),
    ($$select * from due_notices('s', '{7,0}')$$, '22023 invalid length of a window'),
    ($$select * from due_notices('s', as_of => null)$$, '22004 an argument of due_notices() must not be null'),
    ($$select * from due_notices('s', as_of => '-infinity')$$, '22023 as_of must be finite'),
    ($$select * from due_notices('s', max_members => -1)$$, '22023 max_members must be at least 1')) v (statement, refusal);

-- ---------- what was told ----------

select is(pg_temp.due('s', '2024-01-01 10:00'), array['Bob in 60: 7, 7 to tell', 'ann in 30: 15, 15 to tell', 'cat in 7: 1, 1 to tell', 'éva in 30: 3, 3 to tell'],
    'each in the innermost window, one notice for each');
select is(pg_temp.due('s', '2024-01-01 10:00', '{7}'), array['cat in 7: 1, 1 to tell'], 'windows of one''s own');
create temp table recorded as select * from record_notice('s', 'ann', 'email', window_days => 30, sent_at => '2024-01-01 10:00', message => 'Dear Ann');
select is((select row(account_id('s', 'ann') = r.account_id, r.notice_no, r.window_days, r.sent_at, r.counts_from, r.channel, r.points, r.first_expires_at, r.last_expires_at,
            r.message, r.after_seq, r.posted_at = now(), r.actor = session_user)::text from recorded r),
    '(t,1,30,"2024-01-01 10:00:00+00","2024-01-01 10:00:00+00",email,15,"2024-01-22 00:00:00+00","2024-01-31 00:00:00+00","Dear Ann",3,t,t)', 'what was recorded');
select is(pg_temp.notices('s', 'ann'), array['1 in 30 by email at 2024-01-01: 15, 2024-01-22 to 2024-01-31; 10 of lot 1, 5 of lot 2'], 'lot by lot');
select is(pg_temp.due('s', '2024-01-01 10:00'), array['Bob in 60: 7, 7 to tell', 'cat in 7: 1, 1 to tell', 'éva in 30: 3, 3 to tell'], 'who was told is not listed again, for a wider window neither');
select is((select count(*) from record_notice('s', 'ann', 'sms', window_days => 30, sent_at => '2024-01-02')), 0::bigint, 'nor recorded again');
select is((select count(*) from record_notice('s', 'ann', 'sms', window_days => 60, sent_at => '2024-01-02')), 0::bigint, 'nor in a wider window');
select is((select count(*) from record_notice('s', 'dan', 'sms', window_days => 60, sent_at => '2024-01-02')), 0::bigint, 'nor where there is nothing to tell');
select is((select count(*) from record_notice('s', 'none', 'sms', window_days => 60, sent_at => '2024-01-02')), 0::bigint, 'and nothing there');
select is((pg_temp.due('s', '2024-01-01 09:00'))[2], 'ann in 30: 15, 15 to tell', 'before the notice it was due');
select is((pg_temp.listed('s', '2024-01-01 10:00', '2024-03-01'))[2], 'ann: 15 of 115, 0 to tell, 2024-01-22 00:00 to 2024-01-31 00:00, 2 lots', 'without a window the told are listed, with nothing to tell');
select is((pg_temp.due('s', '2024-01-15 10:00'))[2], 'ann in 7: 10, 10 to tell', 'a week before, the next notice is due');
do $$
begin
    perform earn('s', 'ann', 4, event_at => '2024-01-02', expiry => '22 days');
end
$$;
select is((pg_temp.due('s', '2024-01-02 10:00'))[2], 'ann in 30: 19, 4 to tell', 'of a new lot the member is told, and of the whole');
select is((select points from record_notice('s', 'ann', 'sms', window_days => 30, sent_at => '2024-01-02 11:00')), 4::point_amount, 'which is recorded for the new lot');
select is((select count(*) from due_notices('s', as_of => '2024-01-02 11:00') where member = 'ann'), 0::bigint, 'once');
select is((select array_agg(n.points::bigint order by n.points) from record_notices('s', array['cat', 'éva', 'Bob', 'ann', 'cat', 'dan'], 'sms', window_days => 60, sent_at => '2024-01-02 12:00',
        messages => array['to cat', 'to eva', null, 'to ann', 'to cat again', 'to dan']) n),
    array[1, 3, 7]::bigint[], 'a whole page');
select is(array(select a.member || ' ' || n.notice_no || coalesce(' ' || n.message, '') from notice n join account a using (account_id) where n.channel = 'sms' and n.window_days = 60 and a.program_id = program_id('s')
        order by 1), array['Bob 1', 'cat 1 to cat', 'éva 1 to eva'], 'each with what was said');
select is(pg_temp.due('s', '2024-01-02 12:00'), array['cat in 7: 1, 1 to tell', 'éva in 30: 3, 3 to tell'], 'a narrower window comes after a wider one');
-- until instead of the window's end
select is((select row(window_days, points)::text from record_notice('s', 'dan', 'letter', '2024-12-31', 365, '2024-01-03')), '(365,50)', 'by an instant of one''s own');
select is(pg_temp.due('s', '2024-01-03'), (pg_temp.due('s', '2024-01-02 12:00')), 'told in a window that is wider than all');

-- Late: what was held then, whatever has become of it.
do $$
begin
    perform create_program('l', expiry => '10 days', auto_open => true);
    perform earn('l', member, 20, event_at => '2024-01-01'), redeem('l', member, 8, event_at => '2024-01-05'), earn('l', member, 100, event_at => '2024-01-06')
    from unnest(array['ann', 'bob']) member;
    perform expire_batch('l');
end
$$;
select is(pg_temp.due('l', '2024-01-05 12:00'), array['ann in 7: 12, 12 to tell', 'bob in 7: 12, 12 to tell'], 'in the past');
select is((select points from record_notice('l', 'ann', 'sms', window_days => 7, sent_at => '2024-01-04')), 20::point_amount, 'recorded later, it is of what was there when it was sent');
select is(pg_temp.due('l', '2024-01-05 12:00'), array['bob in 7: 12, 12 to tell'], 'who was told has been told');
select is((select count(*) from record_notice('l', 'ann', 'sms', window_days => 7, sent_at => '2024-01-03')), 0::bigint, 'an earlier one for the same window is the same');
select is((select count(*) from record_notice('l', 'bob', 'sms', window_days => 7)), 0::bigint, 'what has lapsed is not told of');

select is(pg_temp.refused(statement), refusal, statement)
from (values
    ($$select * from record_notice('s', 'ann', 'sms', window_days => 7, sent_at => now() + interval '1 microsecond')$$, '22023 sent_at is in the future'),
    ($$select * from record_notice('s', 'ann', 'sms', window_days => 7, sent_at => '-infinity')$$, '22023 sent_at must be finite'),
    ($$select * from record_notice('s', 'ann', 'sms', window_days => 7, sent_at => null)$$, '22004 an argument of record_notices() must not be null'),
    ($$select * from record_notice('s', 'ann', 'sms')$$, '22004 an argument of record_notices() must not be null'),
    ($$select * from record_notice('s', 'ann', 'sms', '2100-01-01')$$, '22004 an argument of record_notices() must not be null'),
    ($$select * from record_notice('s', 'ann', null, window_days => 7)$$, '22004 an argument of record_notices() must not be null'),
    ($$select * from record_notice('s', null, 'sms', window_days => 7)$$, '22004 an argument of record_notices() must not be null'),
    ($$select * from record_notice(null, 'ann', 'sms', window_days => 7)$$, '22004 program must not be null'),
    ($$select * from record_notice('nowhere', 'ann', 'sms', window_days => 7)$$, 'JF002 unknown program "nowhere"'),
    ($$select * from record_notice('s', 'nobody', 'sms', window_days => 7)$$, 'JF003 unknown member "nobody"'),
    ($$select * from record_notice('s', 'ann', '', window_days => 7)$$, '22023 channel must not be empty'),
    ($$select * from record_notice('s', 'ann', repeat('x', 257), window_days => 7)$$, '22023 channel is too long'),
    ($$select * from record_notice('s', 'ann', 'sms', window_days => 0)$$, '22023 invalid length of a window'),
    ($$select * from record_notices('s', null, 'sms', window_days => 7)$$, '22004 an argument of record_notices() must not be null'),
    ($$select * from record_notices('s', array['ann', null], 'sms', window_days => 7)$$, '22004 an argument of record_notices() must not be null'),
    ($$select * from record_notices('s', array['ann', 'nobody'], 'sms', window_days => 7)$$, 'JF003 unknown member "nobody"'),
    ($$select * from record_notices('s', array['ann'], 'sms', window_days => 7, messages => '{a,b}')$$, '22023 messages are not as many as members')) v (statement, refusal);
select is((select count(*) from record_notices('s', '{}', 'sms', window_days => 7)), 0::bigint, 'nobody is told nothing');

-- Who told
create role jifen_test_herald;
grant usage on schema jifen to jifen_test_herald;
grant execute on function record_notice to jifen_test_herald;
set local role jifen_test_herald;
do $$begin perform jifen.record_notice('s', 'cat', 'sms', window_days => 7, sent_at => '2024-01-03'); end$$;
reset role;
select is((select actor from notice where account_id = account_id('s', 'cat') and notice_no = 2), 'jifen_test_herald', 'the role is on record');

-- ---------- points that wait for a notice ----------

create function pg_temp.stands(program text, member text, as_of timestamptz) returns text
language sql as $$
    select format('%s available, %s held back, %s lapsed, next %s', b.available, b.held_back, b.lapsed, to_char(b.next_expires_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'))
    from balance(stands.program, stands.member, stands.as_of) b
$$;
do $$
begin
    perform create_program('h', time_zone => 'Asia/Shanghai', expiry => '1 month', auto_open => true, notice_days => 10);
    perform earn('h', member, 50, event_at => '2024-01-31 08:00+08') from unnest(array['told', 'untold', 'late', 'spent']) member;
end
$$;
select is(pg_temp.stands('h', 'told', '2024-02-10 12:00+08'), '50 available, 0 held back, 0 lapsed, next 2024-02-29 16:00', 'before their date');
select is(pg_temp.stands('h', 'told', '2024-03-10 12:00+08'), '50 available, 50 held back, 0 lapsed, next 2024-03-20 16:00', 'past it they are held back, and spendable');
select is(pg_temp.due('h', '2024-02-10 12:00+08'), array['late in 30: 50, 50 to tell', 'spent in 30: 50, 50 to tell', 'told in 30: 50, 50 to tell', 'untold in 30: 50, 50 to tell'], 'all are to be told');
select is((pg_temp.due('h', '2024-02-25 12:00+08'))[1], 'late in 30: 50, 50 to tell', 'a notice of ten days is too late for the window of seven');
select is((pg_temp.due('h', '2024-03-10 12:00+08'))[1], 'late in 30: 50, 50 to tell', 'it stays due past their date');
select is((pg_temp.due('h', '2024-03-10 12:00+08', '{7}'))[1], 'late in 7: 50, 50 to tell', 'whatever windows there are');
select is((select row(expiring, held_back, first_expires_at)::text from expiring_members('h', window_days => 7, as_of => '2024-03-10 12:00+08') where member = 'told'),
    '(50,50,"2024-03-20 16:00:00+00")', 'with when they would lapse');
select is((select row(points, first_expires_at, last_expires_at)::text from record_notice('h', 'told', 'sms', window_days => 30, sent_at => '2024-02-25 12:00+08')),
    '(50,"2024-03-06 16:00:00+00","2024-03-06 16:00:00+00")', 'told five days before, they lapse ten full days after it');
select is((select due_at from account where account_id = account_id('h', 'told')), '2024-03-06 16:00+00'::timestamptz, 'the job knows when');
select is(pg_temp.stands('h', 'told', '2024-03-06 23:59:59.999999+08'), '50 available, 50 held back, 0 lapsed, next 2024-03-06 16:00', 'spendable to the end of that day');
select is(pg_temp.stands('h', 'told', '2024-03-07 00:00+08'), '0 available, 0 held back, 50 lapsed, next ', 'and not after it');
select is(pg_temp.stands('h', 'told', '2024-02-20 12:00+08'), '50 available, 0 held back, 0 lapsed, next 2024-03-01 16:00', 'before the notice it is as it was');
do $$
begin
    perform redeem('h', 'spent', 20, event_at => '2024-03-05 12:00+08'), expire_batch('h', '2024-03-05'), expire_batch('h');
end
$$;
select is(pg_temp.entries_at('h', 'told'), array['1 earn 50 = 50 at 2024-01-31 00:00', '2 expire -50 = 0 at 2024-03-06 16:00'], 'a late job books it at that instant');
select is(pg_temp.entries_at('h', 'untold'), array['1 earn 50 = 50 at 2024-01-31 00:00'], 'without a notice nothing lapses');
select is(pg_temp.due('h', '2024-03-06 12:00+08'), array['late in 30: 50, 50 to tell', 'spent in 30: 30, 30 to tell', 'told in 7: 50, 50 to tell', 'untold in 30: 50, 50 to tell'], 'the told is reminded in the last week');
select is((select row(counts_from, first_expires_at)::text from record_notice('h', 'spent', 'sms', window_days => 30, sent_at => '2024-02-25 12:00+08')),
    '("2024-03-05 04:00:00+00","2024-03-15 16:00:00+00")', 'a notice that is recorded late counts from what the member did meanwhile');
select is((select row(points, first_expires_at)::text from record_notice('h', 'late', 'sms', window_days => 30, sent_at => '2024-02-01 12:00+08')),
    '(50,"2024-02-29 16:00:00+00")', 'long before, they lapse at their date');
do $$
begin
    perform expire_batch('h');
end
$$;
select is(pg_temp.entries_at('h', 'spent', 2), array['2 redeem -20 = 30 at 2024-03-05 04:00', '3 expire -30 = 0 at 2024-03-15 16:00'], 'what was spent stays spent');
select is(pg_temp.entries_at('h', 'late', 2), array['2 expire -50 = 0 at 2024-02-29 16:00'], 'booked where it belongs');
select is(pg_temp.stands('h', 'untold', now()), format('50 available, 50 held back, 0 lapsed, next %s', to_char(expires_at('10 days', now(), 'Asia/Shanghai') at time zone 'UTC', 'YYYY-MM-DD HH24:MI')), 'the untold keeps all');
select is((select first_expires_at from record_notice('h', 'untold', 'sms', window_days => 7)), expires_at('10 days', now(), 'Asia/Shanghai'), 'until it is told');

-- By inactivity: what the member does makes the notice void, and another one is due.
do $$
begin
    perform create_program('v', time_zone => 'UTC', expiry => '12 months inactive', auto_open => true, notice_days => 10);
    perform earn('v', member, 40, event_at => '2024-01-10') from unnest(array['wakes', 'sleeps']) member;
end
$$;
select is((select array_agg(first_expires_at) from record_notices('v', array['wakes', 'sleeps'], 'sms', window_days => 30, sent_at => '2025-01-02')),
    array['2025-01-13', '2025-01-13']::timestamptz[], 'both are told');
do $$
begin
    perform redeem('v', 'wakes', 1, event_at => '2025-01-12 23:59');
end
$$;
select is(pg_temp.stands('v', 'wakes', '2025-01-13'), '39 available, 0 held back, 0 lapsed, next 2026-01-13 00:00', 'who wakes keeps the points');
select is(pg_temp.stands('v', 'sleeps', '2025-01-13'), '0 available, 0 held back, 40 lapsed, next ', 'who sleeps loses them');
select is(pg_temp.due('v', '2025-12-20'), array['wakes in 30: 39, 39 to tell'], 'a year on, another notice is due');
select is((select points from record_notice('v', 'wakes', 'sms', window_days => 30, sent_at => '2025-12-20')), 39::point_amount, 'and recorded');
do $$
begin
    perform expire_batch('v');
end
$$;
select is(pg_temp.entries_at('v', 'wakes'), array['1 earn 40 = 40 at 2024-01-10 00:00', '2 redeem -1 = 39 at 2025-01-12 23:59', '3 expire -39 = 0 at 2026-01-13 00:00'], 'then they lapse');
select is(pg_temp.entries_at('v', 'sleeps', 2), array['2 expire -40 = 0 at 2025-01-13 00:00'], 'as they did a year before');
select is(pg_temp.due('v', '2025-01-01'), array['sleeps in 30: 40, 40 to tell', 'wakes in 30: 40, 40 to tell'], 'and in the past all is as it was');

select is(pg_temp.breaches(), '{}'::text[], 'all is sound');
select is(pg_temp.unsound(), '{}'::text[], 'by a simpler count too');

-- ---------- what was told stays as it was recorded ----------

select is(pg_temp.refused(statement), '42501 ' || message, statement)
from (values
    ('update notice set message = null', 'UPDATE of jifen.notice is refused'),
    ('update notice set points = 1', 'UPDATE of jifen.notice is refused'),
    ('delete from notice where false', 'DELETE of jifen.notice is refused'),
    ('truncate notice', 'TRUNCATE of jifen.notice is refused'),
    ('update notice_lot set points = 1', 'UPDATE of jifen.notice_lot is refused'),
    ('delete from notice_lot', 'DELETE of jifen.notice_lot is refused'),
    ('truncate notice_lot', 'TRUNCATE of jifen.notice_lot is refused')) v (statement, message);
create temp table forgotten as select * from forget_member('s', 'ann', 'request 17');
select is((select array_agg(n.message) from notice n join forgotten f using (account_id)), array[null, null]::text[], 'forgetting erases what was said');
select is((select array_agg(n.points::bigint order by notice_no) from notice n join forgotten f using (account_id)), array[15, 4]::bigint[], 'and nothing else');
select is((select count(*) from notice n join account a using (account_id) where a.member = 'cat' and n.message is not null), 1::bigint, 'nor of others');
select is(pg_temp.refused('update notice set message = null'), '42501 UPDATE of jifen.notice is refused', 'the guard is back');
select is((select count(*) from record_notice('s', (select member from forgotten), 'sms', window_days => 30, sent_at => '2024-01-03')), 0::bigint, 'the forgotten have been told all the same');

-- ---------- tampering, each time with another account ----------

do $$
begin
    perform create_program('t', expiry => '30 days', auto_open => true);
    perform earn('t', 't' || n, 10, event_at => '2024-01-01'), earn('t', 't' || n, 20, event_at => '2024-01-02') from generate_series(1, 16) n;
    perform record_notice('t', 't' || n, 'sms', window_days => 30, sent_at => '2024-01-03'),
        record_notice('t', 't' || n, 'sms', window_days => 7, sent_at => '2024-01-28') from generate_series(1, 16) n;
end
$$;
alter table notice disable trigger refuse_change;
alter table notice_lot disable trigger refuse_change;
alter table notice_lot drop constraint notice_lot_pkey;
create function pg_temp.id(n int) returns bigint
language sql as $$ select account_id('t', 't' || n) $$;
update notice set notice_no = 3 where account_id = pg_temp.id(1) and notice_no = 2;
update notice_lot set notice_no = 3 where account_id = pg_temp.id(1) and notice_no = 2;
update notice set program_id = 0 where account_id = pg_temp.id(2) and notice_no = 1;
update notice set sent_at = '2100-01-01', counts_from = '2100-01-01' where account_id = pg_temp.id(3) and notice_no = 1;
update notice set after_seq = 3 where account_id = pg_temp.id(4) and notice_no = 1;
update notice set points = 29 where account_id = pg_temp.id(5) and notice_no = 1;
update notice set last_expires_at = '2024-02-03' where account_id = pg_temp.id(6) and notice_no = 1;
delete from notice where account_id = pg_temp.id(7) and notice_no = 2;
update notice_lot set window_days = 8 where account_id = pg_temp.id(8) and notice_no = 2 and lot_seq = 1;
update notice_lot set lot_seq = 3 where account_id = pg_temp.id(9) and notice_no = 2 and lot_seq = 1;
update notice_lot set points = 11 where account_id = pg_temp.id(10) and notice_no = 1 and lot_seq = 1;
update notice set points = 31 where account_id = pg_temp.id(10) and notice_no = 1;
update notice_lot set expires_at = '2024-02-01 12:00' where account_id = pg_temp.id(11) and notice_no = 1 and lot_seq = 1;
update notice set first_expires_at = '2024-02-01 12:00' where account_id = pg_temp.id(11) and notice_no = 1;
insert into notice_lot select account_id, lot_seq, expires_at, window_days, notice_no, points from notice_lot where account_id = pg_temp.id(12) and notice_no = 1 and lot_seq = 1;
update notice set points = 40 where account_id = pg_temp.id(12) and notice_no = 1;
update notice set after_seq = 1 where account_id = pg_temp.id(13) and notice_no = 1;
update notice set counts_from = '2024-01-01' where account_id = pg_temp.id(14) and notice_no = 1;
insert into notice select -1, notice_no, program_id, window_days, sent_at, counts_from, channel, points, first_expires_at, last_expires_at, message, after_seq, posted_at, actor
from notice where account_id = pg_temp.id(15) and notice_no = 1;
insert into notice_lot select -1, lot_seq, expires_at, window_days, notice_no, points from notice_lot where account_id = pg_temp.id(15) and notice_no = 1 and lot_seq = 1;
insert into notice_template values (-1, 'en', 1, 'x');
alter table notice enable always trigger refuse_change;
alter table notice_lot enable always trigger refuse_change;
select is(array(select concat_ws(': ', b.member, b.seq, b.invariant, b.expected, b.found) from reconcile('t') b order by length(b.member), b.member, b.seq, b.invariant), array[
    't1: notices are numbered without gaps: notice 2: notice 3',
    't2: a notice is of its account''s program: ' || format('notice 1: %s: 0', program_id('t')),
    't3: a notice was sent before it was recorded, and counts from then on: ' || format('notice 1: sent_at <= %s, 2100-01-01 00:00:00+00: 2100-01-01 00:00:00+00', now()),
    't4: 2: notices come in the order of the entries: notice 2: 3 to 2: 2',
    't4: 3: notices come in the order of the entries: notice 1: 3 to 2: 3',
    't5: a notice''s points are those of its lots: notice 1: 30: 29',
    't6: a notice tells when its points are to lapse: notice 1: 2024-02-01 00:00:00+00 to 2024-02-02 00:00:00+00: 2024-02-01 00:00:00+00 to 2024-02-03 00:00:00+00',
    't7: 1: a lot that was told of has its notice: notice 2 of 7 days: none',
    't7: 2: a lot that was told of has its notice: notice 2 of 7 days: none',
    't8: 1: a lot that was told of has its notice: notice 2 of 8 days: of 7 days',
    't9: 3: a lot that was told of is a credit of then: a credit: notice 2: none',
    't10: 1: no more is told of a lot than its credit was: notice 1: at most 10: 11',
    't11: 1: a lot is told of by its clock: 2024-02-01 00:00:00+00: notice 1: 2024-02-01 12:00:00+00',
    't12: 1: a lot is told of once in a window: once for 2024-02-01 00:00:00+00 in 30 days: 2 times',
    't13: 2: a lot that was told of is a credit of then: a credit: notice 1: after entry 1',
    't14: a notice was sent before it was recorded, and counts from then on: ' || format('notice 1: sent_at <= %s, 2024-01-01 00:00:00+00: 2024-01-03 00:00:00+00', now())],
    'reconcile() finds what was tampered with');
select is(array(select concat_ws(': ', b.account_id, b.seq, b.invariant, b.expected, b.found) from reconcile() b where b.program is null order by b.invariant, b.found), array[
    '-1: 1: every row has its account: an account: a lot of a notice',
    '-1: every row has its account: an account: a notice',
    'every template has its program: a program: language en'], 'rows of nobody');
select is(array(select b.invariant from reconcile('t', 't5') b), array['a notice''s points are those of its lots'], 'of one member');
select is((select count(*) from reconcile('t', 't16')), 0::bigint, 'and nothing where nothing is amiss');
select is((select count(*) from reconcile('h')), 0::bigint, 'nor in another program');

select * from finish();
rollback;
