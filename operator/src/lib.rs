//! Runs pipelines' workers on Kubernetes, scales them on lag and serves their insights.

pub mod access;
pub mod api;
pub mod build;
pub mod check;
mod clock;
mod http;
pub mod lease;
pub mod metrics;
pub mod observe;
pub mod reconcile;
pub mod render;
pub mod resource;
pub mod run;
pub mod scaling;
pub mod status;
pub mod validate;
pub mod yaml;

#[cfg(test)]
mod testing;
