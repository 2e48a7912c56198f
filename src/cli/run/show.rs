//! What people see while it runs: a bar on a terminal, lines elsewhere.

use std::{
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::typed;
use crate::{
    api::{
        PhaseRunStatus, Progress,
        mapping_spec::{Finding, Severity},
        migration::{Attempt, Ending, Verdict},
        phase_run::{ObjectReport, Step},
    },
    report::scope::duration,
    worker::tally::totals,
};

/// Least time between two plain lines of one attempt.
const EVERY: Duration = Duration::from_secs(5);
/// Warnings that are shown.
const WARNINGS: usize = 8;
/// Columns of what is at work.
const WIDTH: usize = 22;

/// A terminal, or something that takes lines.
pub struct Show {
    terminal: bool,
    colours: bool,
    bar: Option<(String, ProgressBar)>,
    /// What was told of the attempt at work, and when.
    told: Option<(Instant, String)>,
    /// What the last attempt is waiting for: told once, not with every attempt.
    waits: String,
    /// How this command is called, and its manifests: what messages say is to be typed.
    called: (String, Vec<PathBuf>),
}

impl Show {
    /// Looks where output goes.
    #[must_use]
    pub fn here(invocation: &str, files: &[PathBuf]) -> Self {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none();
        Self {
            terminal,
            colours,
            bar: None,
            told: None,
            waits: String::new(),
            called: (invocation.to_owned(), files.to_vec()),
        }
    }

    /// Whether questions can be asked.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.terminal && std::io::stdin().is_terminal()
    }

    /// Prints lines.
    pub fn say(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref();
        match &self.bar {
            Some((_, bar)) => bar.suspend(|| super::super::print(&format!("{text}\n"))),
            None => super::super::print(&format!("{text}\n")),
        }
    }

    /// Prints what went wrong, or needs a person.
    pub fn warn(&mut self, text: &str) {
        let line = format!("  {} {text}", self.paint("!", "33"));
        self.say(line);
    }

    /// Shows how far an attempt is.
    pub fn progress(&mut self, attempt: &Attempt, progress: &Progress) {
        if self.terminal {
            return self.draw(attempt, progress);
        }
        let line = if progress.summary.is_empty() {
            progress.step.clone()
        } else {
            progress.summary.clone()
        };
        let (at, text) = self.told.get_or_insert_with(|| (Instant::now(), String::new()));
        if *text != line && at.elapsed() >= EVERY {
            super::super::print(&format!("  … {:<WIDTH$} {line}\n", title(attempt)));
            self.told = Some((Instant::now(), line));
        }
    }

    fn draw(&mut self, attempt: &Attempt, progress: &Progress) {
        if self.bar.as_ref().is_none_or(|(name, _)| *name != attempt.name) {
            self.clear();
            let bar = ProgressBar::new(0);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar.set_prefix(format!("{:<WIDTH$}", title(attempt)));
            self.bar = Some((attempt.name.clone(), bar));
        }
        let Some((_, bar)) = &self.bar else { return };
        let (done, total) = (progress.done.unsigned_abs(), progress.total.unsigned_abs());
        let template = if total > 0 {
            "  {spinner} {prefix} {bar:30.cyan/dim} {pos}/{len} {per_sec} eta {eta} {msg}"
        } else {
            "  {spinner} {prefix} {pos} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(progress.step.clone());
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.told = None;
    }

    /// Shows how an attempt ended.
    pub fn ended(&mut self, attempt: &Attempt, ending: &Ending, report: &PhaseRunStatus, took: Option<Duration>) {
        self.clear();
        let mark = match ending.verdict {
            Verdict::Done => self.paint("✓", "32"),
            Verdict::Partial | Verdict::Waiting | Verdict::Stopped => self.paint("–", "33"),
            Verdict::Retry | Verdict::Stalled => self.paint("✗", "31"),
        };
        let text = match ending.verdict {
            Verdict::Done => done(attempt.step, report),
            Verdict::Partial | Verdict::Waiting | Verdict::Stopped | Verdict::Retry | Verdict::Stalled => {
                format!(
                    "{}: {}",
                    ending.reason,
                    typed(&ending.message, &self.called.0, &self.called.1)
                )
            }
        };
        let waits = if ending.verdict == Verdict::Waiting {
            text.clone()
        } else {
            String::new()
        };
        if std::mem::replace(&mut self.waits, waits) == text && !text.is_empty() {
            return;
        }
        let took = took
            .map(|took| format!("  {:.1} s", took.as_secs_f64()))
            .unwrap_or_default();
        let took = self.paint(&took, "2");
        self.say(format!("  {mark} {:<WIDTH$} {text}{took}", title(attempt)));
        let findings = report.plan.iter().map(|plan| &plan.findings);
        let findings = findings.chain(report.delta.iter().map(|delta| &delta.findings));
        for line in findings.flat_map(|findings| warnings(findings)) {
            self.say(format!("    {} {line}", self.paint("!", "33")));
        }
    }

    /// Shows that a gate was approved.
    pub fn approved(&mut self, gate: &str, by: &str, way: &str) {
        let line = format!(
            "  {} {:<WIDTH$} approved by {by} ({way})",
            self.paint("◆", "36"),
            format!("gate {gate}")
        );
        self.say(line);
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// What an attempt works at, in words.
fn title(attempt: &Attempt) -> String {
    let step = attempt.step.word();
    attempt
        .object
        .as_ref()
        .map_or_else(|| step.to_owned(), |object| format!("{step} {object}"))
}

/// What is found and may stand in the way, the first of it.
fn warnings(findings: &[Finding]) -> Vec<String> {
    let mut warnings: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity != Severity::Info)
        .map(|finding| format!("{} {}: {}", finding.code, finding.path, finding.message))
        .collect();
    let more = warnings.len().saturating_sub(WARNINGS);
    warnings.truncate(WARNINGS);
    if more > 0 {
        warnings.push(format!("and {more} more, in results/scope.md"));
    }
    warnings
}

/// What an attempt that is done did, in words.
fn done(step: Step, report: &PhaseRunStatus) -> String {
    match step {
        Step::Discover => report.plan.as_ref().map_or_else(String::new, |plan| {
            let findings = match plan.findings.len() {
                0 => "",
                _ => ", findings in results/scope.md",
            };
            let objects = plan.objects.len();
            format!(
                "{objects} objects, loading will take about {}{findings}",
                duration(plan.estimate_seconds)
            )
        }),
        Step::Extract => format!("{} records", report.totals.read),
        Step::Rehearse => {
            let totals = totals(report.objects.iter().map(|object| &object.book));
            format!(
                "{} read, {} would load, {} would not",
                totals.read, totals.loaded, totals.rejected
            )
        }
        Step::Load => report.objects.first().map_or_else(String::new, loaded),
        Step::Delta => report
            .delta
            .as_ref()
            .map_or_else(String::new, |delta| match (delta.changed, delta.gone) {
                (0, 0) => "nothing changed in the source".into(),
                (changed, gone) => format!("{changed} changed, {gone} gone"),
            }),
        Step::Schema => "custom fields are there".into(),
        Step::Cutover => "drained, frozen, verified, switched".into(),
        Step::Release => "the lock was given back".into(),
    }
}

/// The counts of an object that are not 0.
fn loaded(report: &ObjectReport) -> String {
    let book = &report.book;
    let counts = [
        ("read", book.read),
        ("filtered", book.filtered),
        ("rejected", book.rejected),
        ("duplicates", book.deduplicated),
        ("created", book.created),
        ("adopted", book.adopted),
        ("updated", book.updated),
        ("unchanged", book.unchanged),
        ("held", book.held),
        ("failed", book.failed),
        ("deleted", book.deleted),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(what, count)| *count != 0 || *what == "read")
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    let proof = if report.verification.is_some_and(|found| found.verified) {
        "; read back"
    } else {
        ""
    };
    format!("{}{proof}", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Book, Verification};

    #[test]
    fn warnings_are_shown_and_where_the_rest_is() {
        let finding = |severity, number: usize| Finding {
            severity,
            code: "ExportNeeded".into(),
            path: format!("source[{number}]"),
            message: "export it".into(),
        };
        let info = finding(Severity::Info, 0);
        assert_eq!(warnings(std::slice::from_ref(&info)), [""; 0]);
        let some = [finding(Severity::Warning, 1), info];
        assert_eq!(warnings(&some), ["ExportNeeded source[1]: export it"]);
        let many: Vec<Finding> = (0..10).map(|number| finding(Severity::Warning, number)).collect();
        let shown = warnings(&many);
        assert_eq!((shown.len(), shown[8].as_str()), (9, "and 2 more, in results/scope.md"));
    }

    #[test]
    fn a_loaded_object_tells_the_counts_that_are_not_nothing() {
        let report = ObjectReport {
            name: "contacts".into(),
            book: Book {
                read: 5,
                rejected: 1,
                created: 4,
                ..Book::default()
            },
            verification: Some(Verification {
                verified: true,
                ..Verification::default()
            }),
            ..ObjectReport::default()
        };
        assert_eq!(loaded(&report), "5 read, 1 rejected, 4 created; read back");
    }
}
