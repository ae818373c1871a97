-- Traps: partitions of partitions of three kinds, in other schemas, with other orders of columns, dropped columns,
-- indexes, options and owners than their parents; a default partition that is partitioned.
create table part_root (id bigint not null, region text not null, at date not null, note text, gone int) partition by list (region);
alter table part_root drop gone;
create table part_eu partition of part_root for values in ('eu', 'it''s "eu"') partition by range (at);
create table part_eu_old partition of part_eu for values from (minvalue) to ('2000-01-01');
create table "app schema"."part eu new" (note text, gone text, at date not null, region text not null, id bigint not null);
alter table "app schema"."part eu new" drop gone;
alter table part_eu attach partition "app schema"."part eu new" for values from ('2000-01-01') to (maxvalue);
alter table "app schema"."part eu new" owner to "sample owner";
create table part_null partition of part_root for values in (null, 'us') partition by hash (id);
create table part_null_0 partition of part_null for values with (modulus 2, remainder 0);
create table part_null_1 partition of part_null for values with (modulus 4, remainder 1) with (fillfactor = 50);
create table part_null_3 partition of part_null for values with (modulus 4, remainder 3);
create table part_rest partition of part_root default partition by list (region);
create table part_rest_rest partition of part_rest default;
insert into part_root (id, region, at, note)
  select n, (array['eu', 'us', 'it''s "eu"', 'elsewhere'])[n % 4 + 1], date '1999-12-01' + n, nullif('note ' || n, 'note 7') from generate_series(1, 200) as n;
alter table part_root add constraint part_key primary key (id, region, at);
create index "part note" on part_root (note) where note is not null;
create index part_only on only part_root (at); -- trap: an index on the root that no partition has, and so is invalid
create index part_eu_old_own on part_eu_old (region); -- trap: an index that one partition alone has
create index part_eu_old_at on part_eu_old (at);
create index part_eu_at on only part_eu (at);
alter index part_eu_at attach partition part_eu_old_at; -- still invalid: its sibling has none
comment on index "part note" is 'an index on a partitioned table';
alter table part_eu_old alter note set default 'old', alter note set statistics 50;
alter table part_root alter note set default 'any';
create table part_empty (a int) partition by range (a); -- trap: no partition at all

-- Trap: hash partitions by an enum. The hash is that of the value's OID, which differs in the copy, so a row may belong
-- to another partition there.
create table part_by_enum (m mood, n int) partition by hash (m);
create table part_by_enum_0 partition of part_by_enum for values with (modulus 3, remainder 0);
create table part_by_enum_1 partition of part_by_enum for values with (modulus 3, remainder 1);
create table part_by_enum_2 partition of part_by_enum for values with (modulus 3, remainder 2);
insert into part_by_enum select m, n from unnest(enum_range(null::mood)) as m, generate_series(1, 20) as n;
-- The same one level down: the parent's partition is certain, the leaf is not.
create table part_by_enum_below (k int, m mood) partition by list (k);
create table part_by_enum_below_1 partition of part_by_enum_below for values in (1) partition by hash (m);
create table part_by_enum_below_1_0 partition of part_by_enum_below_1 for values with (modulus 2, remainder 0);
create table part_by_enum_below_1_1 partition of part_by_enum_below_1 for values with (modulus 2, remainder 1);
create table part_by_enum_below_2 partition of part_by_enum_below for values in (2);
insert into part_by_enum_below select k, m from generate_series(1, 2) as k, unnest(enum_range(null::mood)) as m;
-- Range by enum and by expression, list by boolean.
create table part_by_expression (m mood, t text) partition by range (lower(t), m);
create table part_by_expression_a partition of part_by_expression for values from ('a', 'sad') to ('m', minvalue);
create table part_by_expression_b partition of part_by_expression for values from ('m', minvalue) to (maxvalue, maxvalue);
insert into part_by_expression values ('happy', 'A'), ('sad', 'a'), ('', 'Z');
create table part_generated (a int, b int generated always as (a + 1) stored) partition by list (a);
create table part_generated_1 partition of part_generated for values in (1, 2);
insert into part_generated (a) values (1), (2);
\if :since_17
create table part_identity (id int generated always as identity, k int) partition by list (k);
create table part_identity_1 partition of part_identity for values in (1);
insert into part_identity (k) values (1), (1);
\endif

-- Traps: inheritance. Of two parents, with other defaults, columns that came later; rows in the parent itself, which a
-- plain SELECT mixes with the children's.
create table inherited_parent (a int default 1, b text not null, c int, constraint a_small check (a < 1000000));
create table inherited_child (c int default 33, extra text) inherits (inherited_parent);
create table inherited_other (o text, b text);
create table inherited_both (own int) inherits (inherited_parent, inherited_other);
alter table inherited_both alter a set default 77, alter o set not null;
create table inherited_grandchild () inherits (inherited_child);
alter table inherited_child alter a set default 8;
alter table inherited_parent drop c cascade;
insert into inherited_parent values (1, 'parent');
insert into inherited_child (extra, c, b, a) select 'e' || n, n, 'child', n from generate_series(1, 50) as n;
insert into inherited_both (a, b, o, own) values (5, 'both', 'o', 6), (6, 'both', 'o', null);
insert into inherited_other values ('only o', null);
insert into inherited_grandchild (b) values ('grandchild');
