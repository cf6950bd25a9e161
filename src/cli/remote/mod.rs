//! What the bucket commands have in common on their way to a server.

pub(in crate::cli) mod args;
pub(in crate::cli) mod connection;
pub(in crate::cli) mod uri;
