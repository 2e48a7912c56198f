//! What people ask for: the annotation `crmferry.io/request`, the approvals, and the commands that write them.

use super::attempt::word;
use crate::api::{Phase, phase_run::FailureReason};

/// A verb, as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Try the phase again.
    Retry,
    /// Read the source again, and go through everything after it.
    RetryFromExtract,
    /// Give up; what is in Odoo stays.
    Cancel,
    /// Another run with the same external ids.
    Rerun,
    /// Take the MappingSpec as it is now.
    Replan,
    /// Take the lock in Odoo over with the next Job.
    Unlock,
}

/// Reads `<verb>[ <argument>] <nonce>`.
///
/// # Errors
/// With a sentence that says what would be right.
pub fn parse(request: &str) -> Result<Verb, String> {
    let words: Vec<&str> = request.split_whitespace().collect();
    let verb = match words.as_slice() {
        ["retry", "from-extract", _] => Verb::RetryFromExtract,
        ["retry", nonce] if *nonce != "from-extract" => Verb::Retry,
        ["cancel", _] => Verb::Cancel,
        ["rerun", _] => Verb::Rerun,
        ["replan", _] => Verb::Replan,
        ["unlock", _] => Verb::Unlock,
        _ => {
            return Err(
                "unknown: expected retry [from-extract], cancel, rerun, replan or unlock, then a space and a \
                        word that was not used before"
                    .into(),
            );
        }
    };
    Ok(verb)
}

/// An approval as written: `<digest> by <user>[ for <text>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval<'a> {
    /// Digest of the evidence.
    pub digest: &'a str,
    /// Who approves; admission control has seen to it that it is them.
    pub by: &'a str,
}

/// Reads an approval. `None` where it is none.
#[must_use]
pub fn parse_approval(text: &str) -> Option<Approval<'_>> {
    let (digest, rest) = text.split_once(" by ")?;
    let by = rest.split_once(" for ").map_or(rest, |(by, _)| by);
    (!digest.is_empty() && !by.trim().is_empty()).then_some(Approval { digest, by })
}

/// Whom a command is for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Name of the Migration.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// There is no cluster: `crmferry run` is all there is.
    pub laptop: bool,
}

