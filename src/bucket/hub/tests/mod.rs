//! The client and the buckets against stand-ins of a Hub.

mod bad_days;
mod client;
mod gateway;
mod stand_in;
mod together;
mod upkeep;
