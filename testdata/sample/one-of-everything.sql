-- One of every kind of object, and values and names that break dump tools. See README.md.
--
--   psql -v ON_ERROR_STOP=1 [-v rows=1000] [-v hostile_settings=off] [-v tablespace=off] -f one-of-everything.sql DATABASE
--
-- As superuser, into an empty UTF-8 database of PostgreSQL 13 or later with its contrib modules. The result depends on
-- the server version and the parameters alone.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?rows} \else \set rows 1000 \endif
\if :{?hostile_settings} \else \set hostile_settings on \endif
\if :{?tablespace} \else \set tablespace on \endif

-- What the database or the role may have set must not change what is loaded.
set client_encoding = 'UTF8';
set standard_conforming_strings = on;
set client_min_messages = error; -- notices of what is wanted here, such as a subscription that is not connected
set check_function_bodies = on;
set search_path = public;
set statement_timeout = 0;
set timezone = 'UTC';
set datestyle = 'ISO, YMD';
set intervalstyle = 'postgres';
set lc_monetary = 'C';
set xmloption = content;
set session_replication_role = origin;
set default_transaction_isolation = 'read committed';

select current_setting('server_version_num')::int >= 140000 as since_14,
       current_setting('server_version_num')::int >= 150000 as since_15,
       current_setting('server_version_num')::int >= 160000 as since_16,
       current_setting('server_version_num')::int >= 170000 as since_17,
       current_setting('server_version_num')::int >= 180000 as since_18,
       current_setting('server_version_num')::int < 160000 as before_16
\gset
select exists (select from pg_collation where collprovider = 'i') as has_icu,
       exists (select from pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals)) as has_lz4,
       exists (select from pg_settings where name = 'allow_in_place_tablespaces') as has_in_place,
       exists (select from pg_available_extensions where name = 'backstay_sample') as has_sample_extension
\gset
do $$ begin
  if current_setting('server_encoding') <> 'UTF8' then raise 'the sample needs a database with encoding UTF8'; end if;
  if current_setting('server_version_num')::int < 130000 then raise 'the sample needs PostgreSQL 13 or later'; end if;
end $$;

\ir parts/10-roles-and-schemas.sql
\ir parts/20-types.sql
\ir parts/25-functions-and-operators.sql
\ir parts/30-values.sql
\ir parts/35-hostile-text.sql
\ir parts/40-tables.sql
\ir parts/45-partitions-and-inheritance.sql
\ir parts/50-keys-and-indexes.sql
\ir parts/55-sequences.sql
\ir parts/60-views-and-rules.sql
\ir parts/65-triggers-and-policies.sql
\ir parts/70-privileges.sql
\ir parts/75-large-objects.sql
\ir parts/80-foreign-data-and-extensions.sql
\ir parts/85-replication.sql
\ir parts/90-bulk.sql
\ir parts/95-last.sql
