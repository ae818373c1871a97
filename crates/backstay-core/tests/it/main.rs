//! The formats of core, as others meet them: through the public interface.

mod checksums;
mod ids;
mod manifest;
