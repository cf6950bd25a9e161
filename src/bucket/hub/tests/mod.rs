//! The client against a stand-in of a Hub.

mod client;
