//! The lab.

pub mod oracle;
