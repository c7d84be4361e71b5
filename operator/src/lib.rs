//! Runs pipelines' workers on Kubernetes, scales them on lag and serves their insights.

pub mod build;
pub mod lease;
pub mod render;
pub mod resource;
pub mod scaling;
pub mod validate;
pub mod yaml;

#[cfg(test)]
mod testing;
