//! Preflight: what discovery says of the Odoo beside what the mapping needs of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    Job,
    destination::Destination,
    error::{StepError, bounded},
    estimate::Pace,
};
use crate::{
    api::{
        mapping_spec::{Finding, MappingSpecSpec, OnNew, Severity},
        migration::{Odoo, Profile},
    },
    args,
    mapping::Mapping,
    odoo::{custom_models, models::Models, rpc::RpcError},
};

/// Rows of the call that the pace is told by.
const ROWS: i64 = 1_000;

/// What was met in Odoo.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Met {
    /// What nothing can be done about here: rights, groups, menus that lack.
    pub lacking: Vec<Finding>,
    /// `Community` or `Enterprise`.
    pub edition: &'static str,
    /// Records of each model that is written, whoever made them.
    pub present: BTreeMap<String, i64>,
    /// Active automation rules by model; `None`: we may not look.
    pub automations: Option<BTreeMap<String, i64>>,
    /// How fast it answers.
    pub pace: Pace,
}

/// Looks at what is there.
///
/// # Errors
/// When Odoo fails.
pub async fn look(
    job: &Job,
    destination: &Destination,
    spec: &MappingSpecSpec,
    mapping: Option<&Mapping>,
    models: &Models,
) -> Result<Met, StepError> {
    let mut met = Met {
        edition: edition(models),
        automations: Some(BTreeMap::new()),
        pace: pace(job, destination).await?,
        ..Met::default()
    };
    let written = spec
        .objects
        .iter()
        .flatten()
        .filter_map(|object| object.destination.as_ref()?.model.as_deref());
    let written: BTreeSet<&str> = written.filter(|model| models.models.contains_key(*model)).collect();
    if let Some(mapping) = mapping {
        met.lacking.extend(rights(destination, mapping, models).await?);
        met.lacking.extend(groups_and_menus(destination, mapping).await?);
    }
    if !met.lacking.is_empty() {
        return Ok(met);
    }
    for model in &written {
        let args = args!({"domain": [], "context": {"active_test": false}});
        let count = destination.rpc.call(model, "search_count", args).await?;
        met.present
            .insert((*model).to_owned(), count.as_i64().unwrap_or_default());
    }
    if models.modules.iter().any(|module| module == "base_automation") {
        met.automations = automations(destination, &written).await?;
    }
    Ok(met)
}

fn edition(models: &Models) -> &'static str {
    if models.modules.iter().any(|module| module == "web_enterprise") {
        "Enterprise"
    } else {
        "Community"
    }
}

/// How long it takes to read a page of what every Odoo has: the second answer, so that caches are warm as they will be.
async fn pace(job: &Job, destination: &Destination) -> Result<Pace, StepError> {
    let mut pace = Pace::default();
    for _ in 0..2 {
        let args = args!({"domain": [], "fields": ["name", "model", "ttype"], "limit": ROWS, "order": "id"});
        let begun = (job.now)();
        let answer = destination.rpc.call("ir.model.fields", "search_read", args).await?;
        let took = (job.now)().duration_since(begun).unsigned_abs();
        pace = Pace::of(answer.as_array().map_or(0, Vec::len), took);
    }
    Ok(pace)
}

