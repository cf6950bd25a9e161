//! Following lifecycle rules beside requests.

use std::sync::Arc;

use super::background::Background;
use super::lease_holder::{LIFECYCLE, LeaseHolder};
use crate::config::Config;
use crate::model::clock::Ambient;
use crate::serve::http::audit::AuditLog;
use crate::store::lifecycle::{Ended, Expirer, Witness};
use crate::store::local::LocalStore;

/// Starts passes over the rules of a store's buckets, of one node of those that share it; what they end is in the audit log,
/// if there is one.
pub(super) fn start(
    config: &Config,
    (store, leases): (Arc<LocalStore>, Option<LeaseHolder>),
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
    let (ambient, options) = (ambient.clone(), config.lifecycle.options());
    background.start(|stop| async move {
        let follow = |store, stop| {
            Expirer::new(store, ambient.clone(), Arc::clone(&witness)).run(options.clone(), stop)
        };
        match leases {
            Some(leases) => leases.while_held(LIFECYCLE, &store, &stop, follow).await,
            None => follow(store, stop).await,
        }
    });
}
