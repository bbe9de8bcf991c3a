-- local_day: the days and months that instants lie in, where days begin, and how far apart these are.

-- Immutable in the sense in which timezone(text, timestamptz) is, whose work
-- they do in a fraction of its time.
create function local_day(instant timestamptz, time_zone text) returns date
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function local_day(timestamptz, text) is
    'The day that an instant lies in by the clock of the time zone; infinity of infinity. Raises 22023 for an unknown time zone. Locks nothing';

create function day_until(instant timestamptz, time_zone text) returns date
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function day_until(timestamptz, text) is
    'The day that the microsecond before an instant lies in, as local_day()';

create function local_month(instant timestamptz, time_zone text) returns date
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function local_month(timestamptz, text) is
    'The first day of the month that an instant lies in, as local_day()';

create function month_until(instant timestamptz, time_zone text) returns date
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function month_until(timestamptz, text) is
    'The first day of the month that the microsecond before an instant lies in, as local_day()';

create function day_begin(day date, time_zone text) returns timestamptz
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function day_begin(date, text) is
    'The instant at which a local day begins: its first midnight, or where the clocks skip that, the first instant after it; infinity of infinity. Raises 22008 out of range, 22023 for an unknown time zone. Locks nothing';

create function months_between(since date, until date) returns integer
language sql immutable parallel safe
return ((extract(year from until) - extract(year from since)) * 12 + extract(month from until) - extract(month from since))::integer;

comment on function months_between(date, date) is
    'How many months the month of until is after that of since; below zero: before it';
