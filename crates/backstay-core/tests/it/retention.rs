//! Plans of retention: golden files on hand-made calendars, and what holds for every policy.

mod calendars;
mod golden;
mod properties;
