//! What failing stores and crashes may leave of backups, as functions that panic where they leave something else.
//!
//! Each function runs an operation of [`Repository`](backstay_core::Repository) to its end, counts the calls that it
//! makes to the store, and then runs it again for each of them with that call failing, in every way in which a store can
//! fail. Afterwards it looks at the store as the next process would find it. A backend calls them in its tests beside the
//! functions of [`conformance`](crate::conformance), with a function that gives a new, empty store.

mod aftermath;
mod backup;
mod failures;
mod network;
mod rekeying;
mod removal;
mod unbounded;
mod written;

pub use backup::{
    a_backup_in_volumes_is_whole_or_not_there, a_backup_is_whole_or_not_there, spoiled_bytes_are_found_out,
    two_failures_leave_no_half_backup,
};
pub use network::a_backup_over_a_bad_network_is_whole_or_not_there;
pub use rekeying::{
    a_rekeying_leaves_the_old_or_the_new, ending_a_rekeying_can_be_repeated, others_beside_a_rekeying_leave_it_whole,
};
pub use removal::{
    a_removal_ends_or_can_be_ended, removing_litter_ends_or_can_be_repeated, removing_volumes_ends_or_can_be_repeated,
};
