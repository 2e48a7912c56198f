//! `approve` and `revoke`: what a gate stands on, checked and shown, and the annotation that passes it.

use std::{fmt::Write, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cluster, Error, ask, requests::LOOK};
use crate::{
    api::{
        APPROVAL_PREFIX, EVIDENCE_KEY, Migration, Phase,
        migration::{Gate, GateState, ObjectStatus},
    },
    lifecycle::verbs,
    model::Digest,
    report::{
        books,
        status::{self, View, clean},
    },
};

/// How long the operator may take to see an approval.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest approval that the status can hold.
const APPROVAL_MAX: usize = 512;

/// No age is shown, and nothing is coloured.
const VIEW: View = View {
    now: Timestamp::UNIX_EPOCH,
    colour: false,
    laptop: false,
};

/// How an approval is given.
#[derive(Clone, Debug, Default)]
pub(super) struct How {
    /// Print the line for Git, and do nothing.
    pub print: bool,
    /// Whom admission control will see, where that is not us.
    pub by: Option<String>,
    /// Why, or for whom.
    pub reason: Option<String>,
    /// Do not ask.
    pub yes: bool,
}

/// Approves a gate on what was sealed for it.
pub(super) async fn approve(cluster: &Cluster, migration: &Migration, gate: &str, how: How) -> Result<(), Error> {
    let name = migration.name_any();
    let open = open_gate(migration, gate)?;
    let text = evidence(cluster, open).await?;
    let shown = summary(open, &text)?;
    let user = match how.by {
        Some(user) => user,
        None => cluster.whoami().await?,
    };
    let approval = approval(&open.evidence_digest, &user, how.reason.as_deref())?;
    if how.print {
        println!("{}", yaml_line(gate, &approval));
        return Ok(());
    }
    let status = migration.status.clone().unwrap_or_default();
    eprint!("{shown}");
    // who may approve may not have been given more
    match cluster.phase_runs(&name).await {
        Ok(runs) => eprint!("{}", status::beside_evidence(&status, &runs, VIEW)),
        Err(error) => eprint!(
            "{}\nWhy records are left out cannot be shown: {error}\n",
            status::beside_evidence(&status, &[], VIEW)
        ),
    }
    if open.state == GateState::Approved {
        let by = open.approved_by.as_deref().unwrap_or("somebody");
        eprintln!("It is approved by {} already.", clean(by));
    }
    if !how.yes {
        ask(&format!("Approve gate {gate} of migration/{name} as {}?", clean(&user)))?;
    }
    let annotation = format!("{APPROVAL_PREFIX}{gate}");
    let patched = cluster
        .patch(&name, &json!({"metadata": {"annotations": {annotation: approval}}}))
        .await?;
    println!("{}", outcome(cluster, patched, gate, Some(&approval)).await?);
    Ok(())
}

/// Takes an approval back.
pub(super) async fn revoke(cluster: &Cluster, migration: &Migration, gate: &str) -> Result<(), Error> {
    let annotation = format!("{APPROVAL_PREFIX}{gate}");
    if let Some(why) = nothing_to_revoke(migration, gate) {
        return Err(Error::Refused(why));
    }
    let patch = json!({"metadata": {"annotations": {annotation: Value::Null}}});
    let patched = cluster.patch(&migration.name_any(), &patch).await?;
    println!("{}", outcome(cluster, patched, gate, None).await?);
    Ok(())
}

/// Waits a little for the operator, and says what it made of it.
async fn outcome(cluster: &Cluster, patched: Migration, gate: &str, approval: Option<&str>) -> Result<String, Error> {
    let name = patched.name_any();
    let seen = async {
        let mut now = patched;
        loop {
            if let Some(verdict) = heard(&now, gate, approval) {
                return verdict;
            }
            tokio::time::sleep(LOOK).await;
            now = cluster.get(&name).await?;
        }
    };
    let what = if approval.is_some() { "approved" } else { "revoked" };
    match tokio::time::timeout(PATIENCE, seen).await {
        Ok(verdict) => verdict,
        Err(_) => Ok(format!(
            "gate {gate} of migration/{name} is {what}; the operator has not seen it within {} s (kubectl crmferry status \
             shows when it has)",
            PATIENCE.as_secs()
        )),
    }
}

