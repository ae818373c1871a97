-- The built-in types with the values at their edges. Each table has a key, so that a difference can be named.
create table value_numbers (id int primary key, i2 smallint, i4 integer, i8 bigint, o oid, n numeric, n_5_2 numeric(5, 2),
  f4 real, f8 double precision, m money, b boolean);
insert into value_numbers values
  (1, -32768, -2147483648, -9223372036854775808, 0, '-0.00', -999.99, '-Infinity', '-Infinity', '-92233720368547758.08', false),
  (2, 32767, 2147483647, 9223372036854775807, 4294967295, 'NaN', 'NaN', 'NaN', 'NaN', '92233720368547758.07', true),
  -- Trap: minus zero is not zero, though it is equal to it; the smallest and the largest numbers.
  (3, 0, 0, 0, 1, 0, 0, '-0', '-0', '0', null),
  (4, null, null, null, null, '1e-1000', 0.01, '1e-45', '5e-324', '-0.01', null),
  (5, 1, 1, 1, 1, '1.10', 1.1, '3.4028235e38', '1.7976931348623157e308', '1', true),
  -- Trap: numbers that only enough digits carry over.
  (6, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1::float8 + 0.2::float8, '0.1', true),
  (7, 1, 1, 1, 1, 1.0 / 3, 0.33, 1.0::real / 3, 1.0::float8 / 3, '0.33', true),
  -- Trap: numerics with 1,000 digits and more.
  (8, 1, 1, 1, 1, (repeat('9', 1000))::numeric, null, null, null, null, null),
  (9, 1, 1, 1, 1, ('-' || repeat('12345678', 125) || '.' || repeat('87654321', 1000))::numeric, null, null, null, null, null),
  (10, 1, 1, 1, 1, ('1' || repeat('0', 131071))::numeric, null, null, null, null, null);
\if :since_14
insert into value_numbers (id, n) values (11, 'Infinity'), (12, '-Infinity');
\endif

create table value_times (id int primary key, d date, t time, tz timetz, ts timestamp, tstz timestamptz, iv interval, t0 time(0), iv_y interval year to month);
insert into value_times values
  (1, 'infinity', '00:00', '00:00+15:59:59', 'infinity', 'infinity', '0', '00:00', '1 year'),
  (2, '-infinity', '24:00:00', '24:00:00-15:59:59', '-infinity', '-infinity', '-178000000 years', '24:00', '-1 year -1 mon'),
  -- Trap: years before Christ and after the four-digit ones.
  (3, '4714-11-24 BC', '23:59:59.999999', '12:00:00.000001+05:45', '4714-11-24 00:00:00 BC', '4714-11-24 00:00:00+00 BC', '178000000 years', null, null),
  (4, '5874897-12-31', '12:34:56.7', '12:34:56-00:44:30', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '1 mon -1 day +00:00:00.000001', null, null),
  (5, '0044-03-15 BC', '00:00:00.000001', '00:00:00+00', '0001-01-01 00:00:00 BC', '1883-11-18 12:03:58-04:56:02', '-1 year -2 mons +3 days -04:05:06.789', null, null),
  (6, '1582-10-10', null, null, '1900-02-28 23:59:59.9999994', '2024-03-31 01:30:00+01', '1 year 2 mons 3 days 04:05:06', null, null),
  (7, '0001-01-01', null, null, '2000-01-01', '2016-12-31 23:59:60+00', '-00:00:00.000001', null, null);
\if :since_17
insert into value_times (id, iv) values (8, 'infinity'), (9, '-infinity');
\endif

