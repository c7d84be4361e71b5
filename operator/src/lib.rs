//! Runs pipelines' workers on Kubernetes, scales them on lag and serves their insights.

pub mod scaling;
