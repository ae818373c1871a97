-- Traps: two tables that refer to each other, rows that do so in a circle, one that refers to itself.
create table circle_a (id int primary key, b int not null);
create table circle_b (id int primary key, a int not null references circle_a deferrable initially deferred);
alter table circle_a add constraint "a to b" foreign key (b) references circle_b deferrable initially immediate;
begin; set constraints all deferred; insert into circle_a values (1, 2), (2, 1); insert into circle_b values (1, 2), (2, 1); commit;
create table tree (id int primary key, parent int references tree on delete cascade, name text);
insert into tree values (1, 3, 'a'), (2, 1, 'b'), (3, 2, 'c');
comment on constraint "a to b" on circle_a is 'half of a circle';

-- Traps: keys of every form. On a unique index that is no constraint; of two columns, MATCH FULL; with actions; from
-- and to partitioned tables; not valid, with rows that break it.
create table key_target (a int, b text, c int, primary key (a, b) include (c));
create unique index key_target_c on key_target (c);
insert into key_target values (1, 'x', 10), (2, 'y', 20);
create table key_source (id int primary key deferrable, a int, b text, c int references key_target (c) on delete set null on update cascade,
  foreign key (a, b) references key_target match full on delete set default, unique (a, b) deferrable initially deferred);
insert into key_source values (1, 1, 'x', 10), (2, null, null, 20), (3, 2, 'y', null);
create table key_not_valid (id int);
insert into key_not_valid values (1), (999);
alter table key_not_valid add constraint no_such_tree foreign key (id) references tree not valid;
create table key_to_partitioned (id bigint, region text, at date, foreign key (id, region, at) references part_root);
insert into key_to_partitioned select id, region, at from part_root where id < 20;
alter table part_by_enum_below add constraint from_partitioned foreign key (k) references tree;
\if :since_15
create table key_some_null (a int, b text, unique nulls not distinct (a),
  foreign key (a, b) references key_target on delete set null (b));
insert into key_some_null values (1, 'x'), (null, null);
\endif
create table part_with_trigger_key (a int primary key, b int references part_with_trigger_key) partition by range (a);
create table part_with_trigger_key_1 partition of part_with_trigger_key for values from (0) to (100);
insert into part_with_trigger_key values (1, null), (2, 1);

-- Traps: exclusion constraints, with an operator of an extension and deferred.
create extension btree_gist schema public;
create table reservations (room int, during tsrange, cancelled boolean default false,
  constraint "no two at once" exclude using gist (room with =, during with &&) where (not cancelled) deferrable initially deferred);
insert into reservations values (1, '[2020-01-01,2020-01-02)', default), (1, '[2020-01-02,2020-01-03)', default), (1, '[2020-01-01,2020-01-03)', true);
\if :since_18
create table temporal (id int, during daterange, constraint temporal_key primary key (id, during without overlaps));
insert into temporal values (1, '[2020-01-01,2020-02-01)'), (1, '[2020-02-01,)');
create table temporal_source (id int, during daterange, foreign key (id, period during) references temporal (id, period during));
insert into temporal_source values (1, '[2020-01-15,2020-03-01)');
alter table key_not_valid add constraint not_enforced foreign key (id) references tree not enforced;
\endif

-- Traps: indexes of every kind.
create extension pg_trgm schema public;
create extension bloom schema public;
create table indexed (id int not null, t text, u text, a int[], j jsonb, p point, s sample_int, b boolean, v tsvector, n int not null);
insert into indexed select n, 'text ' || n, nullif('u' || n % 10, 'u3'), array[n, n + 1], jsonb_build_object('n', n, 's', n::text), point(n, n), n::text::sample_int, n % 2 = 0, to_tsvector('simple', 'word ' || n), n % 5
  from generate_series(1, 300) as n;
create unique index "indexed "" key" on indexed (id) include (t);
alter table indexed replica identity using index "indexed "" key";
alter table indexed cluster on "indexed "" key";
create index indexed_expression on indexed (lower(t) collate "C" desc nulls last, (id + 1), u text_pattern_ops) where b;
alter index indexed_expression alter column 2 set statistics 500;
create index indexed_function on indexed (public.is_polite(t), public.shout(u));
create index indexed_hash on indexed using hash (u);
create index indexed_gin on indexed using gin (j jsonb_path_ops, a) with (fastupdate = off, gin_pending_list_limit = 128);
create index indexed_gist on indexed using gist (p) with (buffering = off, fillfactor = 80);
create operator class public.point_too default for type point using gist_too as operator 1 <<, operator 5 >>, operator 6 ~=,
  operator 15 <-> for order by pg_catalog.float_ops, function 1 pg_catalog.gist_point_consistent(internal, point, smallint, oid, internal),
  function 2 pg_catalog.gist_box_union(internal, internal), function 3 pg_catalog.gist_point_compress(internal),
  function 5 pg_catalog.gist_box_penalty(internal, internal, internal), function 6 pg_catalog.gist_box_picksplit(internal, internal),
  function 7 pg_catalog.gist_box_same(box, box, internal), function 8 (point, point) pg_catalog.gist_point_distance(internal, point, smallint, oid, internal), storage box;
create index indexed_gist_too on indexed using gist_too (p);
create index indexed_spgist on indexed using spgist (p);
create index indexed_brin on indexed using brin (id, t) with (pages_per_range = 4, autosummarize = on);
create index indexed_trgm on indexed using gist (t gist_trgm_ops (siglen = 32));
create index indexed_bloom on indexed using bloom (id, n) with (length = 80, col1 = 2, col2 = 4);
create index indexed_sample on indexed (s);
create index indexed_tsvector on indexed using gin (v);
create index indexed_row on indexed (id) where indexed.* is not null;
create index indexed_twice on indexed (n); create index indexed_twice_again on indexed (n); -- trap: the same index twice
alter table indexed add constraint "promoted index" unique using index "indexed "" key";
comment on index indexed_expression is 'an index';
comment on constraint "promoted index" on indexed is 'made from an index';
\if :has_icu
create unique index indexed_folding on indexed (t collate "case folding");
\endif
-- Trap: an invalid index, as a CREATE INDEX CONCURRENTLY that failed leaves it. It is made by hand, as it would be else
-- with an error message.
create index invalid_index on indexed (n, id);
update pg_index set indisvalid = false where indexrelid = 'invalid_index'::regclass;

-- Traps: the other replica identities, and statistics.
create table identity_full (a int); alter table identity_full replica identity full; insert into identity_full values (1), (1);
create table identity_nothing (a int primary key); alter table identity_nothing replica identity nothing;
create statistics "sample stats" (ndistinct, dependencies, mcv) on id, n, u from indexed;
alter statistics "sample stats" set statistics 300;
alter statistics "sample stats" owner to "sample owner";
comment on statistics "sample stats" is 'extended statistics';
\if :since_14
create statistics "app schema"."on expressions" on (lower(t)), (id % 10) from indexed;
\endif
