//! The program `backstay`.

fn main() {}
