-- liability: what the issuer owes.

create view liability_by_expiry as
select p.code as program,
    case when l.expires_at = 'infinity' then null
        else date_trunc('month', (l.expires_at - interval '1 microsecond') at time zone p.time_zone)::date
    end as expires_month,
    count(distinct l.account_id) as members,
    count(*) as lots,
    sum(l.remaining::numeric) as points,
    coalesce(sum(l.remaining::numeric) filter (where l.lapses_at <= now()), 0) as lapsed,
    sum(l.remaining::numeric) * p.point_value as face_value,
    p.currency,
    coalesce(sum(l.remaining::numeric) filter (where l.expires_at <= now() and l.lapses_at > now()), 0) as held_back
from open_lot l
join program p on p.program_id = l.program_id
group by p.program_id, 2;

comment on view liability_by_expiry is 'Unspent points of each program by the month in which they lapse as things stand';
comment on column liability_by_expiry.program is 'Program';
comment on column liability_by_expiry.expires_month is 'First day of the local month at whose end, or within which, the points lapse; null: never';
comment on column liability_by_expiry.members is 'Members who hold such points';
comment on column liability_by_expiry.lots is 'Lots';
comment on column liability_by_expiry.points is 'Points, lapsed ones that are not booked yet included';
comment on column liability_by_expiry.lapsed is 'Those of points that have lapsed and are not booked yet';
comment on column liability_by_expiry.face_value is 'Points at the program''s point_value; null where it has none';
comment on column liability_by_expiry.currency is 'Currency of face_value';
comment on column liability_by_expiry.held_back is 'Those of points that are past their date and have not lapsed for want of a notice';
