//! One screen about a Migration: where it is, its books, what it waits for, the command to go on. Pure.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::{
    books,
    ink::{Ink, paint},
    scope::duration,
};
use crate::{
    api::{
        Migration, MigrationStatus, Phase, PhaseRun, REQUEST,
        mapping_spec::{Finding, Severity},
        migration::{Gate, GateState},
        phase_run::{MoreReasons, ReasonKind, RejectReason},
    },
    lifecycle::{
        queue,
        verbs::{Command, Target, command},
    },
};

/// How a Migration is shown.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The present.
    pub now: Timestamp,
    /// Colours, for a terminal.
    pub colour: bool,
    /// There is no cluster: evidence is a file, commands are those of `crmferry run`.
    pub laptop: bool,
}

/// A Job at work is looked at twice a minute: without news for so long, nobody looks.
const SILENCE: SignedDuration = SignedDuration::from_mins(5);
/// Reasons for rejects that are shown.
const REASONS: usize = 8;
/// Records that are missing in Odoo and named.
const MISSING: usize = 10;
/// Cells of the progress bar.
const BAR: usize = 24;
/// The way of a run; `Cancelled` lies beside it.
const PATH: [Phase; 11] = [
    Phase::Pending,
    Phase::Validating,
    Phase::Discovering,
    Phase::Extracting,
    Phase::Rehearsing,
    Phase::AwaitingMapping,
    Phase::PreparingSchema,
    Phase::Loading,
    Phase::Synchronising,
    Phase::CuttingOver,
    Phase::Completed,
];
/// Text being written; writing to a String cannot fail.
struct Page {
    text: String,
    view: View,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn heading(&mut self, heading: &str) {
        let heading = self.ink(Ink::Bold, heading);
        self.line("");
        self.line(&heading);
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        paint(self.view.colour, ink, text)
    }

    fn since(&self, time: Timestamp) -> String {
        duration(self.view.now.duration_since(time).as_secs().max(0))
    }
}

/// The whole screen. `runs` are the Migration's PhaseRuns, in any order; reasons for rejects come from them.
#[must_use]
pub fn screen(migration: &Migration, runs: &[PhaseRun], view: View) -> String {
    let status = migration.status.clone().unwrap_or_default();
    let mut page = Page {
        text: String::new(),
        view,
    };
    header(&mut page, migration, &status);
    progress(&mut page, &status);
    if !status.objects.is_empty() {
        page.heading("Books");
        page.text += &books::text(&status.objects, view.colour);
    }
    let (top, more) = top_reasons(&status, runs);
    reasons(&mut page, &top, more);
    missing(&mut page, &status);
    gates(&mut page, migration, &status.gates);
    findings(&mut page, status.findings.iter());
    cutover(&mut page, &status);
    waiting(&mut page, migration, &status);
    last_request(&mut page, &status);
    page.text
}

fn waiting_text(records: i64) -> String {
    match records {
        1 => "1 record waits".into(),
        records => format!("{records} records wait"),
    }
}

/// What an approver is to know beside the evidence: Errors and Warnings, and why records are left out.
#[must_use]
pub fn beside_evidence(status: &MigrationStatus, runs: &[PhaseRun], view: View) -> String {
    let mut page = Page {
        text: String::new(),
        view,
    };
    let (top, more) = top_reasons(status, runs);
    reasons(&mut page, &top, more);
    missing(&mut page, status);
    findings(
        &mut page,
        status
            .findings
            .iter()
            .filter(|finding| finding.severity != Severity::Info),
    );
    if !page.text.is_empty() {
        page.line("");
        page.line("Reasons and findings are those of the status; they are not part of the evidence.");
    }
    page.text
}

/// One line for where nothing can be redrawn: what changed since the line before is in it.
#[must_use]
pub fn line(migration: &Migration) -> String {
    let status = migration.status.clone().unwrap_or_default();
    let mut line = format!("{} {:?} run {}", migration.name_any(), status.phase, status.run);
    if let Some(progress) = status.progress.as_ref().filter(|progress| !progress.summary.is_empty()) {
        put(&mut line, format_args!(" | {} {}", progress.step, progress.summary));
    }
    let totals = status.totals;
    if totals.read > 0 {
        put(
            &mut line,
            format_args!(
                " | read {} loaded {} rejected {}",
                totals.read, totals.loaded, totals.rejected
            ),
        );
    }
    for waiting in &status.waiting_for {
        put(
            &mut line,
            format_args!(" | waits for {}: {}", waiting.what, waiting.message),
        );
        if !waiting.command.is_empty() {
            put(&mut line, format_args!(" ({})", waiting.command));
        }
    }
    clean(&line)
}

