//! The APIs, none of which knows another, and [`http`], which all of them stand on.

pub mod admin;
pub mod cas;
pub mod health;
pub mod http;
pub mod hub;
pub mod s3;
