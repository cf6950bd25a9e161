//! A simulated disk, and faults to be met on any disk: for tests.
//!
//! [`Disk`] tells what was written from what would survive a power cut, for packs ([`SimulatedPacks`]) and for the
//! metadata ([`simulated_place`]) together, and counts operations over both, so that a test can cut the power at each.
//! [`faults`] makes operations fail as a script says.

mod disk;
pub(crate) mod faults;
mod files;

pub(crate) use disk::Disk;
pub(crate) use files::{SimulatedPacks, keep_metadata, simulated_place};
