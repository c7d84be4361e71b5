//! The operator and its chart on the lab's own cluster.
#![cfg(feature = "lab")]

mod access;
mod calls;
mod load;
mod many;
mod rights;
mod site;
mod story;
mod troubles;
mod upgrade;
