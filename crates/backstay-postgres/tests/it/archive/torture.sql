-- Every kind of object that pg_dump writes in a way of its own, for PostgreSQL 15 and newer.
\set ON_ERROR_STOP on
set client_min_messages = warning;
set allow_in_place_tablespaces = on;
set allow_system_table_mods = on;
select current_setting('server_version_num')::int >= 170000 as is_17, current_setting('server_version_num')::int >= 180000 as is_18 \gset

create role plain; create role "select"; create role "Odd ""owner""; --" superuser;
create tablespace fast location ''; create tablespace "Slow "";" location '';
create access method heap2 type table handler heap_tableam_handler;
create access method "Heap 3" type table handler heap_tableam_handler;
comment on access method heap2 is 'another heap';
create schema s; create schema "S 2" authorization "select"; create schema private;
comment on schema s is E'a schema\n\\connect nowhere\n; drop table x; --';
comment on schema public is 'everybody''s'; alter schema public owner to plain; revoke all on schema public from public;
do $$ begin
  execute format('comment on database %I is ''the database''; grant temporary on database %1$I to plain; alter database %1$I set work_mem = ''5MB''; alter role plain in database %1$I set work_mem = ''6MB''', current_database());
end $$;

-- types
create type s.mood as enum ('sad', 'it''s ok', E'new\nline', 'happy');
create type s.pair as (a int, "B b" text collate "C"); comment on column s.pair.a is 'first';
create domain s.positive as int default 1 not null constraint above check (value > 0); comment on constraint above on domain s.positive is 'above zero';
alter domain s.positive add constraint below check (value < 1000) not valid; alter domain s.positive owner to plain;
create type s.floats as range (subtype = float8, subtype_diff = float8mi); grant usage on type s.floats to plain; revoke usage on type s.mood from public;
create type s.undefined;
create type s.int42;
create function s.int42_in(cstring) returns s.int42 as 'int4in' language internal strict immutable;
create function s.int42_out(s.int42) returns cstring as 'int4out' language internal strict immutable;
create type s.int42 (internallength = 4, input = s.int42_in, output = s.int42_out, alignment = int4, default = 42, passedbyvalue);
comment on type s.int42 is 'the answer'; alter type s.int42 owner to "Odd ""owner""; --";
create collation s.german (provider = libc, locale = 'C'); comment on collation s.german is 'not really';
create default conversion s.latin for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8; comment on conversion s.latin is 'c';

-- functions, operators, casts, languages
create function s.f(a int, inout b text default 'x''y') as $$ begin b := a || b; end $$ language plpgsql security definer set search_path = s, "S 2" set work_mem = '1MB' cost 7;
create function s.f(variadic text[]) returns setof text language sql as $$ select unnest($1) $$;
create function s.atomic(int) returns int language sql begin atomic select $1 + 1; end;
create procedure s.p(inout a int, b text default null) language sql as 'select a'; alter procedure s.p owner to plain;
comment on procedure s.p is 'a procedure'; comment on function s.f(text[]) is 'a function'; revoke all on function s.f(text[]) from public; grant execute on function s.f(text[]) to plain with grant option;
create aggregate s.total(int) (sfunc = int4pl, stype = int, initcond = '0', combinefunc = int4pl, parallel = safe); comment on aggregate s.total(int) is 'sum';
create aggregate s.ordered(float8 order by int4) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra) ;
create function s.box_same(int, int) returns bool language sql immutable as 'select $1 = $2';
create operator s.=== (leftarg = int, rightarg = int, procedure = s.box_same, commutator = operator(s.===), restrict = eqsel, join = eqjoinsel); comment on operator s.=== (int, int) is 'same';
create operator s.!!! (rightarg = int, procedure = int4abs); alter operator s.!!! (none, int) owner to plain;
create operator family s.fam using btree; comment on operator family s.fam using btree is 'f';
create operator class s.cls for type int8 using btree family s.fam as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint8cmp(int8, int8); alter operator class s.cls using btree owner to plain;
create cast (s.int42 as int4) without function as assignment; comment on cast (s.int42 as int4) is 'cast';
create function s.handler() returns language_handler as '$libdir/plpgsql', 'plpgsql_call_handler' language c;
create language odd_lang handler s.handler; comment on language odd_lang is 'odd'; alter language odd_lang owner to plain; create trusted language "Lang" handler s.handler; grant usage on language "Lang" to plain;
create transform for int language sql (from sql with function prsd_lextype(internal), to sql with function int4recv(internal)); comment on transform for int language sql is 't';

