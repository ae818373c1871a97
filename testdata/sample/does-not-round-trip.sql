-- What `pg_dump | psql` itself fails at. Load it after one-of-everything.sql. Each of these ends psql with
-- ON_ERROR_STOP=1, or without it loses what is said here.
\set ON_ERROR_STOP on
set search_path = public;
set client_min_messages = error;
select current_setting('server_version_num')::int < 170000 as before_17 \gset

-- Hash partitions by a type that contains an enum: only enums themselves are loaded by way of the root, so rows arrive
-- in leaves that refuse them, unless the new values happen to get numbers that hash like the old. Lost: the rows.
create table part_by_array (a mood[], b text) partition by hash (a, b);
create table part_by_array_0 partition of part_by_array for values with (modulus 2, remainder 0);
create table part_by_array_1 partition of part_by_array for values with (modulus 2, remainder 1);
insert into part_by_array select array[m, null], n::text from unnest(enum_range(null::mood)) as m, generate_series(1, 10) as n;

-- The state of a trigger of a leaf two levels below the root, where the leaf's name comes before the root's: it is set
-- before the trigger is there. Lost: that it is disabled.
create table root_of_triggered (k int) partition by list (k);
create table middle_of_triggered partition of root_of_triggered for values in (1) partition by list (k);
create table leaf_of_triggered partition of middle_of_triggered for values in (1);
create trigger on_root after insert on root_of_triggered for each row execute function public.log_row('root');
alter table leaf_of_triggered disable trigger on_root;

-- A check that calls a function which reads a table that comes later. Lost: the rows.
create table check_z_limits (most int);
insert into check_z_limits values (10);
create function public.within_z_limit(n int) returns boolean language sql stable 
  as $$ select coalesce(n <= (select most from public.check_z_limits), false) $$;
create table check_c_items (n int constraint within_limit check (public.within_z_limit(n)));
insert into check_c_items values (1), (10);

-- Functions that find what they need by the search path, and are called at restore, where that is empty: by an index,
-- a generated column and a materialized view. Lost: the index; the rows; the contents of the view.
create table path_table (n int);
insert into path_table values (1);
create function path_helper(n int) returns int language plpgsql immutable as $$ begin return n + 1; end $$;
create function needs_path(n int) returns int language plpgsql immutable as $$ begin return path_helper(n); end $$;
create table path_indexed (n int);
create index path_index on path_indexed (needs_path(n));
insert into path_indexed values (1), (2);
create table path_generated (n int, m int generated always as (needs_path(n)) stored);
insert into path_generated values (1), (2);
\if :before_17
create function count_path_table() returns bigint language plpgsql stable as $$ begin return (select count(*) from path_table); end $$;
create materialized view path_matview as select count_path_table() as n; -- later versions refuse it from the beginning
\endif

-- A materialized view that its new owner may not refresh. Lost: its contents.
create table not_for_owner (n int);
create materialized view owner_without_right as select * from not_for_owner;
alter materialized view owner_without_right owner to "select";

-- A language whose handlers belong to an extension: pg_dump leaves the handlers out of its definition. Lost: it.
create trusted language borrowed_language handler plpgsql_call_handler inline plpgsql_inline_handler validator plpgsql_validator;

-- A table that was added to an extension. Lost: it, without a word.
create table added_to_extension (n int);
insert into added_to_extension values (1);
alter extension hstore add table added_to_extension;
