//! The Helm chart in `charts/rollcall`, for those who test it and for what is generated of it.
//! It never talks to a cluster: that is a test's business.

mod comments;
mod render;
mod schema;

pub use render::{Rendered, render, render_chart, run_helm};
pub use schema::{folder, schema, write_schema};
