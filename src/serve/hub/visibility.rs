//! Who may read a bucket, as the bodies of requests say it.
//!
//! Published clients say it in two ways: `huggingface_hub` up to 2.0.0 and the crate `hf-hub` send `private`, later
//! releases and `@huggingface/hub` send `visibility`. Both are read. A body that cannot be understood whole is refused:
//! a field that is not known may restrict what is made, and a bucket that is more open than its creator asked for is the
//! worst answer. So unknown fields are errors, `null` is not taken for "not said", and what cannot be kept here
//! (`resourceGroupId`, `region`) is refused rather than ignored.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::{HubError, HubResult};
use crate::bucket::{Versioning, Visibility};

/// Body of `POST /api/buckets/{ns}/{name}`: all that published clients send.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Creation {
    #[serde(deserialize_with = "private")]
    private: Option<bool>,
    #[serde(deserialize_with = "visibility")]
    visibility: Option<Visibility>,
    /// Would keep other members of the organisation out.
    resource_group_id: Option<Value>,
    /// Would keep the data in a part of the world.
    region: Option<Value>,
}

impl Creation {
    /// Who is to be able to read the new bucket, if that is said.
    pub(super) fn asked(self) -> HubResult<Option<Visibility>> {
        if self.resource_group_id.is_some() {
            return Err(HubError::bad_request(
                "resourceGroupId: there are no resource groups here, so the bucket cannot be restricted to one. \
                 Leave it out to create the bucket for the whole namespace",
            ));
        }
        if self.region.is_some() {
            return Err(HubError::bad_request(
                "region: this server has one place to store at and knows no regions. Leave it out",
            ));
        }
        agreed(self.private, self.visibility)
    }
}

/// Body of `PUT /api/buckets/{ns}/{name}/settings`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    #[serde(deserialize_with = "private")]
    private: Option<bool>,
    #[serde(deserialize_with = "visibility")]
    visibility: Option<Visibility>,
    /// Our own; the Hub keeps no versions.
    #[serde(deserialize_with = "versioning")]
    versioning: Option<KeepsVersions>,
}

/// Whether writes keep what they replace.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeepsVersions {
    Enabled,
    Suspended,
}

impl From<KeepsVersions> for Versioning {
    fn from(keeps: KeepsVersions) -> Self {
        match keeps {
            KeepsVersions::Enabled => Self::Enabled,
            KeepsVersions::Suspended => Self::Suspended,
        }
    }
}

impl Settings {
    /// Who is to be able to read the bucket from now on, and whether it keeps versions; at least one of them.
    pub(super) fn asked(self) -> HubResult<(Option<Visibility>, Option<Versioning>)> {
        match (agreed(self.private, self.visibility)?, self.versioning.map(Versioning::from)) {
            (None, None) => {
                Err(HubError::bad_request("The body must hold private or visibility, or versioning"))
            }
            asked => Ok(asked),
        }
    }
}

/// What both fields say together.
fn agreed(private: Option<bool>, visibility: Option<Visibility>) -> HubResult<Option<Visibility>> {
    let by_private = private.map(|private| if private { Visibility::Private } else { Visibility::Public });
    match (by_private, visibility) {
        (Some(one), Some(other)) if one != other => Err(HubError::bad_request(format!(
            "private ({}) and visibility ({:?}) contradict each other. Give one of them",
            one == Visibility::Private,
            if other == Visibility::Private { "private" } else { "public" },
        ))),
        (one, other) => Ok(one.or(other)),
    }
}

fn private<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let read = bool::deserialize(deserializer);
    read.map(Some).map_err(|error| D::Error::custom(format!("private must be true or false: {error}")))
}

fn versioning<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<KeepsVersions>, D::Error> {
    let read = KeepsVersions::deserialize(deserializer);
    let named = |error| D::Error::custom(format!("versioning must be \"enabled\" or \"suspended\": {error}"));
    read.map(Some).map_err(named)
}

fn visibility<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Visibility>, D::Error> {
    let read = Visibility::deserialize(deserializer);
    let named = |error| D::Error::custom(format!("visibility must be \"public\" or \"private\": {error}"));
    read.map(Some).map_err(named)
}