/// The most frequent reasons for rejects, each object's from the PhaseRun that counted it last; and what is not named.
#[must_use]
pub fn top_reasons(status: &MigrationStatus, runs: &[PhaseRun]) -> (Vec<RejectReason>, MoreReasons) {
    let mut reasons: Vec<RejectReason> = Vec::new();
    let mut more = MoreReasons::default();
    for object in &status.objects {
        let run = runs.iter().find(|run| run.name_any() == object.phase_run);
        let Some(told) = run.and_then(|run| run.status.as_ref()) else {
            continue;
        };
        let lost = |reason: &&RejectReason| reason.object == object.name && reason.kind != ReasonKind::Noted;
        reasons.extend(told.reasons.iter().filter(lost).cloned());
        for own in told.objects.iter().filter(|own| own.name == object.name) {
            more.kinds += own.more_reasons.kinds;
            more.count += own.more_reasons.count;
        }
    }
    reasons.sort_by(|a, b| {
        b.count
            .cmp(&a.count)
            .then_with(|| (&a.object, &a.code, &a.field).cmp(&(&b.object, &b.code, &b.field)))
    });
    for unnamed in reasons.drain(REASONS.min(reasons.len())..) {
        more.add(unnamed.count);
    }
    (reasons, more)
}

/// The same as data: what `status -o json` prints.
#[must_use]
pub fn json(migration: &Migration, runs: &[PhaseRun]) -> serde_json::Value {
    let status = migration.status.clone().unwrap_or_default();
    let (reasons, more) = top_reasons(&status, runs);
    serde_json::json!({
        "namespace": migration.namespace(),
        "name": migration.name_any(),
        "suspended": migration.spec.suspend,
        "status": status,
        "reasons": reasons,
        "moreReasons": more,
        "commands": commands(migration, false),
    })
}

/// What is to be typed to go on: the commands of what it waits for, or the one that begins another run.
#[must_use]
pub fn commands(migration: &Migration, laptop: bool) -> Vec<String> {
    let Some(status) = &migration.status else {
        return Vec::new();
    };
    let waits = status.waiting_for.iter().map(|waiting| waiting.command.clone());
    let mut commands: Vec<String> = waits.filter(|command| !command.is_empty()).collect();
    commands.dedup();
    let namespace = migration.namespace().unwrap_or_default();
    let target = Target {
        name: &migration.name_any(),
        namespace: &namespace,
        laptop,
    };
    if commands.is_empty() && matches!(status.phase, Phase::Completed | Phase::Cancelled) {
        commands.push(command(Command::Request("rerun"), target));
    }
    commands
}

/// How it stands, in few words. What the operator has not seen yet may be because it does not run.
fn mood(page: &Page, migration: &Migration, status: &MigrationStatus) -> (Ink, String) {
    if let Some(reason) = condition(status, "Stalled") {
        return (Ink::Red, format!("stalled: {reason}"));
    }
    if let Some(reason) = condition(status, "Ready") {
        return (Ink::Green, format!("ready: {reason}"));
    }
    if status.observed_generation < 0 {
        return (Ink::Dim, "not looked at by the operator yet".into());
    }
    if !page.view.laptop && is_ahead(migration, status) {
        return (Ink::Yellow, "the operator has not seen the last change yet".into());
    }
    if !status.waiting_for.is_empty() {
        return (Ink::Yellow, "waiting".into());
    }
    if status.phase == Phase::Cancelled {
        return (Ink::Dim, "over".into());
    }
    let attempt = status.attempt.as_ref().filter(|attempt| attempt.ended.is_none());
    let sign = attempt.map(|attempt| attempt.beat.as_ref().map_or(attempt.since.0, |beat| beat.seen.0));
    if let Some(sign) = sign.filter(|sign| page.view.now.duration_since(*sign) > SILENCE) {
        return (Ink::Yellow, format!("no sign of life for {}", page.since(sign)));
    }
    (Ink::Green, "at work".into())
}

