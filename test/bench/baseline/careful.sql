-- What a careful developer would write instead of jifen, as well as it can be written in PL/pgSQL: a balance row for each
-- member, lots spent soonest to lapse first, a journal with the balance after each entry, allocations, idempotency keys,
-- holds, expiry in batches. One program, whose points lapse at the end of the month twelve months on, in Shanghai.
--
-- Each function first locks the member's row, by the UPDATE that it needs anyway; so lots need no lock of their own, and
-- the statement that reads them has a fresh snapshot. As in jifen there are no foreign keys: the functions alone write.
create schema careful;

create table careful.member (
    member_id bigint generated always as identity primary key,
    balance bigint not null default 0,
    held bigint not null default 0,
    code text collate "C" not null unique,
    check (balance >= held and held >= 0)
) with (fillfactor = 80);

create table careful.journal (
    journal_id bigint generated always as identity primary key,
    member_id bigint not null,
    points bigint not null,
    balance bigint not null,
    created_at timestamptz not null default now(),
    kind text collate "C" not null,
    reference text,
    idempotency_key text collate "C"
);
create index on careful.journal (member_id, created_at);
create unique index on careful.journal (idempotency_key) where idempotency_key is not null;

-- A lot that is used up stays, and leaves the indexes: open changes once, so that other updates stay in their page.
create table careful.lot (
    lot_id bigint generated always as identity primary key,
    member_id bigint not null,
    journal_id bigint not null,
    points bigint not null,
    remaining bigint not null,
    expires_at timestamptz not null,
    open boolean not null default true,
    check (remaining >= 0 and open = (remaining > 0))
) with (fillfactor = 90);
create index on careful.lot (member_id, expires_at, lot_id) where open;
create index on careful.lot (expires_at, member_id) where open;

create table careful.allocation (
    journal_id bigint not null,
    lot_id bigint not null,
    points bigint not null,
    primary key (journal_id, lot_id)
);

create table careful.hold (
    hold_id bigint primary key,
    member_id bigint not null,
    points bigint not null,
    until timestamptz not null
);
create index on careful.hold (until);

-- The entry of a request that was made before; null if there was none. Another request with its key is an error.
create function careful.repeated(p_member text, p_kind text, p_points bigint, p_key text) returns bigint
language plpgsql stable as $$
declare
    v_first record;
begin
    select j.journal_id, j.kind, j.points, m.code into v_first
    from careful.journal j join careful.member m using (member_id) where j.idempotency_key = p_key;
    if not found then
        return null;
    end if;
    if (v_first.code, v_first.kind, v_first.points) is distinct from (p_member, p_kind, p_points) then
        raise exception 'key "%" was used for another request', p_key;
    end if;
    return v_first.journal_id;
end $$;

-- Takes the points out of the member's lots, soonest to lapse first, and returns how many lots those were. The member is
-- locked. Called in an assignment, which costs less than PERFORM.
create function careful.take(p_member_id bigint, p_points bigint, p_journal_id bigint) returns integer
language plpgsql as $$
declare
    v_left bigint := p_points;
    v_lot record;
    v_lots bigint[];
    v_taken bigint[];
begin
    for v_lot in
        select lot_id, remaining from careful.lot
        where member_id = p_member_id and open and expires_at > now()
        order by expires_at, lot_id
    loop
        v_lots := v_lots || v_lot.lot_id;
        v_taken := v_taken || least(v_lot.remaining, v_left);
        v_left := v_left - v_lot.remaining;
        exit when v_left <= 0;
    end loop;
    if v_left > 0 then
        raise exception 'insufficient points: % are missing', v_left;
    end if;
    with taken as (
        update careful.lot l
        set remaining = l.remaining - t.points, open = l.remaining > t.points
        from unnest(v_lots, v_taken) t (lot_id, points)
        where l.lot_id = t.lot_id
        returning l.lot_id, t.points
    )
    insert into careful.allocation (journal_id, lot_id, points)
    select p_journal_id, lot_id, points from taken;
    return cardinality(v_lots);
end $$;

create function careful.earn(p_member text, p_points bigint, p_reference text, p_key text) returns bigint
language plpgsql as $$
declare
    v_member_id bigint;
    v_balance bigint;
    v_journal_id bigint;
begin
    update careful.member set balance = balance + p_points where code = p_member
    returning member_id, balance into v_member_id, v_balance;
    if not found then
        raise exception 'no member "%"', p_member;
    end if;
    insert into careful.journal (member_id, kind, points, balance, reference, idempotency_key)
    values (v_member_id, 'earn', p_points, v_balance, p_reference, p_key)
    on conflict (idempotency_key) where idempotency_key is not null do nothing
    returning journal_id into v_journal_id;
    if not found then
        update careful.member set balance = balance - p_points where member_id = v_member_id;
        return careful.repeated(p_member, 'earn', p_points, p_key);
    end if;
    insert into careful.lot (member_id, journal_id, points, remaining, expires_at)
    values (v_member_id, v_journal_id, p_points, p_points,
        (date_trunc('month', now() at time zone 'Asia/Shanghai' + interval '12 months') + interval '1 month') at time zone 'Asia/Shanghai');
    return v_journal_id;
end $$;

create function careful.redeem(p_member text, p_points bigint, p_reference text, p_key text) returns bigint
language plpgsql as $$
declare
    v_member_id bigint;
    v_balance bigint;
    v_journal_id bigint;
    v_lots integer;
