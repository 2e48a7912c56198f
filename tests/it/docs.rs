//! What the documents say is true of the product: their YAML is valid, their commands exist, their tables are complete.

use std::{fs, path::PathBuf, process::Command};

use crmferry::{
    api::{self, mapping_spec::Severity},
    mapping::{
        World,
        compile::compile,
        document::{self, Document},
        merge,
    },
    odoo::models,
};
use regex::Regex;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document for users, with its text.
fn documents() -> Vec<(String, String)> {
    let mut paths: Vec<String> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| format!("docs/{}", path.file_name().unwrap().to_string_lossy()))
        .collect();
    paths.sort();
    paths.push("README.md".into());
    paths
        .into_iter()
        .map(|path| {
            let text = read(&path);
            (path, text)
        })
        .collect()
}

/// A fenced block: what stands behind its fence, and its text.
struct Block {
    place: String,
    info: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for (path, text) in documents() {
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), open.take()) {
                (Some(_), Some(block)) => blocks.push(block),
                (Some(info), None) => {
                    open = Some(Block {
                        place: format!("{path}:{}", number + 1),
                        info: info.trim().to_owned(),
                        text: String::new(),
                    });
                }
                (None, Some(mut block)) => {
                    block.text += line;
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{path}: a block is not closed");
    }
    blocks
}

/// How many manifests of ours a text has; all of them are valid, and mappings compile without an Error.
fn valid_manifests(place: &str, text: &str) -> usize {
    let documents = document::parse(text, place).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let mut ours = 0;
    for document in documents {
        match document {
            Document::Migration(_) => ours += 1,
            Document::Other { .. } => {}
            Document::MappingSpec(spec) => {
                ours += 1;
                let merged = merge::resolve(&spec.spec).unwrap_or_else(|findings| panic!("{place}: {findings:#?}"));
                let world = World {
                    models: models::bundled(),
                    odoo_known: false,
                    source: None,
                };
                let errors: Vec<_> = compile(&merged, world)
                    .findings
                    .into_iter()
                    .filter(|finding| finding.severity == Severity::Error)
                    .collect();
                assert!(errors.is_empty(), "{place}: {errors:#?}");
            }
        }
    }
    ours
}

#[test]
fn every_yaml_block_of_the_documents_parses_and_every_manifest_in_one_is_valid() {
    let (mut manifests, mut fragments) = (0, 0);
    for block in blocks() {
        match block.info.as_str() {
            "yaml" => manifests += valid_manifests(&block.place, &block.text),
            "yaml fragment" => {
                fragments += 1;
                let parsed: Result<Value, _> = serde_saphyr::from_str(&block.text);
                assert!(parsed.is_ok(), "{}: {}", block.place, parsed.unwrap_err());
            }
            info => assert!(!info.starts_with("yaml"), "{}: {info}", block.place),
        }
    }
    assert!(
        manifests >= 5 && fragments >= 1,
        "{manifests} manifests, {fragments} fragments"
    );
}

#[test]
fn the_samples_are_valid() {
    for folder in ["pipz-to-odoo", "pipz-api-to-odoo"] {
        for file in ["mapping.yaml", "migration.yaml"] {
            let path = format!("deploy/samples/{folder}/{file}");
            assert_eq!(valid_manifests(&path, &read(&path)), 1);
        }
    }
}

/// Commands of ours in a line of a console block: the plugin's or the binary's, and their words.
fn commands(line: &str) -> Vec<(bool, Vec<String>)> {
    let Some(typed) = line.strip_prefix("$ ") else {
        return Vec::new();
    };
    let typed = typed.split('#').next().unwrap_or_default();
    let ours = |part: &str| {
        let words: Vec<String> = part
            .split_whitespace()
            .map(|word| word.trim_matches('"').to_owned())
            .collect();
        let (plugin, from) = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["kubectl", "crmferry", ..] => (true, 2),
            [program, ..] if program.rsplit('/').next() == Some("crmferry") => (false, 1),
            _ => return None,
        };
        Some((plugin, words[from..].to_vec()))
    };
    typed
        .split(['|', ';'])
        .flat_map(|part| part.split("&&"))
        .filter_map(ours)
        .collect()
}

