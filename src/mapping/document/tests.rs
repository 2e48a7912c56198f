use std::fmt::Write as _;

use super::*;
use crate::mapping::testing::said;

const HEAD: &str = "apiVersion: crmferry.io/v1alpha1\nkind: MappingSpec\nmetadata: {name: a}\n";

fn wrong(text: &str) -> Vec<String> {
    said(&parse(text, "a.yaml").expect_err("something is wrong"))
}

#[test]
fn documents_of_every_kind_are_told_apart() {
    let text = format!(
        "# nothing here\n---\n{HEAD}spec:\n  extends: pipz-to-odoo\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nwhatever: [1]\n---\n\
         apiVersion: crmferry.io/v1alpha1\nkind: Migration\nmetadata: {{name: m}}\nspec:\n  mappingSpecRef: {{name: a}}\n  source: {{account: acme, files: {{}}}}\n  \
         destination: {{odoo: {{url: 'https://o', database: crm, secretRef: {{name: s}}}}}}\n  workspace: {{persistentVolumeClaim: {{claimName: c}}}}\n  accept: {{rejected: 1%, failed: 3}}\n"
    );
    let documents = parse(&text, "a.yaml").unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert!(
        matches!(&documents[0], Document::MappingSpec(spec) if spec.spec.extends.as_deref() == Some("pipz-to-odoo"))
    );
    assert!(matches!(&documents[1], Document::Other { kind, name } if kind == "Secret" && name == "s"));
    assert!(
        matches!(&documents[2], Document::Migration(migration) if migration.spec.source.files_path() == Some("exports/"))
    );
    assert_eq!(documents.len(), 3);
}

/// Each with the line, below the three lines of the head.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_the_api_server_would_refuse_is_refused_with_the_line() {
    let many: String = (0..501).map(|n| format!("k{n}: v")).collect::<Vec<_>>().join(", ");
    for (body, wanted) in [
        (
            "spec: {extend: a}",
            "UnknownField extend: a.yaml:4: unknown field extend; did you mean extends?",
        ),
        (
            "spec:\n  objects:\n  - name: deals\n    fields:\n    - {to: a, fro: b}",
            "UnknownField objects[deals].fields[a].fro: a.yaml:8: unknown field fro; did you mean from?",
        ),
        (
            "spec:\n  objects:\n  - name: deals\n    source: {shard: 1}",
            "UnknownField objects[deals].source.shard: a.yaml:7: unknown field shard; there are each, join, object, orderBy, where",
        ),
        (
            "sepc: {}\nspec: {}",
            "UnknownField sepc: a.yaml:4: unknown field sepc; did you mean spec?",
        ),
        ("x: 1", "Syntax spec: a.yaml:1: spec is not there"),
        (
            "spec: {objects: [{}]}",
            "Syntax objects[0]: a.yaml:4: spec.objects[0] needs name",
        ),
        (
            "spec: {objects: [{name: Deals}]}",
            "Syntax objects[Deals].name: a.yaml:4: spec.objects[Deals].name must match ^[a-z][A-Za-z0-9]*$, and Deals does not",
        ),
        (
            "spec: {objects: [{name: a}, {name: a}]}",
            "Syntax objects: a.yaml:4: a is there twice in spec.objects",
        ),
        (
            "spec: {objects: [{name: a, fields: [{to: b, part: c}, {to: b}, {to: b, part: c}]}]}",
            "Syntax objects[a].fields: a.yaml:4: b/c is there twice in spec.objects[a].fields",
        ),
        (
            "spec: {objects: [{name: a, after: [b, b]}]}",
            "Syntax objects[a].after: a.yaml:4: b is there twice in spec.objects[a].after",
        ),
        (
            "spec: {objects: [{name: a, onNew: Creat}]}",
            "Syntax objects[a].onNew: a.yaml:4: spec.objects[a].onNew is one of Create, Hold, Reject, and Creat is not; did you mean Create?",
        ),
        (
            "spec: {objects: [{name: a, onNew: Wait}]}",
            "Syntax objects[a].onNew: a.yaml:4: spec.objects[a].onNew is one of Create, Hold, Reject, and Wait is not",
        ),
        (
            "spec: {objects: {name: a}}",
            "Syntax objects: a.yaml:4: spec.objects is a list, and a map is not",
        ),
        (
            "spec: {objects: [{name: a, key: id}]}",
            "Syntax objects[a].key: a.yaml:4: spec.objects[a].key is a list, and \"id\" is not",
        ),
        (
            "spec: {extends: [a]}",
            "Syntax extends: a.yaml:4: spec.extends is text, and a list is not",
        ),
        (
            "spec: {objects: [{name: a, fields: [{to: b, constant: no}]}]}",
            "Syntax objects[a].fields[b].constant: a.yaml:4: spec.objects[a].fields[b].constant is text, and false is not: quote it",
        ),
        (
            "spec: {objects: [{name: a, fields: [{to: b, from: }]}]}",
            "Syntax objects[a].fields[b].from: a.yaml:4: spec.objects[a].fields[b].from has no value: leave it out, or write \"\" for empty text",
        ),
        (
            "spec: {objects: [{name: a, key: []}]}",
            "Syntax objects[a].key: a.yaml:4: spec.objects[a].key has 0 entries; 1 are the least",
        ),
        (
            &format!("spec: {{objects: [{{name: a, fields: [{{to: b, values: {{{many}}}}}]}}]}}"),
            "Syntax objects[a].fields[b].values: a.yaml:4: spec.objects[a].fields[b].values has 501 entries; 500 are the most",
        ),
        (
            &format!("spec: {{extends: {}}}", "x".repeat(64)),
            "Syntax extends: a.yaml:4: spec.extends has 64 characters; 63 are the most",
        ),
        (
            "spec: {extends: a, extends: b}",
            "Syntax : a.yaml:4: the key extends is there twice; first in line 4",
        ),
        (
            "spec: {extends: !!str a}",
            "Syntax : a.yaml:4: tags (!!str and the like) are not read; quote the text instead",
        ),
        ("spec: {[a]: b}", "Syntax : a.yaml:4: a key must be text"),
    ] {
        let wanted = format!("Error {wanted}");
        let all = wrong(&format!("{HEAD}{body}"));
        assert!(all.contains(&wanted), "{body}\nwanted {wanted}\ngot {all:#?}");
    }
    for (text, wanted) in [
        ("a: 1", "Error Syntax : a.yaml:1: a document needs apiVersion and kind"),
        (
            "apiVersion: crmferry.io/v1\nkind: MappingSpec\nmetadata: {name: a}\nspec: {}",
            "Error Syntax apiVersion: a.yaml:1: apiVersion of a MappingSpec is crmferry.io/v1alpha1",
        ),
        (
            "apiVersion: crmferry.io/v1alpha1\nkind: MappingSpec\nspec: {}",
            "Error Syntax metadata.name: a.yaml:1: a MappingSpec needs metadata.name",
        ),
    ] {
        assert_eq!(wrong(text), [wanted]);
    }
    assert!(
        wrong("spec: [a")
            .iter()
            .all(|said| said.starts_with("Error Syntax : a.yaml:"))
    );
}

