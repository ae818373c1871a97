-- Traps: servers that cannot be reached, with everything that hangs on them; a secret in a user mapping.
create extension postgres_fdw schema public; create extension file_fdw schema public;
create foreign data wrapper "wrapper of nothing" options (debug 'true', "o p" 'it''s');
alter foreign data wrapper "wrapper of nothing" owner to current_user; comment on foreign data wrapper "wrapper of nothing" is 'without a handler';
create server "server of nothing" type 'a type' version '1.0''' foreign data wrapper "wrapper of nothing" options (host 'nowhere', "p p" '\');
create server unreachable foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1', dbname 'no''where', connect_timeout '2');
create server files foreign data wrapper file_fdw; comment on server unreachable is 'a server';
create user mapping for public server "server of nothing" options (u 'x'); create user mapping for "select" server unreachable options (user 'u', password 'foreign ''secret''');
create user mapping for current_user server unreachable options (user 'u', password 'foreign secret');
grant usage on foreign data wrapper postgres_fdw to sample_app; grant usage on foreign server unreachable to sample_app with grant option;
create foreign table "foreign "" table" (a int options (column_name 'x y') not null, b text collate "C" default 'b', constraint c check (a > 0)) server unreachable options (schema_name 's', table_name 't''t');
alter foreign table "foreign "" table" alter a set statistics 5; comment on foreign table "foreign "" table" is 'elsewhere'; comment on column "foreign "" table".a is 'elsewhere';
create foreign table foreign_file (line text) server files options (filename '/nowhere/at/all', format 'text', delimiter E'\x01');
create foreign table "app schema".foreign_nothing () server "server of nothing"; grant select on foreign_file to sample_reader;
create trigger on_foreign before insert on "foreign "" table" for each row execute function public.change_row();

-- Trap: foreign children. A plain SELECT, COPY (SELECT …) or ANALYZE of the parent asks the server that is not there.
create table foreign_parent (a int, b text); insert into foreign_parent select n, 'local' from generate_series(1, 5) as n;
create foreign table foreign_child () inherits (foreign_parent) server unreachable;
create table part_foreign (a int, b text) partition by list (a);
create table part_foreign_local partition of part_foreign for values in (1); insert into part_foreign values (1, 'local');
create foreign table part_foreign_remote partition of part_foreign for values in (2) server unreachable;

-- Traps: extensions in schemas of their own, with rights on their members, types in tables, members with comments.
create schema "ext ensions"; create extension hstore schema "ext ensions"; create extension citext schema "ext ensions"; create extension ltree schema "ext ensions";
create extension pgcrypto schema hidden version '1.3'; comment on extension hstore is 'our own words';
create table of_extensions (h "ext ensions".hstore, c "ext ensions".citext, l "ext ensions".ltree, primary key (c));
insert into of_extensions values ('a=>1, "b \"c"=>NULL', 'CaSe', 'a.b.c'), ('', 'other', '');
create index on of_extensions using gist (h); create index on of_extensions using gist (l);
create unique index on of_extensions (lower(c::text), h); revoke execute on function "ext ensions".akeys("ext ensions".hstore) from public;
grant execute on function "ext ensions".akeys("ext ensions".hstore) to sample_app;
-- Trap: what depends on an extension without being its member.
create function uses_hstore() returns "ext ensions".hstore language sql immutable as $$ select 'a=>1'::"ext ensions".hstore $$;
alter function uses_hstore() depends on extension hstore; alter index of_extensions_h_idx depends on extension hstore;

-- Trap: tables of an extension whose rows are the user's. No contrib module has such; see README.md for this one.
\if :has_sample_extension
create extension backstay_sample;
insert into sample_configuration values ('user 1', true, 'a'), ('user 2', true, E'\\.'); insert into sample_configuration values ('builtin later', false, 'not dumped');
insert into sample_log (what) values ('dumped whole'), ('as there is no condition'); select setval('sample_number', 77) \g /dev/null
\endif
