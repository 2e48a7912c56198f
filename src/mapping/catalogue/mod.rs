//! The built-in mappings that a spec can be laid over.

use std::sync::LazyLock;

use crate::{
    api::mapping_spec::MappingSpecSpec,
    mapping::document::{self, Document},
};

const ENTRIES: [(&str, &str); 1] = [("pipz-to-odoo", include_str!("pipz-to-odoo.yaml"))];
const NAMES: [&str; 1] = [ENTRIES[0].0];

static PARSED: LazyLock<Vec<(&str, MappingSpecSpec)>> = LazyLock::new(|| {
    ENTRIES
        .iter()
        .filter_map(
            |(name, text)| match document::parse(text, name).ok()?.into_iter().next()? {
                Document::MappingSpec(spec) => Some((*name, spec.spec)),
                _ => None,
            },
        )
        .collect()
});

/// Names of the entries.
#[must_use]
pub fn names() -> &'static [&'static str] {
    &NAMES
}

/// An entry.
#[must_use]
pub fn entry(name: &str) -> Option<MappingSpecSpec> {
    PARSED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, spec)| spec.clone())
}

/// An entry as the manifest it is written in.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    ENTRIES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests;
