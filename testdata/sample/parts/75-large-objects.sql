-- Traps: 300 large objects, more than are asked for one by one; with holes, which read as zeros; empty; with owners,
-- rights and comments of their own. A dump keeps their numbers, so these are fixed.
select lo_from_bytea(900000 + n, case when n % 10 = 0 then '' else convert_to(repeat('object ' || n || E'\n', n), 'UTF8') end) from generate_series(1, 300) as n \g /dev/null
select lo_put(900001, 100000, '\xdeadbeef') \g /dev/null
select lo_put(900002, 5000000, '\x00') \g /dev/null
select lo_from_bytea(900301, decode(string_agg(md5(n::text), '' order by n), 'hex')) from generate_series(1, 20000) as n \g /dev/null
alter large object 900003 owner to "sample owner"; alter large object 900004 owner to "o'brien ""the"" = 100%";
grant select on large object 900003 to sample_reader with grant option; grant select, update on large object 900005 to public;
revoke all on large object 900006 from current_user;
comment on large object 900007 is E'a large object\n\\! touch hostile'; comment on large object 900003 is 'owned by another';
create table refers_to_large (id int, content oid); insert into refers_to_large values (1, 900001), (2, 900301), (3, 123456789);
create extension lo schema public;
create table manages_large (id int primary key, raster lo); insert into manages_large values (1, 900010);
create trigger manage before update or delete on manages_large for each row execute function public.lo_manage(raster);