/// What the operator made of an approval, or of its removal; `None` while it has not seen it.
fn heard(migration: &Migration, gate: &str, approval: Option<&str>) -> Option<Result<String, Error>> {
    let found = find(migration, gate)?;
    let message = clean(found.message.as_deref().unwrap_or_default());
    let by = found.approved_by.as_deref().map(clean).unwrap_or_default();
    let phase = migration.status.as_ref()?.phase;
    let wanted = approval.and_then(verbs::parse_approval);
    match (found.state, wanted) {
        (GateState::Passed, _) => Some(Ok(format!("gate {gate} has passed, approved by {by}; now {phase:?}"))),
        (GateState::Unguarded, Some(_)) => Some(Err(Error::Refused(format!("the gate stays shut: {message}")))),
        (GateState::Stale, Some(wanted)) if found.evidence_digest == wanted.digest => Some(Err(Error::Refused(
            format!("the approval came too late, the evidence is stale: {message}"),
        ))),
        (GateState::Approved, Some(wanted)) if by == wanted.by => {
            Some(Ok(format!("gate {gate} is approved by {by}{}", held_up(migration))))
        }
        (GateState::Waiting | GateState::Unguarded | GateState::Stale, None) => {
            Some(Ok(format!("gate {gate} is not approved any more")))
        }
        _ => None,
    }
}

/// Why an approved gate is not carried out at once.
fn held_up(migration: &Migration) -> String {
    let waits = migration.status.iter().flat_map(|status| &status.waiting_for);
    let told: Vec<String> = waits
        .map(|waiting| format!("; {}: {}", waiting.what, waiting.message))
        .collect();
    clean(&told.concat())
}

fn find<'a>(migration: &'a Migration, gate: &str) -> Option<&'a Gate> {
    migration.status.as_ref()?.gates.iter().find(|found| found.name == gate)
}

/// The gate, if it can be approved now.
fn open_gate<'a>(migration: &'a Migration, gate: &str) -> Result<&'a Gate, Error> {
    let name = migration.name_any();
    let phase = migration.status.as_ref().map(|status| status.phase).unwrap_or_default();
    let refused = |why: String| Err(Error::Refused(format!("gate {gate} of migration/{name} {why}")));
    let Some(found) = find(migration, gate) else {
        return refused(format!("has no evidence yet: the Migration is in phase {phase:?}"));
    };
    let message = clean(found.message.as_deref().unwrap_or_default());
    match found.state {
        GateState::Waiting | GateState::Approved if phase == Phase::Cancelled => {
            refused("waits no more: the run is cancelled; rerun begins another".to_owned())
        }
        GateState::Waiting | GateState::Approved => Ok(found),
        GateState::Stale => refused(format!(
            "is stale: {message}. New evidence is sealed as soon as it can be: look at it again with kubectl crmferry status"
        )),
        GateState::Unguarded => refused(format!(
            "stays shut: {message}. An approval now would be void; install the policies of the chart first"
        )),
        GateState::Passed => refused(format!(
            "has passed already, approved by {}",
            clean(found.approved_by.as_deref().unwrap_or("somebody"))
        )),
    }
}

fn nothing_to_revoke(migration: &Migration, gate: &str) -> Option<String> {
    let name = migration.name_any();
    if find(migration, gate).is_some_and(|found| found.state == GateState::Passed) {
        return Some(format!(
            "gate {gate} of migration/{name} has passed: taking the approval back changes nothing (pause or cancel do)"
        ));
    }
    let there = migration
        .annotations()
        .contains_key(&format!("{APPROVAL_PREFIX}{gate}"));
    (!there).then(|| format!("gate {gate} of migration/{name} is not approved: there is nothing to revoke"))
}

/// The bytes that were sealed, if they are those that the gate names.
async fn evidence(cluster: &Cluster, gate: &Gate) -> Result<String, Error> {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let doing = format!("read the evidence in configmap/{}", gate.evidence);
    let found = api.get_opt(&gate.evidence).await.map_err(Error::kube(doing))?;
    let text = found.map(|found| {
        found
            .data
            .and_then(|mut data| data.remove(EVIDENCE_KEY))
            .unwrap_or_default()
    });
    genuine(gate, text)
}

