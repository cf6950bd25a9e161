//! The rows of the nodes of a cluster. Nodes of two adjacent versions read each other's.

use serde::{Deserialize, Serialize};

use super::Stored;
use crate::model::clock::Timestamp;
use crate::store::meta::nodes::{Beat, Doom, Node};
use crate::store::meta::sharing::News;
use crate::store::rows::PackId;
use crate::store::versioned::{self, StoredError};
use crate::xet::hash::XorbHash;

const NODE: &str = "a node";
const BEAT: &str = "what a node says";
const DOOM: &str = "what nodes are asked";
const NEWS: &str = "news of xorbs";

#[derive(Serialize, Deserialize)]
struct NodeV1<'r> {
    name: &'r str,
    version: &'r str,
    entered_at: u64,
    key_mark: [u8; 8],
}

impl Stored for Node {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let Self { name, version, entered_at, key_mark } = self;
        versioned::encode(NODE, 1, &NodeV1 { name, version, entered_at: entered_at.0, key_mark: *key_mark })
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let NodeV1 { name, version, entered_at, key_mark } = match versioned::split(NODE, row)? {
            (1, fields) => versioned::decode(NODE, fields)?,
            (version, _) => return Err(StoredError::unknown_version(NODE, version, 1)),
        };
        let (name, version) = (name.to_owned(), version.to_owned());
        Ok(Self { name, version, entered_at: Timestamp(entered_at), key_mark })
    }
}

#[derive(Serialize, Deserialize)]
struct DoomV1 {
    xorbs: Vec<[u8; 32]>,
    packs: Vec<u64>,
}

impl From<&Doom> for DoomV1 {
    fn from(doom: &Doom) -> Self {
        let xorbs = doom.xorbs.iter().map(|xorb| *xorb.as_bytes()).collect();
        Self { xorbs, packs: doom.packs.iter().map(|pack| pack.0).collect() }
    }
}

impl From<DoomV1> for Doom {
    fn from(DoomV1 { xorbs, packs }: DoomV1) -> Self {
        let xorbs = xorbs.into_iter().map(XorbHash::from_bytes).collect();
        Self { xorbs, packs: packs.into_iter().map(PackId).collect() }
    }
}

impl Stored for Doom {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        versioned::encode(DOOM, 1, &DoomV1::from(self))
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        match versioned::split(DOOM, row)? {
            (1, fields) => Ok(versioned::decode::<DoomV1>(DOOM, fields)?.into()),
            (version, _) => Err(StoredError::unknown_version(DOOM, version, 1)),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct BeatV1 {
    count: u64,
    readers_left: u64,
    doomed: u64,
    kept: DoomV1,
}

impl Stored for Beat {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let Self { count, readers_left, doomed, kept } = self;
        let row = BeatV1 { count: *count, readers_left: *readers_left, doomed: *doomed, kept: kept.into() };
        versioned::encode(BEAT, 1, &row)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let BeatV1 { count, readers_left, doomed, kept } = match versioned::split(BEAT, row)? {
            (1, fields) => versioned::decode(BEAT, fields)?,
            (version, _) => return Err(StoredError::unknown_version(BEAT, version, 1)),
        };
        Ok(Self { count, readers_left, doomed, kept: kept.into() })
    }
}

impl Stored for News {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let xorbs: Vec<_> = self.0.iter().map(|xorb| *xorb.as_bytes()).collect();
        versioned::encode(NEWS, 1, &xorbs)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        match versioned::split(NEWS, row)? {
            (1, fields) => {
                let xorbs: Vec<[u8; 32]> = versioned::decode(NEWS, fields)?;
                Ok(Self(xorbs.into_iter().map(XorbHash::from_bytes).collect()))
            }
            (version, _) => Err(StoredError::unknown_version(NEWS, version, 1)),
        }
    }
}
