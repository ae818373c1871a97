//! Tests through the public interface, on real servers.

mod archive;
