-- segment: members by how recently, how often and how much they earn (RFM).

-- Cut points of quintiles: the least value that so many fifths of the members
-- do not exceed, as percentile_disc() finds it. Members of the same value are
-- on the same side, so nothing depends on an order among them.
create view rfm_cut as
select c.program_id,
    array_agg(c.last_active_on order by k.fifths) filter (where c.last_active_on is not null) as recency,
    array_agg(c.earns order by k.fifths) filter (where c.earns is not null) as frequency,
    array_agg(c.earned order by k.fifths) filter (where c.earned is not null) as monetary
from (
    select v.program_id, v.last_active_on, v.earns, v.earned,
        sum(v.members) over w as upto, sum(v.members) over w - v.members as below, sum(v.members) over (partition by v.program_id, v.of) as members
    from (
        select m.program_id, grouping(m.last_active_on, m.earns, m.earned) as of, m.last_active_on, m.earns, m.earned, count(*) as members
        from member_behaviour m
        where m.earns > 0
        group by grouping sets ((m.program_id, m.last_active_on), (m.program_id, m.earns), (m.program_id, m.earned))
    ) v
    window w as (partition by v.program_id, v.of order by v.last_active_on, v.earns, v.earned)
) c
join generate_series(1, 4) k (fifths) on c.below * 5 < k.fifths * c.members and c.upto * 5 >= k.fifths * c.members
group by c.program_id;

comment on view rfm_cut is 'Cut points between the fifths of a program''s members that have earned; reports are made of it';
comment on column rfm_cut.program_id is 'Program';
comment on column rfm_cut.recency is 'Of member_behaviour.last_active_on: four days; who was last active after n of them scores n + 1';
comment on column rfm_cut.frequency is 'Of member_behaviour.earns: four numbers; who earned more often than n of them scores n + 1';
comment on column rfm_cut.monetary is 'Of member_behaviour.earned: four numbers of points; who earned more than n of them scores n + 1';

create view rfm_score as
select s.program_id, s.account_id, s.last_active_on, s.earns, s.earned, s.recency, s.frequency, s.monetary,
    case
        when s.recency = 5 then (array['new', 'potential', 'potential', 'champion', 'champion'])[s.value]
        when s.recency = 4 then (array['promising', 'potential', 'potential', 'loyal', 'loyal'])[s.value]
        when s.recency = 3 then (array['about to sleep', 'about to sleep', 'needs attention', 'loyal', 'loyal'])[s.value]
        else (array['hibernating', 'hibernating', 'at risk', 'at risk', 'cannot lose'])[s.value]
    end as segment
from (
    select s.*, (s.frequency + s.monetary + 1) / 2 as value
    from (
        select m.program_id, m.account_id, m.last_active_on, m.earns, m.earned,
            1 + width_bucket(m.last_active_on, c.recency) as recency,
            1 + width_bucket(m.earns, c.frequency) as frequency,
            1 + width_bucket(m.earned, c.monetary) as monetary
        -- OFFSET keeps what is compared from being reckoned for each comparison.
        from (
            select m.program_id, m.account_id, m.last_active_on, m.earns, m.earned from member_behaviour m where m.earns > 0 offset 0
        ) m
        -- The function counts the cut points that are reached, and all are whole: so one more is beyond them.
        join (
            select c.program_id, array(select x + 1 from unnest(c.recency) x order by x) as recency,
                array(select x + 1 from unnest(c.frequency) x order by x) as frequency,
                array(select x + 1 from unnest(c.monetary) x order by x) as monetary
            from rfm_cut c
            offset 0
        ) c on c.program_id = m.program_id
        offset 0
    ) s
) s;

comment on view rfm_score is 'Scores of each account that has earned, and the segment that they make; reports are made of it';
comment on column rfm_score.program_id is 'Program';
comment on column rfm_score.account_id is 'Account';
comment on column rfm_score.last_active_on is 'Local day of the latest earn, redemption or capture';
comment on column rfm_score.earns is 'How many times the member earned';
comment on column rfm_score.earned is 'Points earned, less those reversed';
comment on column rfm_score.recency is 'Fifth of the members by last_active_on, from 1 to 5 for the latest';
comment on column rfm_score.frequency is 'Fifth of the members by earns, from 1 to 5 for the most';
comment on column rfm_score.monetary is 'Fifth of the members by earned, from 1 to 5 for the most';
comment on column rfm_score.segment is 'Segment, of recency and of the mean of frequency and monetary, rounded up';

create view rfm_segment as
select p.code as program, a.member::text, s.segment, s.recency, s.frequency, s.monetary, s.last_active_on, s.earns, s.earned,
    a.balance::numeric as points
from rfm_score s
join account a on a.account_id = s.account_id
join program p on p.program_id = s.program_id;

comment on view rfm_segment is 'Segment of each member that has earned, by recency, frequency and points earned';
comment on column rfm_segment.program is 'Program';
comment on column rfm_segment.member is 'Member';
comment on column rfm_segment.segment is 'champion, loyal, potential, new, promising, needs attention, about to sleep, at risk, cannot lose or hibernating';
comment on column rfm_segment.recency is 'Fifth of the program''s members by last_active_on, from 1 to 5 for the latest';
comment on column rfm_segment.frequency is 'Fifth of them by earns, from 1 to 5 for the most';
comment on column rfm_segment.monetary is 'Fifth of them by earned, from 1 to 5 for the most';
comment on column rfm_segment.last_active_on is 'Local day of the latest earn, redemption or capture';
comment on column rfm_segment.earns is 'How many times the member earned';
comment on column rfm_segment.earned is 'Points earned, less those reversed';
comment on column rfm_segment.points is 'Balance';

create view rfm_segment_count as
select p.code as program, s.segment, s.members, s.members / sum(s.members) over (partition by s.program_id) as share, s.earned
from (
    select s.program_id, s.segment, count(*) as members, sum(s.earned) as earned
    from rfm_score s
    group by s.program_id, s.segment
) s
join program p on p.program_id = s.program_id;

comment on view rfm_segment_count is 'How many members are in each segment';
comment on column rfm_segment_count.program is 'Program';
comment on column rfm_segment_count.segment is 'Segment as in rfm_segment';
comment on column rfm_segment_count.members is 'Members';
comment on column rfm_segment_count.share is 'Members to all that have earned';
comment on column rfm_segment_count.earned is 'Points that they earned, less those reversed';
