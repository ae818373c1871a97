-- Event triggers come last: they would see all the rest. They do nothing, so that a restore may have them early too.
create function public.on_event() returns event_trigger language plpgsql as $$ begin null; end $$;
create event trigger "ev ent" on ddl_command_end when tag in ('CREATE TABLE', 'ALTER TABLE') execute function public.on_event();
create event trigger on_drop on sql_drop execute function public.on_event(); create event trigger on_rewrite on table_rewrite execute function public.on_event();
alter event trigger on_drop enable always; alter event trigger on_rewrite disable; alter event trigger "ev ent" enable replica;
comment on event trigger "ev ent" is 'an event trigger'; alter event trigger on_drop owner to current_user;

-- Traps: settings of the database that change what a session reads and how long it may take. They begin with the next
-- session, so they do not disturb what is above.
\if :hostile_settings
select format('alter database %I set %s', current_database(), setting) from (values
  ('datestyle = ''SQL, DMY'''), ('intervalstyle = ''sql_standard'''), ('bytea_output = ''escape'''), ('extra_float_digits = -10'),
  ('timezone = ''Pacific/Chatham'''), ('xmloption = ''document'''), ('search_path = ''hidden'', ''$user'''), ('statement_timeout = ''30s'''),
  ('lock_timeout = ''10s'''), ('idle_in_transaction_session_timeout = ''5s'''), ('default_transaction_isolation = ''serializable'''),
  ('standard_conforming_strings = off'), ('array_nulls = on'), ('quote_all_identifiers = off'), ('default_transaction_deferrable = on')) as s (setting) \gexec
\endif