-- tables
create table public.t (id int generated always as identity, n s.positive, m s.mood default 'sad', twice int generated always as (1 + 1) stored, note text not null default E'a\\b''\n' check (note <> ''), "Col ""x""" int) tablespace fast;
comment on table public.t is 'a table'; comment on column public.t."Col ""x""" is 'col';
grant select ("Col ""x"""), update (note) on public.t to plain, public; grant all on public.t to "select" with grant option; revoke insert on public.t from current_user;
create table s.t2 (id bigserial primary key using index tablespace "Slow "";", other int unique, later int unique deferrable initially deferred) using heap2 tablespace "Slow "";"; alter table s.t2 owner to plain;
create table s.t3 (like s.t2 including all) using "Heap 3"; alter table s.t3 owner to "select"; comment on constraint t3_pkey on s.t3 is 'pk'; alter table s.t3 cluster on t3_pkey;
create unlogged table s.nothing (); create table s.toast (a text compression pglz) with (fillfactor = 70, autovacuum_enabled = off); alter table s.toast alter a set storage external, alter a set statistics 7, alter a set (n_distinct = -0.5); alter table s.toast replica identity full;
create table s.parent (a int, constraint positive check (a > 0)); create table s.child (b int, constraint no check (b is not null) no inherit) inherits (s.parent); alter table s.child alter a set default 5;
alter table public.t add constraint pk primary key (id); alter table public.t add constraint fk foreign key ("Col ""x""") references s.t2 (other) on delete set null not valid; comment on constraint fk on public.t is 'fk';
alter table s.t2 add constraint back foreign key (other) references public.t (id) deferrable; alter table s.t2 add constraint ex exclude using gist (int8range(id, id + 1) with &&) using index tablespace fast;
create table s.typed of s.pair (a primary key);
create index plain_index on public.t (note text_pattern_ops, lower(note) desc nulls last) include (id) with (fillfactor = 50) tablespace fast where id > 3; comment on index plain_index is 'index'; alter index plain_index alter column 2 set statistics 99;
create unique index on public.t using btree (note) nulls not distinct; alter table public.t replica identity using index pk;
create table s.part (id int, k text, v int default 3, primary key (id, k)) partition by list (k); create index part_v on s.part (v); comment on table s.part is 'p';
create table s.part_a partition of s.part for values in ('a', 'it''s') tablespace fast; create table s.part_b partition of s.part for values in ('b') partition by hash (id); create table s.part_b0 partition of s.part_b for values with (modulus 1, remainder 0) using heap2; create table s.part_rest partition of s.part default;
create index part_only on only s.part (k); create index a_only on s.part_a (k); alter index s.part_only attach partition s.a_only; alter table s.part add foreign key (v) references public.t (id); alter table s.part_a alter v set default 9;
\if :is_17
create table s.part_am (id int) partition by range (id) using heap2; create table s.part_am1 partition of s.part_am for values from (minvalue) to (5); alter table s.part_am owner to plain;
create table "S 2"."Part ""am""" (id int) partition by range (id) using "Heap 3";
\endif
\if :is_18
create table s.virtual (a int, b int generated always as (a * 2) virtual, constraint nn not null a not valid, check (a > 0) not enforced);
\endif
create sequence s.seq as smallint increment -3 cycle; create sequence public.owned owned by public.t.n; comment on sequence s.seq is 'seq'; alter sequence s.seq owner to supabase_admin; grant usage on sequence s.seq to plain; create unlogged sequence s.lone; select setval('s.lone', 7);
alter table public.t alter n set default nextval('s.seq');
create statistics s.stat (ndistinct, mcv) on id, note from public.t; comment on statistics s.stat is 'st'; alter statistics s.stat set statistics 55; alter statistics s.stat owner to plain; create statistics s.expr on (id + 1), (note || 'x') from public.t;

