-- Traps: triggers that would change, double or refuse what is loaded if they were there before it; enabled in every way.
create table triggered (id int primary key, t text, n int default 0);
create table trigger_log (id serial primary key, what text, arguments text[]);
insert into triggered values (1, 'as it is', 0), (2, null, 0), (3, 'refused today', -1);
create function public.change_row() returns trigger language plpgsql as $$ begin new.t := 'changed by a trigger'; new.n := coalesce(new.n, 0) + 1; return new; end $$;
create function public.refuse_row() returns trigger language plpgsql as $$ begin raise 'no row may come in'; end $$;
create function public.log_row() returns trigger language plpgsql as $$ begin insert into public.trigger_log (what, arguments) values (tg_op || ' ' || tg_name, tg_argv); return null; end $$;
create trigger change before insert or update on triggered for each row execute function public.change_row();
create trigger "refuse "" it" before insert on triggered for each row when (new.n < 0) execute function public.refuse_row();
create trigger log_always after insert or delete or update of t, n on triggered for each row execute function public.log_row('a''b', E'\\ \n', '', '"');
create trigger log_replica after insert on triggered for each statement execute function public.log_row('replica');
create trigger log_disabled after truncate on triggered execute function public.log_row();
create trigger log_changes after update on triggered referencing old table as "old rows" new table as new_rows for each statement execute function public.log_row('transition');
alter table triggered enable always trigger log_always;
alter table triggered enable replica trigger log_replica;
alter table triggered disable trigger log_disabled;
alter table triggered disable trigger "refuse "" it";
comment on trigger change on triggered is 'a trigger';
create constraint trigger deferred_check after insert or update on triggered from trigger_log deferrable initially deferred
  for each row when (new.n > 100) execute function public.log_row('deferred');
create trigger instead_of instead of insert on depends_on_key for each row execute function public.log_row();
-- A trigger of a partitioned table, which its leaves have and one of them does not run.
create trigger on_partitions after insert on part_by_enum for each row execute function public.log_row('partition');
alter table part_by_enum_0 disable trigger on_partitions;
alter table part_by_enum_1 enable always trigger on_partitions;
create function public.path_of_owner() returns trigger language plpgsql as $$ begin perform count(*) from defaults_source; return new; end $$;
create trigger needs_a_path before update on "app schema".owned for each row execute function public.path_of_owner();

-- Traps: row security. Restrictive, for single commands and roles, with functions; enabled without a policy; forced, so
-- that the owner sees nothing; on the root of partitions and on one leaf; policies where it is not enabled.
create function public.may_see(owner text) returns boolean language sql stable security definer as $$ select owner = current_user or pg_has_role(current_user, 'sample_reader', 'member') $$;
create table secured (id int primary key, owner text, t text);
insert into secured select n, (array['select', 'sample owner', 'nobody'])[n % 3 + 1], 'secret ' || n from generate_series(1, 30) as n;
alter table secured owner to "sample owner"; alter table secured enable row level security; alter table secured force row level security;
create policy "see ""own""" on secured for select to public using (public.may_see(owner));
create policy insert_own on secured for insert to "select", sample_app with check (owner = current_user);
create policy update_own on secured for update to "sample owner" using (owner = current_user) with check (t <> E'it''s\n');
create policy never_nobody on secured as restrictive for all using (owner is distinct from 'nobody');
create policy delete_none on secured as restrictive for delete to "o'brien ""the"" = 100%" using (false);
comment on policy never_nobody on secured is 'a policy';
create table secured_without_policy (a int); insert into secured_without_policy values (1), (2);
alter table secured_without_policy enable row level security; alter table secured_without_policy owner to sample_app;
create table policy_without_security (a int); create policy unused on policy_without_security using (a > 0); insert into policy_without_security values (-1), (1);
alter table part_root enable row level security; create policy on_root on part_root as restrictive to sample_reader using (region <> 'elsewhere');
alter table part_eu_old enable row level security; alter table part_eu_old force row level security;
create policy subquery on policy_without_security for select using (exists (select from secured as s where s.id = a));
