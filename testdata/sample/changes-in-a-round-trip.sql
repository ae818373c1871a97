-- What comes back whole through `pg_dump | psql`, but looks otherwise afterwards, so that the schema of the copy differs
-- from that of its source: compare with a copy that pg_dump and psql made. Load it after one-of-everything.sql.
\set ON_ERROR_STOP on
set search_path = public;
set timezone = 'UTC';

-- The columns of a child get the order of its parent's: lists of columns must be written out on both sides of a COPY.
create table ordered_parent (a int default 1, b text not null, c int);
create table ordered_child (extra text, c int default 33, b text not null, a int);
insert into ordered_child select 'e' || n, n, 'child', n + 1000 from generate_series(1, 50) as n;
alter table ordered_child inherit ordered_parent;
create table ordered_grandchild () inherits (ordered_child);
insert into ordered_grandchild values ('x', 1, 'y', 2);

-- A default that a child inherited and dropped is a default again one level below (pg_dump 17 and 18).
create table default_parent (a int default 1);
create table default_child () inherits (default_parent);
create table default_grandchild () inherits (default_child);
alter table default_child alter a drop default;

-- An index that is invalid is left out by pg_dump, be it half-built or, as here, marked by hand.
create table has_invalid_index (a int);
create index invalid_and_lost on has_invalid_index (a);
update pg_index set indisvalid = false where indexrelid = 'invalid_and_lost'::regclass;

-- A materialized view shows at restore what its query gives then, and one that was made as another user too.
create table refreshed_source (n int);
insert into refreshed_source values (1);
create materialized view refreshed as select n, current_user::text as by from refreshed_source;
insert into refreshed_source values (2);
