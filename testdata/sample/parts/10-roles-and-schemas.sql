-- Trap: roles named like keywords, with quotes and spaces. They belong to the cluster, so they may be there already.
select format('create role %I', name) from (values
  ('select'), ('sample owner'), ('o''brien "the" = 100%'), ('sample_granter'), ('sample_reader'), ('sample_app'),
  ('Ünïcödé 角色')) as wanted (name)
where not exists (select from pg_roles where rolname = name) \gexec
alter role sample_app bypassrls;
alter role sample_app set search_path = 'app schema', public; -- trap: the role's own search path
grant sample_reader to sample_granter with admin option;
do $$ begin execute format('grant create, connect on database %I to "sample owner", sample_granter', current_database()); end $$;

-- Trap: rights revoked from everybody on the database itself, and a comment with an apostrophe on it.
do $$ begin
  execute format('revoke temporary on database %I from public', current_database());
  execute format('comment on database %I is %L', current_database(), E'it''s a sample\nof everything');
end $$;

-- Trap: a tablespace of its own. `allow_in_place_tablespaces` spares a folder outside of the cluster's.
\if :tablespace
\if :has_in_place
set allow_in_place_tablespaces = on;
select exists (select from pg_tablespace where spcname = 'sample space') as has_space \gset
\if :has_space
\else
create tablespace "sample space" owner "sample owner" location '';
comment on tablespace "sample space" is 'in place';
\endif
grant create on tablespace "sample space" to sample_app with grant option;
\endif
\endif
select exists (select from pg_tablespace where spcname = 'sample space') as has_tablespace \gset

-- Traps: names of schemas with a space, a dot, a quote, a newline; an owner who is not the loader; a keyword.
create schema "app schema" authorization "sample owner";
create schema "dotted.schema" authorization "select";
create schema "quote""schema'";
create schema U&"new\000Aline = schema";
create schema "table";
create schema hidden;
create schema "empty schema";
comment on schema "app schema" is 'the application''s';
comment on schema "dotted.schema" is E'a dot\n-- and a second line';
grant usage on schema "app schema", "dotted.schema", hidden to sample_reader;
grant usage, create on schema "app schema" to sample_granter with grant option;

-- Trap: the schema public with another owner and other rights than at its birth.
alter schema public owner to "sample owner";
revoke all on schema public from public;
grant usage on schema public to public;
grant create on schema public to sample_app;
comment on schema public is 'not the standard comment';

-- Trap: default privileges, of a role everywhere, of a role in one schema, and one that takes away what is given by
-- default. Restored too early, they give rights on what is created after them.
alter default privileges for role "sample owner" grant select on tables to sample_reader;
alter default privileges for role "sample owner" revoke execute on functions from public;
alter default privileges for role "sample owner" in schema "app schema" grant usage on sequences to sample_app with grant option;
alter default privileges for role "select" grant usage on types to "o'brien ""the"" = 100%";
alter default privileges for role "select" grant usage on schemas to sample_reader;

-- Trap: rights on the system's own objects, which a dump must notice as changed.
revoke execute on function pg_catalog.pg_sleep(double precision) from public;
grant execute on function pg_catalog.pg_ls_dir(text) to sample_app;
grant select (rolname) on pg_catalog.pg_authid to sample_reader;
