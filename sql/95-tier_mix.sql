-- tier mix: in which tiers the members were at the end of each month.
--
-- Of a series the planner expects a thousand rows and of an array ten, and what
-- it expects of several of them decides whether it compiles the query first.

create view tier_mix_by_month as
select p.code as program, m.month, t.code as tier, m.members, m.members / nullif(sum(m.members) over (partition by m.program_id, m.month), 0) as share
from (
    select m.program_id, m.month, m.tier_no, sum(m.members) over (partition by m.program_id, m.tier_no order by m.month) as members
    from (
        select m.program_id, m.month, m.tier_no, sum(m.members) as members
        from (
            select s.program_id, s.month, s.tier_no, s.members::numeric as members
            from tier_summary s
            join tier_rule r on r.program_id = s.program_id
            where r.is_kept
            union all
            select f.program_id, f.month, f.tier_no, f.members
            from tier_facts(
                array(select (r.program_id, r.tier_window, r.thresholds)::tier_summary_rule from tier_rule r where r.is_kept),
                (select s.summarized_until from summary_state s), null) f
            union all
            select f.program_id, f.month, f.tier_no, f.members
            from tier_facts(
                array(select (r.program_id, r.tier_window, r.thresholds)::tier_summary_rule from tier_rule r where not r.is_kept),
                null, null) f
            union all
            -- every month and tier, so that one without a change is there too
            select r.program_id, c.month::date, n.tier_no, 0
            from (
                select d.program_id, date_trunc('month', min(d.happened_on)::timestamp) as month from day_flow d group by d.program_id
            ) b
            join program p on p.program_id = b.program_id
            join tier_rule r on r.program_id = b.program_id
            cross join lateral unnest(array(select generate_series(b.month, now() at time zone p.time_zone, interval '1 month'))) c (month)
            cross join lateral unnest(array(select generate_series(0, cardinality(r.thresholds)))) n (tier_no)
        ) m
        group by m.program_id, m.month, m.tier_no
    ) m
) m
join program p on p.program_id = m.program_id
left join (
    select t.program_id, t.code, row_number() over (partition by t.program_id order by t.threshold) as tier_no from tier t
) t on t.program_id = m.program_id and t.tier_no = m.tier_no
where m.month <= (now() at time zone p.time_zone)::date;

comment on view tier_mix_by_month is 'Members by tier at the last instant of each local month';
comment on column tier_mix_by_month.program is 'Program';
comment on column tier_mix_by_month.month is 'First day of the local month; of the current one, as it will end if nothing more is posted';
comment on column tier_mix_by_month.tier is 'Code of the tier, as of today''s thresholds and tier_window; null: none';
comment on column tier_mix_by_month.members is 'Members in it, of those with an entry that had happened by then';
comment on column tier_mix_by_month.share is 'Members to all of the program';
