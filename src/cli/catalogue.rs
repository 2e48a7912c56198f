//! `crmferry catalogue`: the built-in mappings, row by row.

use std::fmt::Write as _;

use super::error::{Error, Exit};
use crate::{
    api::mapping_spec::{Destination, Fidelity, MappingSpecSpec, Object, Platform, Row},
    mapping::catalogue,
    source::CONNECTORS,
};

/// Arguments of `crmferry catalogue`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Entry to print; all of them are listed where none is given.
    pub name: Option<String>,
    /// Print the entry as the manifest it is written in.
    #[arg(long, requires = "name", conflicts_with = "markdown")]
    pub yaml: bool,
    /// Print its rows as a table in Markdown.
    #[arg(long, requires = "name")]
    pub markdown: bool,
}

/// Carries the command out.
///
/// # Errors
/// When there is no such entry.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let Some(name) = &args.name else {
        super::print(&list());
        return Ok(Exit::Completed);
    };
    let (Some(spec), Some(yaml)) = (catalogue::entry(name), catalogue::text(name)) else {
        let known = catalogue::names().join(", ");
        return Err(Error::Usage(format!(
            "the catalogue has no entry {name}; it has: {known}"
        )));
    };
    super::print(&match (args.yaml, args.markdown) {
        (true, _) => yaml.to_owned(),
        (false, true) => markdown(&spec),
        (false, false) => entry(name, &spec),
    });
    Ok(Exit::Completed)
}

fn list() -> String {
    let line = |name: &&str| {
        let spec = catalogue::entry(name).unwrap_or_default();
        let (rows, objects) = (
            spec.rows.map_or(0, |rows| rows.len()),
            spec.objects.map_or(0, |objects| objects.len()),
        );
        format!("{name}  {rows} rows, {objects} objects\n")
    };
    catalogue::names().iter().map(line).collect()
}

/// An object that keeps a row.
fn kept_by<'a>(spec: &'a MappingSpecSpec, row: &'a Row) -> impl Iterator<Item = (&'a str, Option<&'a Object>)> {
    let find = |name: &String| spec.objects.iter().flatten().find(|known| known.name == *name);
    row.objects
        .iter()
        .flatten()
        .map(move |name| (name.as_str(), find(name)))
}

/// Where what an object reads comes from.
fn source(platform: &str, object: &Object) -> String {
    let named = object.source.as_ref().and_then(|source| source.object.as_deref());
    let asked = |name: &str| {
        let mut connectors = CONNECTORS.iter();
        connectors.any(|connector| connector.name == platform && connector.objects.contains(&name))
    };
    match named {
        None => String::new(),
        Some(name) if asked(name) => format!("API or file {name}"),
        Some(name) => format!("file {name}"),
    }
}

fn platform(spec: &MappingSpecSpec) -> &str {
    spec.source
        .as_ref()
        .and_then(|source| source.platform)
        .map_or("", Platform::word)
}

/// The model or the document that an object becomes.
fn becomes(object: &Object) -> String {
    match object.destination.as_ref() {
        Some(Destination { model: Some(model), .. }) => model.clone(),
        Some(Destination {
            document: Some(document),
            ..
        }) => format!("handover/{document}.csv"),
        Some(_) | None => String::new(),
    }
}

const fn words(fidelity: Fidelity) -> &'static str {
    match fidelity {
        Fidelity::OneToOne => "one to one",
        Fidelity::OneToMany => "one to several",
        Fidelity::Lossy => "with losses",
        Fidelity::Inventory => "in writing",
    }
}

/// A line for each row: what it becomes, how faithfully, where it comes from.
fn markdown(spec: &MappingSpecSpec) -> String {
    let mut table = String::from("| row | becomes | arrives | from | |\n|---|---|---|---|---|\n");
    for row in spec.rows.iter().flatten() {
        let once = |of: &dyn Fn(&Object) -> String| {
            let mut cells: Vec<String> = Vec::new();
            for cell in kept_by(spec, row).filter_map(|(_, object)| object).map(of) {
                if !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
            cells
        };
        let becomes: Vec<String> = once(&becomes).iter().map(|cell| format!("`{cell}`")).collect();
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            row.name,
            becomes.join(", "),
            row.fidelity.map_or("", words),
            once(&|object| source(platform(spec), object)).join(", "),
            row.note.as_deref().unwrap_or_default(),
        );
    }
    table
}

/// A line for each object of each row.
fn entry(name: &str, spec: &MappingSpecSpec) -> String {
    let mut table = vec![["ROW", "OBJECT", "FROM", "BECOMES", "ARRIVES"].map(str::to_owned)];
    let mut notes = String::new();
    for row in spec.rows.iter().flatten() {
        for (place, (object, found)) in kept_by(spec, row).enumerate() {
            let (title, fidelity) = if place == 0 {
                (row.name.as_str(), row.fidelity.map_or("", words))
            } else {
                ("", "")
            };
            table.push([
                title.to_owned(),
                object.to_owned(),
                found.map(|object| source(platform(spec), object)).unwrap_or_default(),
                found.map(becomes).unwrap_or_default(),
                fidelity.to_owned(),
            ]);
        }
        if let Some(note) = &row.note {
            let _ = writeln!(notes, "  {}: {note}", row.name);
        }
    }
    let widths: Vec<usize> = (0..5)
        .map(|c| table.iter().map(|row| row[c].len()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    let lines: String = table.iter().map(line).collect();
    let notes = if notes.is_empty() {
        notes
    } else {
        format!("\nNot one to one:\n{notes}")
    };
    format!("{name}\n\n{lines}{notes}")
}
