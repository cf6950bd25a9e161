//! `xetgate store migrate`: the other place, and what has to be done beside it.

use std::path::Path;

use tokio::task::spawn_blocking;

use super::{StoreError, failed};
use crate::config::{Config, Mode};
use crate::model::clock::Ambient;
use crate::store::local::LocalStore;
use crate::store::migrate::{MigrateReport, Place, Target, migrate};
use crate::store::throttle::Throttle;

/// Moves a store to where the configuration `to` says.
pub(super) async fn run(
    store: &LocalStore,
    to: &Path,
    vars: &[(String, String)],
    throttle: &Throttle,
) -> Result<MigrateReport, StoreError> {
    // What the environment says is about the place that is left, but for what no file holds.
    let is_of_here = |name: &str| name.starts_with("XETGATE__") || name == "XETGATE_DATA_DIR";
    let vars: Vec<_> = vars.iter().filter(|(name, _)| !is_of_here(name)).cloned().collect();
    let config = Config::load(Some(to), &vars)?;
    let store_id = store.meta.store_id(u64::from_le_bytes(Ambient::system().random())).await;
    let store_id = store_id.map_err(failed("move the store"))?;
    let making = spawn_blocking(move || make(&config, &vars, store_id));
    let target = making.await.map_err(failed("move the store"))??;
    Ok(migrate(store, &target, throttle).await?)
}

/// Makes the other place.
fn make(config: &Config, vars: &[(String, String)], store_id: u64) -> Result<Target, StoreError> {
    let ambient = Ambient::system();
    match config.mode {
        Mode::Hub => Err(StoreError::MigrateToHub),
        Mode::Cluster => {
            let given = config.cluster_given(vars)?;
            Ok(Target::make(&Place::Cluster(&given.database, &given.packs), store_id, &ambient)?)
        }
        Mode::Standalone => {
            let folder = match &config.data_dir {
                Some(folder) => folder.clone(),
                None => crate::config::default_data_dir(vars)?,
            };
            let packs = config.packs.address(vars);
            Ok(Target::make(&Place::Folder(&folder, packs.as_ref()), store_id, &ambient)?)
        }
    }
}
