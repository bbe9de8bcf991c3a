-- gl_journal: what the points make of the issuer's books, as lines for the general ledger.

create table gl_account (
    program_id integer not null,
    role text collate "C" not null,
    code text not null,
    name text,
    primary key (program_id, role),
    constraint gl_account_role_known check (role in ('consideration', 'contract_liability', 'points_revenue', 'opening_balance',
        'free_points_cost', 'free_points_provision', 'free_points_used', 'funder_receivable', 'funder_prepaid', 'funder_income',
        'partner_cost', 'partner_payable', 'commission_income', 'cash')),
    constraint gl_account_code_length check (length(code) between 1 and 256)
);

comment on table gl_account is 'The general ledger''s accounts for what is posted to gl_journal';
comment on column gl_account.program_id is 'Program';
comment on column gl_account.role is 'What is posted to it';
comment on column gl_account.code is 'The account''s code in the general ledger';
comment on column gl_account.name is 'Its name';

select pg_extension_config_dump('gl_account', '');

create function set_gl_account(program text, role text, code text, name text default null) returns gl_account
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    saved jifen.gl_account;
begin
    perform jifen.require_writable('set_gl_account()');
    if num_nulls(set_gl_account.role, set_gl_account.code) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'role and code must not be null',
            detail = 'They say which account takes what.',
            hint = 'Only name may be null.';
    end if;
    perform jifen.check_identifier(set_gl_account.code, 'code');
    begin
        insert into jifen.gl_account as g (program_id, role, code, name)
        values (jifen.program_id(set_gl_account.program), set_gl_account.role, set_gl_account.code, set_gl_account.name)
        on conflict (program_id, role) do update set code = excluded.code, name = excluded.name
        returning g.* into saved;
    exception when check_violation then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('invalid role "%s"', set_gl_account.role),
            detail = 'It says what is posted to the account.',
            hint = 'Use consideration, contract_liability, points_revenue, opening_balance, free_points_cost, free_points_provision, free_points_used, funder_receivable, funder_prepaid, funder_income, partner_cost, partner_payable, commission_income or cash.';
    end;
    return saved;
end
$$;

comment on function set_gl_account(text, text, text, text) is
    'Sets the account of the general ledger to which gl_journal posts what has the role, of all days, and returns it. Raises JF002, 22004, 22023 also for a role that there is not, 25006. Locks the role''s row';

revoke all on function set_gl_account(text, text, text, text) from public;

-- A party is owed or owes the rounded whole; of its parts one is what the others
-- leave. All columns are changes of rounded sums so far.
create view settlement_posting as
select s.program, s.kind, s.party, s.is_prepaid, s.day, s.currency,
    s.amount - lag(s.amount, 1, 0::numeric) over party as amount,
    s.taken_over - lag(s.taken_over, 1, 0::numeric) over party as taken_over,
    s.deferred - lag(s.deferred, 1, 0::numeric) over party as deferred,
    s.collected - lag(s.collected, 1, 0::numeric) over party as collected,
    s.commission - lag(s.commission, 1, 0::numeric) over party as commission,
    s.paid_in - lag(s.paid_in, 1, 0::numeric) over party as paid_in,
    s.owed - lag(s.owed, 1, 0::numeric) over party as owed
