//! The merged insights: what all partitions together say, as people and programs read it.
//!
//! Owns the merge of partition states and the published document. It never reads a store.
