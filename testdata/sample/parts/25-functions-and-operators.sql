-- Traps: bodies with every kind of quoting, psql commands, and what looks like the end of a COPY.
create function "app schema"."quote ' "" \ function"(text, "in ner") returns text language plpgsql as $_$
begin
  -- $$ ' " \ %
  return $$ $body$ \connect nowhere $body$ $$ || E'\n\\.\n';
end
$_$;
comment on function "app schema"."quote ' "" \ function"(text, "in ner") is E'\\! exit\n\\. $$ ''';

-- Traps: every way of taking and giving arguments, overloads, and all attributes.
create function arguments(in a int, out b int, inout c text, variadic d int[] default '{1,2}') language sql stable
  as $$ select a, c $$;
create function arguments(a int) returns table (x int, "y z" text) language sql rows 7 cost 13 leakproof parallel safe
  set search_path = '$user', 'app schema', public set work_mem = '4MB' set "sample.setting" = 'it''s'
  as $$ select 1, 'z'::text $$;
create function arguments(a anyelement, b anyarray default null) returns anyelement language sql called on null input
  security definer as 'select a';
create procedure "do it"(inout a int default 1) language plpgsql as $$ begin a := a + 1; end $$;
create function owned_elsewhere() returns int language sql as 'select 1';
alter function owned_elsewhere() owner to "select";
create function in_own_language() returns int language "pl sample" as $$ begin return 1; end $$;
\if :since_14
create function parsed_body(a int default 3) returns int language sql return a + length('it''s');
create procedure parsed_bodies(out n bigint) language sql begin atomic select 1; select count(*) from pg_class; end;
\endif

-- Trap: a function that finds its tables only with the search path of its owner. It stands in a default, where no
-- restore calls it.
create function "app schema".needs_a_path() returns bigint language plpgsql as $$ begin return (select count(*) from defaults_source); end $$;
create table "app schema".defaults_source (n int);
create table "app schema".uses_a_path (id int, n bigint default "app schema".needs_a_path());

-- Traps: a function that takes and gives rows of a table created before it, used by a default of that same table.
create table self_described (id int primary key, note text);
create function describe(r self_described) returns text language sql immutable as $$ select r.id || ': ' || coalesce(r.note, '') $$;
create function next_note() returns text language sql stable as $$ select 'note ' || count(*) from public.self_described $$;
alter table self_described alter note set default public.next_note();
create index on self_described (public.describe(self_described));
insert into self_described (id) values (1);
insert into self_described (id) values (2);
insert into self_described values (3, null);

-- Operators: with a commutator that is created by mention, a negator, a name that looks like a comment almost.
create function public.mood_distance(a mood, b mood) returns int language sql immutable strict
  as $$ select array_position(enum_range(null::mood), a) - array_position(enum_range(null::mood), b) $$;
create operator public.<-!-> (leftarg = mood, rightarg = mood, function = public.mood_distance, commutator = operator(public.<-!->));
comment on operator public.<-!-> (mood, mood) is 'distance';
create function public.sample_lt(sample_int, sample_int) returns boolean language internal immutable strict as 'int4lt';
create function public.sample_le(sample_int, sample_int) returns boolean language internal immutable strict as 'int4le';
create function public.sample_eq(sample_int, sample_int) returns boolean language internal immutable strict as 'int4eq';
create function public.sample_ge(sample_int, sample_int) returns boolean language internal immutable strict as 'int4ge';
create function public.sample_gt(sample_int, sample_int) returns boolean language internal immutable strict as 'int4gt';
create function public.sample_cmp(sample_int, sample_int) returns int language internal immutable strict as 'btint4cmp';
create operator public.< (leftarg = sample_int, rightarg = sample_int, function = public.sample_lt, commutator = operator(public.>), negator = operator(public.>=));
create operator public.<= (leftarg = sample_int, rightarg = sample_int, function = public.sample_le, commutator = operator(public.>=), negator = operator(public.>));
create operator public.= (leftarg = sample_int, rightarg = sample_int, function = public.sample_eq, commutator = operator(public.=), merges);
create operator public.>= (leftarg = sample_int, rightarg = sample_int, function = public.sample_ge, commutator = operator(public.<=), negator = operator(public.<));
create operator public.> (leftarg = sample_int, rightarg = sample_int, function = public.sample_gt, commutator = operator(public.<), negator = operator(public.<=));
create operator public.!!! (rightarg = int, function = pg_catalog.int4um);
create operator family public."sample family" using btree;
create operator class public."sample class" default for type sample_int using btree family public."sample family" as
  operator 1 public.<, operator 2 public.<=, operator 3 public.=, operator 4 public.>=, operator 5 public.>,
  function 1 public.sample_cmp(sample_int, sample_int);
alter operator family public."sample family" using btree add
  operator 1 < (int4, int8), operator 3 = (int4, int8), function 1 (int4, int8) pg_catalog.btint48cmp(int4, int8);
comment on operator class public."sample class" using btree is 'a class';
comment on operator family public."sample family" using btree is 'a family';

-- Aggregates: plain, ordered-set, hypothetical, moving, with a parallel part, without arguments.
create aggregate public.product(int8) (sfunc = int8mul, stype = int8, initcond = '1', combinefunc = int8mul, parallel = safe);
create aggregate public.moving(int8) (sfunc = int8pl, stype = int8, initcond = '0',
  msfunc = int8pl, minvfunc = int8mi, mstype = int8, minitcond = '0');
create aggregate public."my percentile"(double precision order by anyelement) (sfunc = ordered_set_transition, stype = internal,
  finalfunc = percentile_disc_final, finalfunc_extra);
create aggregate public.my_rank(variadic "any" order by variadic "any") (sfunc = ordered_set_transition_multi, stype = internal,
  finalfunc = rank_final, finalfunc_extra, hypothetical);
create aggregate public.counted(*) (sfunc = int8inc, stype = int8, initcond = '0');
comment on aggregate public.product(int8) is 'an aggregate';
