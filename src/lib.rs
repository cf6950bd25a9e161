//! xetgate: an S3-compatible gateway whose storage is Xet.
//!
//! The modules are layers, from the ground up; a module uses only what stands below it
//! (`tests/layers.rs` holds them to it).

pub mod auth;
pub mod bucket;
pub mod cas;
pub mod cli;
pub mod config;
pub mod engine;
pub mod gateway;
pub mod model;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod xet;