fn genuine(gate: &Gate, text: Option<String>) -> Result<String, Error> {
    let digest = text.as_ref().map(|text| Digest::of(text.as_bytes()));
    let fault = match (text, digest) {
        (Some(text), Some(digest)) if digest.as_str() == gate.evidence_digest => return Ok(text),
        (_, Some(digest)) => format!(
            "is not what gate {} names: its digest is {digest}, the gate's {}. Find out who replaced it",
            gate.name, gate.evidence_digest
        ),
        (_, None) => format!("is gone, and gate {} stands on it", gate.name),
    };
    Err(Error::Refused(format!(
        "the evidence in configmap/{} {fault}. Nothing is approved on it: the operator looks every half minute, seals new \
         evidence and names it in: kubectl crmferry status. Read and approve that",
        gate.evidence
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Evidence {
    run: i64,
    plan: String,
    worker_version: String,
    objects: Vec<ObjectStatus>,
    bounds: Value,
}

/// What a person approves, in short.
fn summary(gate: &Gate, text: &str) -> Result<String, Error> {
    let evidence: Evidence = serde_json::from_str(text).map_err(|error| {
        Error::Refused(format!(
            "the evidence in configmap/{} cannot be read by this version of the plugin ({error}): use the one of the operator",
            gate.evidence
        ))
    })?;
    let Evidence {
        run,
        plan,
        worker_version,
        objects,
        bounds,
    } = evidence;
    let kind = if gate.name == "mapping" {
        " (predicted by the rehearsal)"
    } else {
        ""
    };
    let mut shown = format!("Evidence {} of gate {}\n", gate.evidence, gate.name);
    let lines = [
        format!(
            "  digest  {} (recomputed from the ConfigMap, equal)",
            gate.evidence_digest
        ),
        format!("  run {run}, plan {plan}, worker {worker_version}"),
        format!("  bounds  {}", clean(&bounds_of(&bounds))),
        format!("Books{kind}"),
    ];
    for line in lines {
        writeln!(shown, "{line}").expect("writing to a String cannot fail");
    }
    shown.push_str(&books::text(&objects, VIEW.colour));
    Ok(shown)
}

/// `acceptRejected 1%, maxDelta 1000, validHours 72`: whatever the bounds are, none is left out.
fn bounds_of(bounds: &Value) -> String {
    let Value::Object(map) = bounds else {
        return bounds.to_string();
    };
    let said = map
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key} {text}"),
            Value::Object(map) if map.is_empty() => format!("{key} nothing"),
            other => format!("{key} {other}"),
        });
    said.collect::<Vec<_>>().join(", ")
}

/// `<digest> by <user>[ for <text>]`.
fn approval(digest: &str, user: &str, reason: Option<&str>) -> Result<String, Error> {
    let mut text = format!("{digest} by {user}");
    if let Some(reason) = reason.map(str::trim).filter(|reason| !reason.is_empty()) {
        write!(text, " for {reason}").expect("writing to a String cannot fail");
    }
    if text.chars().any(char::is_control) {
        return Err(Error::Usage(
            "an approval is one line: --for may have no line break".into(),
        ));
    }
    if text.chars().count() > APPROVAL_MAX {
        return Err(Error::Usage(format!(
            "an approval may have {APPROVAL_MAX} characters: shorten --for"
        )));
    }
    Ok(text)
}

/// The line for `metadata.annotations` of the manifest in Git.
fn yaml_line(gate: &str, approval: &str) -> String {
    // a JSON string is a YAML string
    format!("{APPROVAL_PREFIX}{gate}: {}", Value::from(approval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::kubectl::testing::migration, lifecycle::evidence};

    fn with_gate(gate: &Value) -> Migration {
        let mut whole =
            json!({"name": "mapping", "evidenceDigest": "sha256:ab", "evidence": "acme-evidence-mapping-1"});
        for (key, value) in gate.as_object().unwrap() {
            whole[key] = value.clone();
        }
        migration(&json!({"phase": "AwaitingMapping", "gates": [whole]}))
    }

    #[test]
    fn only_a_gate_that_waits_can_be_approved_and_the_refusal_says_why() {
        for (gate, wanted) in [
            (json!({"state": "Waiting"}), None),
            (json!({"state": "Approved", "approvedBy": "anna"}), None),
            (
                json!({"state": "Stale", "message": "the plan changed"}),
                Some("is stale: the plan changed"),
            ),
            (
                json!({"state": "Unguarded", "message": "no policy"}),
                Some("stays shut: no policy"),
            ),
            (
                json!({"state": "Passed", "approvedBy": "anna"}),
                Some("passed already, approved by anna"),
            ),
            (
                json!({"state": "Waiting", "name": "cutover"}),
                Some("no evidence yet: the Migration is in phase AwaitingMapping"),
            ),
        ] {
            let seen = with_gate(&gate);
            let refused = open_gate(&seen, "mapping").err().map(|error| error.to_string());
            match wanted {
                None => assert_eq!(refused, None),
                Some(wanted) => assert!(
                    refused.as_deref().is_some_and(|text| text.contains(wanted)),
                    "{refused:?}"
                ),
            }
        }
        let mut cancelled = with_gate(&json!({"state": "Waiting"}));
        cancelled.status.get_or_insert_default().phase = Phase::Cancelled;
        let refused = open_gate(&cancelled, "mapping").unwrap_err().to_string();
        assert!(refused.contains("cancelled; rerun"), "{refused}");
    }

    #[test]
    fn what_is_approved_can_be_read_back_and_stays_one_line() {
        let text = approval("sha256:ab", "anna@example.com", Some(" CHG-1: all \"fine\" ")).unwrap();
        assert_eq!(text, "sha256:ab by anna@example.com for CHG-1: all \"fine\"");
        assert_eq!(verbs::parse_approval(&text).unwrap().by, "anna@example.com");
        assert_eq!(approval("sha256:ab", "anna", Some("  ")).unwrap(), "sha256:ab by anna");
        assert_eq!(approval("sha256:ab", "anna", Some("a\nb")).unwrap_err().code(), 2);
        assert_eq!(
            approval("sha256:ab", "anna", Some(&"x".repeat(600)))
                .unwrap_err()
                .code(),
            2
        );
        let line = yaml_line("mapping", &text);
        let read: std::collections::BTreeMap<String, String> = serde_saphyr::from_str(&line).unwrap();
        assert_eq!(read["approval.crmferry.io/mapping"], text);
    }

    #[test]
    fn evidence_that_is_not_what_the_gate_names_is_refused() {
        let mut seen = migration(&json!({"phase": "AwaitingMapping", "run": 1,
            "objects": [{"name": "contacts", "model": "res.partner", "book": {"read": 10, "rejected": 1}}]}));
        seen.spec.cutover.max_delta = 7;
        let sealed = evidence::seal("mapping", 1, &seen, seen.status.as_ref().unwrap());
        let of = |digest: &str| with_gate(&json!({"state": "Waiting", "evidenceDigest": digest}));
        let gate = of(&sealed.digest);
        let gate = open_gate(&gate, "mapping").unwrap();
        let text = genuine(gate, Some(sealed.json.clone())).unwrap();
        let shown = summary(gate, &text).unwrap();
        assert!(
            shown.contains("contacts") && shown.contains("maxDelta 7") && shown.contains("validHours 72"),
            "{shown}"
        );
        for (found, wanted) in [
            (Some(sealed.json.replace("10", "11")), "is not what gate mapping names"),
            (None, "is gone, and gate mapping stands on it"),
        ] {
            let refused = genuine(gate, found).unwrap_err().to_string();
            assert!(refused.contains(wanted), "{refused}");
            assert!(
                refused.contains("the operator looks every half minute, seals new"),
                "{refused}"
            );
        }
        assert!(summary(gate, "{}").is_err());
    }

    #[test]
    fn the_operator_s_verdict_is_told_once_it_is_there() {
        let approval = Some("sha256:ab by anna");
        for (gate, approval, wanted) in [
            (json!({"state": "Waiting"}), approval, None),
            (json!({"state": "Approved", "approvedBy": "bob"}), approval, None),
            (
                json!({"state": "Approved", "approvedBy": "anna"}),
                approval,
                Some((true, "is approved by anna")),
            ),
            (
                json!({"state": "Passed", "approvedBy": "anna"}),
                approval,
                Some((true, "has passed")),
            ),
            (
                json!({"state": "Unguarded", "message": "no policy"}),
                approval,
                Some((false, "no policy")),
            ),
            (
                json!({"state": "Stale", "message": "old"}),
                approval,
                Some((false, "too late")),
            ),
            (json!({"state": "Approved", "approvedBy": "anna"}), None, None),
            (json!({"state": "Waiting"}), None, Some((true, "not approved any more"))),
        ] {
            let told = heard(&with_gate(&gate), "mapping", approval);
            match (told, wanted) {
                (None, None) => {}
                (Some(Ok(text)), Some((true, wanted))) => assert!(text.contains(wanted), "{text}"),
                (Some(Err(error)), Some((false, wanted))) => assert!(error.to_string().contains(wanted), "{error}"),
                (told, wanted) => panic!("{gate}: {told:?}, not {wanted:?}"),
            }
        }
    }

    #[test]
    fn revoking_needs_an_approval_that_was_not_carried_out() {
        let mut seen = with_gate(&json!({"state": "Approved", "approvedBy": "anna"}));
        assert!(nothing_to_revoke(&seen, "mapping").unwrap().contains("is not approved"));
        seen.annotations_mut()
            .insert("approval.crmferry.io/mapping".into(), "x".into());
        assert_eq!(nothing_to_revoke(&seen, "mapping"), None);
        let mut passed = with_gate(&json!({"state": "Passed"}));
        passed
            .annotations_mut()
            .insert("approval.crmferry.io/mapping".into(), "x".into());
        assert!(nothing_to_revoke(&passed, "mapping").unwrap().contains("has passed"));
    }
}
