-- Own SQL: stand-ins for what stock PostgreSQL cannot show of the platform. The functions have the platform's signatures and
-- rights: vault and pg_cron are called by postgres, which may only read their tables; and postgres makes and drops policies
-- and drops triggers on tables of the platform, which supautils lets it (policy_grants, drop_trigger_grants) and here a membership does.
\set ON_ERROR_STOP on
set client_min_messages = warning;
grant supabase_auth_admin, supabase_storage_admin, supabase_realtime_admin to postgres;
-- Of a table whose owner postgres may not act as, as on the platform.
grant all on supabase_functions.hooks to postgres with grant option;

create table vault.secrets (id uuid primary key default gen_random_uuid(), name text unique, description text not null default '', secret text not null);
create view vault.decrypted_secrets as select id, name, description, secret, secret as decrypted_secret from vault.secrets;
create function vault.create_secret(new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null) returns uuid
  language sql security definer set search_path = '' as
  $$ insert into vault.secrets (secret, name, description) values (new_secret, new_name, new_description) returning id $$;
create function vault.update_secret(secret_id uuid, new_secret text default null, new_name text default null, new_description text default null, new_key_id uuid default null) returns void
  language sql security definer set search_path = '' as
  $$ update vault.secrets set secret = new_secret, name = new_name, description = new_description where id = secret_id $$;
grant usage on schema vault to postgres; grant select, delete on vault.secrets, vault.decrypted_secrets to postgres;

create schema cron;
create table cron.job (jobid bigserial primary key, schedule text not null, command text not null, nodename text not null default 'localhost', nodeport int not null default 5432,
  database text not null default current_database(), username text not null default current_user, active boolean not null default true, jobname text);
create unique index jobname_username_uniq on cron.job (jobname, username);
create function cron.caller() returns name language sql stable as $$ select coalesce(nullif(current_setting('role'), 'none'), session_user) $$;
create function cron.schedule(job_name text, schedule text, command text) returns bigint language sql security definer set search_path = '' as
  $$ insert into cron.job (jobname, schedule, command, username) values ($1, $2, $3, cron.caller())
     on conflict (jobname, username) do update set schedule = excluded.schedule, command = excluded.command returning jobid $$;
create function cron.schedule(schedule text, command text) returns bigint language sql security definer set search_path = '' as
  $$ insert into cron.job (schedule, command, username) values ($1, $2, cron.caller()) returning jobid $$;
create function cron.alter_job(job_id bigint, schedule text default null, command text default null, database text default null, username text default null, active boolean default null) returns void
  language sql security definer set search_path = '' as $$ update cron.job j set active = coalesce(alter_job.active, j.active) where j.jobid = job_id $$;
-- As the extension has it, and as the platform gives it to postgres.
revoke execute on function cron.alter_job from public; grant execute on all functions in schema cron to postgres with grant option;
grant usage on schema cron to postgres with grant option; grant select on cron.job to public;
