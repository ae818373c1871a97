//! Messages reach real servers, and whoever does not answer does no harm.

mod command;
mod http;
mod smtp;
mod support;
