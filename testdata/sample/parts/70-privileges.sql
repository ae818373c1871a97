-- Traps: rights of every kind; of columns; with the option to grant on, by another grantor; taken from the owner, from
-- everybody, and given back.
grant select, insert (id, public_note), update (public_note), references (id) on "app schema".owned to sample_app;
grant select (id) on "app schema".owned to public;
grant select on grouped to sample_granter with grant option;
set role sample_granter; grant select on grouped to sample_reader, "o'brien ""the"" = 100%"; reset role;
grant all on indexed to "select" with grant option;
set role "select"; grant update (t), select on indexed to "Ünïcödé 角色"; reset role;
grant insert on triggered to public; revoke insert on triggered from public; -- the list of rights is there and says nothing
revoke all on ruled from current_user; -- trap: not even the owner
grant select on depends_on_key, matview_z to sample_reader;
grant select on part_root to sample_reader; grant insert on part_eu_old to sample_app; -- not the same for root and leaf
grant usage on sequence called_once to sample_app; grant select, update on sequence "down wards" to sample_reader with grant option;
revoke execute on function is_polite(text) from public; grant execute on function is_polite(text) to sample_app;
grant execute on procedure "do it"(int) to sample_reader; grant execute on function product(int8) to "select";
grant execute on function "app schema"."quote ' "" \ function"(text, "in ner") to sample_app with grant option;
revoke usage on type mood from public; grant usage on type mood to sample_app; grant usage on domain polite to "select";
revoke usage on language "pl sample" from public; grant usage on language "pl sample" to "select";

-- Trap: what the default privileges give to a new table, and what was taken away from one: it must not come back.
set role "sample owner";
create table "app schema".given_by_default (id int); create function "app schema".given_by_default() returns int language sql as 'select 1';
create sequence "app schema".sequence_given_by_default;
create table "app schema".taken_away (id int); revoke all on "app schema".taken_away from sample_reader;
create function "app schema".open_again() returns int language sql as 'select 1'; grant execute on function "app schema".open_again() to public;
reset role;
\if :since_15
grant set, alter system on parameter work_mem to sample_app with grant option;
\endif
\if :since_17
grant maintain on grouped to sample_app;
\endif
