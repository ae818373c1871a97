//! Tests of the crate through its public interface, against real servers.

mod sample;
mod server;