/// Whether spec or request changed after the operator's last look.
fn is_ahead(migration: &Migration, status: &MigrationStatus) -> bool {
    let answered = status.last_request.as_ref().map(|answer| &answer.request);
    let asked = migration.annotations().get(REQUEST);
    migration
        .metadata
        .generation
        .is_some_and(|now| now > status.observed_generation)
        || asked.is_some_and(|asked| Some(asked) != answered)
}

fn header(page: &mut Page, migration: &Migration, status: &MigrationStatus) {
    let (ink, mood) = mood(page, migration, status);
    let mood = page.ink(ink, &clean(&mood));
    let suspended = if migration.spec.suspend { ", suspended" } else { "" };
    let name = format!("{}/{}", migration.namespace().unwrap_or_default(), migration.name_any());
    let title = page.ink(Ink::Bold, name.trim_start_matches('/'));
    page.line(&format!("{title}  {:?}{suspended}  ({mood})", status.phase));
    let way = way(page, status.phase);
    page.line(&format!("  {way}"));
    let mut facts = format!("run {}", status.run);
    if let Some(started) = &status.started {
        put(
            &mut facts,
            format_args!(", begun {} ({} ago)", second(started.0), page.since(started.0)),
        );
    }
    if let Some(since) = &status.phase_since {
        put(&mut facts, format_args!(", in this phase for {}", page.since(since.0)));
    }
    if let Some(estimate) = status.estimate_seconds.filter(|_| status.phase < Phase::Synchronising) {
        put(&mut facts, format_args!(", loading takes about {}", duration(estimate)));
    }
    page.line(&format!("  {facts}"));
    let worker = status.worker.as_ref().map_or_else(
        || "no worker pinned yet".to_owned(),
        |worker| match worker.image.as_str() {
            "" => format!("worker {}", worker.version),
            image => format!("worker {} ({image})", worker.version),
        },
    );
    let plan = status.plan.as_ref().map_or_else(
        || "no plan yet".to_owned(),
        |plan| format!("plan {}", short(&plan.digest)),
    );
    page.line(&clean(&format!("  {worker}, {plan}")));
    let odoo = &migration.spec.destination.odoo;
    page.line(&clean(&format!(
        "  {} of account {} to {} (database {})",
        migration.spec.mapping_spec_ref.name, migration.spec.source.account, odoo.url, odoo.database
    )));
    if let Some(plan) = status.plan.as_ref().filter(|plan| !plan.odoo.is_empty()) {
        page.line(&clean(&format!("  {}", plan.odoo)));
    }
    if let Some(drift) = status
        .conditions
        .iter()
        .find(|c| c.type_ == "MappingDrifted" && c.status == "True")
    {
        let text = page.ink(Ink::Yellow, &clean(&drift.message));
        page.line(&format!("  {text}"));
    }
}

/// The whole path, with the place on it.
fn way(page: &Page, here: Phase) -> String {
    let step = |phase: &Phase| match phase.cmp(&here) {
        std::cmp::Ordering::Equal => page.ink(Ink::Bold, &format!("[{phase:?}]")),
        std::cmp::Ordering::Less if here != Phase::Cancelled => format!("{phase:?}"),
        _ => page.ink(Ink::Dim, &format!("{phase:?}")),
    };
    let mut steps: Vec<String> = PATH.iter().map(step).collect();
    if here == Phase::Cancelled {
        steps.push(page.ink(Ink::Bold, "[Cancelled]"));
    }
    steps.join(" > ")
}

fn progress(page: &mut Page, status: &MigrationStatus) {
    let Some(attempt) = &status.attempt else { return };
    page.heading("Progress");
    if let Some(progress) = status.progress.as_ref().filter(|_| attempt.ended.is_none()) {
        let what = [progress.object.as_str(), progress.step.as_str()];
        let what: Vec<&str> = what.into_iter().filter(|word| !word.is_empty()).collect();
        let mut text = format!("{} {}", what.join(" "), bar(progress.done, progress.total));
        if progress.call_seconds > 0 {
            put(
                &mut text,
                format_args!(", a call to Odoo runs for {}", duration(progress.call_seconds)),
            );
        }
        page.line(&clean(&format!("  {}", text.trim_start())));
    }
    let object = attempt
        .object
        .as_deref()
        .map_or_else(String::new, |object| format!(" {object}"));
    let mut text = format!(
        "attempt {} ({}{object}, number {} of this run), ",
        attempt.name,
        attempt.step.word(),
        attempt.number
    );
    match (&attempt.ended, &attempt.ending) {
        (Some(ended), ending) => {
            put(&mut text, format_args!("ended {} ago", page.since(ended.0)));
            if let Some(ending) = ending {
                put(&mut text, format_args!(": {:?} {}", ending.verdict, ending.reason));
            }
        }
        (None, _) => put(&mut text, format_args!("for {}", page.since(attempt.since.0))),
    }
    if attempt.fruitless > 0 {
        put(
            &mut text,
            format_args!(", {} before it got no further", attempt.fruitless),
        );
    }
    page.line(&clean(&format!("  {text}")));
}

