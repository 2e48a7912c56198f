//! The report of a whole Migration: where it stands, the books and their proof, why records were left out, who approved
//! what. Redacted: counts and words, no value and no key of a record. Pure.

use std::fmt::Write;

use serde::Serialize;

use super::{books, status::clean};
use crate::api::{
    Migration, MigrationStatus, PhaseRunStatus,
    mapping_spec::Finding,
    migration::{Gate, GateState, ObjectStatus, PastRun, Phase, Waiting},
    phase_run::{CutoverFacts, Handover, Missing, MoreReasons, ReasonKind, RejectReason, Totals},
};
use crate::lifecycle::queue;

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The Migration with its status.
    pub migration: &'a Migration,
    /// PhaseRuns by name, as far as they are still there.
    pub phase_runs: &'a [(String, PhaseRunStatus)],
    /// There was no cluster, so nothing guarded approvals.
    pub laptop: bool,
    /// Records went to an Odoo in memory, not to the one of the spec.
    pub memory: bool,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `namespace/name`.
    pub migration: String,
    /// Account of the source.
    pub account: String,
    /// Name of the MappingSpec.
    pub mapping: String,
    /// Where records go.
    pub destination: String,
    /// The Odoo as it names itself, the API it is called over, and why that one.
    pub odoo: String,
    /// Number of the run.
    pub run: i64,
    /// Where it is.
    pub phase: Phase,
    /// When the run began.
    pub started: Option<String>,
    /// Digest of the plan.
    pub plan: String,
    /// Version of the worker.
    pub worker: String,
    /// Digest of the snapshot.
    pub watermark: String,
    /// How approvals were guarded, in words.
    pub guard: &'static str,
    /// Sums.
    pub totals: Totals,
    /// Objects in load order, with book and verification.
    pub objects: Vec<ObjectStatus>,
    /// Documents that are handed over in place of records.
    pub documents: Vec<HandedOver>,
    /// Why records were left out or departed from the source, most frequent first.
    pub reasons: Vec<Reason>,
    /// Objects with further reasons, which are too rare to be among `reasons`.
    pub more_reasons: Vec<More>,
    /// What people have to make in Odoo, and what waits for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<Missing>,
    /// Gates with digests and approvers.
    pub gates: Vec<Gate>,
    /// Steps of the cutover.
    pub cutover: Option<CutoverFacts>,
    /// What stands in the way.
    pub waiting_for: Vec<Waiting>,
    /// What discovery had to say.
    pub findings: Vec<Finding>,
    /// Runs before.
    pub history: Vec<PastRun>,
}

/// A document that is handed over: what it is and where. What is in it is people's, and stays in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedOver {
    /// Object.
    pub object: String,
    /// Rows.
    pub rows: i64,
    /// The document.
    #[serde(flatten)]
    pub document: Handover,
}

/// Why records were left out or departed from the source, without the example: a key can be a person's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// Object.
    pub object: String,
    /// What became of the records.
    pub kind: ReasonKind,
    /// A closed word.
    pub code: String,
    /// Field or column.
    pub field: String,
    /// Records.
    pub count: i64,
}

/// Reasons of an object that are not named: its `reasons.csv` has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct More {
    /// Object.
    pub object: String,
    /// How many, and what they count.
    #[serde(flatten)]
    pub reasons: MoreReasons,
}

/// Puts a report together.
#[must_use]
pub fn report(facts: Facts<'_>) -> Report {
    let Facts {
        migration,
        phase_runs,
        laptop,
        memory,
    } = facts;
    let status = migration.status.clone().unwrap_or_default();
    let spec = &migration.spec;
    let reasons = reasons(&status, phase_runs);
    let documents = documents(&status, phase_runs);
    let more_reasons = more_reasons(&status, phase_runs);
    Report {
        migration: format!(
            "{}/{}",
            migration.metadata.namespace.as_deref().unwrap_or("default"),
            migration.metadata.name.as_deref().unwrap_or_default()
        ),
        account: spec.source.account.clone(),
        mapping: spec.mapping_spec_ref.name.clone(),
        destination: if memory {
            "an Odoo in memory".into()
        } else {
            format!(
                "database {} at {}",
                spec.destination.odoo.database, spec.destination.odoo.url
            )
        },
        run: status.run,
        phase: status.phase,
        started: status.started.as_ref().map(|time| time.0.to_string()),
        odoo: status.plan.as_ref().map_or_else(String::new, |plan| plan.odoo.clone()),
        plan: status.plan.map_or_else(String::new, |plan| plan.digest),
        worker: status.worker.map_or_else(String::new, |worker| worker.version),
        watermark: status.watermark.unwrap_or_default(),
        guard: if laptop {
            "approvals are given without admission control"
        } else {
            "approvals guarded by admission control"
        },
        totals: status.totals,
        objects: status.objects,
        documents,
        reasons,
        more_reasons,
        queue: queue::nameless(&status.queue),
        gates: status.gates,
        cutover: status.cutover,
        waiting_for: status.waiting_for,
        findings: status.findings,
        history: status.history,
    }
}

