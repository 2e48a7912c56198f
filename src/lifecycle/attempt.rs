//! What became of an attempt: a pure judgement over Job, PhaseRun and clock, and how long to wait for the next one.

use jiff::{SignedDuration, Timestamp};

use super::{AttemptSeen, Exit, JobSeen, fence};
use crate::api::{
    PhaseRunStatus,
    migration::{Attempt, Ending, Verdict},
    phase_run::{FailureReason, Outcome, Step},
};

/// Attempts without progress after which the phase stalls.
pub const FRUITLESS_MAX: i64 = 5;
/// Why a phase stalls that failed so often.
pub const RETRIES: &str = "Retries";
/// How long a wait for somebody else lasts before another look.
const WAIT: SignedDuration = SignedDuration::from_secs(15);
/// How long a pod may take to start, once something is known to be wrong with it.
pub const TROUBLE_MAX: SignedDuration = SignedDuration::from_mins(10);
/// The longest time between two attempts.
const BACKOFF_MAX: i64 = 60;

/// What became of an attempt that was not over when last looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// There is no Job, and nothing shows that there ever was one: start it, under the same name.
    Missing,
    /// It is at work, or on its way to an end. Look again at the given time, if it gives no sign until then.
    Alive {
        /// When it will have been silent for too long; `None` while its pod has not run.
        silent_at: Option<Timestamp>,
    },
    /// Its pod gives no sign any more: close its PhaseRun and end its Job. Over as soon as both are seen.
    Silent,
    /// It is over.
    Over(Ending),
}

/// Judges an attempt by what is seen of it. `attempt.beat` must be up to date.
#[must_use]
pub fn judge(attempt: &Attempt, seen: &AttemptSeen, now: Timestamp) -> Judged {
    let report = seen.phase_run.as_ref().map(|phase_run| &phase_run.status);
    let closed = seen.phase_run.as_ref().is_some_and(|phase_run| phase_run.closed);
    // Without a PhaseRun no heartbeat is accepted either.
    let shut = closed || report.is_none();
    let began = report.is_some_and(|report| report.heartbeat.is_some() || report.outcome.is_some());
    let silent_at = fence::silent_at(last_sign(attempt));
    match seen.job {
        JobSeen::Absent if !(began || closed || attempt.stopped.is_some()) => Judged::Missing,
        JobSeen::Complete => Judged::Over(end(attempt, report, Some(0))),
        JobSeen::Failed(code) => Judged::Over(end(attempt, report, Some(code.unwrap_or(-1)))),
        JobSeen::Running | JobSeen::Ending if now < silent_at => Judged::Alive {
            silent_at: Some(silent_at),
        },
        JobSeen::Running => Judged::Silent,
        JobSeen::Ending if !shut => Judged::Silent,
        JobSeen::Absent | JobSeen::Ending => Judged::Over(end(attempt, report, None)),
        JobSeen::Pending => Judged::Alive { silent_at: None },
    }
}

/// The last sign of life: a beat seen to change, the pod seen to run, or else the decision to start or to end it.
fn last_sign(attempt: &Attempt) -> Timestamp {
    let beat = attempt.beat.as_ref().map(|beat| beat.seen.0);
    let running = attempt.running.as_ref().map(|time| time.0);
    let sign = beat.max(running);
    sign.unwrap_or_else(|| attempt.stopped.as_ref().map_or(attempt.since.0, |stopped| stopped.0))
}