/// `[######------] 50 %  1200/2400`; the count alone where the total is unknown.
fn bar(done: i64, total: i64) -> String {
    let (Ok(done), Ok(total)) = (usize::try_from(done), usize::try_from(total)) else {
        return String::new();
    };
    if total == 0 {
        return if done == 0 { String::new() } else { done.to_string() };
    }
    let filled = done.min(total) * BAR / total;
    let percent = done.min(total) * 100 / total;
    format!(
        "[{}{}] {percent} %  {done}/{total}",
        "#".repeat(filled),
        "-".repeat(BAR - filled)
    )
}

fn digits(count: i64) -> usize {
    count.to_string().len()
}

fn reasons(page: &mut Page, reasons: &[RejectReason], more: MoreReasons) {
    if reasons.is_empty() && more.is_none() {
        return;
    }
    page.heading("Most frequent reasons and notes");
    let width = reasons.iter().map(|reason| digits(reason.count)).max().unwrap_or(1);
    for reason in reasons {
        let field = if reason.field.is_empty() {
            String::new()
        } else {
            format!(".{}", reason.field)
        };
        let mut text = format!("  {:>width$}  {}{field}: {}", reason.count, reason.object, reason.code);
        if reason.example.is_empty() {
            put(&mut text, format_args!(", named in results/{}/", reason.object));
        } else {
            put(&mut text, format_args!(", such as {}", reason.example));
        }
        page.line(&clean(&text));
    }
    if !more.is_none() {
        let MoreReasons { kinds, count } = more;
        page.line(&format!(
            "  {count:>width$}  for {kinds} further reasons and notes: results/<object>/reasons.csv"
        ));
    }
}

/// What people have to make in Odoo.
fn missing(page: &mut Page, status: &MigrationStatus) {
    let all = queue::awaited(&status.queue);
    if all.is_empty() {
        return;
    }
    page.heading("Missing in Odoo");
    let named = all.iter().filter(|row| !row.key.is_empty()).take(MISSING);
    let shown = named.chain(all.iter().filter(|row| row.key.is_empty()));
    let (mut missing, mut waiting) = (0, 0);
    for row in shown {
        missing += row.missing;
        waiting += row.waiting;
        let what = match (row.key, row.missing) {
            ("", 0) => format!("{}, not named here", row.object),
            ("", count) => format!("{count} more of {}", row.object),
            (key, _) => format!("{} {key}", row.object),
        };
        page.line(&clean(&format!("  {what}: {}", waiting_text(row.waiting))));
    }
    let sum = |count: fn(&queue::Awaited<'_>) -> i64| all.iter().map(count).sum::<i64>();
    let (missing, waiting) = (sum(|row| row.missing) - missing, sum(|row| row.waiting) - waiting);
    if missing > 0 || waiting > 0 {
        page.line(&format!("  {missing} more: {}", waiting_text(waiting)));
    }
    page.line(
        "  results/<object>/held.csv (of kubectl crmferry results, or the workspace) says who they are: create them in Odoo, they are looked for again in every round",
    );
}

fn gates(page: &mut Page, migration: &Migration, gates: &[Gate]) {
    if gates.is_empty() {
        return;
    }
    page.heading("Gates");
    for gate in gates {
        let ink = match gate.state {
            GateState::Passed | GateState::Approved => Ink::Green,
            GateState::Waiting => Ink::Yellow,
            GateState::Stale | GateState::Unguarded => Ink::Red,
        };
        let state = page.ink(ink, &format!("{:?}", gate.state));
        let by = gate
            .approved_by
            .as_deref()
            .map_or_else(String::new, |by| format!(", approved by {by}"));
        let since = gate
            .since
            .as_ref()
            .map_or_else(String::new, |since| format!(", since {}", page.since(since.0)));
        page.line(&format!("  {}  {state}{}{since}", clean(&gate.name), clean(&by)));
        if let Some(message) = &gate.message {
            page.line(&format!("    {}", clean(message)));
        }
        if !gate.evidence.is_empty() {
            page.line(&clean(&format!("    evidence {}", gate.evidence_digest)));
            page.line(&clean(&format!(
                "    read it: {}",
                read_evidence(migration, gate, page.view.laptop)
            )));
        }
    }
}

/// Where the evidence of a gate can be read.
fn read_evidence(migration: &Migration, gate: &Gate, laptop: bool) -> String {
    if laptop {
        return format!("evidence/{}-{}.json in the workspace", gate.name, gate.sealed);
    }
    let namespace = migration.namespace().unwrap_or_default();
    format!(
        "kubectl get configmap {} -n {namespace} -o jsonpath='{{.data.{}}}'",
        gate.evidence,
        crate::api::EVIDENCE_KEY
    )
}

fn findings<'a>(page: &mut Page, findings: impl Iterator<Item = &'a Finding>) {
    let mut findings = findings.peekable();
    if findings.peek().is_none() {
        return;
    }
    page.heading("Findings");
    for finding in findings {
        let text = format!(
            "  {:?} {} {}: {}",
            finding.severity, finding.code, finding.path, finding.message
        );
        page.line(&clean(&text));
    }
}

