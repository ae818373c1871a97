use std::fmt;

/// What can be asked of a store or of one of its writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "one for each method of the contract")]
pub enum Verb {
    /// `Store::create`.
    Create,
    /// `ObjectWriter::append`.
    Append,
    /// `ObjectWriter::publish`.
    Publish,
    /// `Store::read`; the bytes that its reader gives are no calls of their own.
    Read,
    /// `Store::head`.
    Head,
    /// `Store::list`.
    List,
    /// `Store::delete`.
    Delete,
    /// `Store::list_leftovers`.
    ListLeftovers,
    /// `Store::delete_leftover`.
    DeleteLeftover,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Append => "append",
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
            Self::ListLeftovers => "list-leftovers",
            Self::DeleteLeftover => "delete-leftover",
        })
    }
}
