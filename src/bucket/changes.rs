//! What a copy says of itself where it does not say what its source does.

use std::collections::BTreeMap;

use super::Attributes;

/// Changes of an object's attributes, made to the source as it is in the moment of the copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeChanges {
    /// Replaces all but the tags and the redirect.
    pub metadata: Option<Attributes>,
    /// Replaces the tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// The redirect, which is never copied. Source: S3 API reference, `CopyObject`.
    pub website_redirect_location: Option<String>,
}

impl AttributeChanges {
    /// Whether nothing is changed on purpose.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The copy's attributes.
    pub fn apply(&self, source: &Attributes) -> Attributes {
        Attributes {
            tags: self.tags.as_ref().unwrap_or(&source.tags).clone(),
            website_redirect_location: self.website_redirect_location.clone(),
            ..self.metadata.as_ref().unwrap_or(source).clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_replaced_on_its_own() {
        let tags = |value: &str| BTreeMap::from([("t".to_owned(), value.to_owned())]);
        let source = Attributes {
            content_type: Some("text/plain".to_owned()),
            tags: tags("old"),
            website_redirect_location: Some("/elsewhere".to_owned()),
            ..Attributes::default()
        };
        let plain = AttributeChanges::default().apply(&source);
        assert_eq!(plain, Attributes { website_redirect_location: None, ..source.clone() });

        let metadata =
            Some(Attributes { content_type: Some("image/png".to_owned()), ..Attributes::default() });
        let replaced = AttributeChanges { metadata, ..AttributeChanges::default() }.apply(&source);
        assert_eq!(replaced.content_type.as_deref(), Some("image/png"));
        assert_eq!(replaced.tags, tags("old"));

        let retagged =
            AttributeChanges { tags: Some(tags("new")), ..AttributeChanges::default() }.apply(&source);
        assert_eq!((retagged.content_type.as_deref(), retagged.tags), (Some("text/plain"), tags("new")));
    }
}
