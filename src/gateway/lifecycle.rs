//! Following lifecycle rules beside requests.

use std::sync::Arc;

use super::background::Background;
use crate::config::Config;
use crate::model::clock::Ambient;
use crate::serve::http::audit::AuditLog;
use crate::store::lifecycle::{Ended, Expirer, Witness};
use crate::store::local::LocalStore;

/// Starts passes over the rules of a store's buckets; what they end is in the audit log, if there is one.
pub(super) fn start(
    config: &Config,
    store: Arc<LocalStore>,
    ambient: &Ambient,
    audit: Option<Arc<AuditLog>>,
    background: &mut Background,
) {
    let clock = Arc::clone(&ambient.clock);
    let witness: Witness = Arc::new(move |ended: &Ended<'_>| {
        if let Some(audit) = &audit {
            audit.write_ended(clock.now(), ended);
        }
    });
    let expirer = Expirer::new(store, ambient.clone(), witness);
    background.start(|stop| expirer.run(config.lifecycle.options(), stop));
}
