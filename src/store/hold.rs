//! [`Hold`]: what an unfinished write relies on, kept from gc until the write is over.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use super::pins::{Pin, Pins};
use super::readers::Reading;
use crate::xet::hash::XorbHash;

/// Keeps gc away from xorbs that were promised, packs that hold frames without rows, and records that were read.
/// To be dropped when the write's metadata transaction has been answered, not before.
#[derive(Default)]
pub struct Hold {
    pins: HashMap<XorbHash, Pin>,
    packs: Vec<Arc<dyn Any + Send + Sync>>,
    reading: Option<Reading>,
}

impl Hold {
    /// Of a write that relies on file records: entered before they were read.
    pub fn reading(reading: Reading) -> Self {
        Self { reading: Some(reading), ..Self::default() }
    }

    /// Whether the xorb may be referred to from now on.
    #[must_use]
    pub fn pin(&mut self, pins: &Arc<Pins>, xorb: XorbHash) -> bool {
        if self.pins.contains_key(&xorb) {
            return true;
        }
        let pin = pins.pin(xorb);
        pin.map(|pin| self.pins.insert(xorb, pin)).is_some()
    }

    /// Lets go of a xorb that was not there after all.
    pub fn unpin(&mut self, xorb: &XorbHash) {
        self.pins.remove(xorb);
    }

    /// Keeps what holds packs whose frames have no rows yet.
    pub fn keep(&mut self, packs: Arc<dyn Any + Send + Sync>) {
        self.packs.push(packs);
    }

    /// Takes over what another holds.
    pub fn join(&mut self, other: Self) {
        self.pins.extend(other.pins);
        self.packs.extend(other.packs);
        self.reading = self.reading.take().or(other.reading);
    }
}
