-- reverse: an entry, or all entries of a document, undone.

create function reverse(
    program text,
    member text,
    seq bigint,
    amount point_amount default null,
    reason text default null,
    idempotency_key text default null,
    event_at timestamptz default null,
    details jsonb default null,
    expiry expiry_policy default null
) returns entry
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function reverse(text, text, bigint, point_amount, text, text, timestamptz, jsonb, expiry_policy) is
    'Undoes the entry of that seq, by amount or by default all that is left of it, at event_at, by default now, and returns the entry; reason and details are kept as given; idempotency_key: a repeated request with the same key posts nothing and returns the first entry. Spent points return to their lots with their own expiry; where those have lapsed, the points lapse or get the program''s return_grace. Credits are taken from their own lot first, then from others, and what is missing by the program''s overdraft rule. Of an expiry, the points return with a new expiry: by default return_grace, else the program''s. A transfer is undone on both accounts. Raises JF001 where credited points are spent, JF002, JF003, JF004, JF005, JF006 beyond what was posted, JF008, JF009, 22003, 22004, 22008, 22023. Locks the account, of a transfer both';

-- The share is of the whole, not of what is left: lines are rounded together,
-- and a call that is repeated finds nothing to do.
create function reverse_reference(
    program text,
    member text,
    reference text,
    returned numeric default 1,
    total numeric default 1,
    reason text default null,
    event_at timestamptz default null,
    details jsonb default null
) returns setof entry
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
set enable_seqscan = off
as $$
declare
    own_account bigint;
    original record;
begin
    perform jifen.require_writable('reverse_reference()');
    if num_nulls(reference, returned, total) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of reverse_reference() must not be null',
            detail = 'reference, returned and total need values.',
            hint = 'Leave returned and total out to reverse all of it.';
    end if;
    if not (total > 0 and total < 'Infinity' and returned >= 0 and returned <= total) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'returned must be from zero to total',
            detail = format('They are %s of %s.', returned, total),
            hint = 'Give what was returned of the document so far and what it came to, in the same unit.';
    end if;
    own_account := jifen.lock_account(program, member);
    perform from jifen.entry e
    where e.account_id = own_account and e.reference = reverse_reference.reference
        and e.kind in ('earn', 'import', 'redeem', 'capture', 'adjust');
    if not found then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'no entry of that reference',
            detail = format('Account "%s" of program "%s" has no entry of reference "%s" that can be reversed.',
                member, program, reference),
            hint = 'statement() lists the entries of an account.';
    end if;
    for original in
        select e.seq, div(abs(e.amount::numeric) * returned, total) - e.undone as amount
        from (
            select e.seq, e.amount,
                coalesce((select sum(abs(r.amount::numeric)) from jifen.entry r
                    where r.account_id = own_account and r.reverses_seq = e.seq), 0)
                + coalesce((select sum(f.amount::numeric) from jifen.entry f
                    where f.account_id = own_account and f.debt_seq = e.seq), 0) as undone
            from jifen.entry e
            where e.account_id = own_account and e.reference = reverse_reference.reference
                and e.kind in ('earn', 'import', 'redeem', 'capture', 'adjust')
        ) e
        where div(abs(e.amount::numeric) * returned, total) > e.undone
        order by e.seq
    loop
        return next jifen.reverse(program, member, original.seq, original.amount::jifen.point_amount,
            reason => reason, event_at => event_at, details => details);
    end loop;
end
$$;

comment on function reverse_reference(text, text, text, numeric, numeric, text, timestamptz, jsonb) is
    'Reverses the entries of that reference so far that, of each, the share returned / total is undone, rounded down to whole points, and returns the entries that this took: none where it was done before. returned: what of the document was returned so far, all in all; total: what it came to, in the same unit, such as money or pieces. Entries are earns, imports, redemptions, captures and adjustments. Raises what reverse() does, and 22023 where there is no such entry or the share is not from 0 to 1. Locks the account';

create function lock_account(program text, member text) returns bigint
language c volatile parallel unsafe
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function lock_account(text, text) is
    'Locks the member''s account, which must be open, against other postings until the end of the transaction and returns its number. Raises JF002, JF003, JF004, 22004, 22023';

revoke all on function reverse(text, text, bigint, point_amount, text, text, timestamptz, jsonb, expiry_policy) from public;
revoke all on function reverse_reference(text, text, text, numeric, numeric, text, timestamptz, jsonb) from public;
revoke all on function lock_account(text, text) from public;
