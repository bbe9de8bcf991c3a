-- notice: records what members were told.

-- Under READ COMMITTED the accounts are locked by one statement and what was
-- told before is read by the next; under the other levels a notice that the
-- snapshot does not show is a conflict, which raises 40001.
create function record_notices(
    program text,
    members text[],
    channel text,
    until timestamptz default null,
    window_days integer default null,
    sent_at timestamptz default now(),
    messages text[] default null
) returns setof notice
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
#variable_conflict use_column
declare
    own_program integer;
    own_accounts bigint[];
    unknown text;
    ends timestamptz[];
    recorded jifen.notice;
begin
    perform jifen.require_writable('record_notices()');
    own_program := jifen.program_id(program);
    if num_nulls(record_notices.members, record_notices.channel, record_notices.window_days, record_notices.sent_at) > 0
        or array_position(record_notices.members, null) is not null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of record_notices() must not be null',
            detail = 'members and each of them, channel, window_days and sent_at need values.',
            hint = 'Leave out sent_at for now, and until for the end of the window.';
    end if;
    perform jifen.check_identifier(record_notices.channel, 'channel');
    if cardinality(record_notices.messages) <> cardinality(record_notices.members) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'messages are not as many as members',
            detail = format('They are %s, of %s members.', cardinality(messages), cardinality(members)),
            hint = 'Give one for each member, in the same order, or none at all.';
    end if;
    if record_notices.sent_at > now() or not isfinite(record_notices.sent_at) then
        raise exception using errcode = 'invalid_parameter_value',
            message = case when isfinite(record_notices.sent_at) then 'sent_at is in the future' else 'sent_at must be finite' end,
            detail = format('It is %s, and it is now %s.', record_notices.sent_at, now()),
            hint = 'Give an instant that has passed.';
    end if;
    ends := jifen.window_ends(own_program, array[record_notices.window_days], record_notices.sent_at);
    if record_notices.until is not null then
        ends := array[record_notices.until];
    end if;

    own_accounts := array(
        select a.account_id
        from unnest(record_notices.members) m (member)
        cross join lateral (
            select a.account_id from account a where a.program_id = own_program and a.member = m.member offset 0
        ) a
        order by a.account_id);
    perform
    from unnest(own_accounts) c (account_id)
    cross join lateral (select from account a where a.account_id = c.account_id for no key update) a;
    -- A member may have been renamed before the lock was there.
    unknown := (
        select m.member from unnest(record_notices.members) m (member)
        where not exists (select from account a where a.program_id = own_program and a.member = m.member offset 0) limit 1);
    if unknown is not null then
        perform jifen.account_id(program, unknown);
    end if;

    for recorded in
    with told as (
        select a.account_id, a.last_seq, c.counts_from, m.message, sum(l.remaining) as points,
            min(l.planned_at) as first_expires_at, max(l.planned_at) as last_expires_at,
            array_agg(l.seq) as lot_seqs, array_agg(l.expires_at) as expire_at, array_agg(l.remaining) as remaining
        from (
            select distinct on (m.member) m.member, m.message
            from unnest(record_notices.members, record_notices.messages) with ordinality m (member, message, number)
            order by m.member, m.number
        ) m
        cross join lateral (
            select a as account, a.account_id, a.last_seq from account a where a.program_id = own_program and a.member = m.member offset 0
        ) a
        -- What happened after a notice that is recorded late stays as it was, also
        -- the release of a hold whose deadline has passed, booked or not.
        cross join lateral (
            select greatest(record_notices.sent_at,
                (select max(e.event_at) from entry e
                    where e.account_id = a.account_id and (a.account).last_event_at > record_notices.sent_at
                        and e.event_at > record_notices.sent_at and e.kind not in ('expire', 'reinstate')),
                (select max(h.until) from hold h where h.account_id = a.account_id and h.until <= now())) as counts_from
            offset 0
        ) c
        cross join lateral lots_to_lapse(record_notices.program, a.account, record_notices.sent_at, c.counts_from,
            array[record_notices.window_days], ends) l
        where l.is_due
        group by a.account_id, a.last_seq, c.counts_from, m.message
    ),
    numbered as (
        select t.*, coalesce(n.notice_no, 0) + 1 as notice_no
        from told t
        left join lateral (
            select n.notice_no from notice n where n.account_id = t.account_id order by n.notice_no desc limit 1
        ) n on true
    ),
    new_lot as (
        insert into notice_lot (account_id, lot_seq, expires_at, window_days, notice_no, points)
        select n.account_id, l.seq, l.expires_at, record_notices.window_days, n.notice_no, l.remaining
        from numbered n
        cross join lateral unnest(n.lot_seqs, n.expire_at, n.remaining) l (seq, expires_at, remaining)
        on conflict (account_id, lot_seq, expires_at, window_days) do nothing
    )
    insert into notice (account_id, notice_no, program_id, window_days, sent_at, counts_from, channel, points, first_expires_at,
        last_expires_at, message, after_seq, actor)
    select n.account_id, n.notice_no, own_program, record_notices.window_days, record_notices.sent_at, n.counts_from,
        record_notices.channel, n.points,
        n.first_expires_at, n.last_expires_at, n.message, n.last_seq,
        jifen.actor()
    from numbered n
    on conflict (account_id, notice_no) do nothing
    returning *
    loop
        update account a set due_at = recorded.first_expires_at
        where a.account_id = recorded.account_id and a.due_at > recorded.first_expires_at;
        return next recorded;
    end loop;
end
$$;

comment on function record_notices(text, text[], text, timestamptz, integer, timestamptz, text[]) is
    'Records that these members were told at sent_at, by that channel, of the points that lapse after it, by until at the latest, by default the end of the local day window_days after it, and returns a notice for each who had not been told of all of them in a window of that length or a shorter one; for the others it writes nothing. messages: what they were told, in the order of members. Raises JF002, JF003, 22004, 22023, 25006, 40001. Locks the accounts, in account order';

create function record_notice(
    program text,
    member text,
    channel text,
    until timestamptz default null,
    window_days integer default null,
    sent_at timestamptz default now(),
    message text default null
) returns setof notice
language sql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
    select * from jifen.record_notices(program, array[member], channel, until, window_days, sent_at, array[message])
$$;

comment on function record_notice(text, text, text, timestamptz, integer, timestamptz, text) is
    'Records that the member was told at sent_at, by that channel, of the points that lapse after it, by until at the latest, by default the end of the local day window_days after it, and returns the notice; no row, and nothing is written, where the member had been told of all of them in a window of that length or a shorter one. message: what the member was told. Raises as record_notices(). Locks the account';

revoke all on function record_notices(text, text[], text, timestamptz, integer, timestamptz, text[]) from public;
revoke all on function record_notice(text, text, text, timestamptz, integer, timestamptz, text) from public;
