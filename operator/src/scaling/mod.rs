//! How many workers a pipeline needs.
//!
//! Owns the law: sizes by measured demand over measured capacity, for the hottest worker, and adds what is needed to
//! catch up (`hottest-worker demand control`). It does no I/O, reads no clock and knows nothing of Kubernetes: what it
//! must remember is in [`State`], which the resource's status keeps.

mod decision;
mod demand;
mod fit;
mod law;
mod memory;
mod observation;
mod settings;
mod span;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use decision::{Decision, Figures, Reason};
pub use law::decide;
pub use observation::{History, Observation, Offsets, PartitionOffsets, WorkerReport};
pub use settings::{Effectiveness, Fallback, Idle, Mode, Profile, ScaleDown, ScaleUp, Settings, Utilization};
pub use span::Span;
pub use state::{Backoff, Level, State, Step, Trial};
