//! `crmferry plan`: what a mapping will do, before anything runs.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use object_store::local::LocalFileSystem;

use super::{
    error::{Error, Exit, finding_line},
    manifests,
};
use crate::{
    api::MappingSpec,
    mapping::{Compiled, Object, SourceShape, merge},
    source::{Source, files::FilesSource},
    worker::discover,
};

/// Arguments of `crmferry plan`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Files and folders of manifests; - is standard input.
    #[arg(short, long = "file", required = true, value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Print the whole spec too, with the catalogue entry it extends merged in.
    #[arg(long)]
    pub show_spec: bool,
    /// Folder of export files: the mapping is checked against their fields and tried on their first records.
    #[arg(long, value_name = "DIR")]
    pub exports: Option<PathBuf>,
}

/// Carries the command out.
///
/// # Errors
/// When a manifest is invalid, or a file cannot be read.
pub async fn run(args: &Args) -> Result<Exit, Error> {
    let manifests = manifests::read(&args.files)?;
    if manifests.mappings.is_empty() {
        return Err(Error::Usage("the manifests hold no MappingSpec".into()));
    }
    let mut exit = Exit::Completed;
    for spec in &manifests.mappings {
        let shapes = match &args.exports {
            None => None,
            Some(folder) => Some(shapes(spec, folder).await?),
        };
        let (text, valid) = plan(spec, shapes.as_ref(), args.show_spec);
        super::print(&text);
        if !valid {
            exit = Exit::Invalid;
        }
    }
    Ok(exit)
}

/// The plan of a spec in words, and whether there is one.
fn plan(spec: &MappingSpec, shapes: Option<&BTreeMap<String, SourceShape>>, show_spec: bool) -> (String, bool) {
    let (
        merged,
        Compiled {
            findings,
            mapping,
            spec: expanded,
            compatibility,
            grade,
            unmapped: _,
            read: _,
        },
    ) = manifests::compiled(spec, shapes);
    let mut text = format!("mappingspec/{}\n", spec.metadata.name.as_deref().unwrap_or_default());
    if let Some(merged) = &merged {
        let grade = grade.map_or_else(|| "none while there are errors".to_owned(), |grade| grade.to_string());
        let (one_to_one, rows) = compatibility;
        let _ = writeln!(text, "  digest         {}", merged.digest);
        let _ = writeln!(
            text,
            "  compatibility  {one_to_one} of {rows} rows arrive one to one, grade {grade}"
        );
    }
    if let Some(mapping) = &mapping {
        text += "\nObjects, in load order:\n";
        let width = mapping
            .objects
            .iter()
            .map(|object| object.name.len())
            .max()
            .unwrap_or(0);
        for object in &mapping.objects {
            text += &object_text(object, width);
        }
    }
    if !findings.is_empty() {
        text += "\nFindings:\n";
        for finding in &findings {
            let _ = writeln!(text, "  {}", finding_line(finding));
        }
    }
    if let Some(merged) = merged.filter(|_| show_spec) {
        let yaml = serde_saphyr::to_string(&expanded.unwrap_or(merged.spec)).unwrap_or_default();
        let _ = write!(text, "\nSpec:\n{yaml}");
    }
    (text + "\n", mapping.is_some())
}

fn object_text(object: &Object, width: usize) -> String {
    let fields = object.columns().map_or_else(
        || format!("every field of {}", object.source_object),
        |columns| columns.join(", "),
    );
    let mut text = format!(
        "  {:<width$}  {} → {}\n",
        object.name, object.source_object, object.destination
    );
    let _ = writeln!(text, "  {:width$}  fields  {fields}", "");
    if !object.custom_fields.is_empty() {
        let made: Vec<_> = object.custom_fields.iter().map(|field| field.name.as_str()).collect();
        let _ = writeln!(text, "  {:width$}  makes   {}", "", made.join(", "));
    }
    if !object.match_on.is_empty() {
        let by: Vec<_> = object.match_on.iter().map(|fields| fields.join("+")).collect();
        let _ = writeln!(text, "  {:width$}  adopts  by {}", "", by.join(", then by "));
    }
    text
}

/// What the export files of a folder look like.
async fn shapes(spec: &MappingSpec, folder: &Path) -> Result<BTreeMap<String, SourceShape>, Error> {
    let merged = merge::resolve(&spec.spec).ok();
    let store = LocalFileSystem::new_with_prefix(folder).map_err(Error::outside("open the export folder"))?;
    let source = FilesSource::new(Arc::new(store), object_store::path::Path::default());
    let mut shapes = BTreeMap::new();
    for object in source
        .objects()
        .await
        .map_err(Error::outside("list the export files"))?
    {
        let name = object.name.clone();
        let seen = discover::look_at(&source, object, merged.as_ref()).await;
        shapes.insert(name, seen.map_err(Error::outside("read an export file"))?.shape);
    }
    if shapes.is_empty() {
        return Err(Error::Usage(format!("{} holds no export file", folder.display())));
    }
    Ok(shapes)
}
