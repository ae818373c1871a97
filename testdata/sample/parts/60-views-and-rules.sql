-- Trap: a view that is only valid because of a primary key, which comes after the data in a dump.
create table grouped (id int primary key, name text, n int);
insert into grouped values (1, 'one', 10), (2, 'two', 20);
create view depends_on_key as select id, name, sum(n) as total from grouped group by id;
create view depends_on_that_view as select *, row_number() over () as r from depends_on_key;
create materialized view matview_depends_on_key as select id, name, count(*) as n from grouped group by id;

-- Trap: views that refer to each other. Nothing can read them, and yet they must come back.
create view cycle_a as select 1 as n;
create view cycle_b as select n from cycle_a;
create or replace view cycle_a as select n from cycle_b;

-- Traps: views with every option, hostile names, columns gone below them, and a rule or a default of their own.
create view "app schema"."view "" of 'it'" ("column "" 1", "select") with (security_barrier) as select id, secret || '\' from "app schema".owned where secret <> E'\n;--';
alter view "app schema"."view "" of 'it'" owner to "sample owner";
comment on view "app schema"."view "" of 'it'" is 'a view';
comment on column "app schema"."view "" of 'it'"."select" is 'a column of a view';
create view checked as select a, b from not_valid where a > 0 with cascaded check option;
create view checked_locally as select a from checked where a < 100 with local check option;
alter view checked alter b set default 77;
create recursive view counting (n) as select 1 union all select n + 1 from counting where n < 5;
create view over_dropped as select d.* from dropped_columns as d;
create view with_everything as
  with w as materialized (select id, n from grouped) select distinct on (w.id) w.id, w.n::numeric(10, 2) as "n""n", array_agg(g.name) filter (where g.n > 1) over (partition by w.id order by g.name desc nulls last rows between 1 preceding and current row exclude ties) as names,
    case when w.n is null then interval '1 day' else '1 mon' end as i, coalesce(g.name, 'x') collate "C" as c
  from w left join lateral (select * from grouped as x where x.id = w.id offset 0) as g on true
  order by w.id, 2 desc limit 5 offset 0;
\if :since_15
create view invoked with (security_invoker = true) as select * from "app schema".owned;
\endif
create view of_function as select * from arguments(1) as f (x, y);

-- Traps: materialized views on one another, in an order that their names do not tell; with and without data; with
-- indexes; one whose query needs a function's path.
create materialized view matview_z as select id, t, n from indexed where n < 3 with data;
create materialized view matview_a as select n, count(*) as c from matview_z group by n;
create materialized view matview_m as select a.n, z.id from matview_a as a join matview_z as z using (n);
create unique index on matview_m (id); create index "matview index" on matview_z (lower(t));
alter materialized view matview_z cluster on "matview index";
create materialized view matview_no_data as select * from matview_m with no data;
create materialized view matview_on_no_data as select count(*) from matview_no_data with no data;
create view view_on_matview as select * from matview_a; create materialized view matview_on_view as select * from view_on_matview;
create materialized view "app schema"."stale matview" with (fillfactor = 60) as select count(*) as n from grouped;
insert into grouped values (3, 'three', 30); -- trap: a refresh at restore shows three rows, where the source shows two
alter materialized view "app schema"."stale matview" owner to "sample owner"; grant select on grouped to "sample owner"; -- it is refreshed as its owner
comment on materialized view matview_z is 'a materialized view';
alter materialized view matview_z alter t set statistics 77;

-- Traps: rules, enabled in every way, on tables and views, and one that would double what is loaded.
create table ruled (a int, b text); create table rule_log (a int, what text);
insert into ruled values (1, 'before the rules');
create rule "log "" it" as on insert to ruled do also insert into rule_log values (new.a, 'inserted');
create rule never as on delete to ruled do instead nothing;
create rule conditional as on update to ruled where old.a > 10 do instead (insert into rule_log values (old.a, E'\n;'); delete from rule_log where a < 0);
create rule always as on update to ruled do also select 1; create rule replica_only as on insert to ruled do also notify "sample channel";
alter table ruled disable rule never; alter table ruled enable always rule always; alter table ruled enable replica rule replica_only;
create rule redirect as on insert to checked_locally do instead insert into ruled values (new.a, 'redirected') returning a;
comment on rule "log "" it" on ruled is 'a rule';
insert into ruled values (2, 'logged');