from (
    select r.*, case when r.is_prepaid then greatest(r.amount + r.commission - r.paid_in, 0) else 0 end as owed
    from (
        select s.program, s.kind, s.party, s.is_prepaid, s.day, s.currency,
            round(sum(s.amount) over party, coalesce(c.scale, 2)) as amount,
            round(sum(s.taken_over) over party, coalesce(c.scale, 2)) as taken_over,
            round(sum(s.deferred) over party, coalesce(c.scale, 2)) as deferred,
            round(sum(s.collected) over party, coalesce(c.scale, 2)) as collected,
            round(sum(s.commission) over party, coalesce(c.scale, 2)) as commission,
            round(sum(s.paid_in) over party, coalesce(c.scale, 2)) as paid_in
        from (
            select p.code as program, s.kind, s.party, s.is_prepaid, s.day, s.currency,
                sum(s.points * s.price) as amount, sum(s.points * s.price * s.commission_rate) as commission, sum(s.paid_in) as paid_in,
                sum(s.taken_over * s.price) as taken_over,
                coalesce(sum((s.sold - s.taken_over) * s.price) filter (where s.kind = 'funder'), 0) as deferred,
                coalesce(sum(s.sold * s.price) filter (where s.role = 'agent'), 0) as collected
            from (
                select f.program_id, f.kind, f.party, f.day, f.role, f.is_prepaid, f.currency, f.price, f.commission_rate, f.points, f.sold,
                    f.taken_over, 0::numeric as paid_in
                from settled_points('day', 'priced') f
                union all
                select y.program_id, 'funder', y.party, y.paid_on, null, true, y.currency, 0, 0, 0, 0, 0, y.amount
                from prepayment y
            ) s
            join program p on p.program_id = s.program_id
            group by p.code, s.kind, s.party, s.is_prepaid, s.day, s.currency
        ) s
        left join currency_scale c on c.currency = s.currency
        window party as (partition by s.program, s.kind, s.party, s.is_prepaid, s.currency order by s.day)
    ) r
) s
window party as (partition by s.program, s.kind, s.party, s.is_prepaid, s.currency order by s.day);

comment on view settlement_posting is 'What is settled with each party on each local day on which entries are reported, to the decimals of its currency: amounts are rounded so that those of all days sum to the rounded total';
comment on column settlement_posting.program is 'Program';
comment on column settlement_posting.kind is 'funder or partner';
comment on column settlement_posting.party is 'Who';
comment on column settlement_posting.is_prepaid is 'Of a funder: whether it is taken from its budget';
comment on column settlement_posting.day is 'Local day';
comment on column settlement_posting.currency is 'Currency of the money';
comment on column settlement_posting.amount is 'Points at price, as in settlement_by_day';
comment on column settlement_posting.taken_over is 'Of a funder: that of imports with consideration';
comment on column settlement_posting.deferred is 'Of a funder: that of other points with consideration, less those undone';
comment on column settlement_posting.collected is 'Of a partner: that of points with consideration, as whose agent the issuer acts';
comment on column settlement_posting.commission is 'What the issuer charges';
comment on column settlement_posting.paid_in is 'Money paid into the budget, less what was paid back';
comment on column settlement_posting.owed is 'What was used beyond the budget, less what has been paid in for it since';

-- Each row is an amount from one role to another: so the lines balance.
create view gl_posting as
select r.program, r.day, x.posting_no, null::text as party, x.debit_role, x.credit_role, sum(x.amount) as amount, x.memo, r.currency
from revenue_by_day r
cross join lateral (values
    (1, 'opening_balance', 'contract_liability', r.taken_over, 'deferred consideration taken over with points'),
    (2, 'consideration', 'contract_liability', r.consideration - r.taken_over, 'consideration allocated to points'),
    (3, 'contract_liability', 'points_revenue', r.catch_up, 'revenue of points by a new estimate'),
    (4, 'contract_liability', 'points_revenue', r.revenue - r.catch_up, 'revenue of points')
) x (posting_no, debit_role, credit_role, amount, memo)
where r.basis = 'reported' and x.amount <> 0
group by r.program, r.day, x.posting_no, x.debit_role, x.credit_role, x.memo, r.currency
having sum(x.amount) <> 0
union all
select c.program, c.day, x.posting_no, null, x.debit_role, x.credit_role, sum(x.amount), x.memo, c.currency
from cost_by_day c
cross join lateral (values
    (5, 'free_points_cost', 'free_points_provision', c.catch_up, 'cost of free points by a new estimate or value'),
    (6, 'free_points_cost', 'free_points_provision', c.accrued, 'cost of free points'),
    (7, 'free_points_provision', 'free_points_cost', c.released, 'cost of free points that will not arise'),
    (8, 'free_points_provision', 'free_points_used', c.used, 'free points redeemed')
) x (posting_no, debit_role, credit_role, amount, memo)
where c.basis = 'reported' and x.amount <> 0
group by c.program, c.day, x.posting_no, x.debit_role, x.credit_role, x.memo, c.currency
having sum(x.amount) <> 0
union all
select s.program, s.day, x.posting_no, s.party, x.debit_role, x.credit_role, x.amount, x.memo, s.currency
from settlement_posting s
cross join lateral (select case when s.is_prepaid then 'funder_prepaid' else 'funder_receivable' end as role) payer
cross join lateral (
    select v.*
    from (values
        -- Against what postings 1 and 2 took for the same points.
        (9, payer.role, 'opening_balance', s.taken_over, 'points taken over paid for by ' || s.party),
        (10, payer.role, 'consideration', s.deferred, 'points paid for by ' || s.party),
        (11, payer.role, 'funder_income', s.amount - s.taken_over - s.deferred, 'free points paid for by ' || s.party),
        (12, payer.role, 'commission_income', s.commission, 'commission of ' || s.party),
        (16, 'cash', 'funder_prepaid', s.paid_in, 'paid in advance by ' || s.party),
        (17, 'funder_receivable', 'funder_prepaid', s.owed, 'used beyond its budget by ' || s.party)
    ) v (posting_no, debit_role, credit_role, amount, memo)
    where s.kind = 'funder'
    union all
    select v.*
    from (values
        (13, 'points_revenue', 'partner_payable', s.collected, 'collected for ' || s.party),
        (14, 'partner_cost', 'partner_payable', s.amount - s.collected, 'supplied by ' || s.party),
        (15, 'partner_payable', 'commission_income', s.commission, 'commission of ' || s.party)
    ) v
    where s.kind = 'partner'
) x
where x.amount <> 0;