create table value_texts (id int primary key, t text, v varchar, v3 varchar(3), c char, c5 char(5), "one char" "char", n name);
insert into value_texts values
  (1, '', '', '', '', '', '', ''),
  (2, ' ', ' ', '   ', ' ', 'a    ', ' ', ' '),
  (3, null, null, null, null, null, null, null),
  (4, 'NULL', '\N', '\N', 'N', '\N', 'N', 'NULL'),
  (5, 'üß漢🐘', 'üß漢🐘', 'üß漢', '🐘', 'üß漢🐘', 'x', 'üß漢🐘'),
  (6, 'x', 'x', 'x', 'x', 'x', '\', repeat('漢', 21));
-- Trap: a "char" with the high bit set is no character of any encoding. Before PostgreSQL 15 it was printed as it is,
-- so that not even pg_dump brings it back.
insert into value_texts (id, "one char") select 1000 + n, n::"char" from generate_series(0, 127) as n;
\if :since_15
insert into value_texts (id, "one char") select 1000 + n, n::"char" from generate_series(-128, -1) as n;
\endif

create table value_bytes (id int primary key, b bytea, bits bit(3), many_bits bit varying, u uuid);
insert into value_bytes values
  (1, '', B'000', B'', '00000000-0000-0000-0000-000000000000'),
  (2, '\x00', B'101', repeat('10', 5000)::varbit, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
  (3, '\x5c2e0a', null, null, null), -- \. and a newline
  (4, (select string_agg(decode(lpad(to_hex(n), 2, '0'), 'hex'), '' order by n) from generate_series(0, 255) as n), null, null, null);
-- Trap: values of about a megabyte, one that compresses well and one that does not.
insert into value_bytes (id, b) select 5, decode(string_agg(md5(n::text), '' order by n), 'hex') from generate_series(1, 65536) as n;
create table value_long (id int primary key, compressible text, incompressible text);
insert into value_long select 1, repeat('all work and no play ', 50000), string_agg(md5(n::text), '' order by n) from generate_series(1, 32768) as n;
insert into value_long values (2, repeat(E'\t\\\n', 300000), repeat('漢', 350000));

create table value_network (id int primary key, i inet, c cidr, m macaddr, m8 macaddr8);
insert into value_network values
  (1, '0.0.0.0/0', '0.0.0.0/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00'),
  (2, '255.255.255.255', '10.0.0.0/8', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff'),
  (3, '::ffff:1.2.3.4/96', '2001:db8::/32', null, null), (4, '192.168.1.5/24', '::1/128', null, null);

create table value_geometry (id int primary key, p point, l line, s lseg, b box, pa path, po polygon, c circle);
insert into value_geometry values
  (1, '(0,-0)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,0),(1,1))', '<(0,0),1>'),
  (2, '(Infinity,-Infinity)', '{0,-1,0.1}', '[(1e-300,1e300),(0.1,0.2)]', '(Infinity,NaN),(-Infinity,0)', '((0,0),(1,1))', '((0.1,0.2))', '<(NaN,1),0>'),
  (3, '(NaN,NaN)', null, null, null, null, null, null);

-- Traps: JSON as it was written, with double keys, spaces and escapes; jsonb with numbers that no other type holds.
create table value_documents (id int primary key, j json, jb jsonb, jp jsonpath, x xml, v tsvector, q tsquery);
insert into value_documents values
  (1, '{"a":1,  "a" : 2, "\u0000\"\\": "\ud83d\ude00"}', '{"b": [1e400, 0.10, -0], "a\"\\\n": null}', '$.a[*] ? (@ > 1)', '<a b="&quot;"><![CDATA[x]]>&lt;</a>', '''it''''s'':1A,3 \\:2B', '''it''''s'':*A & !(b | c) <3> d'),
  (2, 'null', 'null', 'strict $', '', '', ''),
  (3, E'[\n1 ,\t2]\n', '[]', '$', '<?xml version="1.0"?><!-- c --><a/>', to_tsvector('english', 'the quick brown foxes'), 'a <-> b'),
  (4, '"\\."', ('"' || repeat('x', 9000) || '"')::jsonb, null, 'text <b/> and more', null, null),
  (5, null, ('{"n": ' || repeat('9', 1000) || '}')::jsonb, null, null, null, null);

-- Types of the system, some of which print names that depend on the search path.
create table value_system (id int primary key, l pg_lsn, s txid_snapshot, ps pg_snapshot, x xid, x8 xid8, c cid, t tid, r refcursor,
  rc regclass, rt regtype, rp regprocedure, ro regoperator, rn regnamespace, rr regrole, rcf regconfig, a aclitem, ov oidvector, iv int2vector, re regcollation);
insert into value_system values
  (1, 'FFFFFFFF/FFFFFFFF', '10:20:10,14,15', '10:20:10,14,15', '4294967295', '18446744073709551615', '1', '(4294967295,65535)', 'c "c',
    'self_described', '"in ner"[]', 'is_polite(text)', 'public.<-!->(mood,mood)', '"quote""schema''"', '"select"', '"app schema".sample_search', '"select"=r*w/"sample owner"', '1 2 3', '-1 0 1', '"the C"'),
  (2, '0/0', '1:1:', '1:1:', '0', '0', '0', '(0,0)', '', 'pg_class', 'int', null, null, 'pg_catalog', null, 'english', null, '', '', null);

-- Traps: arrays with bounds of their own, of composites, of domains, with nulls and quotes, with nothing.
create table value_arrays (id int primary key, i int[], t text[], c "in ner"[], o outer_type, p positives, m mood[], d polite[], b box[], s sample_int[], n int[][][]);
insert into value_arrays values
  (1, '{}', '{}', '{}', null, '{}', '{}', '{}', '{}', '{}', '{}'),
  (2, '[0:1][-2:-1]={{1,2},{3,4}}', array['', 'NULL', null, '"', '\', ',', '{}', E'\n', ' '], array[row(1, 'a"b\', 'happy'), null, row(null, null, null), row(null, '', 'o''k, "fine"\')]::"in ner"[],
    row(row(1, E'(,)\n"\\', 'sad'), array[row(2, null, '')::"in ner"], 'NaN'), '{1,2,3}', array['', E'two\nlines']::mood[], '{please}', '{(1,1),(0,0);(2,2),(1,1)}', '{1;2;-3}', '{{{1,2},{3,4}},{{5,6},{7,8}}}'),
  (3, '{NULL}', '{NULL,"NULL"}', '{NULL}', row(null, null, null), null, null, '{NULL}', null, '[5:5]={42}', '[2:2][3:3][4:4]={{{1}}}');
create table value_ranges (id int primary key, i int4range, n numrange, t tsrange, z tstzrange, d daterange, x text_range, f float_range);
insert into value_ranges values
  (1, 'empty', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty'),
  (2, '(,)', '(,)', '[,infinity]', '(,)', '[-infinity,infinity)', '(,)', '[NaN,NaN]'),
  (3, '[1,1]', '(-1.50,NaN]', '["2001-01-01 00:00:00 BC","2000-01-01 00:00:00"]', '[2000-01-01 00:00+00,)', '[2000-01-01,2000-01-31]', '[")(","a,\"b"]', '[-0,1e-300)');

create table value_domains (id int primary key, d polite, v very_polite default 'thanks', c checked_inner);
insert into value_domains values (1, null, 'thanks', null), (2, default, default, row(1, 'x', 'happy')), (3, '', '', row(null, null, null));
create domain late_checked as int; -- trap: rows that break a constraint which is not valid
create table value_late_checked (id int primary key, d late_checked);
insert into value_late_checked values (1, -1), (2, 1), (3, null);
alter domain late_checked add constraint positive check (value > 0) not valid;
\if :since_14
create table value_multiranges (id int primary key, i int4multirange, n nummultirange, m "named multirange");
insert into value_multiranges values (1, '{}', '{(,)}', '{}'), (2, '{[1,3),[5,8)}', '{[1.5,NaN]}', '{[1,2),[9223372036854775806,9223372036854775807)}');
\endif
