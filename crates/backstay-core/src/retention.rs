//! Which backups may go: a plan is a value, made of facts, a policy and a time, and deletes nothing by itself.

mod age;
mod plan;
mod policy;
mod reason;

pub use age::{Age, InvalidAge};
pub use plan::{BackupFacts, HoldFacts, ProofState, RetentionAction, RetentionDecision, plan_retention};
pub use policy::RetentionPolicy;
pub use reason::RetentionReason;