/// The documents, as the PhaseRun that counted their object last wrote them.
fn documents(status: &MigrationStatus, phase_runs: &[(String, PhaseRunStatus)]) -> Vec<HandedOver> {
    let written = status.objects.iter().filter_map(|object| {
        let (_, run) = phase_runs.iter().find(|(name, _)| *name == object.phase_run)?;
        let told = run.objects.iter().find(|told| told.name == object.name)?;
        Some(HandedOver {
            object: object.name.clone(),
            rows: told.book.present,
            document: told.document.clone()?,
        })
    });
    written.collect()
}

/// The reasons of each object, from the PhaseRun that counted it last: losses before notes, the most frequent first.
#[must_use]
pub fn reasons(status: &MigrationStatus, phase_runs: &[(String, PhaseRunStatus)]) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = status
        .objects
        .iter()
        .filter_map(|object| {
            let (_, run) = phase_runs.iter().find(|(name, _)| *name == object.phase_run)?;
            Some(
                run.reasons
                    .iter()
                    .filter(|reason| reason.object == object.name)
                    .map(redacted),
            )
        })
        .flatten()
        .collect();
    reasons.sort_by(|a, b| {
        let place = |reason: &Reason| (reason.kind == ReasonKind::Noted, std::cmp::Reverse(reason.count));
        (place(a), &a.object, &a.code, &a.field).cmp(&(place(b), &b.object, &b.code, &b.field))
    });
    reasons
}

/// What the PhaseRuns that counted the objects last do not name.
fn more_reasons(status: &MigrationStatus, phase_runs: &[(String, PhaseRunStatus)]) -> Vec<More> {
    let objects = status.objects.iter();
    objects
        .filter_map(|object| {
            let (_, run) = phase_runs.iter().find(|(name, _)| *name == object.phase_run)?;
            let told = run.objects.iter().find(|told| told.name == object.name)?;
            (!told.more_reasons.is_none()).then(|| More {
                object: object.name.clone(),
                reasons: told.more_reasons,
            })
        })
        .collect()
}

fn redacted(reason: &RejectReason) -> Reason {
    let RejectReason {
        object,
        kind,
        code,
        field,
        count,
        example: _,
    } = reason;
    Reason {
        object: object.clone(),
        kind: *kind,
        code: code.clone(),
        field: field.clone(),
        count: *count,
    }
}

/// Headings of reasons, and what goes under each.
pub const REASONS: [(&str, &[ReasonKind]); 3] = [
    (
        "Left out",
        &[ReasonKind::Rejected, ReasonKind::Failed, ReasonKind::Mismatched],
    ),
    ("Held until what they need is in Odoo", &[ReasonKind::Held]),
    ("Arrived, but not quite as in the source", &[ReasonKind::Noted]),
];

/// A reason in words: `contacts: 12 rejected, NotFound in user_id`.
#[must_use]
pub fn sentence(reason: &Reason) -> String {
    let Reason {
        object,
        kind,
        code,
        field,
        count,
    } = reason;
    let place = if field.is_empty() {
        String::new()
    } else {
        format!(" in {field}")
    };
    let kind = format!("{kind:?}").to_lowercase();
    format!("{object}: {count} {kind}, {code}{place}")
}

/// Heading of what is not named.
pub const UNNAMED: &str = "Not named here";

/// What is not named, in words: `contacts: 3 further kinds, 31 in all: results/contacts/reasons.csv`.
#[must_use]
pub fn unnamed(more: &More) -> String {
    let More {
        object,
        reasons: MoreReasons { kinds, count },
    } = more;
    let noun = if *kinds == 1 { "kind" } else { "kinds" };
    format!("{object}: {kinds} further {noun}, {count} in all: results/{object}/reasons.csv")
}

/// The report as JSON.
#[must_use]
pub fn json(report: &Report) -> String {
    super::pretty(report) + "\n"
}

