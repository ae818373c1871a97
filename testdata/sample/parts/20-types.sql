-- Traps: labels of an enum with quotes, commas, newlines and 63 bytes; values added in between, which gives them
-- ordinal numbers that are no whole numbers.
create type mood as enum ('sad', 'happy');
alter type mood add value 'o''k, "fine"\' before 'happy';
alter type mood add value E'two\nlines' before 'o''k, "fine"\';
alter type mood add value 'üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü!' after 'happy';
alter type mood add value '' before 'sad';
comment on type mood is 'an enum';
create type "empty enum" as enum ();

-- Trap: a composite type with a dropped attribute, hostile names, and a type of its own inside.
create type "in ner" as (a int, "b "" b" text, gone int, m mood);
alter type "in ner" drop attribute gone;
create type outer_type as (i "in ner", list "in ner"[], n numeric);
comment on column "in ner"."b "" b" is 'a column of a type';
create type "no attributes" as ();

-- Traps: domains over domains, over arrays and composites; constraints that are not valid; a check that calls a
-- function; a collation and a default.
create function public.is_polite(t text) returns boolean language sql immutable
  as $$ select t is null or t <> 'rude' $$;
create domain polite as text collate "C" default 'please' constraint "is ""polite" check (public.is_polite(value));
create domain very_polite as polite not null constraint short check (length(value) < 100);
alter domain very_polite add constraint later check (value <> 'maybe') not valid;
comment on domain very_polite is 'a domain over a domain';
comment on constraint short on domain very_polite is 'a constraint of a domain';
create domain positive as int check (value > 0);
create domain positives as positive[] check (array_length(value, 1) < 10);
create domain checked_inner as "in ner" check ((value).a is distinct from 13);

-- Traps: a range with functions and a collation of its own.
create function public.text_length_difference(a text, b text) returns double precision language sql immutable
  as $$ select (length(a) - length(b))::double precision $$;
create type text_range as range (subtype = text, collation = "C", subtype_diff = public.text_length_difference);
create type float_range as range (subtype = float8, subtype_diff = float8mi);
\if :since_14
create type named_range as range (subtype = int8, multirange_type_name = "named multirange");
\endif

-- Traps: a shell type that was never completed, and a base type with input, output and binary functions.
create type shell_only;
create type sample_int;
create function public.sample_int_in(cstring) returns sample_int language internal immutable strict as 'int4in';
create function public.sample_int_out(sample_int) returns cstring language internal immutable strict as 'int4out';
create function public.sample_int_recv(internal) returns sample_int language internal immutable strict as 'int4recv';
create function public.sample_int_send(sample_int) returns bytea language internal immutable strict as 'int4send';
create type sample_int (input = public.sample_int_in, output = public.sample_int_out, receive = public.sample_int_recv,
  send = public.sample_int_send, internallength = 4, passedbyvalue, alignment = int4, storage = plain,
  category = 'U', default = '42', delimiter = ';');
alter type sample_int owner to "sample owner";
comment on type sample_int is 'a base type';

-- Traps: casts with a function, by text, and for nothing.
create function public.sample_int_to_text(sample_int) returns text language sql immutable strict
  as $$ select public.sample_int_out($1)::text $$;
create cast (sample_int as text) with function public.sample_int_to_text(sample_int) as assignment;
create cast (sample_int as int4) without function as implicit;
create cast (mood as polite) with inout;
create cast (text as mood) with inout as assignment;
comment on cast (text as mood) is 'by way of text';

-- Traps: collations of both providers, and one for which different bytes are equal.
create collation "the C" (locale = 'C');
create collation "dotted.schema".copied from "POSIX";
comment on collation "the C" is 'a collation';
\if :has_icu
create collation "case folding" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
\endif

-- A conversion, languages, transforms, access methods.
create conversion "sample conversion" for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
comment on conversion "sample conversion" is 'a conversion';
-- A language needs handlers of its own: pg_dump leaves those out that belong to an extension, and then the language too.
create function public.sample_call_handler() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
create function public.sample_inline_handler(internal) returns void language c strict as '$libdir/plpgsql', 'plpgsql_inline_handler';
create function public.sample_validator(oid) returns void language c strict as '$libdir/plpgsql', 'plpgsql_validator';
create trusted language "pl sample" handler public.sample_call_handler inline public.sample_inline_handler validator public.sample_validator;
comment on language "pl sample" is 'plpgsql by another name';
create transform for int language sql
  (from sql with function pg_catalog.prsd_lextype(internal), to sql with function pg_catalog.int4recv(internal));
comment on transform for int language sql is 'a transform';
create access method "heap by another name" type table handler heap_tableam_handler;
create access method gist_too type index handler gisthandler;
comment on access method "heap by another name" is 'a table access method';

-- Every part of a text search.
create text search parser sample_parser (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end,
  lextypes = prsd_lextype, headline = prsd_headline);
create text search template sample_template (init = dsimple_init, lexize = dsimple_lexize);
create text search dictionary "sample dictionary" (template = sample_template, accept = false);
create text search configuration "app schema".sample_search (parser = sample_parser);
alter text search configuration "app schema".sample_search add mapping for asciiword, word with "sample dictionary", english_stem;
alter text search configuration "app schema".sample_search owner to "sample owner";
comment on text search parser sample_parser is 'a parser';
comment on text search template sample_template is 'a template';
comment on text search dictionary "sample dictionary" is 'a dictionary';
comment on text search configuration "app schema".sample_search is 'a configuration';
