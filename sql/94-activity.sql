-- activity: how many members do something, and how long they take to redeem for the first time.

create view activity_by_month as
select p.code as program, m.month, m.active, m.earners, m.redeemers, m.new_members
from (
    select m.program_id, m.month, sum(m.active)::bigint as active, sum(m.earners)::bigint as earners,
        sum(m.redeemers)::bigint as redeemers, sum(m.new_members)::bigint as new_members
    from (
        select s.program_id, s.month, s.active, s.earners, s.redeemers, 0::bigint as new_members
        from activity_summary s
        union all
        select f.program_id, f.month, f.active, f.earners, f.redeemers, 0
        from activity_facts((select s.summarized_until from summary_state s), null) f
        union all
        select d.program_id, date_trunc('month', d.happened_on::timestamp)::date, 0, 0, 0, sum(d.accounts)::bigint
        from day_flow d
        where d.accounts > 0
        group by d.program_id, 2
    ) m
    group by m.program_id, m.month
) m
join program p on p.program_id = m.program_id;

comment on view activity_by_month is 'Members who were active by local month, each counted once';
comment on column activity_by_month.program is 'Program';
comment on column activity_by_month.month is 'First day of the local month in which it happened';
comment on column activity_by_month.active is 'Members who earned, redeemed, held, captured or gave points';
comment on column activity_by_month.earners is 'Members who earned';
comment on column activity_by_month.redeemers is 'Members who redeemed or captured';
comment on column activity_by_month.new_members is 'Members whose first entry, in the order of booking, happened in the month';

-- What entries booked since the summary add concerns few members, so that it
-- is joined to the summary, not the other way round.
create view member_behaviour as
with tail as materialized (
    select f.* from member_facts((select s.summarized_until from summary_state s), null) f
)
select s.account_id, s.program_id,
    case when t.account_id is null then s.earns else s.earns + t.earns end as earns,
    case when t.account_id is null then s.earned else s.earned + t.earned end as earned,
    case when t.account_id is null then s.redemptions else s.redemptions + t.redemptions end as redemptions,
    case when t.account_id is null then s.redeemed else s.redeemed + t.redeemed end as redeemed,
    least(s.first_credit_on, t.first_credit_on) as first_credit_on,
    least(s.first_redeemed_on, t.first_redeemed_on) as first_redeemed_on,
    greatest(s.last_active_on, t.last_active_on) as last_active_on
from member_summary s
left join tail t on t.account_id = s.account_id
union all
select t.account_id, t.program_id, t.earns, t.earned, t.redemptions, t.redeemed, t.first_credit_on, t.first_redeemed_on, t.last_active_on
from tail t
where not exists (select from member_summary s where s.account_id = t.account_id);

comment on view member_behaviour is 'What each member with an entry did; reports are made of it';
comment on column member_behaviour.account_id is 'Account';
comment on column member_behaviour.program_id is 'Program of the account';
comment on column member_behaviour.earns is 'How many times the member earned';
comment on column member_behaviour.earned is 'Points earned, less those reversed';
comment on column member_behaviour.redemptions is 'How many times the member redeemed or captured';
comment on column member_behaviour.redeemed is 'Points redeemed, less those returned';
comment on column member_behaviour.first_credit_on is 'Local day of the first earn, import, adjustment or transfer that gave the member points';
comment on column member_behaviour.first_redeemed_on is 'Local day of the first redemption or capture; null: never';
comment on column member_behaviour.last_active_on is 'Local day of the latest earn, redemption or capture; null: never';

create view time_to_first_redemption as
select p.code as program, d.days_from, d.days_until, d.members,
    d.members / sum(d.members) over (partition by d.program_id) as share,
    case when d.days_from is not null then
        sum(d.members) over (partition by d.program_id order by d.days_from) / sum(d.members) over (partition by d.program_id)
    end as share_so_far
from (
    select m.program_id, b.days_from, b.days_until, sum(m.members) as members
    from (
        select m.program_id, case when m.first_redeemed_on is not null then greatest(m.first_redeemed_on - m.first_credit_on, 0) end as days,
            count(*) as members
        from member_behaviour m
        where m.first_credit_on is not null
        group by m.program_id, 2
    ) m
    left join (values (0, 0), (1, 7), (8, 30), (31, 90), (91, 180), (181, 365), (366, null)) b (days_from, days_until)
        on m.days >= b.days_from and (m.days <= b.days_until or b.days_until is null)
    group by m.program_id, b.days_from, b.days_until
) d
join program p on p.program_id = d.program_id;

comment on view time_to_first_redemption is 'How many local days members took from the first points that they got to their first redemption';
comment on column time_to_first_redemption.program is 'Program';
comment on column time_to_first_redemption.days_from is 'Fewest days; null: these members never redeemed';
comment on column time_to_first_redemption.days_until is 'Most days; null: there is no most';
comment on column time_to_first_redemption.members is 'Members';
comment on column time_to_first_redemption.share is 'Members to all that ever got points';
comment on column time_to_first_redemption.share_so_far is 'Those who took so many days or fewer, to all that ever got points; null for those who never redeemed';

create view never_redeemed as
select p.code as program, m.since_month, m.members, m.points, m.holders
from (
    select m.program_id, date_trunc('month', m.first_credit_on::timestamp)::date as since_month, count(*) as members,
        sum(a.balance::numeric) as points, count(*) filter (where a.balance > 0) as holders
    from member_behaviour m
    join account a on a.account_id = m.account_id
    where m.first_credit_on is not null and m.first_redeemed_on is null
    group by m.program_id, 2
) m
join program p on p.program_id = m.program_id;

comment on view never_redeemed is 'Members who got points and never redeemed any, by the local month of their first';
comment on column never_redeemed.program is 'Program';
comment on column never_redeemed.since_month is 'First day of the local month in which they got their first points';
comment on column never_redeemed.members is 'Members';
comment on column never_redeemed.points is 'Their balances';
comment on column never_redeemed.holders is 'Those of the members who have points left';

create view dormant_balance as
select p.code as program, a.member::text, a.status::text, a.balance::numeric as points, a.balance::numeric * p.point_value as face_value,
    p.currency, c.last_activity_at,
    (now() at time zone p.time_zone)::date - (c.last_activity_at at time zone p.time_zone)::date as days
from account a
join program p on p.program_id = a.program_id
cross join lateral (select activity_at(a, p.activity) as last_activity_at) c
where a.balance > 0;

comment on view dormant_balance is 'Members who have points, and for how long they have done nothing';
comment on column dormant_balance.program is 'Program';
comment on column dormant_balance.member is 'Member';
comment on column dormant_balance.status is 'Status of the account';
comment on column dormant_balance.points is 'Balance';
comment on column dormant_balance.face_value is 'Points at the program''s point_value; null where it has none';
comment on column dormant_balance.currency is 'Currency of face_value';
comment on column dormant_balance.last_activity_at is 'When the member was last active, by the kinds of entry that the program counts now; null: never';
comment on column dormant_balance.days is 'Local days since then; null: never active';
