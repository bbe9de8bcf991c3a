-- What year.sql, expiry.sql and books.sql begin with.
--
-- They are for psql's standard input, in this directory. Queries are shown as
-- they are sent, unless ECHO is none; the variables bold and plain set off the
-- headings.

\set ON_ERROR_STOP on
\set QUIET on
\set ECHO none
\pset footer off
\pset null '-'
set client_min_messages = warning;
set time zone 'Asia/Shanghai';
-- For sum() and the operators of points; functions are named in full here.
set search_path = public, jifen;

-- Ends the demo with an error where a figure is not the one that the story tells.
create function pg_temp.expect(what text, expected text, actual text) returns void
language plpgsql as $$
begin
    if actual is distinct from expected then
        raise exception 'the demo went wrong: %', what
            using detail = format('Expected %s, found %s.', expected, actual);
    end if;
end
$$;