-- views and rules
create view s.v with (security_barrier) as select id, note from public.t where id > 1 with local check option; comment on view s.v is 'v'; comment on column s.v.id is 'vi'; alter view s.v alter note set default 'd'; alter view s.v owner to plain; grant select on s.v to public;
create materialized view s.mv using heap2 tablespace fast as select 1 as one; create unique index on s.mv (one); comment on materialized view s.mv is 'mv'; alter materialized view s.mv owner to plain; grant select (one) on s.mv to plain;
create materialized view s.mv_empty as select * from s.mv with no data;
create view s.loop1 as select 1 as x; create view s.loop2 as select * from s.loop1; create or replace view s.loop1 as select x from s.loop2;
create rule r as on insert to s.v do instead (insert into public.t (note) values (new.note); notify x, 'it''s'); comment on rule r on s.v is 'r'; create rule off as on delete to public.t do also nothing; alter table public.t disable rule off;
create recursive view s.rec (n) as values (1) union all select n + 1 from rec where n < 3;

-- triggers and policies
create function s.trig() returns trigger language plpgsql as 'begin return new; end'; create function s.etrig() returns event_trigger language plpgsql as 'begin end';
create trigger tr before update of note on public.t for each row when (old.note is distinct from new.note) execute function s.trig('a', E'b\\''c'); comment on trigger tr on public.t is 'tr'; alter table public.t enable always trigger tr; create constraint trigger ctr after insert on s.t2 deferrable for each row execute function s.trig();
create trigger trans after insert on s.part referencing new table as fresh for each statement execute function s.trig();
create event trigger "Event ""1""" on ddl_command_end when tag in ('CREATE TABLE') execute function s.etrig(); comment on event trigger "Event ""1""" is 'ev'; alter event trigger "Event ""1""" owner to "Odd ""owner""; --"; create event trigger ev2 on sql_drop execute function s.etrig(); alter event trigger ev2 disable;
alter table public.t enable row level security; alter table s.t2 force row level security; create policy "po ""1""" on public.t as restrictive for update to plain, "select" using (id > 1) with check (note <> ''); comment on policy "po ""1""" on public.t is 'po'; create policy all_of on s.part using (true);

-- text search
create text search parser s.prs (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype); comment on text search parser s.prs is 'p'; create text search template s.tmpl (lexize = dsimple_lexize); comment on text search template s.tmpl is 't';
create text search dictionary s.dict (template = simple, accept = false); comment on text search dictionary s.dict is 'd'; alter text search dictionary s.dict owner to plain; create text search configuration s.conf (parser = default); alter text search configuration s.conf add mapping for asciiword, word with s.dict, simple; comment on text search configuration s.conf is 'c'; alter text search configuration s.conf owner to plain;

-- foreign data
create foreign data wrapper "Wrap" options (debug 'it''s'); comment on foreign data wrapper "Wrap" is 'w'; grant usage on foreign data wrapper "Wrap" to plain;
create server srv type 'x' version '1' foreign data wrapper "Wrap" options (host 'h"''h'); comment on server srv is 's'; alter server srv owner to "Odd ""owner""; --"; grant usage on foreign server srv to plain;
create user mapping for plain server srv options (password 'p''w'); create user mapping for public server srv; create user mapping for "Odd ""owner""; --" server srv;
create foreign table s.ft (a int options (n 'v') not null, b text) server srv options (t '1'); comment on foreign table s.ft is 'ft'; comment on column s.ft.a is 'fta'; alter foreign table s.ft owner to plain; grant select on s.ft to public;

