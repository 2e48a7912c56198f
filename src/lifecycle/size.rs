//! Keeps a status within its bounds: lists, texts, and 64 KiB in all.

use super::queue;
use crate::api::{
    MigrationStatus,
    mapping_spec::{Finding, Severity},
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
    let stages: [fn(&mut MigrationStatus); 8] = [
        |status| bound(status, 256, 10),
        |status| queue::truncate(&mut status.queue, 10),
        |status| status.objects.iter_mut().for_each(|object| object.phase_run.clear()),
        |status| {
            let models = status.objects.iter_mut().filter_map(|object| object.model.as_mut());
            models.for_each(|model| *model = cut(std::mem::take(model), 32));
        },
        |status| bound(status, 96, 3),
        |status| {
            let verified = status
                .objects
                .iter_mut()
                .filter(|object| object.state == ObjectState::Verified);
            verified.for_each(|object| object.verification = None);
        },
        |status| status.objects.iter_mut().for_each(|object| object.verification = None),
        |status| {
            queue::truncate(&mut status.queue, 2);
            status.objects.iter_mut().for_each(|object| object.model = None);
        },
    ];
    for stage in stages {
        if json_len(&status) + SLACK <= STATUS {
            break;
        }
        stage(&mut status);
    }
    status
}

/// Keeps the most severe findings; where there were more, the last says so.
pub fn few(findings: &mut Vec<Finding>, most: usize) {
    findings.sort_by_key(|finding| finding.severity);
    if findings.len() > most {
        let more = findings.len() - most.saturating_sub(1);
        findings.truncate(most.saturating_sub(1));
        findings.push(Finding {
            severity: Severity::Info,
            code: "More".into(),
            path: "results/scope.md".into(),
            message: format!("{more} more findings do not fit here: this file in the workspace has all of them"),
        });
    }
}

fn json_len(status: &MigrationStatus) -> usize {
    serde_json::to_vec(status).map_or(usize::MAX, |json| json.len())
}

