//! The manifest: what it says, what it refuses, and that nothing it is given does harm.

mod absurd;
mod arbitrary;
mod consistency;
mod round_trip;
mod small;
mod wire;
