//! The page as a browser has it.

mod browser;
mod made;
mod page;
