//! The files of a project, backed up into stores and brought back.

mod backup;
mod crashes;
mod restore;
mod sealed;
mod support;
mod verify;