begin
    update careful.member set balance = balance - p_points where code = p_member and balance - held >= p_points
    returning member_id, balance into v_member_id, v_balance;
    if not found then
        v_journal_id := careful.repeated(p_member, 'redeem', -p_points, p_key);
        if v_journal_id is null then
            raise exception 'no member "%", or insufficient points', p_member;
        end if;
        return v_journal_id;
    end if;
    insert into careful.journal (member_id, kind, points, balance, reference, idempotency_key)
    values (v_member_id, 'redeem', -p_points, v_balance, p_reference, p_key)
    on conflict (idempotency_key) where idempotency_key is not null do nothing
    returning journal_id into v_journal_id;
    if not found then
        update careful.member set balance = balance + p_points where member_id = v_member_id;
        return careful.repeated(p_member, 'redeem', -p_points, p_key);
    end if;
    v_lots := careful.take(v_member_id, p_points, v_journal_id);
    return v_journal_id;
end $$;

-- The points leave their lots and are held; the balance stays.
create function careful.hold(p_member text, p_points bigint, p_until timestamptz, p_reference text, p_key text) returns bigint
language plpgsql as $$
declare
    v_member_id bigint;
    v_balance bigint;
    v_journal_id bigint;
    v_lots integer;
begin
    update careful.member set held = held + p_points where code = p_member and balance - held >= p_points
    returning member_id, balance into v_member_id, v_balance;
    if not found then
        v_journal_id := careful.repeated(p_member, 'hold', 0, p_key);
        if v_journal_id is null then
            raise exception 'no member "%", or insufficient points', p_member;
        end if;
        return v_journal_id;
    end if;
    insert into careful.journal (member_id, kind, points, balance, reference, idempotency_key)
    values (v_member_id, 'hold', 0, v_balance, p_reference, p_key)
    on conflict (idempotency_key) where idempotency_key is not null do nothing
    returning journal_id into v_journal_id;
    if not found then
        update careful.member set held = held - p_points where member_id = v_member_id;
        return careful.repeated(p_member, 'hold', 0, p_key);
    end if;
    insert into careful.hold (hold_id, member_id, points, until) values (v_journal_id, v_member_id, p_points, p_until);
    v_lots := careful.take(v_member_id, p_points, v_journal_id);
    return v_journal_id;
end $$;

create function careful.capture(p_hold_id bigint, p_reference text) returns bigint
language plpgsql as $$
declare
    v_member_id bigint;
    v_points bigint;
    v_balance bigint;
    v_journal_id bigint;
begin
    delete from careful.hold where hold_id = p_hold_id returning member_id, points into v_member_id, v_points;
    if not found then
        raise exception 'no hold %', p_hold_id;
    end if;
    update careful.member set balance = balance - v_points, held = held - v_points where member_id = v_member_id
    returning balance into v_balance;
    insert into careful.journal (member_id, kind, points, balance, reference)
    values (v_member_id, 'capture', -v_points, v_balance, p_reference)
    returning journal_id into v_journal_id;
    return v_journal_id;
end $$;

-- Books the expiry of the lots of at most so many lots' members; returns how many lots it was.
create function careful.expire_batch(p_limit integer) returns bigint
language plpgsql as $$
declare
    v_members bigint[];
    v_lots bigint;
begin
    select array_agg(member_id) into v_members
    from (
        select member_id from careful.member
        where member_id = any (array(
            select member_id from careful.lot where open and expires_at <= now() order by expires_at, member_id limit p_limit))
        order by member_id
        for no key update skip locked
    ) m;
    with due as materialized (
        select lot_id, member_id, remaining from careful.lot
        where member_id = any (v_members) and open and expires_at <= now()
    ), emptied as (
        update careful.lot l set remaining = 0, open = false from due where l.lot_id = due.lot_id
    ), changed as (
        update careful.member m set balance = m.balance - d.points
        from (select member_id, sum(remaining)::bigint as points from due group by member_id) d
        where m.member_id = d.member_id
        returning m.member_id, m.balance, d.points
    ), posted as (
        insert into careful.journal (member_id, kind, points, balance)
        select member_id, 'expire', -points, balance from changed
        returning journal_id, member_id
    ), allocated as (
        insert into careful.allocation (journal_id, lot_id, points)
        select p.journal_id, d.lot_id, d.remaining from posted p join due d using (member_id)
    )
    select count(*) into v_lots from due;
    return v_lots;
end $$;

create procedure careful.run_expiry(p_limit integer)
language plpgsql as $$
begin
    while careful.expire_batch(p_limit) > 0 loop
        commit;
    end loop;
end $$;

-- What does not add up: no rows where all is well.
create view careful.breach as
select m.code, m.balance, m.held, l.remaining, j.points
from careful.member m
left join (select member_id, sum(remaining) as remaining from careful.lot group by 1) l using (member_id)
left join (select member_id, sum(points) as points from careful.journal group by 1) j using (member_id)
where m.balance <> coalesce(l.remaining, 0) + m.held or m.balance <> coalesce(j.points, 0)
union all
select 'lot ' || l.lot_id, l.points, null, l.remaining, sum(a.points)
from careful.lot l left join careful.allocation a using (lot_id)
group by l.lot_id having l.points - l.remaining <> coalesce(sum(a.points), 0);
