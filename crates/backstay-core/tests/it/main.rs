//! The formats of core, as others meet them: through the public interface.

mod checksums;
mod corpora;
mod ids;
mod manifest;
mod retention;
