//! `crmferry validate`: what is wrong with manifests, before anything runs.

use std::{fmt::Write as _, path::PathBuf};

use serde::Serialize;

use super::{
    Output,
    error::{Error, Exit, finding_line},
    manifests::{self, Manifests},
};
use crate::{
    api::mapping_spec::{Finding, Severity},
    lifecycle::book,
    mapping::merge,
};

/// Arguments of `crmferry validate`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Files and folders of manifests; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How findings are printed.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// What was found in one document.
#[derive(Serialize)]
struct Judged {
    object: String,
    findings: Vec<Finding>,
}

/// Carries the command out.
///
/// # Errors
/// When a file cannot be read.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let judged = match manifests::read(&args.files) {
        Ok(manifests) => judge(&manifests),
        Err(Error::Invalid(findings)) => vec![Judged {
            object: "manifests".into(),
            findings,
        }],
        Err(error) => return Err(error),
    };
    let broken = judged
        .iter()
        .flat_map(|judged| &judged.findings)
        .any(|f| f.severity == Severity::Error);
    match args.output {
        Output::Json => super::print(&(json(&judged) + "\n")),
        Output::Text => super::print(&text(&judged)),
    }
    Ok(if broken { Exit::Invalid } else { Exit::Completed })
}

fn judge(manifests: &Manifests) -> Vec<Judged> {
    let mappings = manifests.mappings.iter().map(|spec| Judged {
        object: format!("mappingspec/{}", spec.metadata.name.as_deref().unwrap_or_default()),
        findings: manifests::compiled(spec, None).1.findings,
    });
    let migrations = manifests.migrations.iter().map(|migration| {
        let name = &migration.spec.mapping_spec_ref.name;
        let absent = manifests.mapping(name).is_none().then(|| Finding {
            severity: Severity::Warning,
            code: "MappingSpecNotGiven".into(),
            path: "spec.mappingSpecRef.name".into(),
            message: format!(
                "the MappingSpec {name} is not among these manifests: the Migration waits until it is there"
            ),
        });
        let merged = manifests.mapping(name).and_then(|spec| merge::resolve(&spec.spec).ok());
        let bounds = merged.map_or_else(Vec::new, |merged| {
            let objects = merged.spec.objects.unwrap_or_default();
            book::unknown_bounds(&migration.spec.accept, |name| {
                objects.iter().any(|object| object.name == name)
            })
        });
        Judged {
            object: format!("migration/{}", migration.metadata.name.as_deref().unwrap_or_default()),
            findings: absent.into_iter().chain(bounds).collect(),
        }
    });
    mappings.chain(migrations).collect()
}

fn json(judged: &[Judged]) -> String {
    serde_json::to_string_pretty(judged).expect("findings are plain data")
}

fn text(judged: &[Judged]) -> String {
    let mut text = String::new();
    for Judged { object, findings } in judged {
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let verdict = match (errors, warnings) {
            (0, 0) => "valid".to_owned(),
            (0, warnings) => format!("valid, with {}", plural(warnings, "warning")),
            (errors, _) => format!("invalid: {}", plural(errors, "error")),
        };
        let _ = writeln!(text, "{object}: {verdict}");
        for finding in findings {
            let _ = writeln!(text, "  {}", finding_line(finding));
        }
    }
    text
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
