//! The conformance suite of stores, stores that fail on purpose, and fixtures.
