//! Verification through the public interface, on backups in memory.

mod damage;
mod foreign;
mod judging;
mod report;
mod rules;
mod support;
mod texts;
mod volumes;
