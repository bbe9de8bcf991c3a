-- balance: what a member holds at an instant, what lapses next, and why.

-- What a member holds now is found without a statement, and SECURITY DEFINER with
-- a search_path would add a quarter to what that costs. balance() and expiring()
-- run the statements that they do need as the owner, with the search_path pinned.
create function balance(
    program text,
    member text,
    as_of timestamptz default now(),
    known_at timestamptz default null,
    out balance point_amount,
    out available point_amount,
    out pending point_amount,
    out held point_amount,
    out lapsed point_amount,
    out next_expires_at timestamptz,
    out next_expiring point_amount,
    out debt point_amount,
    out held_back point_amount
)
language c stable parallel safe
as 'MODULE_PATHNAME';

comment on function balance(text, text, timestamptz, timestamptz) is
    'What the member holds at as_of, past, present or to come, in points: balance = available + pending + held + lapsed - debt; next_expiring points lapse at next_expires_at, with a notice that is still needed given at as_of; held_back: those of them that are past their date and wait for a notice. A hold past its deadline counts as released. known_at: by the journal up to the first entry that was booked later. Raises JF002, JF003, 22004, 22023. Locks nothing';

create function expiring(
    program text,
    member text,
    until timestamptz,
    as_of timestamptz default now()
) returns point_amount
language c stable parallel safe
as 'MODULE_PATHNAME';

comment on function expiring(text, text, timestamptz, timestamptz) is
    'Points that the member holds at as_of and that lapse after it, by until at the latest, with a notice that is still needed given at as_of. Raises JF002, JF003, 22004, 22023. Locks nothing';

-- A plan made while the journal was small must not read all of it for good.
create function statement(
    program text,
    member text,
    since timestamptz default null,
    until timestamptz default null,
    known_at timestamptz default null,
    out seq bigint,
    out event_at timestamptz,
    out posted_at timestamptz,
    out kind text,
    out amount point_amount,
    out balance point_amount,
    out held point_amount,
    out debt point_amount,
    out expires_at timestamptz,
    out available_at timestamptz,
    out source text,
    out reference text,
    out reason text,
    out reverses_seq bigint,
    out details jsonb
) returns setof record
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
set enable_seqscan = off
as $$
declare
    own_account bigint := jifen.account_id(program, member);
    first_unknown bigint := 9223372036854775807;
begin
    if not (isfinite(since) and isfinite(until) and isfinite(known_at)) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'since, until and known_at must be finite',
            detail = format('They are %s, %s and %s.', coalesce(since::text, 'null'), coalesce(until::text, 'null'),
                coalesce(known_at::text, 'null')),
            hint = 'Leave a bound out to have none.';
    end if;
    -- What was known then are the entries before the first that was booked later.
    if known_at is not null then
        first_unknown := coalesce((select min(e.seq) from jifen.entry e
            where e.account_id = own_account and e.posted_at > known_at), first_unknown);
    end if;
    return query
        select s.seq, s.event_at, s.posted_at, s.kind, s.amount, s.running, s.held, s.debt, s.expires_at,
            s.available_at, s.source, s.reference, s.reason, s.reverses_seq, s.details
        from (
            select e.*, sum(e.amount) over (order by e.event_at, e.seq) as running
            from jifen.entry e
            where e.account_id = own_account and (statement.until is null or e.event_at < statement.until)
                and e.seq < first_unknown
        ) s
        where since is null or s.event_at >= since
        order by s.event_at, s.seq;
end
$$;

comment on function statement(text, text, timestamptz, timestamptz, timestamptz) is
    'The member''s entries with since <= event_at < until, in the order in which they happened, each with the balance after it in that order and its changes of the held points and of the debt; known_at: those before the first that was booked later. Null bounds are open. Raises JF002, JF003, 22004, 22023. Locks nothing';

revoke all on function balance(text, text, timestamptz, timestamptz) from public;
revoke all on function expiring(text, text, timestamptz, timestamptz) from public;
revoke all on function statement(text, text, timestamptz, timestamptz, timestamptz) from public;
