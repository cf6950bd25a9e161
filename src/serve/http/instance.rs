//! Which gateway this is, for those who watch several.

use prometheus_client::encoding::EncodeLabelSet;
use serde::Serialize;

/// A running gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, EncodeLabelSet)]
pub struct Instance {
    /// Its build.
    pub version: &'static str,
    /// Where its metadata and chunks live.
    pub mode: &'static str,
    /// What it is called among others.
    pub node: String,
}
