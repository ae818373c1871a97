//! The examples, run against a server of their own.

mod migrations;
mod rules;
mod services;
mod stores;
mod support;

// The programs themselves: their `main` is for people, all else is tried here.
#[path = "../../migrate.rs"]
#[expect(dead_code, reason = "`main` is for people")]
mod migrate;
#[path = "../../own_rule.rs"]
#[expect(dead_code, reason = "`main` is for people")]
mod own_rule;
#[path = "../../own_store.rs"]
mod own_store;
#[path = "../../service.rs"]
#[expect(dead_code, reason = "`main` is for people")]
mod service;
