//! The front doors, none of which knows another, and what they share: the listener that connections come in by
//! ([`listener`]), and the line that each request leaves in the log ([`access`]).
//!
//! A door is an `axum::Router`. It finds a request's [`RequestId`](access::RequestId) and
//! `axum::extract::ConnectInfo<SocketAddr>` among the request's extensions.

pub mod access;
pub mod listener;
pub mod s3;
mod stall;

pub use access::RequestId;
