//! What is composed in which mode, and how the process starts and stops.
//!
//! [`run`](run()) goes through the steps in order: data folder, credentials, listeners, [`backend`], [`apis`], and at the end
//! everything in reverse.
//!
//! * A mode is a file in [`backend`], with its arms in `backend::Selected`: it opens the storage and hands over a
//!   [`Backend`]. `standalone` keeps everything in the data folder, `cluster` in a database and an object store, `hub` on a remote
//!   Hub.
//! * An API is mounted in [`apis`], on one of the listeners. A console is to be one more, on the Hub listener.
//! * What runs beside requests is started through [`background`].

pub mod apis;
pub mod backend;
mod background;
pub mod data_folder;
mod error;
pub mod lease_holder;
mod lifecycle;
mod listeners;
mod observability;
mod run;
mod signals;

pub use backend::Backend;
pub use error::{GatewayError, HubModeError};
pub use observability::ObservabilityError;
pub use run::{Settings, Started, run};
