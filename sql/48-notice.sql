-- notice: what members were told of points that are to lapse. sql/64-reminder.sql
-- tells whom to tell, sql/65-notice.sql records it.

create table notice (
    account_id bigint not null,
    notice_no integer not null,
    program_id integer not null,
    window_days integer not null,
    sent_at timestamptz not null,
    counts_from timestamptz not null,
    channel text not null,
    points point_amount not null,
    first_expires_at timestamptz not null,
    last_expires_at timestamptz not null,
    message text,
    after_seq bigint not null,
    posted_at timestamptz not null default now(),
    actor text not null,
    primary key (account_id, notice_no),
    constraint notice_points_positive check (points > 0)
);

comment on table notice is 'Notices to members of points that were to lapse: immutable, numbered without gaps within each account';
comment on column notice.account_id is 'Account';
comment on column notice.notice_no is 'Number of the notice within the account, from 1';
comment on column notice.program_id is 'Program of the account';
comment on column notice.window_days is 'Length in days of the window that the notice is of';
comment on column notice.sent_at is 'When the member was told, as the caller stated it';
comment on column notice.counts_from is 'From when the days are counted that points wait for: sent_at or, if it was recorded late, the latest that had happened on the account by then';
comment on column notice.channel is 'How: email, sms, app …';
comment on column notice.points is 'Points that this notice was the first to tell of in its window';
comment on column notice.first_expires_at is 'When the first of these points were to lapse';
comment on column notice.last_expires_at is 'When the last of them were to lapse';
comment on column notice.message is 'What the member was told, where the caller gave it; erased by forget_member()';
comment on column notice.after_seq is 'Number of the account''s latest entry when the notice was recorded';
comment on column notice.posted_at is 'Booking time: when the transaction that recorded it began';
comment on column notice.actor is 'Role that recorded it';

create table notice_lot (
    account_id bigint not null,
    lot_seq bigint not null,
    expires_at timestamptz not null,
    window_days integer not null,
    notice_no integer not null,
    points point_amount not null,
    primary key (account_id, lot_seq, expires_at, window_days),
    constraint notice_lot_points_positive check (points > 0)
);

comment on table notice_lot is 'The lots of each notice: a lot and the instant of its clock are told of once in a window';
comment on column notice_lot.account_id is 'Account';
comment on column notice_lot.lot_seq is 'Entry of the credit whose lot it is';
comment on column notice_lot.expires_at is 'When the lot was to lapse by its own clock; it is told of anew where that moves';
comment on column notice_lot.window_days is 'Window of the notice';
comment on column notice_lot.notice_no is 'Notice of the account';
comment on column notice_lot.points is 'Points that were left in the lot';

select pg_extension_config_dump('notice', '');
select pg_extension_config_dump('notice_lot', '');

create trigger refuse_change before update or delete or truncate on notice
    for each statement execute function refuse_change('Notices', 'A further notice is recorded by record_notice().');
create trigger refuse_change before update or delete or truncate on notice_lot
    for each statement execute function refuse_change('Notices', 'A further notice is recorded by record_notice().');
-- Also where session_replication_role is replica.
alter table notice enable always trigger refuse_change;
alter table notice_lot enable always trigger refuse_change;
comment on trigger refuse_change on notice is 'Refuses UPDATE, DELETE and TRUNCATE';
comment on trigger refuse_change on notice_lot is 'Refuses UPDATE, DELETE and TRUNCATE';
