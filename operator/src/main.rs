//! `rollcall-operator`.

fn main() {}
