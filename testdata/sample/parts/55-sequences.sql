-- Traps: the next value depends on last_value and on is_called, for each of these.
create sequence never_called start 5;
create sequence called_once; select nextval('called_once') \g /dev/null
create sequence set_not_called; select setval('set_not_called', 42, false) \g /dev/null
create sequence set_called; select setval('set_called', 42) \g /dev/null
create sequence "down wards" increment -3 start -1 minvalue -100 maxvalue -1 cycle cache 5;
select setval('"down wards"', -100) \g /dev/null
create sequence small as smallint increment 1000 maxvalue 32000; select setval('small', 32000) \g /dev/null
create sequence large as bigint minvalue -9223372036854775808 start 9223372036854775807;
select setval('large', 9223372036854775807, true) \g /dev/null
create sequence at_lowest minvalue -9223372036854775808 maxvalue 9223372036854775807 start -9223372036854775808;
comment on sequence "down wards" is 'a sequence';

-- Traps: owned by a column that does not use it, of a table that bears another name; used and not owned.
create table sequence_owner (id serial primary key, other int);
insert into sequence_owner (other) select n from generate_series(1, 3) as n;
alter sequence sequence_owner_id_seq restart with 1000;
alter sequence sequence_owner_id_seq rename to "renamed "" sequence";
create sequence owned_elsewhere_sequence owned by sequence_owner.other; select nextval('owned_elsewhere_sequence') \g /dev/null
alter sequence set_called owner to "sample owner";
\if :since_15
create unlogged sequence unlogged_sequence; select setval('unlogged_sequence', 7) \g /dev/null
\endif
