//! Quoting of names, as `fmtId` of PostgreSQL's `src/fe_utils/string_utils.c` does it.

/// Keywords that are not `UNRESERVED_KEYWORD` in `src/include/parser/kwlist.h`, sorted, each with the first major
/// version (of those since 10) that has it so.
#[rustfmt::skip]
const KEYWORDS: &[(&str, u32)] = &[
    ("all", 10), ("analyse", 10), ("analyze", 10), ("and", 10), ("any", 10), ("array", 10), ("as", 10), ("asc", 10),
    ("asymmetric", 10), ("authorization", 10), ("between", 10), ("bigint", 10), ("binary", 10), ("bit", 10),
    ("boolean", 10), ("both", 10), ("case", 10), ("cast", 10), ("char", 10), ("character", 10), ("check", 10),
    ("coalesce", 10), ("collate", 10), ("collation", 10), ("column", 10), ("concurrently", 10), ("constraint", 10),
    ("create", 10), ("cross", 10), ("current_catalog", 10), ("current_date", 10), ("current_role", 10),
    ("current_schema", 10), ("current_time", 10), ("current_timestamp", 10), ("current_user", 10), ("dec", 10),
    ("decimal", 10), ("default", 10), ("deferrable", 10), ("desc", 10), ("distinct", 10), ("do", 10), ("else", 10),
    ("end", 10), ("except", 10), ("exists", 10), ("extract", 10), ("false", 10), ("fetch", 10), ("float", 10),
    ("for", 10), ("foreign", 10), ("freeze", 10), ("from", 10), ("full", 10), ("grant", 10), ("greatest", 10),
    ("group", 10), ("grouping", 10), ("having", 10), ("ilike", 10), ("in", 10), ("initially", 10), ("inner", 10),
    ("inout", 10), ("int", 10), ("integer", 10), ("intersect", 10), ("interval", 10), ("into", 10), ("is", 10),
    ("isnull", 10), ("join", 10), ("json", 17), ("json_array", 16), ("json_arrayagg", 16), ("json_exists", 17),
    ("json_object", 16), ("json_objectagg", 16), ("json_query", 17), ("json_scalar", 17), ("json_serialize", 17),
    ("json_table", 17), ("json_value", 17), ("lateral", 10), ("leading", 10), ("least", 10), ("left", 10),
    ("like", 10), ("limit", 10), ("localtime", 10), ("localtimestamp", 10), ("merge_action", 17), ("national", 10),
    ("natural", 10), ("nchar", 10), ("none", 10), ("normalize", 13), ("not", 10), ("notnull", 10), ("null", 10),
    ("nullif", 10), ("numeric", 10), ("offset", 10), ("on", 10), ("only", 10), ("or", 10), ("order", 10), ("out", 10),
    ("outer", 10), ("overlaps", 10), ("overlay", 10), ("placing", 10), ("position", 10), ("precision", 10),
    ("primary", 10), ("real", 10), ("references", 10), ("returning", 10), ("right", 10), ("row", 10), ("select", 10),
    ("session_user", 10), ("setof", 10), ("similar", 10), ("smallint", 10), ("some", 10), ("substring", 10),
    ("symmetric", 10), ("system_user", 16), ("table", 10), ("tablesample", 10), ("then", 10), ("time", 10),
    ("timestamp", 10), ("to", 10), ("trailing", 10), ("treat", 10), ("trim", 10), ("true", 10), ("union", 10),
    ("unique", 10), ("user", 10), ("using", 10), ("values", 10), ("varchar", 10), ("variadic", 10), ("verbose", 10),
    ("when", 10), ("where", 10), ("window", 10), ("with", 10), ("xmlattributes", 10), ("xmlconcat", 10),
    ("xmlelement", 10), ("xmlexists", 10), ("xmlforest", 10), ("xmlnamespaces", 10), ("xmlparse", 10), ("xmlpi", 10),
    ("xmlroot", 10), ("xmlserialize", 10), ("xmltable", 10),
];

/// Appends a name, in double quotes where a server of this major version or a reader of SQL needs them.
pub(super) fn push_identifier(out: &mut Vec<u8>, name: &[u8], major: u32) {
    if is_plain(name) && !is_keyword(name, major) {
        out.extend_from_slice(name);
        return;
    }
    out.push(b'"');
    // No encoding of a PostgreSQL database has ASCII bytes inside other characters.
    for &byte in name {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Appends a name after the name of its schema, if it has one.
pub(super) fn push_qualified(out: &mut Vec<u8>, namespace: Option<&[u8]>, name: &[u8], major: u32) {
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        push_identifier(out, namespace, major);
        out.push(b'.');
    }
    push_identifier(out, name, major);
}

fn is_plain(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'a'..=b'z' | b'_'))
        && name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

fn is_keyword(name: &[u8], major: u32) -> bool {
    KEYWORDS
        .binary_search_by(|(word, _)| word.as_bytes().cmp(name))
        .is_ok_and(|at| KEYWORDS[at].1 <= major)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &[u8], major: u32, expected: &[u8]) {
        let mut out = Vec::new();
        push_identifier(&mut out, name, major);
        assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn names_are_quoted_as_fmt_id_does() {
        check(b"plain_1", 15, b"plain_1");
        check(b"_x", 15, b"_x");
        check(b"1x", 15, b"\"1x\"");
        check(b"", 15, b"\"\"");
        check(b"Upper", 15, b"\"Upper\"");
        check(b"a\"b\\c\n", 15, b"\"a\"\"b\\c\n\"");
        check(b"gr\xfc\xdfe", 15, b"\"gr\xfc\xdfe\"");
        check(b"select", 15, b"\"select\"");
        check(b"abort", 15, b"abort");
    }

    #[test]
    fn keywords_are_those_of_the_version() {
        check(b"json", 16, b"json");
        check(b"json", 17, b"\"json\"");
        check(b"system_user", 15, b"system_user");
        check(b"system_user", 16, b"\"system_user\"");
        check(b"normalize", 12, b"normalize");
        check(b"normalize", 13, b"\"normalize\"");
    }

    #[test]
    fn keywords_are_sorted() {
        assert!(KEYWORDS.is_sorted());
    }
}
