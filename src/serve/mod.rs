//! The front doors, none of which knows another, and what they share: the listener that connections come in by
//! ([`listener`]), the line that each request leaves in the log ([`access`]), what a client calls us ([`origin`]), and the
//! list of all that can be asked for ([`routes`]).
//!
//! A door is a [`Routed`](routes::Routed). It finds a request's [`RequestId`](access::RequestId) and
//! `axum::extract::ConnectInfo<SocketAddr>` among the request's extensions.

pub mod access;
pub mod admin;
pub mod audit;
pub mod cas;
mod closing;
pub mod guard;
pub mod hub;
mod leftover;
pub mod listener;
pub mod metrics;
pub mod ops;
pub mod origin;
pub mod routes;
pub mod s3;
mod stall;
pub mod tls;
pub mod traces;
mod visit;

pub use access::RequestId;
