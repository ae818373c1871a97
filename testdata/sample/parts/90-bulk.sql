-- Tables that are as large as the parameter `rows` says: many small rows, rows with long values, partitions.
create table bulk (id bigint primary key, k int not null, t text, at timestamptz, balance numeric(12, 2));
insert into bulk select n, n % 97, md5(n::text), timestamptz '2020-01-01 00:00+00' + n * interval '1 minute', 100 from generate_series(1, :rows) as n;
create index on bulk (k); create index on bulk (t);
-- Trap: pages with dead rows, empty pages in the middle, rows in another order than their key.
delete from bulk where id % 10 = 3; delete from bulk where id between :rows / 2 and :rows / 2 + :rows / 10; update bulk set k = k + 1 where id % 7 = 0;
create table bulk_wide (id int, t text, b bytea);
insert into bulk_wide select n, repeat(md5(n::text), 100 + n % 50), decode(repeat(md5((-n)::text), 20 + n % 30), 'hex') from generate_series(1, :rows / 10) as n;
create table bulk_partitioned (id bigint, at date not null, t text) partition by range (at);
select format('create table bulk_partitioned_%s partition of bulk_partitioned for values from (%L) to (%L)', n, date '2020-01-01' + 30 * n, date '2020-01-01' + 30 * (n + 1)) from generate_series(0, 11) as n \gexec
insert into bulk_partitioned select n, date '2020-01-01' + n % 360, 't' || n from generate_series(1, :rows) as n;
create index on bulk_partitioned (at, id);