#[test]
fn keys_that_some_parsers_change_must_be_quoted() {
    let spec = |key: &str| format!("{HEAD}spec: {{objects: [{{name: a, fields: [{{to: b, values: {{{key}: v}}}}]}}]}}");
    for key in [
        "true", "no", "off", "010", "1.10", "null", "~", "12", "1e3", "0x1F", "Yes", "y", "1_000",
    ] {
        let wanted = format!(
            "Error Syntax objects[a].fields[b].values: a.yaml:4: the key {key} is no text for every parser of YAML: quote it"
        );
        assert_eq!(wrong(&spec(key)), [wanted]);
        assert!(parse(&spec(&format!("\"{key}\"")), "a.yaml").is_ok(), "{key}");
    }
    for key in ["won", "Não", "1.2.3", "0x", "a1", "yes please", "1a", "-", "2020-01-31"] {
        assert!(parse(&spec(key), "a.yaml").is_ok(), "{key}");
    }
}

#[test]
fn enormous_text_deep_nesting_and_aliases_that_multiply_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        let list = vec![below; 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
    }
    assert!(wrong(&bomb)[0].ends_with("the text holds more than 200000 values, aliases expanded"));
    assert!(wrong(&format!("{}1{}", "[".repeat(80), "]".repeat(80)))[0].ends_with("values are nested deeper than 64"));
    assert!(wrong(&"#".repeat(5 << 20))[0].ends_with("bytes; 4194304 are read"));
    assert!(wrong("a: &a [*a]")[0].ends_with("an alias stands inside the value it names"));
}

#[test]
fn bad_manifests_of_a_migration_are_refused_too() {
    let text = "apiVersion: crmferry.io/v1alpha1\nkind: Migration\nmetadata: {name: m}\nspec:\n  mappingSpecRef: {name: a}\n  source: {account: Acme, files: {}}\n  \
                destination: {odoo: {url: o, database: crm, secretRef: {name: s}, limits: {connections: 17}}}\n  workspace: {persistentVolumeClaim: {claimName: c}}\n  accept: {rejected: [1]}\n  suspend: no\n  mode: Dry\n";
    let all = wrong(text);
    for wanted in [
        "Error Syntax spec.source.account: a.yaml:6: spec.source.account must match ^[a-z0-9]{1,30}$, and Acme does not",
        "Error Syntax spec.destination.odoo.limits.connections: a.yaml:7: spec.destination.odoo.limits.connections is at most 16, and 17 is not",
        "Error Syntax spec.accept.rejected: a.yaml:9: spec.accept.rejected is a count or a share, and a list is not",
        "Error Syntax spec.mode: a.yaml:11: spec.mode is one of Migrate, DryRun, and Dry is not; did you mean DryRun?",
    ] {
        assert!(all.iter().any(|said| said == wanted), "wanted {wanted}\ngot {all:#?}");
    }
    assert_eq!(all.len(), 5, "{all:#?}");
}
