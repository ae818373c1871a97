-- Text that looks like something else to whoever reads a dump: one table with all of it.
create table hostile_text (id int primary key, why text not null, value text);
insert into hostile_text values
  (1, 'ends a COPY', '\.'),
  (2, 'ends a COPY on a line of its own', E'before\n\\.\nafter'),
  (3, 'means null in COPY', '\N'),
  (4, 'separates columns', E'a\tb\t\tc'),
  (5, 'separates rows', E'a\nb\r\nc\rd'),
  (6, 'only a carriage return', E'\r'),
  (7, 'control characters that COPY names', E'\b\f\n\r\t\x0b'),
  (8, 'all control characters', (select string_agg(chr(n), '' order by n) from generate_series(1, 31) as n) || chr(127)),
  (9, 'backslashes', '\ \\ \\\ \x41 \101 \b \f \v \\.'),
  (10, 'ends with a backslash', 'end\'),
  (11, 'empty', ''),
  (12, 'null', null),
  (13, 'psql commands', E'\\connect nowhere\n\\! touch hostile\n\\q\n\\restrict x\n\\unrestrict x\n\\gexec'),
  (14, 'SQL', E'''; drop table hostile_text; --\n$$ $body$ /* */ */ -- \n copy hostile_text from stdin;'),
  (15, 'a variable of psql', ':rows :''rows'' :"rows" :{?rows}'),
  (16, 'composed and decomposed', U&'\00e9 e\0301 \1E9B\0323 \212B \00C5'),
  (17, 'a byte-order mark and other spaces', U&'\FEFFa\00A0b\0085c\2028d\2029e\3000f\200Bg'),
  (18, 'from right to left', U&'\202Eabc\202C \05D0\05D1'),
  (19, 'outside of the basic plane', U&'\+01F418\+01F1E9\+01F1EA\+10FFFF'),
  (20, 'no characters', U&'\FFFD\FFFE\FFFF\+01FFFE'),
  (21, 'spaces around', '  a  '),
  (22, 'quotes', '''"`´‘’“”«»'),
  (23, 'a header of a dump', E'--\n-- PostgreSQL database dump complete\n--\n'),
  (24, 'a line of a manifest of ours', E'-- backstay\n--{"format":99}'),
  (25, 'percent and braces', '%s %n %% {0} ${HOME} $(id) `id`'),
  (26, 'a long line', repeat('x', 100000)),
  (27, 'many lines', repeat(E'\n', 10000)),
  (28, 'combining marks', 'a' || repeat(U&'\0301', 500));
comment on table hostile_text is E'a comment\n\\! touch hostile\n-- $$ '' \\ "\r\n\\.';
comment on column hostile_text.value is '';
comment on column hostile_text.why is E'\t';

-- Traps: every character that a name can hold and a tool forgets. One table with such columns, one row in each.
create table U&"new\000Aline" (U&"column\000A\\.\000A\\! touch hostile" text, U&"tab\0009and\000D\000A" text);
insert into U&"new\000Aline" values ('\.', E'\n');
create table "\." ("\N" text, "\" int);
insert into "\." values ('\.', 1);
create table "back\slash" ("a\tb" text); insert into "back\slash" values ('\t');
create table "double "" quote" ("""" text); insert into "double "" quote" values ('"');
create table "it's" ("'" text); insert into "it's" values ('''');
create table "a=b" ("x=y" text); insert into "a=b" values ('=');
create table "100% %s %I %%" ("%" text); insert into "100% %s %I %%" values ('%');
create table "semi; drop table x; --" ("-- c" text, "/* */" text, "$$" text); insert into "semi; drop table x; --" values (';', '*/', '$$');
create table " leading and trailing " (" " text); insert into " leading and trailing " values (' ');
create table "a.b" ("c.d" text); insert into "a.b" values ('.');
create table "a""."".b" ("""." text); insert into "a""."".b" values ('"."');
create table "*?[a-z]^$|()+{}" ("*" text); insert into "*?[a-z]^$|()+{}" values ('*');
create table "CamelCase" ("MixedCase" int, mixedcase int); insert into "CamelCase" values (1, 2);
create table camelcase ("MIXEDCASE" int); insert into camelcase values (3);
create table "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢" ("üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüx" int generated always as identity primary key, "🐘" text);
insert into "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢" ("🐘") values ('63 bytes');
create table aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb serial primary key references aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa);
insert into aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa values (1);
create table "select" ("from" int, "where" int, "user" text, "default" int default 1, "table" int, "order" int); insert into "select" values (1, 2, 'u', 3, 4, 5);
create table "table"."table" ("table" "select"); insert into "table"."table" values (row(1, 2, 'u', 3, 4, 5));
create table "quote""schema'"."quote""table'" ("quote""column'" text); insert into "quote""schema'"."quote""table'" values ('x');
create table U&"new\000Aline = schema"."in it" (a int); insert into U&"new\000Aline = schema"."in it" values (1);
create table "dotted.schema"."dotted.table" ("dotted.column" int); insert into "dotted.schema"."dotted.table" values (1);
create table U&"bell\0007 and escape\001B[31m" (U&"\0001\007F" int); insert into U&"bell\0007 and escape\001B[31m" values (1);
comment on table U&"new\000Aline" is 'a name of two lines';
comment on column U&"new\000Aline".U&"column\000A\\.\000A\\! touch hostile" is 'a column of three lines';
