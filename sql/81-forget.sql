-- forget: how a person is forgotten while the journal stays as it was written.

create table erasure (
    account_id bigint not null,
    seq bigint not null,
    personal_digest bytea not null,
    primary key (account_id, seq)
);

comment on table erasure is 'Entries whose reason and details were erased, with the digest that stands for them in the hash chain';
comment on column erasure.account_id is 'Account';
comment on column erasure.seq is 'Entry';
comment on column erasure.personal_digest is 'SHA-256 of what was erased, salted with bytes that are erased too';

create table forgetting (
    account_id bigint not null,
    forgetting_no integer not null,
    forgotten_at timestamptz not null default now(),
    last_seq bigint not null,
    reason text not null,
    actor text not null,
    primary key (account_id, forgetting_no)
);

comment on table forgetting is 'Calls of forget_member()';
comment on column forgetting.account_id is 'Account';
comment on column forgetting.forgetting_no is 'Number of the call within the account, from 1';
comment on column forgetting.forgotten_at is 'When the member was forgotten';
comment on column forgetting.last_seq is 'Number of the account''s latest entry then; later ones are not erased';
comment on column forgetting.reason is 'Why, as the caller stated it';
comment on column forgetting.actor is 'Role that called it';

select pg_extension_config_dump('erasure', '');
select pg_extension_config_dump('forgetting', '');

create function forget_member(program text, member text, reason text) returns account
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function forget_member(text, text, text) is
    'Replaces the member''s identifier by a random one, also where extensions name it, erases reason and details of the account''s entries, the messages of its notices and the reasons of its status changes, and returns the account, of whatever status. The entries keep their amounts and hashes. reason is kept in forgetting, with the time and the role. Raises JF002, JF003, 22004, 22023, 25006. Locks the account';

revoke all on function forget_member(text, text, text) from public;