fn cutover(page: &mut Page, status: &MigrationStatus) {
    let round = status.round.as_ref().filter(|_| status.phase >= Phase::Synchronising);
    if round.is_none() && status.cutover.is_none() {
        return;
    }
    page.heading("Cutover");
    if let Some(round) = round {
        let ago = page.since(round.ended.0);
        page.line(&format!(
            "  round {}: {} changed, {} gone, ended {ago} ago",
            round.number, round.changed, round.gone
        ));
    }
    if let Some(facts) = &status.cutover {
        let steps = [
            ("drained", &facts.drained),
            ("frozen", &facts.frozen),
            ("verified", &facts.verified),
            ("switched", &facts.switched),
        ];
        let told: Vec<String> = steps
            .into_iter()
            .map(|(step, time)| {
                time.as_ref().map_or_else(
                    || format!("not {step} yet"),
                    |time| format!("{step} {}", second(time.0)),
                )
            })
            .collect();
        page.line(&format!("  {}", told.join(", ")));
    }
}

fn waiting(page: &mut Page, migration: &Migration, status: &MigrationStatus) {
    if !status.waiting_for.is_empty() {
        page.heading("Waits for");
    }
    for waiting in &status.waiting_for {
        let what = page.ink(Ink::Yellow, &clean(&waiting.what));
        let since = page.since(waiting.since.0);
        page.line(&format!("  {what} (for {since}): {}", clean(&waiting.message)));
    }
    let commands = commands(migration, page.view.laptop);
    if !commands.is_empty() {
        page.heading("To go on");
    }
    for command in commands {
        let command = page.ink(Ink::Bold, &clean(&command));
        page.line(&format!("  {command}"));
    }
}

fn last_request(page: &mut Page, status: &MigrationStatus) {
    let Some(answer) = &status.last_request else { return };
    page.heading("Last request");
    let (ink, word) = if answer.accepted {
        (Ink::Green, "accepted")
    } else {
        (Ink::Red, "refused")
    };
    let word = page.ink(ink, word);
    let ago = page.since(answer.at.0);
    page.line(&format!(
        "  {}: {word} {ago} ago: {}",
        clean(&answer.request),
        clean(&answer.message)
    ));
}

/// Reason and message of a condition that is True.
fn condition(status: &MigrationStatus, type_: &str) -> Option<String> {
    let found = status
        .conditions
        .iter()
        .find(|c| c.type_ == type_ && c.status == "True")?;
    Some(match found.message.as_str() {
        "" => found.reason.clone(),
        message => format!("{}: {message}", found.reason),
    })
}

/// Enough of a digest to tell it from others.
fn short(digest: &str) -> &str {
    digest
        .char_indices()
        .nth("sha256:".len() + 12)
        .map_or(digest, |(end, _)| &digest[..end])
}

fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// One line without control characters: text from elsewhere does not drive the terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests;
