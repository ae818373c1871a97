//! Tests of the crate through its public interface, against real servers.

mod archive;
mod sample;
mod server;
mod wire;
