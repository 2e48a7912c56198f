//! `crmferry catalogue`: the built-in mappings.

use std::fmt::Write as _;

use super::error::{Error, Exit};
use crate::{
    api::mapping_spec::{MappingSpecSpec, Row},
    mapping::catalogue,
};

/// Arguments of `crmferry catalogue`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Entry to print; all of them are listed where none is given.
    pub name: Option<String>,
    /// Print the entry as the manifest it is written in.
    #[arg(long, requires = "name")]
    pub yaml: bool,
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
    super::print(&if args.yaml { yaml.to_owned() } else { entry(name, &spec) });
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

/// A line for each object of each row.
fn entry(name: &str, spec: &MappingSpecSpec) -> String {
    let mut table = vec![["ROW", "OBJECT", "SOURCE", "MODEL", "FIDELITY"].map(str::to_owned)];
    let mut notes = String::new();
    for Row {
        name,
        fidelity,
        objects,
        note,
        remove: _,
    } in spec.rows.iter().flatten()
    {
        let fidelity = fidelity.map(|fidelity| format!("{fidelity:?}")).unwrap_or_default();
        for (place, object) in objects.iter().flatten().enumerate() {
            let found = spec.objects.iter().flatten().find(|known| known.name == *object);
            let source = found
                .and_then(|found| found.source.as_ref()?.object.clone())
                .unwrap_or_default();
            let model = found
                .and_then(|found| found.destination.as_ref()?.model.clone())
                .unwrap_or_default();
            let (row, fidelity) = if place == 0 {
                (name.clone(), fidelity.clone())
            } else {
                Default::default()
            };
            table.push([row, object.clone(), source, model, fidelity]);
        }
        if let Some(note) = note {
            let _ = writeln!(notes, "  {name}: {note}");
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
