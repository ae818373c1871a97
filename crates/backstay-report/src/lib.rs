//! How backups are doing, as one page of HTML: timelines, proofs, sizes, drills, and what is amiss.
//!
//! It is a crate of its own because it brings templates and charts, which nobody needs who makes backups. [`page`] gives the
//! whole page as text. Nothing is loaded by it, and it runs no script, so it can be mailed, printed and kept. It follows the
//! light or dark colours of whoever reads it. Names from databases and stores are text wherever they stand.

mod chart;
mod database;
mod page;
mod style;
mod tier;
mod timeline;
mod words;

pub use page::{Report, StoreLog, page};
