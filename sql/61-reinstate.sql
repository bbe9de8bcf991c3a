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
    details jsonb default null
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
begin
    perform jifen.require_writable('reinstate()');
    if reason is null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'reason must not be null',
            detail = 'What has lapsed is given back for a reason that is journaled.',
            hint = 'State why the points are given back.';
    end if;
    if amount <= 0 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'amount must be more than zero',
            detail = format('It is %s.', amount),
            hint = 'Leave it out for all that has lapsed.';
    end if;
    perform jifen.expire_member(program, member);
    own_account := jifen.lock_account(program, member);
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
        return next jifen.reverse(program, member, lapsed.seq, least(missing, lapsed.points)::jifen.point_amount,
            reason => reason, event_at => event_at, details => details, expiry => expiry);
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

comment on function reinstate(text, text, text, point_amount, timestamptz, timestamptz, expiry_policy, timestamptz, jsonb) is
    'Gives back points of the member that have lapsed, by event_at, at or after lapsed_since and before lapsed_until where given, what lapsed last first, by amount or by default all, and returns the reinstate entries, one for each expiry. The points lapse anew by expiry, reckoned from event_at, by default return_grace, else the program''s policy; reason must be stated. Called again without amount, it finds nothing left. Raises JF002, JF003, JF004, JF006 where less has lapsed, 22004, 22008, 22023. Locks the account';

revoke all on function reinstate(text, text, text, point_amount, timestamptz, timestamptz, expiry_policy, timestamptz, jsonb) from public;
