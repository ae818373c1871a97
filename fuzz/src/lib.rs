//! What the fuzz targets do with their input; the targets themselves are one line each.

mod targets;

pub use targets::{TARGETS, copy_text, manifest, pack, script};
