//! Tests against real servers.

mod wire;
