//! Verification through the public interface, on backups in memory.

mod damage;
mod foreign;
mod report;
mod rules;
mod support;
mod texts;
mod volumes;
