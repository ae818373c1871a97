//! The program as people and scripts meet it.

mod backup;
mod bucket;
mod config;
mod crash;
mod disasters;
mod docs;
mod encryption;
mod interrupt;
mod messages;
mod normalise;
mod restore;
mod retention;
mod secrets;
mod stores;
mod supabase;
mod support;
mod vercel;
mod verify;
mod wide;
