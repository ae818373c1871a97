-- The tables of an application of live sessions and credits that the exports of the sample configuration read
-- (`backstay config example`), with a few rows.
create type tx_kind as enum ('purchase', 'spend', 'refund');
create table users (
    id uuid primary key,
    username text unique,
    email text not null,
    display_name text,
    credits integer not null default 0,
    created_at timestamptz not null
);
comment on table users is 'Profiles';
comment on column users.credits is 'denormalised; see credit_transactions';
create table sessions (
    id uuid primary key,
    host_id uuid not null references users,
    title text not null,
    status text not null default 'scheduled',
    starts_at timestamptz not null,
    ends_at timestamptz,
    price numeric(10,2) not null default 0
);
create table session_participants (
    session_id uuid references sessions,
    user_id uuid references users,
    primary key (session_id, user_id)
);
create table credit_transactions (
    id bigint generated always as identity,
    user_id uuid not null references users,
    kind tx_kind not null,
    amount integer not null,
    reference text,
    note text,
    created_at timestamptz not null,
    primary key (id, created_at)
) partition by range (created_at);
create table credit_transactions_2024 partition of credit_transactions for values from ('2024-01-01') to ('2025-01-01');
create table credit_transactions_rest partition of credit_transactions default;
create table logins (user_name text, at timestamptz);

insert into users
select md5('user' || i)::uuid, 'user_' || i, 'user' || i || '@example.org', E'Üser "' || i || E'",\n末', i,
    timestamptz '2024-01-01 00:00+00' + i * interval '1 hour'
from generate_series(1, 20) i;
insert into sessions
select md5('session' || i)::uuid, md5('user' || 1 + i % 20)::uuid, 'Session ' || i, 'ended',
    timestamptz '2024-06-01 00:00+00' + i * interval '2 hours', null, i * 1.25
from generate_series(1, 40) i;
insert into session_participants
select md5('session' || i)::uuid, md5('user' || 1 + (i * 7 + k) % 20)::uuid from generate_series(1, 39) i, generate_series(1, 3) k;
insert into credit_transactions (user_id, kind, amount, reference, note, created_at)
select md5('user' || 1 + i % 20)::uuid, (array['purchase', 'spend', 'refund'])[1 + i % 3]::tx_kind, 10 + i, 'ref-' || i,
    case when i % 3 = 0 then null else '' end, timestamptz '2024-12-01 00:00+00' + i * interval '12 hours'
from generate_series(1, 100) i;
insert into logins values ('user_1', '2024-01-01 00:00+00'), ('user_2', '2024-01-01 00:00+00');
