//! Whether admission control guards approvals: tried, not believed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{Context, Error, observe::namespace};
use crate::{
    api::{APPROVAL_POLICY, APPROVAL_PREFIX, Migration, OPERATOR},
    lifecycle::gate,
};

/// A name nobody has: an approval in it must be refused.
const NOBODY: &str = "crmferry:nobody";
/// The policy that refuses what no gate waits for.
const FRESHNESS_POLICY: &str = "crmferry-approval-current";
/// How long a verdict stands while nothing about the approvals changes, and nothing is approved.
const FRESH: Duration = Duration::from_secs(10);

/// The last verdicts, by uid of the Migration: an approval that changed is probed at once, an approved gate in every pass
/// (it may be carried out in this one), all else every ten seconds.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<HashMap<String, Verdict>>);

#[derive(Clone, Debug)]
struct Verdict {
    question: Question,
    at: Instant,
    guarded: Option<bool>,
}

/// What a verdict was about.
#[derive(Clone, Debug, PartialEq)]
struct Question {
    gate: String,
    digest: String,
    approvals: BTreeMap<String, String>,
}

impl Verdict {
    /// Whether it answers the question, so long after it was given.
    fn stands(&self, question: &Question, age: Duration) -> bool {
        self.guarded.is_some() && self.question == *question && !question.is_approved() && age < FRESH
    }
}

impl Question {
    fn is_approved(&self) -> bool {
        let approval = self.approvals.get(&format!("{APPROVAL_PREFIX}{}", self.gate));
        approval.is_some_and(|approval| approval.starts_with(&self.digest))
    }
}

/// Asks the API server, where a gate is open to approvals; `None` where none is.
pub(super) async fn look(migration: &Migration, context: &Context) -> Result<Option<bool>, Error> {
    let uid = migration.uid().ok_or(Error::Incomplete("metadata.uid"))?;
    let Some(question) = question(migration) else {
        context.verdicts.lock().remove(&uid);
        return Ok(None);
    };
    let last = context.verdicts.lock().get(&uid).cloned();
    if let Some(last) = last.filter(|last| last.stands(&question, last.at.elapsed())) {
        return Ok(last.guarded);
    }
    let guarded = probe(migration, &question, context).await?;
    let verdict = Verdict {
        question,
        at: Instant::now(),
        guarded,
    };
    context.verdicts.lock().insert(uid, verdict);
    Ok(guarded)
}

impl Verdicts {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Verdict>> {
        // a map of verdicts has no half-done state: a poisoned lock is as good as any
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn question(migration: &Migration) -> Option<Question> {
    let open = gate::open(&migration.status.as_ref()?.gates)?;
    let approvals = migration
        .annotations()
        .iter()
        .filter(|(name, _)| name.starts_with(APPROVAL_PREFIX));
    Some(Question {
        gate: open.name.clone(),
        digest: open.evidence_digest.clone(),
        approvals: approvals.map(|(name, value)| (name.clone(), value.clone())).collect(),
    })
}

/// Approves as nobody, without effect. Only a refusal by our policy proves that it stands guard: rights and other
/// policies refuse too.
async fn probe(migration: &Migration, question: &Question, context: &Context) -> Result<Option<bool>, Error> {
    let migrations = Api::<Migration>::namespaced(context.client.clone(), &namespace(migration)?);
    let approval = format!("{} by {NOBODY}", question.digest);
    let patch = json!({"metadata": {
        "uid": migration.meta().uid,
        "annotations": {format!("{APPROVAL_PREFIX}{}", question.gate): approval},
    }});
    let parameters = PatchParams {
        dry_run: true,
        field_manager: Some(OPERATOR.into()),
        ..PatchParams::default()
    };
    let answer = migrations
        .patch_metadata(&migration.name_any(), &parameters, &Patch::Merge(patch))
        .await;
    verdict(answer.map(|_| ()))
}

/// What an answer to the probe proves. Of several refusals the API server tells one, in no order: where our policy of
/// freshness speaks up (the gate moved on meanwhile), the question stays open.
fn verdict(answer: Result<(), kube::Error>) -> Result<Option<bool>, Error> {
    let names = |message: &str, policy: &str| message.contains(&format!("ValidatingAdmissionPolicy '{policy}' "));
    match answer {
        Ok(()) => Ok(Some(false)),
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => {
            let open = names(&status.message, FRESHNESS_POLICY);
            Ok((!open).then(|| names(&status.message, APPROVAL_POLICY)))
        }
        Err(error) => Err(Error::kube("probe the approval policy")(error)),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16, message: &str) -> Result<(), kube::Error> {
        let status = Status::failure(message, "Forbidden").with_code(code);
        Err(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_verdict_stands_for_a_while_and_never_for_a_gate_that_is_approved() {
        let question = |approval: Option<&str>| Question {
            gate: "mapping".into(),
            digest: "sha256:ab".into(),
            approvals: approval
                .map(|text| (format!("{APPROVAL_PREFIX}mapping"), text.to_owned()))
                .into_iter()
                .collect(),
        };
        let verdict = |question: Question, guarded| Verdict {
            question,
            at: Instant::now(),
            guarded,
        };
        let (asked, other) = (question(None), question(Some("sha256:cd by ana")));
        let (young, old) = (Duration::from_secs(9), Duration::from_secs(10));
        assert!(verdict(asked.clone(), Some(true)).stands(&asked, young));
        assert!(
            verdict(other.clone(), Some(true)).stands(&other, young),
            "an old approval opens nothing"
        );
        assert!(!verdict(asked.clone(), Some(true)).stands(&asked, old));
        assert!(!verdict(asked.clone(), Some(true)).stands(&other, young));
        assert!(!verdict(asked.clone(), None).stands(&asked, young));
        let approved = question(Some("sha256:ab by ana"));
        assert!(!verdict(approved.clone(), Some(true)).stands(&approved, young));
    }

    #[test]
    fn only_a_refusal_that_names_the_policy_proves_the_guard() {
        let of = |policy: &str| {
            format!(
                "migrations \"acme\" is forbidden: ValidatingAdmissionPolicy '{policy}' with binding 'b' denied request: no"
            )
        };
        for (answer, wanted) in [
            (refused(403, &of("crmferry-approval")), Ok(Some(true))),
            (refused(422, &of("crmferry-approval")), Ok(Some(true))),
            (refused(403, &of("crmferry-approval-current")), Ok(None)),
            (refused(403, &of("team-policy")), Ok(Some(false))),
            (
                refused(403, "User \"x\" cannot patch: crmferry-approval"),
                Ok(Some(false)),
            ),
            (Ok(()), Ok(Some(false))),
            (refused(500, &of("crmferry-approval")), Err(())),
            (refused(404, "not found"), Err(())),
        ] {
            assert_eq!(verdict(answer).map_err(|_| ()), wanted);
        }
    }
}
