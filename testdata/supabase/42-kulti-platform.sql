-- Own SQL: what the application has on the platform beside 40-kulti.sql. Run as postgres.
\set ON_ERROR_STOP on
set client_min_messages = warning;
create policy "own files" on storage.objects for select to authenticated
  using (bucket_id = 'recordings' and (storage.foldername(name))[1] = (select auth.uid())::text);
comment on policy "own files" on storage.objects is 'of the folder that has the name of the user';
create policy "hosts listen" on realtime.messages as restrictive for select to authenticated using (public.is_host(id));
grant select on storage.objects to kulti_readonly;
-- rights of the platform's own roles, on columns and in the name of postgres
grant select (email, id) on auth.users to authenticated; grant update (name) on storage.objects to kulti_worker;
grant insert (hook_name) on supabase_functions.hooks to anon; grant select on supabase_functions.hooks to public; grant update on supabase_functions.hooks to authenticated;
alter default privileges in schema public revoke all on functions from anon;
select cron.schedule('close old', '0 3 * * *', $$call public.close_old(30); select '\ it''s'$$);
select cron.alter_job(cron.schedule('off', '@daily', 'select 1'), active := false);
select cron.schedule('*/5 * * * *', 'select 2');
-- a job of another role, of a name that is taken, and tables of a role that postgres may not act as, in a schema in which that may make nothing more
create schema "of worker"; grant usage, create on schema "of worker" to kulti_worker; grant usage on schema cron to kulti_worker; grant execute on function cron.alter_job to kulti_worker;
grant kulti_worker to postgres; set role kulti_worker;
select cron.alter_job(cron.schedule('close old', '@weekly', 'select 3'), active := false);
create table "of worker".owned (id int primary key, other int references "of worker".owned, note text); insert into "of worker".owned values (1, 1, 'x');
create statistics "of worker".counted on id, other from "of worker".owned; create index on "of worker".owned (other); create view "of worker".seen as select * from "of worker".owned;
alter table "of worker".owned enable row level security; create policy nobody on "of worker".owned for select to authenticated using (false);
grant select on "of worker".owned to anon; alter default privileges in schema "of worker" grant select on tables to kulti_readonly; reset role;
revoke create on schema "of worker" from kulti_worker; revoke kulti_worker from postgres; grant kulti_readonly to postgres;
select vault.create_secret('hunter2 ''\ ü', 'stripe', 'key of Stripe');