/// Bounds texts and lists.
fn bound(status: &mut MigrationStatus, message: usize, findings: usize) {
    let shorten = |text: &mut String, max: usize| *text = cut(std::mem::take(text), max.min(message));
    few(&mut status.findings, findings);
    for finding in &mut status.findings {
        shorten(&mut finding.message, MESSAGE);
        shorten(&mut finding.path, 512);
        shorten(&mut finding.code, 63);
    }
    status.waiting_for.truncate(8);
    for Waiting {
        what,
        message: text,
        command,
        ..
    } in &mut status.waiting_for
    {
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
    queue::truncate(&mut status.queue, queue::MOST);
    status.objects.truncate(100);
    let surplus = status.history.len().saturating_sub(5);
    status.history.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{
            Book, Phase, Verification,
            migration::{ObjectStatus, Owners, PastRun},
            phase_run::Missing,
        },
        lifecycle::tests::{at, status_in, with_gate},
    };
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    fn long(max: usize) -> String {
        "x".repeat(max)
    }

    fn book() -> Book {
        let n = 1_000_000_000;
        Book {
            read: n,
            filtered: n,
            rejected: n,
            deduplicated: n,
            mapped: n,
            created: n,
            adopted: n,
            updated: n,
            unchanged: n,
            deferred: n,
            held: n,
            failed: n,
            unprocessed: n,
            deleted: n,
            present_before: n,
            present: n,
            removed: n,
            balanced: true,
        }
    }

    fn everything_at_its_bound() -> MigrationStatus {
        let mut status = status_in(Phase::Synchronising);
        let n = 1_000_000_000;
        let verification = Verification {
            matching: n,
            mismatched: n,
            missing_in_destination: n,
            extra_in_destination: n,
            edited_by_user: n,
            conflicts: n,
            in_flight: n,
            orphans: n,
            verified: false,
        };
        status.objects = (0..100)
            .map(|place| ObjectStatus {
                name: format!("o{place:0>62}"),
                model: Some(long(128)),
                document: None,
                state: ObjectState::Loading,
                book: book(),
                verification: Some(verification),
                waiting: n,
                phase_run: long(57),
            })
            .collect();
        status.queue = (0..90)
            .map(|place| Missing {
                object: long(128),
                key: format!("{place:0>128}"),
                by: format!("o{place:0>62}"),
                records: n,
            })
            .collect();
        let finding = Finding {
            severity: Severity::Warning,
            code: long(63),
            path: long(512),
            message: long(2000),
        };
        status.findings = vec![finding; 50];
        status.findings.push(Finding {
            severity: Severity::Error,
            code: "E".into(),
            path: String::new(),
            message: long(9),
        });
        let wait = Waiting {
            what: long(63),
            message: long(2000),
            since: Time(at(0)),
            command: long(512),
        };
        status.waiting_for = vec![wait; 12];
        let condition = Condition {
            type_: long(20),
            status: "False".into(),
            reason: long(63),
            message: long(1024),
            observed_generation: Some(i64::MAX),
            last_transition_time: Time(at(0)),
        };
        status.conditions = vec![condition; 8];
        let migration = crate::lifecycle::tests::a_migration();
        for gate in ["mapping", "cutover"] {
            with_gate(
                &migration,
                &mut status,
                gate,
                crate::api::migration::GateState::Unguarded,
            );
        }
        for gate in &mut status.gates {
            (gate.message, gate.void, gate.approved_by) = (Some(long(1024)), Some(long(512)), Some(long(256)));
        }
        let past = PastRun {
            run: 1,
            phase: Phase::Completed,
            started: Some(Time(at(0))),
            ended: Time(at(1)),
            totals: crate::api::phase_run::Totals {
                read: n,
                loaded: n,
                rejected: n,
            },
            plan: Some(long(71)),
        };
        status.history = vec![past; 9];
        status
    }

    #[test]
    fn a_status_with_everything_at_its_bound_fits_and_keeps_every_count() {
        let full = everything_at_its_bound();
        assert!(json_len(&full) > 2 * STATUS, "the test has to fill it");
        let fitted = fit(full);
        assert!(json_len(&fitted) <= STATUS, "{} bytes", json_len(&fitted));
        assert_eq!(fitted.objects.len(), 100);
        assert!(fitted.objects.iter().all(|object| object.book == book()));
        assert_eq!(fitted.findings[0].severity, Severity::Error, "the most severe stays");
        assert_eq!(fitted.findings.last().unwrap().code, "More", "what is cut is told");
        assert_eq!((fitted.waiting_for.len(), fitted.history.len()), (8, 5));
        let waiting: i64 = fitted.queue.iter().map(|missing| missing.records).sum();
        assert!(
            fitted.queue.len() <= 60 && waiting == 90 * 1_000_000_000,
            "{}",
            fitted.queue.len()
        );
        assert_eq!(fit(fitted.clone()), fitted);
    }

    #[test]
    fn a_usual_status_is_left_as_it_is() {
        let status = status_in(Phase::CuttingOver);
        assert_eq!(fit(status.clone()), status);
    }

    #[test]
    fn a_clean_read_back_that_gave_way_is_known_from_the_state_and_an_unclean_one_counts_as_missing() {
        let mut status = status_in(Phase::Synchronising);
        let accept = crate::api::migration::Accept::default();
        for object in &mut status.objects {
            object.verification = None;
            assert_eq!(
                crate::lifecycle::book::judge(object, &accept, Owners::default()),
                Ok(())
            );
            object.state = ObjectState::Loading;
            assert!(crate::lifecycle::book::judge(object, &accept, Owners::default()).is_err());
        }
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(cut("grün".into(), 5), "grün");
        assert_eq!(cut("grüüün".into(), 6), "gr…");
        assert_eq!(cut("abc".into(), 3), "abc");
    }
}