/// Where a phase stalled.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// The phase.
    pub phase: Phase,
    /// There are a plan and a snapshot to begin anew from.
    pub extracted: bool,
    /// Records come from an API: then the source may be mended without a push.
    pub api: bool,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Approves a gate.
    Approve(&'a str),
    /// A verb: `retry`, `retry from-extract`, `cancel`, `rerun`, `replan`, `unlock`.
    Request(&'a str),
    /// Brings new exports.
    Push,
    /// Ends the suspension.
    Resume,
    /// Changes the spec.
    Edit,
    /// Brings a MappingSpec that is not there.
    GiveMapping,
    /// Shows what is wrong with the MappingSpec of this name.
    DescribeMapping(&'a str),
    /// Shows whether the policy that guards approvals is bound.
    ShowGuard,
}

/// The command a person types.
#[must_use]
pub fn command(command: Command<'_>, target: Target<'_>) -> String {
    let Target {
        name,
        namespace,
        laptop,
    } = target;
    if laptop {
        return match command {
            Command::Approve(gate) => format!("crmferry run <manifest> --approve {gate}"),
            Command::Request("rerun") => "crmferry run <manifest>".into(),
            Command::Request(verb) => format!("crmferry run <manifest> --{verb}"),
            Command::Push => "crmferry run <manifest> --exports DIR".into(),
            Command::GiveMapping => "crmferry run <manifest> -f FILE".into(),
            Command::Resume | Command::Edit => "edit the manifest, then: crmferry run <manifest>".into(),
            Command::DescribeMapping(_) => "crmferry validate <manifest>".into(),
            Command::ShowGuard => String::new(),
        };
    }
    match command {
        Command::Approve(gate) => format!("kubectl crmferry approve {gate} migration/{name} -n {namespace}"),
        Command::Request(verb) => match verb.split_once(' ') {
            Some((verb, argument)) => format!("kubectl crmferry {verb} migration/{name} {argument} -n {namespace}"),
            None => format!("kubectl crmferry {verb} migration/{name} -n {namespace}"),
        },
        Command::Push => format!("kubectl crmferry push DIR migration/{name} -n {namespace}"),
        Command::Resume => format!("kubectl crmferry resume migration/{name} -n {namespace}"),
        Command::Edit => format!("kubectl edit migration/{name} -n {namespace}"),
        Command::GiveMapping => format!("kubectl apply -f FILE -n {namespace}"),
        Command::DescribeMapping(mapping) => format!("kubectl describe mappingspec/{mapping} -n {namespace}"),
        Command::ShowGuard => {
            format!(
                "kubectl get validatingadmissionpolicybinding {}",
                crate::api::APPROVAL_POLICY
            )
        }
    }
}

/// What helps against a reason that stalls a phase, in words and as a command.
#[must_use]
pub fn remedy(reason: &str, stall: Stall, target: Target<'_>) -> (String, Command<'static>) {
    let Stall { phase, extracted, api } = stall;
    let from_extract = Command::Request("retry from-extract");
    // Behind the gate `mapping` there is no attempt: only the source can bring other books.
    let again = if phase == Phase::AwaitingMapping {
        from_extract
    } else {
        Command::Request("retry")
    };
    let is = |wanted| reason == word(wanted);
    let (remedy, command) =
        if is(FailureReason::Acceptance) && matches!(phase, Phase::Rehearsing | Phase::AwaitingMapping) {
            (
                "mend the source and begin again from it, accept more (edit spec.accept), or cancel",
                from_extract,
            )
        } else if is(FailureReason::Acceptance) {
            let mended = self::command(from_extract, target);
            let words = "mend it and retry, accept more (edit spec.accept), or cancel";
            return (format!("{words}; where the source was mended: {mended}"), again);
        } else if is(FailureReason::SourceShrunk) {
            let meant = self::command(from_extract, target);
            let (whole, command) = if api {
                (
                    "have the API give all of it, or push the whole export, and retry",
                    again,
                )
            } else {
                ("push the whole export", Command::Push)
            };
            return (format!("{whole}, or, where it is meant: {meant}"), command);
        } else if is(FailureReason::SourceUnavailable) && api {
            ("mend the source and retry, or cancel", again)
        } else if is(FailureReason::SourceUnavailable) {
            ("mend source and retry, push a good export, or cancel", Command::Push)
        } else if is(FailureReason::WorkspaceLost) && extracted {
            (
                "push the exports first if they are gone too; everything is made anew from them",
                from_extract,
            )
        } else if is(FailureReason::PlanMissing) {
            ("make the plan again, or cancel", Command::Request("replan"))
        } else if is(FailureReason::DestinationNotFound) {
            (
                "cancel, mend spec.destination, and begin again",
                Command::Request("cancel"),
            )
        } else if is(FailureReason::WorkspaceForeign) {
            (
                "cancel, and begin again in a workspace of its own",
                Command::Request("cancel"),
            )
        } else {
            ("mend it and retry, or cancel: then the spec can be mended too", again)
        };
    (remedy.to_owned(), command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_verb_an_argument_and_a_nonce() {
        for (text, verb) in [
            ("retry 1", Some(Verb::Retry)),
            ("retry from-extract x1", Some(Verb::RetryFromExtract)),
            (" cancel   9 ", Some(Verb::Cancel)),
            ("rerun 2026-01-01T00:00:00Z", Some(Verb::Rerun)),
            ("replan a", Some(Verb::Replan)),
            ("unlock a", Some(Verb::Unlock)),
            ("retry", None),
            ("retry from-extract", None),
            ("retry from-load 1", None),
            ("rollback 1", None),
            ("Cancel 1", None),
            ("", None),
        ] {
            assert_eq!(parse(text).ok(), verb, "{text:?}");
        }
    }

    #[test]
    fn an_approval_names_digest_and_user_and_may_say_what_for() {
        let approval = |text| parse_approval(text).map(|approval| (approval.digest, approval.by));
        assert_eq!(approval("sha256:ab by anna"), Some(("sha256:ab", "anna")));
        assert_eq!(
            approval("sha256:ab by system:serviceaccount:flux:x for CHG-1 by bob"),
            Some(("sha256:ab", "system:serviceaccount:flux:x"))
        );
        assert_eq!(approval("sha256:ab"), None);
        assert_eq!(approval("sha256:ab by "), None);
        assert_eq!(approval(" by anna"), None);
    }

    #[test]
    fn what_was_read_is_read_again_where_records_are_refused_before_anything_is_loaded() {
        let target = Target {
            name: "acme",
            namespace: "crm",
            laptop: false,
        };
        for (phase, verb) in [
            (Phase::Rehearsing, "retry from-extract"),
            (Phase::AwaitingMapping, "retry from-extract"),
            (Phase::Loading, "retry"),
            (Phase::Synchronising, "retry"),
        ] {
            let stall = Stall {
                phase,
                extracted: true,
                api: false,
            };
            let (words, command) = remedy("Acceptance", stall, target);
            assert_eq!(command, Command::Request(verb), "{phase:?}");
            assert!(
                verb != "retry" || words.contains("retry migration/acme from-extract"),
                "{words}"
            );
        }
    }

    #[test]
    fn a_command_can_be_typed_as_it_stands() {
        let target = Target {
            name: "acme",
            namespace: "crm",
            laptop: false,
        };
        assert_eq!(
            command(Command::Approve("mapping"), target),
            "kubectl crmferry approve mapping migration/acme -n crm"
        );
        assert_eq!(
            command(Command::Request("retry"), target),
            "kubectl crmferry retry migration/acme -n crm"
        );
        assert_eq!(
            command(Command::Request("retry from-extract"), target),
            "kubectl crmferry retry migration/acme from-extract -n crm"
        );
        assert_eq!(
            command(Command::Push, target),
            "kubectl crmferry push DIR migration/acme -n crm"
        );
        let laptop = Target { laptop: true, ..target };
        assert_eq!(
            command(Command::Approve("cutover"), laptop),
            "crmferry run <manifest> --approve cutover"
        );
    }
}
