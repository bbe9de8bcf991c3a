-- jifen's tables as plain ones with the same rows and indexes, and which rows a run of batches has written.
create schema plain;
create table plain.account (like jifen.account including all) with (fillfactor = 80);
create table plain.lot (like jifen.lot including all) with (fillfactor = 90);
create table plain.entry (like jifen.entry including all);
insert into plain.account select * from jifen.account order by account_id;
insert into plain.lot select * from jifen.lot order by account_id, seq;
insert into plain.entry select * from jifen.entry order by account_id, seq;
create table plain.posted (batch integer not null, account_id bigint not null, seq bigint not null, primary key (account_id, seq));
create index on plain.posted (batch);
create table plain.changed (
    batch integer not null,
    account_id bigint not null,
    balance jifen.point_amount not null,
    seq bigint not null,
    event_at timestamptz not null,
    hash bytea not null,
    primary key (batch, account_id)
);
