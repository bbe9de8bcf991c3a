-- reinstate: points that have lapsed are given back.

-- A plan made while the journal was small must not read all of it for good.
create function reinstate(
    program text,
    member text,
    reason text,
    amount point_amount default null,
    lapsed_since timestamptz default null,
    lapsed_until timestamptz default null,
    expiry expiry_policy default null,
    event_at timestamptz default null,
    details jsonb default null,
    idempotency_key text default null
) returns setof entry
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_variable
declare
    own_account bigint;
    missing numeric := amount;
    lapsed record;
    first jifen.entry;
    line jifen.entry;
    n integer := 0;
begin
    perform jifen.require_writable('reinstate()');
    perform jifen.require_reason(reason, 'State why the points are given back.');
    perform jifen.require_range(lapsed_since, lapsed_until, 'lapsed_since and lapsed_until');
    if amount <= 0 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'amount must be more than zero',
            detail = format('It is %s.', amount),
            hint = 'Leave it out for all that has lapsed.';
    end if;
    own_account := jifen.lock_account(program, member);
    -- Its entries have the key, the key and #2, and so on.
    loop
        n := n + 1;
        select e.* into line from jifen.entry e
        where e.account_id = own_account
            and hashtextextended(e.idempotency_key, 0) = hashtextextended(idempotency_key || case n when 1 then '' else ' #' || n end, 0)
            and e.idempotency_key = idempotency_key || case n when 1 then '' else ' #' || n end;
        exit when not found;
        first := case n when 1 then line else first end;
        missing := missing - line.amount::bigint;
        return next line;
    end loop;
    if n > 1 then
        if first.kind <> 'reinstate' or first.reason is distinct from reason or first.details is distinct from details or missing <> 0 then
            raise exception using errcode = 'JF005',
                message = 'idempotency key reused for another request',
                detail = format('Key "%s" of account "%s" of program "%s" is of entry %s, whose request differs.',
                    idempotency_key, member, program, first.seq),
                hint = 'Repeat the request as it was, or use another key for another one.';
        end if;
        return;
    end if;
    n := 0;
    perform jifen.expire_member(program, member);
    -- What lapsed last is given back first.
    for lapsed in
        select e.seq, -e.amount::numeric - coalesce(u.amount, 0) as points
        from jifen.entry e
        left join lateral (
            select sum(r.amount::numeric) as amount from jifen.entry r
            where r.account_id = e.account_id and r.reverses_seq = e.seq offset 0
        ) u on true
        where e.account_id = own_account and e.kind = 'expire'
            and (lapsed_since is null or e.event_at >= lapsed_since)
            and (lapsed_until is null or e.event_at < lapsed_until)
            and (event_at is null or e.event_at <= event_at)
            and -e.amount::numeric > coalesce(u.amount, 0)
        order by e.event_at desc, e.seq desc
    loop
        exit when missing = 0;
        n := n + 1;
        return next jifen.reverse(program, member, lapsed.seq, least(missing, lapsed.points)::jifen.point_amount,
            reason => reason, event_at => event_at, details => details, expiry => expiry,
            idempotency_key => idempotency_key || case n when 1 then '' else ' #' || n end);
        missing := missing - least(missing, lapsed.points);
    end loop;
    if missing > 0 then
        raise exception using errcode = 'JF006',
            message = 'more reinstated than has lapsed',
            detail = format('Of member "%s" of program "%s", %s points less have lapsed than the %s to be given back.',
                member, program, missing, amount),
            hint = 'Leave amount out for all that has lapsed.';
    end if;
end
$$;

comment on function reinstate(text, text, text, point_amount, timestamptz, timestamptz, expiry_policy, timestamptz, jsonb, text) is
    'Gives back points of the member that have lapsed, by event_at, at or after lapsed_since and before lapsed_until where given, what lapsed last first, by amount or by default all, and returns the reinstate entries, one for each expiry. The points lapse anew by expiry, reckoned from event_at, by default return_grace, else the program''s policy; reason must be stated. Called again without amount, it finds nothing left; idempotency_key: a repeated request with the same key posts nothing and returns the first entries. Raises JF002, JF003, JF004, JF005, JF006 where less has lapsed, 22004, 22008, 22023. Locks the account';

revoke all on function reinstate(text, text, text, point_amount, timestamptz, timestamptz, expiry_policy, timestamptz, jsonb, text) from public;
