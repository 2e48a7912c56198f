//! Keeps a status within its bounds: lists, texts, and 64 KiB in all.

use crate::api::{
    MigrationStatus,
    migration::{Ending, ObjectState, Waiting},
};

/// Longest message, in bytes.
pub const MESSAGE: usize = 1024;
/// Largest status, in bytes of its JSON.
pub const STATUS: usize = 64 * 1024;
/// Room that is left for what the API server writes differently.
const SLACK: usize = 1024;

/// Cuts a text at a character, with an ellipsis, so that it has at most `max` bytes.
#[must_use]
pub fn cut(mut text: String, max: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= max {
        return text;
    }
    let mut end = max.saturating_sub(ELLIPSIS.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text + ELLIPSIS
}

/// Bounds a status. What goes first is what can be read elsewhere; no count is ever changed.
#[must_use]
pub fn fit(mut status: MigrationStatus) -> MigrationStatus {
    bound(&mut status, MESSAGE, 20);
    // Counts are never cut. First texts give way, then what PhaseRun and plan know as well, and at the very end
    // read-backs: clean ones are known from the state, and an object whose unclean one is gone counts as not read back.
    let stages: [fn(&mut MigrationStatus); 6] = [
        |status| bound(status, 256, 10),
        |status| status.objects.iter_mut().for_each(|object| object.phase_run.clear()),
        |status| status.objects.iter_mut().for_each(|object| object.model = cut(std::mem::take(&mut object.model), 32)),
        |status| bound(status, 96, 3),
        |status| {
            let verified = status.objects.iter_mut().filter(|object| object.state == ObjectState::Verified);
            verified.for_each(|object| object.verification = None);
        },
        |status| status.objects.iter_mut().for_each(|object| object.verification = None),
    ];
    for stage in stages {
        if json_len(&status) + SLACK <= STATUS {
            break;
        }
        stage(&mut status);
    }
    status
}

fn json_len(status: &MigrationStatus) -> usize {
    serde_json::to_vec(status).map_or(usize::MAX, |json| json.len())
}

/// Bounds texts and lists.
fn bound(status: &mut MigrationStatus, message: usize, findings: usize) {
    let shorten = |text: &mut String, max: usize| *text = cut(std::mem::take(text), max.min(message));
    status.findings.sort_by_key(|finding| finding.severity);
    status.findings.truncate(findings);
    for finding in &mut status.findings {
        shorten(&mut finding.message, MESSAGE);
        shorten(&mut finding.path, 512);
        shorten(&mut finding.code, 63);
    }
    status.waiting_for.truncate(8);
    for Waiting { what, message: text, command, .. } in &mut status.waiting_for {
        shorten(what, 63);
        shorten(text, MESSAGE);
        *command = cut(std::mem::take(command), 512);
    }
    for condition in &mut status.conditions {
        shorten(&mut condition.message, MESSAGE);
    }
    for gate in &mut status.gates {
        for (text, max) in [(&mut gate.message, MESSAGE), (&mut gate.void, 512)] {
            if let Some(text) = text {
                shorten(text, max);
            }
        }
    }
    if let Some(Ending { message: text, .. }) = status.attempt.as_mut().and_then(|attempt| attempt.ending.as_mut()) {
        shorten(text, MESSAGE);
    }
    if let Some(progress) = &mut status.progress {
        shorten(&mut progress.summary, 160);
        shorten(&mut progress.object, 63);
        shorten(&mut progress.step, 63);
    }
    status.objects.truncate(100);
    let surplus = status.history.len().saturating_sub(5);
    status.history.drain(..surplus);
}
