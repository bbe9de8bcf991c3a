-- refuse_change: what is written once stays as it is.

create function refuse_change() returns trigger
language c volatile parallel unsafe
as 'MODULE_PATHNAME';

comment on function refuse_change() is
    'Trigger function with what it guards and a hint as arguments: raises 42501, but for forget_member()''s own updates';

revoke all on function refuse_change() from public;
