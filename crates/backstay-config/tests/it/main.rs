//! The configuration through its public interface.

mod mistakes;
mod round_trip;
mod schema;
mod secrecy;
mod values;
