//! What all APIs share of HTTP, from the socket to the handler and back.
//!
//! A connection comes in by a [`listener`], which bounds it in number, time and slowness ([`stall`], [`closing`],
//! [`unread_body`]) and speaks [`tls`] if there is a certificate. Each request then passes one layer ([`observe`]): it gets
//! its [`RequestId`] and its [`RequestContext`](context::RequestContext), is held to the [`rate_limit`], and at its end is
//! counted ([`metrics`]) and written to the [`access_log`], the [`audit`] log and the [`traces`].
//!
//! An API hands over its router and the list of its [`routes`] together. It finds a request's [`RequestId`],
//! `RequestContext` and `axum::extract::ConnectInfo<SocketAddr>` among the request's extensions, and its
//! [`Origin`](origin::Origin) too on the Hub listener.

mod access_log;
pub mod audit;
mod bearer;
pub(in crate::serve) mod body;
mod closing;
pub(in crate::serve) mod compression;
pub(in crate::serve) mod context;
mod counted_body;
pub mod instance;
pub mod listener;
pub mod metrics;
pub mod observe;
pub mod origin;
pub mod rate_limit;
mod request_id;
pub mod routes;
pub(in crate::serve) mod stall;
pub mod tls;
pub mod traces;
mod unread_body;

pub(in crate::serve) use bearer::{NoBearerToken, bearer_token};
pub(in crate::serve) use context::RequestContext;
pub use observe::{Api, Observability};
pub use request_id::RequestId;
