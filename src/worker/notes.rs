//! What reading the source met beside its records: rows that came twice, records deleted meanwhile. Counted, and listed in
//! `results/source.csv`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{Job, error::StepError};
use crate::{
    api::{
        mapping_spec::{Finding, Severity},
        phase_run::{FEWER, FailureReason},
    },
    source::Note,
    workspace::table::shield,
};

/// Notes of one object and code that are listed; all are counted.
const LISTED: i64 = 1_000;
/// The list.
const FILE: &str = "results/source.csv";

/// What one reading met.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    counts: BTreeMap<(String, &'static str), i64>,
    rows: Vec<[String; 4]>,
    /// What may mean that records are missing.
    pub findings: Vec<Finding>,
}

impl Notes {
    /// Takes some in.
    pub fn take(&mut self, object: &str, notes: Vec<Note>) {
        for Note { key, code, message } in notes {
            let count = self.counts.entry((object.to_owned(), code)).or_default();
            *count += 1;
            if code == FEWER {
                self.findings.push(Finding {
                    severity: Severity::Warning,
                    code: code.to_owned(),
                    path: format!("source[{object}]"),
                    message: message.to_string(),
                });
            }
            if *count <= LISTED {
                self.rows
                    .push([object.to_owned(), key, code.to_owned(), message.into_owned()]);
            }
        }
    }

    /// Objects that gave fewer records than they announced.
    pub fn fewer(&self) -> BTreeSet<String> {
        let fewer = self.counts.keys().filter(|(_, code)| *code == FEWER);
        fewer.map(|(object, _)| object.clone()).collect()
    }

    /// `, 3 Repeated in contact`; nothing where there are none.
    pub fn words(&self) -> String {
        self.counts
            .iter()
            .fold(String::new(), |mut words, ((object, code), count)| {
                let _ = write!(words, ", {count} {code} in {object}");
                words
            })
    }

    /// Writes the list, in place of that of the reading before.
    ///
    /// # Errors
    /// When the workspace cannot be written.
    pub async fn store(&self, job: &Job) -> Result<(), StepError> {
        let bytes = self
            .csv()
            .map_err(|error| StepError::permanent(FailureReason::Internal, error.to_string()))?;
        let file = job.workspace.put_file(FILE, bytes).await?;
        job.heart.update(|status| {
            status.files.retain(|other| other.path != file.path);
            status.files.push(file);
        });
        Ok(())
    }

    fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["object", "key", "code", "message"])?;
        for row in &self.rows {
            writer.write_record(row.iter().map(|cell| shield(cell).into_owned()))?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_notes_are_counted_and_the_first_thousand_are_listed() {
        let mut notes = Notes::default();
        assert_eq!(notes.words(), "");
        let note = |key: String, code| Note {
            key,
            code,
            message: "seen".into(),
        };
        notes.take(
            "contact",
            (0..1_500).map(|id| note(id.to_string(), "Repeated")).collect(),
        );
        notes.take("contact", vec![note("=1".into(), "Deleted")]);
        assert_eq!(notes.words(), ", 1 Deleted in contact, 1500 Repeated in contact");
        let text = String::from_utf8(notes.csv().unwrap()).unwrap();
        assert_eq!(text.lines().count(), 1 + 1_000 + 1);
        assert!(text.ends_with("contact,'=1,Deleted,seen\n"), "{text}");
    }
}