/// The report as Markdown.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text, report);
    text.push_str("\n## Books\n\n");
    text.push_str(&books::markdown(&report.objects));
    if report.objects.iter().any(|object| object.verification.is_some()) {
        text.push_str(
            "\nEvery migrated record was read back and compared field by field: verified are those that are equal.\n",
        );
    }
    if !report.documents.is_empty() {
        text.push_str("\n## Handed over in writing\n");
    }
    for document in &report.documents {
        handed_over(&mut text, document);
    }
    for (title, kinds) in REASONS {
        let told = report.reasons.iter().filter(|reason| kinds.contains(&reason.kind));
        list(&mut text, title, told.map(sentence));
    }
    list(&mut text, UNNAMED, report.more_reasons.iter().map(unnamed));
    if !report.reasons.is_empty() {
        text.push_str(
            "\nEvery record is named in `results/<object>/`: `rejected.csv`, `failed.csv`, `held.csv`, `noted.csv`.\n",
        );
    }
    list(
        &mut text,
        "Missing in Odoo",
        queue::sentences(&report.queue).into_iter(),
    );
    list(&mut text, "Gates", report.gates.iter().map(gate));
    list(&mut text, "Cutover", report.cutover.iter().flat_map(cutover));
    let waits = report
        .waiting_for
        .iter()
        .map(|wait| format!("{}: {} (`{}`)", wait.what, wait.message, wait.command));
    list(&mut text, "Waits for", waits);
    let findings = report.findings.iter().map(|finding| {
        let Finding {
            severity,
            code,
            path,
            message,
        } = finding;
        format!("{severity:?} {code} `{path}`: {message}")
    });
    list(&mut text, "Findings", findings);
    let runs = report.history.iter().map(|run| {
        let Totals { read, loaded, rejected } = run.totals;
        let (number, phase, ended) = (run.run, run.phase, run.ended.0);
        format!("run {number}: {phase:?} at {ended}; {read} read, {loaded} loaded, {rejected} left out")
    });
    list(&mut text, "Runs", runs);
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}

fn handed_over(text: &mut String, handed: &HandedOver) {
    let HandedOver { object, rows, document } = handed;
    let Handover {
        label,
        help,
        columns,
        width,
        file,
    } = document;
    line(text, format_args!("\n### {}\n", clean(label)));
    if let Some(help) = help {
        line(text, format_args!("{}.\n", clean(help.trim_end_matches('.'))));
    }
    let more = usize::try_from(*width).unwrap_or(0).saturating_sub(columns.len());
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    line(
        text,
        format_args!("- `{}`, `{}`: {rows} rows of {object}", file.path, file.digest),
    );
    line(
        text,
        format_args!("- columns: key, {}{more}", clean(&columns.join(", "))),
    );
}

fn head(text: &mut String, report: &Report) {
    line(
        text,
        format_args!("# {}: run {}, {:?}\n", report.migration, report.run, report.phase),
    );
    line(
        text,
        format_args!("- from account {} by mapping {}", report.account, report.mapping),
    );
    line(text, format_args!("- to {}", report.destination));
    if !report.odoo.is_empty() {
        line(text, format_args!("- which is {}", report.odoo));
    }
    if let Some(started) = &report.started {
        line(text, format_args!("- begun {started}"));
    }
    for (what, value) in [
        ("plan", &report.plan),
        ("snapshot", &report.watermark),
        ("worker", &report.worker),
    ] {
        if !value.is_empty() {
            line(text, format_args!("- {what} `{value}`"));
        }
    }
    line(text, format_args!("- {}", report.guard));
    let Totals { read, loaded, rejected } = report.totals;
    line(
        text,
        format_args!("- {read} read, {loaded} loaded, {rejected} left out"),
    );
}

/// A heading and a list; nothing where the list is empty.
fn list(text: &mut String, heading: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        line(text, format_args!("\n## {heading}\n"));
    }
    for item in items {
        line(text, format_args!("- {item}"));
    }
}

fn gate(gate: &Gate) -> String {
    let by = gate
        .approved_by
        .as_deref()
        .map(|by| format!(", approved by {by}"))
        .unwrap_or_default();
    let digest = if gate.evidence_digest.is_empty() {
        String::new()
    } else {
        format!(" `{}`", gate.evidence_digest)
    };
    let why = gate.message.as_deref().filter(|_| gate.state != GateState::Passed);
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} {:?}{digest}{by}{why}", gate.name, gate.state)
}

fn cutover(facts: &CutoverFacts) -> Vec<String> {
    let CutoverFacts {
        drained,
        frozen,
        verified,
        switched,
    } = facts;
    let steps = [
        ("drained", drained),
        ("frozen", frozen),
        ("verified", verified),
        ("switched", switched),
    ];
    steps
        .iter()
        .filter_map(|(step, time)| Some(format!("{step} {}", time.as_ref()?.0)))
        .collect()
}