comment on view gl_posting is 'Amounts from one role of gl_account to another, by the local day on which entries are reported; gl_journal is made of it';
comment on column gl_posting.program is 'Program';
comment on column gl_posting.day is 'Local day';
comment on column gl_posting.posting_no is 'Kind of the posting: the order within a day';
comment on column gl_posting.party is 'Funder or partner, where it concerns one';
comment on column gl_posting.debit_role is 'Role that is debited; credited where amount is below zero';
comment on column gl_posting.credit_role is 'Role that is credited; debited where amount is below zero';
comment on column gl_posting.amount is 'Money, rounded so that the amounts of all days sum to the rounded total';
comment on column gl_posting.memo is 'What it is';
comment on column gl_posting.currency is 'Currency of amount';

create view gl_journal as
select l.program, l.day,
    row_number() over (partition by l.program, l.day order by l.posting_no, l.party collate "C", l.currency, l.debit_role, l.side)
        as line_no,
    coalesce(a.code, l.role) as account, l.role, a.name,
    l.debit, l.credit, l.memo, l.party, l.currency
from (
    select g.program, g.day, g.posting_no, g.party, g.currency, g.memo, g.debit_role, s.side, s.role, s.debit, s.credit
    from gl_posting g
    cross join lateral (values
        (1, case when g.amount > 0 then g.debit_role else g.credit_role end, abs(g.amount), null::numeric),
        (2, case when g.amount > 0 then g.credit_role else g.debit_role end, null, abs(g.amount))
    ) s (side, role, debit, credit)
) l
join program p on p.code = l.program
left join gl_account a on a.program_id = p.program_id and a.role = l.role;

comment on view gl_journal is 'Lines for the general ledger, by program and the local day on which entries are reported: debits and credits of a day are equal in each currency';
comment on column gl_journal.program is 'Program';
comment on column gl_journal.day is 'Local day: when it happened, or else, of a closed period, when the next one began';
comment on column gl_journal.line_no is 'Number of the line within the day, from 1';
comment on column gl_journal.account is 'Code of the account, by set_gl_account(); the role where none is set';
comment on column gl_journal.role is 'What is posted to the account';
comment on column gl_journal.name is 'Name of the account';
comment on column gl_journal.debit is 'Money debited; null on a line that is credited';
comment on column gl_journal.credit is 'Money credited; null on a line that is debited';
comment on column gl_journal.memo is 'What it is';
comment on column gl_journal.party is 'Funder or partner, where it concerns one';
comment on column gl_journal.currency is 'Currency of the money';
