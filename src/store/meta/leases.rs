//! [`LeaseStore`]: what one node of a cluster does alone, collecting garbage above all.
//!
//! A lease has a token, which is another each time somebody takes it. What is written under a lease is written only while
//! the token is still the lease's, which the transaction itself checks: a holder that was suspended for an hour and does not
//! know that another has taken over can change nothing any more, whatever its clock says. The times of a lease only say
//! when another may take it.

use std::sync::Arc;

use async_trait::async_trait;
use redb::StorageError;

use super::kv::{ReadableTable as _, TableDefinition};
use super::table_meta::{TableEngine, TableMeta};
use super::tables::{Failure, Tables};
use super::{MetaError, MetaStore};
use crate::model::clock::Timestamp;

/// name -> (token, until when (in ms) nobody else may take it, who holds it)
pub(super) const LEASES: TableDefinition<&str, (u64, u64, &str)> = TableDefinition::new("leases");

/// A lease that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What for.
    pub name: String,
    /// Of this taking.
    pub token: u64,
}

/// A lease that another holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBy {
    /// Who, as it called itself.
    pub holder: String,
    /// Until then, unless it renews it.
    pub until: Timestamp,
}

/// Leases, of which each is held by one at most.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// Takes a lease until then, if it is free at `now`.
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Result<Lease, HeldBy>, MetaError>;

    /// Holds a lease until then. [`MetaError::LeaseLost`] if another has taken it.
    async fn renew_lease(&self, lease: &Lease, until: Timestamp) -> Result<(), MetaError>;

    /// Gives a lease back, if it is still held.
    async fn end_lease(&self, lease: &Lease) -> Result<(), MetaError>;

    /// The same store, whose every write is refused with [`MetaError::LeaseLost`] once another has taken the lease.
    fn under(&self, lease: &Lease) -> Arc<dyn MetaStore>;
}

impl Tables<'_> {
    fn take_lease(
        &mut self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Result<Lease, HeldBy>, Failure> {
        if let Some(row) = self.leases.get(name)? {
            let (_, ends, holder) = row.value();
            if ends > now.0 {
                return Ok(Err(HeldBy { holder: holder.to_owned(), until: Timestamp(ends) }));
            }
        }
        let token = self.unique("lease")?;
        self.leases.insert(name, (token, until.0, holder))?;
        Ok(Ok(Lease { name: name.to_owned(), token }))
    }

    /// Refuses what is done under a lease that is another's now.
    pub(super) fn must_hold(&self, lease: &Lease) -> Result<(), Failure> {
        match self.leases.get(lease.name.as_str())? {
            Some(row) if row.value().0 == lease.token => Ok(()),
            _ => Err(MetaError::LeaseLost.into()),
        }
    }

    fn renew_lease(&mut self, lease: &Lease, until: Timestamp) -> Result<(), Failure> {
        self.must_hold(lease)?;
        let holder = self.leases.get(lease.name.as_str())?.map(|row| row.value().2.to_owned());
        let holder = holder.unwrap_or_default();
        Ok(self.leases.insert(lease.name.as_str(), (lease.token, until.0, holder.as_str()))?)
    }

    fn end_lease(&mut self, lease: &Lease) -> Result<(), StorageError> {
        match self.must_hold(lease) {
            Ok(()) => self.leases.remove(lease.name.as_str()),
            Err(Failure::Engine(error)) => Err(error),
            Err(Failure::Refused(_)) => Ok(()),
        }
    }
}

#[async_trait]
impl<E: TableEngine> LeaseStore for TableMeta<E> {
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Result<Lease, HeldBy>, MetaError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.write(move |tables| tables.take_lease(&name, &holder, now, until)).await
    }

    async fn renew_lease(&self, lease: &Lease, until: Timestamp) -> Result<(), MetaError> {
        let lease = lease.clone();
        self.write(move |tables| tables.renew_lease(&lease, until)).await
    }

    async fn end_lease(&self, lease: &Lease) -> Result<(), MetaError> {
        let lease = lease.clone();
        self.write(move |tables| Ok(tables.end_lease(&lease)?)).await
    }

    fn under(&self, lease: &Lease) -> Arc<dyn MetaStore> {
        Arc::new(self.leased(lease.clone()))
    }
}
