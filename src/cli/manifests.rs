//! Manifests on disk: files and folders of YAML, read as the API server would.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    api::{
        MappingSpec, Migration,
        mapping_spec::{Finding, Severity},
    },
    cli::error::Error,
    lifecycle::MappingSeen,
    mapping::{
        Compiled, Merged, SourceShape, World, compile,
        document::{self, Document},
        merge,
    },
    odoo::models,
};

/// What manifests hold.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// MappingSpecs, in the order they were read.
    pub mappings: Vec<MappingSpec>,
    /// Migrations, in the order they were read.
    pub migrations: Vec<Migration>,
    /// `Kind/name` of everything else: not ours to judge.
    pub others: Vec<String>,
}

/// Reads files, the YAML and JSON files of folders, and standard input (`-`).
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong; [`Error::Io`] for what cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Manifests, Error> {
    let (mut manifests, mut findings) = (Manifests::default(), Vec::new());
    for path in paths {
        for (place, text) in texts(path)? {
            match document::parse(&text, &place) {
                Ok(documents) => documents.into_iter().for_each(|document| manifests.add(document)),
                Err(found) => findings.extend(found),
            }
        }
    }
    findings.extend(manifests.twice());
    findings.extend(manifests.bad_names());
    if findings.is_empty() && manifests.mappings.is_empty() && manifests.migrations.is_empty() {
        findings.push(error(
            "Syntax",
            "",
            "there is no MappingSpec and no Migration in what was given".into(),
        ));
    }
    if findings.is_empty() {
        Ok(manifests)
    } else {
        Err(Error::Invalid(findings))
    }
}

/// The texts of a path, with the name to call each by.
fn texts(path: &Path) -> Result<Vec<(String, String)>, Error> {
    if path == Path::new("-") {
        let text = io::read_to_string(io::stdin()).map_err(Error::io("read", "standard input"))?;
        return Ok(vec![("standard input".into(), text)]);
    }
    let files = if path.is_dir() {
        manifests_of(path)?
    } else {
        vec![path.to_owned()]
    };
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        Ok((file.display().to_string(), text))
    };
    files.into_iter().map(read).collect()
}

/// The files directly in a folder that look like manifests, by name.
fn manifests_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let wanted = path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e));
        if wanted && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::Usage(format!(
            "{} holds no .yaml, .yml or .json file",
            folder.display()
        )));
    }
    Ok(files)
}

/// Whether the API server takes it as a name (RFC 1123).
fn is_dns_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 253
        && bytes.first().is_some_and(|byte| plain(*byte))
        && bytes.last().is_some_and(|byte| plain(*byte))
        && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'-' | b'.'))
        && !name.contains("..")
}

/// Something that is wrong with a manifest.
#[must_use]
pub fn error(code: &str, path: &str, message: String) -> Finding {
    Finding {
        severity: Severity::Error,
        code: code.into(),
        path: path.into(),
        message,
    }
}

impl Manifests {
    fn add(&mut self, document: Document) {
        match document {
            Document::MappingSpec(spec) => self.mappings.push(*spec),
            Document::Migration(migration) => self.migrations.push(*migration),
            Document::Other { kind, name } => self.others.push(format!("{kind}/{name}")),
        }
    }

    /// Names that the API server would refuse, and that a folder must not be called after.
    fn bad_names(&self) -> Vec<Finding> {
        let mappings = self.mappings.iter().map(|spec| &spec.metadata);
        let names = mappings
            .chain(self.migrations.iter().map(|migration| &migration.metadata))
            .flat_map(|metadata| [metadata.name.as_deref(), metadata.namespace.as_deref()])
            .flatten();
        let bad = names.filter(|name| !is_dns_name(name));
        bad.map(|name| {
            let message =
                format!("{name:?} is no name: lower-case letters, digits, '-' and '.', a letter or digit at both ends");
            error("Syntax", "metadata", message)
        })
        .collect()
    }

    /// Objects of one kind and name: the second would replace the first.
    fn twice(&self) -> Vec<Finding> {
        let mappings = self.mappings.iter().map(|spec| ("MappingSpec", &spec.metadata));
        let migrations = self
            .migrations
            .iter()
            .map(|migration| ("Migration", &migration.metadata));
        let mut names: Vec<_> = mappings
            .chain(migrations)
            .map(|(kind, metadata)| {
                (
                    kind,
                    metadata.namespace.clone(),
                    metadata.name.clone().unwrap_or_default(),
                )
            })
            .collect();
        names.sort();
        let pairs = names.windows(2).filter(|pair| pair[0] == pair[1]);
        pairs
            .map(|pair| error("Twice", "", format!("{} {} is there twice", pair[0].0, pair[0].2)))
            .collect()
    }

    /// The MappingSpec of a name.
    #[must_use]
    pub fn mapping(&self, name: &str) -> Option<&MappingSpec> {
        self.mappings
            .iter()
            .find(|spec| spec.metadata.name.as_deref() == Some(name))
    }

    /// The one Migration.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is none or several.
    pub fn the_migration(&self) -> Result<&Migration, Error> {
        match self.migrations.as_slice() {
            [migration] => Ok(migration),
            [] => Err(Error::Usage("the manifests hold no Migration".into())),
            several => Err(Error::Usage(format!(
                "the manifests hold {} Migrations: give one",
                several.len()
            ))),
        }
    }
}

/// Resolves a spec and compiles it against the bundled description of Odoo 19, and where given the source's shapes.
#[must_use]
pub fn compiled(
    spec: &MappingSpec,
    source: Option<&std::collections::BTreeMap<String, SourceShape>>,
) -> (Option<Merged>, Compiled) {
    match merge::resolve(&spec.spec) {
        Ok(merged) => {
            let world = World {
                models: models::bundled(),
                odoo_known: false,
                source,
            };
            let compiled = compile::compile(&merged, world);
            (Some(merged), compiled)
        }
        Err(findings) => (
            None,
            Compiled {
                findings,
                mapping: None,
                spec: None,
                unmapped: std::collections::BTreeMap::new(),
                read: std::collections::BTreeMap::new(),
                compatibility: (0, 0),
                grade: None,
            },
        ),
    }
}

/// A MappingSpec as `next` is to see it.
#[must_use]
pub fn seen(spec: Option<&MappingSpec>) -> MappingSeen {
    let Some(spec) = spec else { return MappingSeen::Absent };
    let (merged, Compiled { findings, .. }) = compiled(spec, None);
    let errors: Vec<Finding> = findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    match merged {
        Some(merged) if errors.is_empty() => MappingSeen::Valid {
            digest: merged.digest.to_string(),
        },
        _ => MappingSeen::Invalid(errors),
    }
}
