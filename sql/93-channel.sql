-- channel: where points are earned and spent, and how much of what is earned is spent.

create view channel_by_month as
select p.code as program, c.month, c.source, c.earns, c.earned, c.imported, c.reversed, c.redemptions, c.redeemed, c.returned
from (
    select d.program_id, date_trunc('month', d.happened_on::timestamp)::date as month, d.source,
        coalesce(sum(d.entries) filter (where d.movement = 'earned'), 0)::bigint as earns,
        coalesce(sum(d.amount) filter (where d.movement = 'earned'), 0) as earned,
        coalesce(sum(d.amount) filter (where d.movement = 'imported'), 0) as imported,
        - coalesce(sum(d.amount) filter (where d.movement = 'reversed'), 0) as reversed,
        coalesce(sum(d.entries) filter (where d.movement = 'redeemed'), 0)::bigint as redemptions,
        - coalesce(sum(d.amount) filter (where d.movement = 'redeemed'), 0) as redeemed,
        coalesce(sum(d.amount) filter (where d.movement = 'returned'), 0) as returned
    from day_flow d
    where d.movement in ('earned', 'imported', 'reversed', 'redeemed', 'returned')
    group by d.program_id, 2, d.source
) c
join program p on p.program_id = c.program_id;

comment on view channel_by_month is 'Points earned and spent by channel and local month';
comment on column channel_by_month.program is 'Program';
comment on column channel_by_month.month is 'First day of the local month in which it happened';
comment on column channel_by_month.source is 'Channel, as given to earn(), import(), redeem() and capture(); null: none was';
comment on column channel_by_month.earns is 'How many times points were earned';
comment on column channel_by_month.earned is 'Points earned';
comment on column channel_by_month.imported is 'Points taken over from another system';
comment on column channel_by_month.reversed is 'Points taken back in the month of what was earned or imported by the channel: earned + imported - reversed is what it gave';
comment on column channel_by_month.redemptions is 'How many times points were redeemed or captured';
comment on column channel_by_month.redeemed is 'Points redeemed and captured';
comment on column channel_by_month.returned is 'Points returned in the month of what was spent by the channel';

create view redemption_rate_by_month as
select p.code as program, m.month, m.earned, m.redeemed, m.redeemed / nullif(m.earned, 0) as rate,
    m.earned_so_far, m.redeemed_so_far, m.redeemed_so_far / nullif(m.earned_so_far, 0) as rate_so_far
from (
    select m.*,
        sum(m.earned) over (partition by m.program_id order by m.month) as earned_so_far,
        sum(m.redeemed) over (partition by m.program_id order by m.month) as redeemed_so_far
    from (
        select d.program_id, date_trunc('month', d.happened_on::timestamp)::date as month,
            coalesce(sum(d.amount) filter (where d.movement in ('earned', 'imported', 'reversed')), 0) as earned,
            - coalesce(sum(d.amount) filter (where d.movement in ('redeemed', 'returned')), 0) as redeemed
        from day_flow d
        where d.movement in ('earned', 'imported', 'reversed', 'redeemed', 'returned')
        group by d.program_id, 2
    ) m
) m
join program p on p.program_id = m.program_id;

comment on view redemption_rate_by_month is 'Points spent in a local month to points earned in it, and all since the first';
comment on column redemption_rate_by_month.program is 'Program';
comment on column redemption_rate_by_month.month is 'First day of the local month in which it happened';
comment on column redemption_rate_by_month.earned is 'Points earned and imported, less those reversed';
comment on column redemption_rate_by_month.redeemed is 'Points redeemed and captured, less those returned';
comment on column redemption_rate_by_month.rate is 'redeemed / earned; null: nothing was earned';
comment on column redemption_rate_by_month.earned_so_far is 'earned of this month and all before it';
comment on column redemption_rate_by_month.redeemed_so_far is 'redeemed of this month and all before it';
comment on column redemption_rate_by_month.rate_so_far is 'redeemed_so_far / earned_so_far; null: nothing was earned';
