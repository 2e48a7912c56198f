use super::*;
use crate::{
    api::mapping_spec::Severity,
    mapping::{Compiled, World, compile::compile, merge},
    odoo::models,
};

fn compiled(name: &str) -> Compiled {
    let spec = MappingSpecSpec {
        extends: Some(name.into()),
        ..MappingSpecSpec::default()
    };
    let merged = merge::resolve(&spec).unwrap();
    let world = World {
        models: models::bundled(),
        odoo_known: false,
        source: None,
    };
    compile(&merged, world)
}

#[test]
fn every_entry_parses_under_its_name() {
    for name in names() {
        let parsed = document::parse(text(name).unwrap(), name).unwrap_or_else(|findings| panic!("{findings:#?}"));
        assert!(matches!(&parsed[..], [Document::MappingSpec(spec)] if spec.metadata.name.as_deref() == Some(name)));
        assert!(entry(name).is_some());
    }
    assert!(entry("pipz").is_none());
}

#[test]
fn every_entry_compiles_without_an_error() {
    for name in names() {
        let compiled = compiled(name);
        let errors: Vec<_> = compiled.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        for f in &compiled.findings { println!("{f:?}"); }
        assert!(compiled.mapping.is_some());
    }
}