#[test]
fn every_command_of_ours_that_a_console_shows_exists_with_its_flags() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-crmferry");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_crmferry"), &plugin).unwrap();
    let mut seen = 0;
    for block in blocks().into_iter().filter(|block| block.info == "console") {
        for (is_plugin, words) in block.text.lines().flat_map(commands) {
            let program = if is_plugin {
                plugin.clone()
            } else {
                env!("CARGO_BIN_EXE_crmferry").into()
            };
            // what comes before --help is parsed, and nothing is run
            let output = Command::new(program).args(&words).arg("--help").output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: {words:?}: {said}", block.place);
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen} commands");
}

#[test]
fn a_command_that_does_not_exist_would_be_noticed() {
    for words in [
        &["vallidate", "x"][..],
        &["run", "--aprove", "mapping"],
        &["run", "--approve", "sandbox"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_crmferry"))
            .args(words)
            .arg("--help")
            .output()
            .unwrap();
        assert!(!output.status.success(), "{words:?}");
    }
    assert_eq!(commands("$ kubectl crmferry status | grep x && crmferry crds").len(), 2);
}

/// A resource's schema as JSON.
fn schema(kind: &str) -> Value {
    let (_, crd) = api::crds()
        .into_iter()
        .find(|(_, crd)| crd.spec.names.kind == kind)
        .unwrap();
    serde_json::to_value(&crd.spec.versions[0].schema).unwrap()["openAPIV3Schema"]["properties"].clone()
}

fn names(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Every property below a schema.
fn properties(schema: &Value, found: &mut Vec<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        found.push(name.clone());
        properties(inner, found);
    }
    if let Some(items) = schema.get("items") {
        properties(items, found);
    }
}

#[test]
fn every_field_of_a_spec_is_documented() {
    for (kind, path) in [("MappingSpec", "docs/mapping.md"), ("Migration", "docs/migration.md")] {
        let (text, mut fields) = (read(path), Vec::new());
        properties(&schema(kind)["spec"], &mut fields);
        assert!(fields.len() > 20, "{fields:?}");
        for field in fields {
            let key = Regex::new(&format!(r"\b{field}:")).unwrap();
            assert!(key.is_match(&text), "{path} does not tell {field}");
        }
    }
}

#[test]
fn every_phase_reason_and_count_has_its_row() {
    let text = read("docs/migration.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    let status = &schema("Migration")["status"]["properties"];
    let mut words = names(&schema("PhaseRun")["status"]["properties"]["failure"]["properties"]["reason"]["enum"]);
    assert!(words.len() >= 20, "{words:?}");
    words.extend(names(&status["phase"]["enum"]));
    words.extend(names(&status["gates"]["items"]["properties"]["state"]["enum"]));
    let book = &status["objects"]["items"]["properties"]["book"]["properties"];
    words.extend(
        book.as_object()
            .unwrap()
            .keys()
            .filter(|name| *name != "balanced")
            .cloned(),
    );
    for word in words {
        let told = rows.iter().any(|row| {
            let first = row.split('|').nth(1).unwrap_or_default();
            first.split([',', ' ', '`']).any(|part| part == word)
        });
        assert!(told, "docs/migration.md has no row for {word}");
    }
}

#[test]
fn every_metric_is_documented() {
    let text = read("docs/migration.md");
    let register = Regex::new(r#"register\(\s*"([a-z_]+)""#).unwrap();
    let source = read("src/operator/metrics.rs");
    let metrics: Vec<&str> = register
        .captures_iter(&source)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert!(metrics.len() >= 6, "{metrics:?}");
    for metric in metrics {
        assert!(text.contains(&format!("`crmferry_{metric}")), "{metric}");
    }
}

#[test]
fn the_rows_of_the_readme_are_those_of_the_catalogue() {
    let text = read("README.md");
    let rows = text
        .split_once("<!-- crmferry catalogue pipz-to-odoo --markdown -->\n\n")
        .and_then(|(_, rest)| rest.split_once("\n<!-- end -->"));
    let output = Command::new(env!("CARGO_BIN_EXE_crmferry"))
        .args(["catalogue", "pipz-to-odoo", "--markdown"])
        .output()
        .unwrap();
    let wanted = String::from_utf8(output.stdout).unwrap();
    assert!(wanted.lines().count() > 6, "{wanted}");
    assert_eq!(rows.map(|(rows, _)| rows), Some(wanted.as_str()), "paste it:\n{wanted}");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#:]+)(?:#[^)]*)?\)").unwrap();
    for (path, text) in documents() {
        let folder = root().join(&path).parent().unwrap().to_path_buf();
        for found in link.captures_iter(&text) {
            assert!(folder.join(&found[1]).exists(), "{path}: {}", &found[1]);
        }
    }
}