async fn automations(
    destination: &Destination,
    written: &BTreeSet<&str>,
) -> Result<Option<BTreeMap<String, i64>>, StepError> {
    let args =
        args!({"domain": [["model_id.model", "in", json!(written)], ["active", "=", true]], "fields": ["model_name"]});
    let rows = match destination.rpc.call("base.automation", "search_read", args).await {
        Ok(rows) => rows,
        Err(RpcError::Forbidden { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut count = BTreeMap::new();
    for model in rows
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["model_name"].as_str())
    {
        *count.entry(model.to_owned()).or_default() += 1;
    }
    Ok(Some(count))
}

/// What people should know of it, and what to do.
#[must_use]
pub fn findings(odoo: &Odoo, version: &str, mapping: Option<&Mapping>, met: &Met) -> Vec<Finding> {
    let mut findings = met.lacking.clone();
    findings.extend(untried(version));
    findings.extend(hosting(odoo));
    findings.extend(rules(met.automations.as_ref()));
    findings.extend(adopted(mapping, &met.present));
    findings
}

fn finding(severity: Severity, code: &str, path: &str, message: String) -> Finding {
    Finding {
        severity,
        code: code.to_owned(),
        path: path.to_owned(),
        message,
    }
}

/// Whether the limits fit who runs the server.
fn hosting(odoo: &Odoo) -> Option<Finding> {
    let host = reqwest::Url::parse(&odoo.url).ok()?.host_str()?.to_owned();
    let theirs = [".odoo.com", ".odoo.sh"].iter().any(|end| host.ends_with(end));
    let path = "destination.odoo.limits";
    match (theirs, odoo.limits.profile) {
        (true, Profile::SelfHosted) => Some(finding(
            Severity::Warning,
            "HostingProfile",
            path,
            format!("{host} is run by Odoo, which asks for one call a second on one connection: say profile: Online, or calls may be refused"),
        )),
        (false, Profile::Online) => Some(finding(
            Severity::Info,
            "HostingProfile",
            path,
            "one call a second on one connection, as Odoo Online asks; a server of one's own takes more: profile: SelfHosted".to_owned(),
        )),
        _ => None,
    }
}

/// Rules of Odoo that would work on every record that is loaded.
fn rules(automations: Option<&BTreeMap<String, i64>>) -> Vec<Finding> {
    let Some(automations) = automations else {
        let message = "whether automation rules are active cannot be seen with this API key: look in Settings, Technical, Automation Rules";
        return vec![finding(
            Severity::Info,
            "AutomationsUnseen",
            "base.automation",
            message.to_owned(),
        )];
    };
    let told = automations.iter().map(|(model, count)| {
        let message = format!(
            "active automation rules on {model}: {count}; they work on every record that is loaded, and may change it or send something: archive them until the cutover (Settings, Technical, Automation Rules)"
        );
        finding(Severity::Warning, "AutomationActive", model, message)
    });
    told.collect()
}

/// What is there already and may be adopted.
fn adopted(mapping: Option<&Mapping>, present: &BTreeMap<String, i64>) -> Vec<Finding> {
    let objects = mapping
        .into_iter()
        .flat_map(Mapping::in_odoo)
        .filter(|object| !object.match_on.is_empty());
    let told = objects.filter_map(|object| {
        let count = present.get(&object.model.0).copied().filter(|count| *count > 0)?;
        let by: Vec<String> = object.match_on.iter().map(|fields| fields.join("+")).collect();
        let message = format!(
            "{} has {count} records: those that agree on {} are adopted and not made again; the rehearsal says how many",
            object.model,
            by.join(", then ")
        );
        Some(finding(Severity::Info, "ExistingRecords", &format!("objects[{}].match", object.name), message))
    });
    told.collect()
}

/// Whether the migration user may do what the plan needs.
async fn rights(destination: &Destination, mapping: &Mapping, models: &Models) -> Result<Vec<Finding>, StepError> {
    let mut findings = Vec::new();
    let mut asked = BTreeSet::new();
    let mut needed: Vec<(String, &str)> = vec![
        ("ir.model.data".into(), "create"),
        ("ir.config_parameter".into(), "create"),
    ];
    if mapping.objects.iter().any(|object| !object.custom_fields.is_empty()) {
        needed.push(("ir.model.fields".into(), "create"));
    }
    for object in mapping.in_odoo() {
        if let Some(model) = &object.custom_model {
            needed.extend(["ir.model", "ir.model.access"].map(|model| (model.into(), "create")));
            if model.menu.is_some() {
                needed.extend(["ir.actions.act_window", "ir.ui.menu"].map(|model| (model.into(), "create")));
            }
            if !models.models.contains_key(&model.model.0) {
                // whoever may make it may fill it
                continue;
            }
        }
        let operations: &[&str] = match object.on_new {
            OnNew::Create => &["read", "create", "write"],
            OnNew::Hold | OnNew::Reject => &["read", "write"],
        };
        needed.extend(operations.iter().map(|operation| (object.model.0.clone(), *operation)));
        let of_lines = ["read", "create", "write", "unlink"];
        needed.extend(
            object
                .lines
                .iter()
                .flat_map(|lines| of_lines.map(|operation| (lines.model.0.clone(), operation))),
        );
    }
    for (model, operation) in needed {
        if !asked.insert((model.clone(), operation)) {
            continue;
        }
        let may = destination
            .rpc
            .call(&model, "has_access", args!({"ids": [], "operation": operation}))
            .await?;
        if may.as_bool() != Some(true) {
            findings.push(Finding {
                severity: Severity::Error,
                code: "MissingRight".into(),
                path: model.clone(),
                message: format!("the API key's user may not {operation} {model}: give the user a role that may"),
            });
        }
    }
    Ok(findings)
}

/// A word of caution about an Odoo of another version than the one that everything here was tried on.
fn untried(version: &str) -> Option<Finding> {
    let major = version
        .trim_start_matches("saas~")
        .split('.')
        .next()
        .unwrap_or_default();
    (major != "19").then(|| Finding {
        severity: Severity::Warning,
        code: "UntriedVersion".into(),
        path: "destination.odoo".into(),
        message: format!(
            "this is Odoo {}, and nothing but Odoo 19 was tried: rehearse against a copy of it, and look at the results before people work with them",
            bounded(version, 60)
        ),
    })
}

/// Groups and menus that custom models name and that Odoo lacks.
async fn groups_and_menus(destination: &Destination, mapping: &Mapping) -> Result<Vec<Finding>, StepError> {
    let mut findings = Vec::new();
    for object in &mapping.objects {
        let Some(model) = &object.custom_model else { continue };
        let groups: Vec<&str> = model.access.keys().map(String::as_str).collect();
        let menus: Vec<&str> = model.menu.as_deref().into_iter().collect();
        for (of, names, what) in [("res.groups", groups, "group of users"), ("ir.ui.menu", menus, "menu")] {
            let found = custom_models::named(&*destination.rpc, of, names.iter().copied()).await?;
            findings.extend(
                names
                    .iter()
                    .filter(|name| !found.contains_key(**name))
                    .map(|name| Finding {
                        severity: Severity::Error,
                        code: "UnknownObject".into(),
                        path: format!("objects[{}].destination.create", object.name),
                        message: format!("Odoo has no {what} {name}: name one by its external id, or leave it out"),
                    }),
            );
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(findings: &[Finding]) -> Vec<String> {
        findings
            .iter()
            .map(|found| format!("{:?} {} {}", found.severity, found.code, found.path))
            .collect()
    }

    #[test]
    fn an_odoo_of_a_version_that_was_not_tried_is_a_warning() {
        for (version, warned) in [
            ("19.0", false),
            ("19.0+e", false),
            ("19.0-20261101", false),
            ("saas~19.1", false),
            ("saas~18.4+e", true),
            ("18.0", true),
            ("14.0-20231205", true),
            ("20.0", true),
            ("9.0", true),
            ("", true),
        ] {
            let finding = untried(version);
            assert_eq!(finding.is_some(), warned, "{version}");
            assert!(finding.is_none_or(|finding| finding.severity == Severity::Warning));
        }
    }

    #[test]
    fn the_limits_are_held_against_who_runs_the_server() {
        for (url, profile, said) in [
            ("https://acme.odoo.com", Profile::SelfHosted, Some(Severity::Warning)),
            (
                "https://acme-main-1.dev.odoo.com/",
                Profile::SelfHosted,
                Some(Severity::Warning),
            ),
            ("https://acme.odoo.com", Profile::Online, None),
            ("https://odoo.acme.example", Profile::SelfHosted, None),
            ("https://odoo.acme.example", Profile::Online, Some(Severity::Info)),
            ("https://notodoo.com", Profile::SelfHosted, None),
        ] {
            let mut odoo = Odoo {
                url: url.to_owned(),
                ..Odoo::default()
            };
            odoo.limits.profile = profile;
            assert_eq!(hosting(&odoo).map(|found| found.severity), said, "{url} {profile:?}");
        }
    }

    #[test]
    fn active_rules_are_a_warning_and_unseen_ones_a_word() {
        assert!(rules(Some(&BTreeMap::new())).is_empty());
        let seen = BTreeMap::from([("crm.lead".to_owned(), 2)]);
        assert_eq!(codes(&rules(Some(&seen))), ["Warning AutomationActive crm.lead"]);
        assert_eq!(codes(&rules(None)), ["Info AutomationsUnseen base.automation"]);
    }
}