/// How an attempt ended. `code`: the exit code; `None` where there is no Job any more, -1 where it is not known.
fn end(attempt: &Attempt, report: Option<&PhaseRunStatus>, code: Option<i32>) -> Ending {
    if attempt.stopped.is_some() {
        return ending(Verdict::Stopped, "Stopped", "it was told to end".into());
    }
    let exit = code.map(Exit::from_code);
    let outcome = report.and_then(|report| report.outcome);
    let failure = report.and_then(|report| report.failure.as_ref());
    let told = |verdict| {
        failure.map_or_else(
            || ending(verdict, "WorkerFailed", unexplained(code)),
            |failure| ending(verdict, &word(failure.reason), failure.message.clone()),
        )
    };
    match (outcome, exit, failure.map(|failure| failure.reason)) {
        (Some(Outcome::Done), None | Some(Exit::Done), _) => ending(Verdict::Done, "", String::new()),
        (Some(Outcome::Done), Some(_), _) if code == Some(-1) => ending(Verdict::Done, "", String::new()),
        (Some(Outcome::Done), Some(_), _) => ending(
            Verdict::Retry,
            "WorkerFailed",
            format!("it reported Done, but {}", unexplained(code)),
        ),
        (_, _, Some(FailureReason::DestinationLock | FailureReason::ExportMissing)) => told(Verdict::Waiting),
        (_, Some(Exit::LockHeld), _) => {
            let message = failure.map_or_else(|| "another run holds the lock in Odoo".into(), |f| f.message.clone());
            ending(Verdict::Waiting, &word(FailureReason::DestinationLock), message)
        }
        (_, _, Some(FailureReason::NotQuiet)) | (Some(Outcome::Partial), _, _) => told(Verdict::Partial),
        (_, Some(Exit::Permanent | Exit::Configuration), _) => told(Verdict::Stalled),
        (Some(Outcome::Failed), None | Some(Exit::Done), Some(reason)) if !is_passing(reason) => told(Verdict::Stalled),
        (None, None | Some(Exit::Done), _) => ending(
            Verdict::Retry,
            "NoReport",
            "the Job ended without a finished PhaseRun".into(),
        ),
        (Some(Outcome::Stopped), _, _) | (_, Some(Exit::Stopped), _) => {
            let message = failure.map_or_else(|| "its pod was told to stop".into(), |failure| failure.message.clone());
            ending(Verdict::Retry, "Interrupted", message)
        }
        _ => told(Verdict::Retry),
    }
}

/// Whether a failure may pass by itself.
const fn is_passing(reason: FailureReason) -> bool {
    matches!(
        reason,
        FailureReason::SourceUnavailable
            | FailureReason::DestinationUnavailable
            | FailureReason::Fenced
            | FailureReason::Internal
    )
}

fn unexplained(code: Option<i32>) -> String {
    match code {
        Some(-1) => "its pod is gone and left no exit code".into(),
        Some(code) => format!("the worker ended with code {code} and gave no reason"),
        None => "its Job is gone and left no reason".into(),
    }
}

fn ending(verdict: Verdict, reason: &str, message: String) -> Ending {
    Ending {
        verdict,
        reason: reason.into(),
        message,
    }
}

/// The word of a reason, as it is in the schema.
#[must_use]
pub fn word(reason: FailureReason) -> String {
    format!("{reason:?}")
}

/// Counts an ending: progress past every earlier attempt's counts anew, five without it stall.
pub fn count(attempt: &mut Attempt, ending: Ending, done: i64) {
    let mut ending = ending;
    if ending.verdict == Verdict::Retry {
        if done > attempt.furthest {
            attempt.furthest = done;
            attempt.fruitless = 0;
        } else {
            attempt.fruitless = attempt.fruitless.saturating_add(1);
        }
        if attempt.fruitless >= FRUITLESS_MAX {
            ending = Ending {
                verdict: Verdict::Stalled,
                reason: RETRIES.into(),
                message: format!(
                    "{FRUITLESS_MAX} attempts in a row got no further; the last: {}: {}",
                    ending.reason, ending.message
                ),
            };
        }
    }
    attempt.ending = Some(ending);
}

/// How long to wait before looking again for what others must do: as long as it was waited for already, so that looks get
/// rarer. A push wakes at once, so exports may be looked for seldom; nothing tells of a lock that was given back.
#[must_use]
pub fn patience(reason: &str, waited: SignedDuration) -> SignedDuration {
    let most = if reason == word(FailureReason::ExportMissing) {
        SignedDuration::from_mins(10)
    } else {
        SignedDuration::from_mins(1)
    };
    waited.clamp(WAIT, most)
}

/// How long to wait after an attempt that is worth another: 1, 2, 4 … seconds, at most a minute.
#[must_use]
pub fn backoff(fruitless: i64) -> SignedDuration {
    let doublings = u32::try_from(fruitless.clamp(0, 6)).unwrap_or(6);
    SignedDuration::from_secs(2_i64.pow(doublings).min(BACKOFF_MAX))
}

