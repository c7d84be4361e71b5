//! The lab's subcommands, one module each.
//! They never do what a test could not: services and components are the library's.

pub(crate) mod test;
pub(crate) mod up;
