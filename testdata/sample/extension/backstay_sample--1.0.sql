-- Members that pg_dump saves the rows of: one table by a condition, one whole, and a sequence.
create table public.sample_configuration (name text primary key, of_user boolean not null, value text);
insert into public.sample_configuration values ('builtin', false, 'comes with the extension');
select pg_catalog.pg_extension_config_dump('public.sample_configuration', 'where of_user');
create table public.sample_log (id serial primary key, what text);
select pg_catalog.pg_extension_config_dump('public.sample_log', '');
select pg_catalog.pg_extension_config_dump('public.sample_log_id_seq', '');
create sequence public.sample_number;
select pg_catalog.pg_extension_config_dump('public.sample_number', '');
create table public.sample_fixed (n int);
insert into public.sample_fixed values (1), (2);
