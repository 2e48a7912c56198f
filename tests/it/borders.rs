//! The borders of `docs/architecture.md`, held against the sources.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use syn::{UseTree, visit::Visit};

/// What the pure modules may not reach.
const IMPURE: [&str; 14] = [
    "tokio",
    "reqwest",
    "kube::Client",
    "kube::Api",
    "kube::runtime",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::time::Instant",
    "std::time::SystemTime",
    "tempfile",
    "object_store",
    "redb",
];

/// Calls that read a clock, wherever their type was imported.
const CLOCKS: [&str; 3] = ["Timestamp::now", "Zoned::now", "Instant::now"];

/// Module, and the modules of this crate that it may use.
const EDGES: [(&str, &[&str]); 11] = [
    ("api", &["api", "mapping"]),
    ("model", &["model"]),
    ("mapping", &["api", "mapping", "model", "odoo::models"]),
    ("lifecycle", &["api", "lifecycle", "model", "chain"]),
    ("report", &["api", "report", "model", "lifecycle", "mapping"]),
    ("http", &["http"]),
    ("source", &["api", "http", "model", "source", "chain"]),
    ("odoo", &["api", "args", "chain", "http", "mapping", "model", "odoo"]),
    ("workspace", &["api", "model", "odoo", "source", "workspace", "chain"]),
    (
        "worker",
        &[
            "api",
            "args",
            "chain",
            "lifecycle",
            "mapping",
            "model",
            "odoo",
            "report",
            "source",
            "worker",
            "workspace",
        ],
    ),
    (
        "operator",
        &[
            "api",
            "chain",
            "lifecycle",
            "mapping",
            "model",
            "odoo::models",
            "operator",
        ],
    ),
];

#[derive(Default)]
struct Paths(BTreeSet<String>);

impl Paths {
    fn tree(&mut self, head: &str, tree: &UseTree) {
        let join = |name: &str| {
            if head.is_empty() {
                name.to_owned()
            } else {
                format!("{head}::{name}")
            }
        };
        match tree {
            UseTree::Path(path) => self.tree(&join(&path.ident.to_string()), &path.tree),
            UseTree::Name(name) => drop(self.0.insert(join(&name.ident.to_string()))),
            UseTree::Rename(name) => drop(self.0.insert(join(&name.ident.to_string()))),
            UseTree::Glob(_) => drop(self.0.insert(head.to_owned())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(head, tree)),
        }
    }
}

impl<'a> Visit<'a> for Paths {
    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        let test = module.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
        });
        if !test {
            syn::visit::visit_item_mod(self, module);
        }
    }
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.tree("", &item.tree);
    }
    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.0.insert(names.join("::"));
        syn::visit::visit_path(self, path);
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !is_test(&path) {
            found.push(path);
        }
    }
    found
}

/// Files of tests, which may use what they like.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap().to_string_lossy();
    [
        "tests", "testing", "fake", "script", "samples", "world", "stories", "table",
    ]
    .iter()
    .any(|name| stem.contains(name))
        || path.components().any(|part| part.as_os_str() == "tests")
}

fn module(name: &str) -> Vec<(PathBuf, Paths)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    if root.join(name).is_dir() {
        files.extend(sources(&root.join(name)));
    }
    let file = root.join(format!("{name}.rs"));
    if file.exists() {
        files.push(file);
    }
    assert!(!files.is_empty(), "{name} has no source");
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut paths = Paths::default();
            paths.visit_file(&syn::parse_file(&text).unwrap());
            (file, paths)
        })
        .collect()
}

fn begins(path: &str, head: &str) -> bool {
    path == head || path.starts_with(&format!("{head}::"))
}

#[test]
fn pure_modules_reach_no_runtime_no_client_no_file_and_no_clock() {
    for name in ["model", "mapping", "lifecycle", "report"] {
        for (file, paths) in module(name) {
            for path in &paths.0 {
                let impure = IMPURE.iter().find(|head| begins(path, head));
                let clock = CLOCKS.iter().find(|clock| path.ends_with(*clock));
                assert!(impure.is_none() && clock.is_none(), "{} reaches {path}", file.display());
            }
        }
    }
}

#[test]
fn modules_use_only_what_lies_within_their_borders() {
    for (name, allowed) in EDGES {
        for (file, paths) in module(name) {
            for path in &paths.0 {
                let Some(inner) = path.strip_prefix("crate::") else {
                    continue;
                };
                let inside = allowed.iter().any(|head| begins(inner, head));
                assert!(inside, "{} uses crate::{inner}, which {name} may not", file.display());
            }
        }
    }
}

#[test]
fn the_test_of_the_borders_sees_an_edge() {
    let mut paths = Paths::default();
    paths.visit_file(&syn::parse_file("use std::{fs, fmt}; fn f() { jiff::Timestamp::now(); }").unwrap());
    assert!(paths.0.contains("std::fs") && paths.0.contains("jiff::Timestamp::now"));
}
