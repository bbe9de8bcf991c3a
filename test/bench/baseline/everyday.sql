-- What is written most often: a balance column and a log table whose unique key stops repeated requests. No lots, so no
-- expiry.
create schema everyday;

create table everyday.member (
    code text collate "C" primary key,
    balance bigint not null default 0 check (balance >= 0)
) with (fillfactor = 80);

create table everyday.log (
    log_id bigint generated always as identity primary key,
    member text collate "C" not null,
    points bigint not null,
    created_at timestamptz not null default now(),
    reference text,
    idempotency_key text collate "C"
);
create index on everyday.log (member, created_at);
create unique index on everyday.log (idempotency_key) where idempotency_key is not null;

-- p_points: signed.
create function everyday.post(p_member text, p_points bigint, p_reference text, p_key text) returns bigint
language plpgsql as $$
declare
    v_balance bigint;
begin
    insert into everyday.log (member, points, reference, idempotency_key) values (p_member, p_points, p_reference, p_key)
    on conflict (idempotency_key) where idempotency_key is not null do nothing;
    if not found then
        return (select balance from everyday.member where code = p_member);
    end if;
    update everyday.member set balance = balance + p_points where code = p_member returning balance into v_balance;
    if not found then
        raise exception 'no member "%"', p_member;
    end if;
    return v_balance;
end $$;

create view everyday.breach as
select m.code, m.balance, l.points
from everyday.member m left join (select member, sum(points) as points from everyday.log group by 1) l on l.member = m.code
where m.balance <> coalesce(l.points, 0);
