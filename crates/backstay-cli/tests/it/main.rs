//! The program as people and scripts meet it.

mod aws;
mod backup;
mod bucket;
mod clusters;
mod config;
mod crash;
mod disasters;
mod docs;
mod encryption;
mod export;
mod interrupt;
mod killed_uploads;
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