/// Whether an attempt is at this step and object.
#[must_use]
pub fn is_at(attempt: &Attempt, step: Step, object: Option<&str>) -> bool {
    attempt.step == step && attempt.object.as_deref() == object
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

    use super::*;
    use crate::{
        api::{migration::Beat, phase_run::Failure},
        lifecycle::PhaseRunSeen,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn attempt() -> Attempt {
        Attempt {
            name: "m-extract-r1a1".into(),
            number: 1,
            step: Step::Extract,
            object: None,
            orders: crate::api::phase_run::Orders::default(),
            since: Time(at(0)),
            fruitless: 0,
            furthest: 0,
            ended: None,
            beat: None,
            running: None,
            stopped: None,
            ending: None,
        }
    }

    fn seen(job: JobSeen, outcome: Option<Outcome>, failure: Option<FailureReason>) -> AttemptSeen {
        AttemptSeen {
            phase_run: Some(PhaseRunSeen {
                status: PhaseRunStatus {
                    heartbeat: Some(MicroTime(at(1))),
                    outcome,
                    failure: failure.map(|reason| Failure {
                        reason,
                        message: "why".into(),
                    }),
                    ..PhaseRunStatus::default()
                },
                closed: false,
            }),
            job,
            troubles: vec![],
        }
    }

    fn verdict(job: JobSeen, outcome: Option<Outcome>, failure: Option<FailureReason>) -> (Verdict, String) {
        match judge(&attempt(), &seen(job, outcome, failure), at(10)) {
            Judged::Over(ending) => (ending.verdict, ending.reason),
            other => panic!("{job:?} {outcome:?} {failure:?}: {other:?}"),
        }
    }

    #[test]
    fn looks_for_what_others_must_do_get_rarer() {
        let table = [
            ("ExportMissing", 0, 15),
            ("ExportMissing", 120, 120),
            ("ExportMissing", 86_400, 600),
            ("DestinationLock", 20, 20),
            ("DestinationLock", 86_400, 60),
        ];
        for (reason, waited, wanted) in table {
            let seconds = SignedDuration::from_secs;
            assert_eq!(
                patience(reason, seconds(waited)),
                seconds(wanted),
                "{reason} after {waited} s"
            );
        }
    }

    #[test]
    fn every_way_to_end_has_its_verdict() {
        use FailureReason as F;
        use JobSeen::{Absent, Complete, Failed};
        use Outcome as O;
        use Verdict::{Done, Partial, Retry, Stalled, Waiting};
        for (job, outcome, failure, expected, reason) in [
            (Complete, Some(O::Done), None, Done, ""),
            (Absent, Some(O::Done), None, Done, ""),
            (Failed(None), Some(O::Done), None, Done, ""),
            (Failed(Some(137)), Some(O::Done), None, Retry, "WorkerFailed"),
            (Complete, None, None, Retry, "NoReport"),
            (Absent, None, None, Retry, "NoReport"),
            (Failed(None), None, None, Retry, "WorkerFailed"),
            (Failed(Some(137)), None, None, Retry, "WorkerFailed"),
            (
                Failed(Some(10)),
                Some(O::Failed),
                Some(F::DestinationUnavailable),
                Retry,
                "DestinationUnavailable",
            ),
            (
                Failed(Some(10)),
                Some(O::Failed),
                Some(F::Verification),
                Retry,
                "Verification",
            ),
            (
                Failed(Some(20)),
                Some(O::Failed),
                Some(F::Verification),
                Stalled,
                "Verification",
            ),
            (Failed(Some(20)), None, None, Stalled, "WorkerFailed"),
            (
                Failed(Some(30)),
                Some(O::Failed),
                Some(F::SecretMissing),
                Stalled,
                "SecretMissing",
            ),
            (Failed(Some(30)), None, None, Stalled, "WorkerFailed"),
            (
                Failed(Some(40)),
                Some(O::Failed),
                Some(F::DestinationLock),
                Waiting,
                "DestinationLock",
            ),
            (Failed(Some(40)), None, None, Waiting, "DestinationLock"),
            (
                Failed(Some(30)),
                Some(O::Failed),
                Some(F::ExportMissing),
                Waiting,
                "ExportMissing",
            ),
            (
                Failed(Some(75)),
                Some(O::Stopped),
                Some(F::Fenced),
                Retry,
                "Interrupted",
            ),
            (Failed(Some(75)), None, None, Retry, "Interrupted"),
            (Complete, Some(O::Stopped), None, Retry, "Interrupted"),
            (Complete, Some(O::Partial), Some(F::Acceptance), Partial, "Acceptance"),
            (
                Failed(Some(20)),
                Some(O::Partial),
                Some(F::Acceptance),
                Partial,
                "Acceptance",
            ),
            (
                Failed(Some(20)),
                Some(O::Failed),
                Some(F::NotQuiet),
                Partial,
                "NotQuiet",
            ),
            (
                Complete,
                Some(O::Failed),
                Some(F::SecretMissing),
                Stalled,
                "SecretMissing",
            ),
            (
                Absent,
                Some(O::Failed),
                Some(F::DestinationUnavailable),
                Retry,
                "DestinationUnavailable",
            ),
        ] {
            let got = verdict(job, outcome, failure);
            assert_eq!(got, (expected, reason.to_owned()), "{job:?} {outcome:?} {failure:?}");
        }
    }

    #[test]
    fn what_was_told_to_end_is_stopped_whatever_it_reports() {
        let mut attempt = attempt();
        attempt.stopped = Some(Time(at(5)));
        for outcome in [None, Some(Outcome::Done), Some(Outcome::Failed)] {
            let judged = judge(&attempt, &seen(JobSeen::Complete, outcome, None), at(10));
            assert!(
                matches!(
                    judged,
                    Judged::Over(Ending {
                        verdict: Verdict::Stopped,
                        ..
                    })
                ),
                "{judged:?}"
            );
        }
        assert!(matches!(
            judge(&attempt, &AttemptSeen::default(), at(10)),
            Judged::Over(_)
        ));
    }

    #[test]
    fn without_a_job_only_a_sign_of_life_tells_an_end_from_a_start_that_was_cut_off() {
        assert_eq!(judge(&attempt(), &AttemptSeen::default(), at(10)), Judged::Missing);
        let mut made = seen(JobSeen::Absent, None, None);
        made.phase_run.as_mut().unwrap().status.heartbeat = None;
        assert_eq!(judge(&attempt(), &made, at(10)), Judged::Missing);
        made.phase_run.as_mut().unwrap().closed = true;
        assert!(matches!(judge(&attempt(), &made, at(10)), Judged::Over(_)));
    }

    #[test]
    fn a_pod_is_silent_140_seconds_after_its_last_sign_and_over_when_closed_and_ending() {
        let mut attempt = attempt();
        attempt.running = Some(Time(at(50)));
        attempt.beat = Some(Beat {
            value: MicroTime(at(1)),
            seen: Time(at(100)),
        });
        let mut seen = seen(JobSeen::Running, None, None);
        assert_eq!(
            judge(&attempt, &seen, at(239)),
            Judged::Alive {
                silent_at: Some(at(240))
            }
        );
        assert_eq!(judge(&attempt, &seen, at(240)), Judged::Silent);
        seen.job = JobSeen::Ending;
        assert_eq!(judge(&attempt, &seen, at(240)), Judged::Silent, "not closed yet");
        seen.phase_run.as_mut().unwrap().closed = true;
        assert_eq!(
            judge(&attempt, &seen, at(239)),
            Judged::Alive {
                silent_at: Some(at(240))
            }
        );
        let judged = judge(&attempt, &seen, at(240));
        assert!(
            matches!(
                judged,
                Judged::Over(Ending {
                    verdict: Verdict::Retry,
                    ..
                })
            ),
            "{judged:?}"
        );
    }

    #[test]
    fn five_attempts_without_progress_stall_and_progress_counts_anew() {
        let retry = || ending(Verdict::Retry, "X", String::new());
        let mut attempt = attempt();
        for done in [10, 10, 5, 10, 11, 11, 11, 11, 11] {
            count(&mut attempt, retry(), done);
            assert_eq!(attempt.ending.as_ref().unwrap().verdict, Verdict::Retry);
        }
        count(&mut attempt, retry(), 11);
        let ending = attempt.ending.unwrap();
        assert_eq!((ending.verdict, ending.reason.as_str()), (Verdict::Stalled, "Retries"));
    }

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let waits: Vec<_> = (0..8).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn the_word_of_a_reason_is_the_one_in_the_schema() {
        let json = serde_json::to_value(FailureReason::WorkspaceNotWritable).unwrap();
        assert_eq!(json, word(FailureReason::WorkspaceNotWritable));
    }
}
