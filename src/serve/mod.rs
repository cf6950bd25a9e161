//! The front doors, none of which knows another, and what they share: the listener that connections come in by
//! ([`listener`]), the line that each request leaves in the log ([`access`]), and what a client calls us ([`origin`]).
//!
//! A door is an `axum::Router`. It finds a request's [`RequestId`](access::RequestId) and
//! `axum::extract::ConnectInfo<SocketAddr>` among the request's extensions.

pub mod access;
pub mod admin;
pub mod cas;
pub mod hub;
pub mod listener;
pub mod origin;
pub mod s3;
mod stall;

pub use access::RequestId;