-- replication
create publication p1 for table public.t (id, note) where (id > 5), s.t2 with (publish = 'insert'); comment on publication p1 is 'p'; alter publication p1 owner to plain; create publication p2 for all tables with (publish_via_partition_root = on); create publication p3 for tables in schema s, "S 2";
create subscription "Sub ""1""" connection 'host=nowhere password=''x y''' publication p1, "p ""2""" with (connect = false, slot_name = none, enabled = false); comment on subscription "Sub ""1""" is 'sub';

-- extensions, default privileges, large objects, labels
create extension hstore schema s; comment on extension hstore is 'changed'; create extension pg_trgm schema "S 2"; grant execute on function s.hstore(text, text) to plain; revoke all on function s.hstore(text, text) from public;
create extension postgres_fdw; create server pg foreign data wrapper postgres_fdw;
alter default privileges for role plain in schema s grant select on tables to "select"; alter default privileges for role "select" revoke execute on functions from public; alter default privileges grant usage on types to plain; alter default privileges for role "Odd ""owner""; --" grant all on schemas to plain with grant option;
select lo_create(4711); select lo_create(4712); select lo_create(4713); comment on large object 4711 is 'a "large" object'; grant select on large object 4711, 4712 to plain, "Odd ""owner""; --"; alter large object 4712 owner to plain; select lo_from_bytea(4714, 'x'); select lo_create(n) from generate_series(4720, 4723) n; grant select on large object 4720, 4721, 4722 to plain, "Odd ""owner""; --"; revoke all on large object 4714 from current_user;
insert into pg_seclabel values ('public.t'::regclass, 'pg_class'::regclass, 0, 'dummy', 'classified'), ('public.t'::regclass, 'pg_class'::regclass, 1, 'dummy', E'col\n''x'), ('s.trig'::regproc, 'pg_proc'::regclass, 0, 'dummy', 'f'), ((select oid from pg_namespace where nspname = 's'), 'pg_namespace'::regclass, 0, 'dummy', 's'), (4711, 'pg_largeobject'::regclass, 0, 'dummy', 'lo');
grant select on pg_catalog.pg_authid to plain; revoke execute on function pg_catalog.pg_ls_waldir() from pg_monitor; grant execute on function pg_catalog.pg_ls_waldir() to plain;

-- hostile names, for each kind of entry that is printed in another way
do $hostile$
declare n text; i int := 0;
begin
  foreach n in array array[E'line\nend', E'cr\rlf\r\n', 'quo"te', 'apo''strophe', E'back\\slash', 'unicode ☃ "é"', '100%s %I', 'a=b', E'\n\\connect evil\n', '; drop table t; --', '"', '-- x', ' ', 'SELECT', 'select', 'json', E'tab\tbell\a', '$$', ':var', '{}', repeat('x', 63)] loop
    i := i + 1;
    if n <> 'select' then execute format('create role %I', n); end if;
    execute format('create schema %I authorization %I', left(n, 60) || i, n);
    execute format('create table %1$I.%2$I (id int primary key, %2$I text default %2$L unique); alter table %1$I.%2$I owner to %2$I; comment on table %1$I.%2$I is %2$L; comment on column %1$I.%2$I.%2$I is %2$L; grant select on %1$I.%2$I to %2$I', left(n, 60) || i, n);
    execute format('create function %1$I.%2$I(%2$I int) returns int language sql as ''select 1''; alter function %1$I.%2$I owner to %2$I; comment on function %1$I.%2$I is %2$L', left(n, 60) || i, n);
    execute format('create view %1$I.%4$I as select 1 as %2$I; alter view %1$I.%4$I owner to %2$I; create sequence %1$I.%3$I; alter sequence %1$I.%3$I owner to %2$I', left(n, 60) || i, n, left(n, 60) || 's', left(n, 60) || 'v');
    execute format('create domain %1$I.%3$I as int; alter domain %1$I.%3$I owner to %2$I; create index %4$I on %1$I.%2$I (id); create rule %2$I as on delete to %1$I.%2$I do instead nothing; create policy %2$I on %1$I.%2$I to %2$I', left(n, 60) || i, n, left(n, 60) || 'd', left(n, 60) || 'i');
  end loop;
end $hostile$;
