//! What an account's API offers: one small question for each object, and what its answer means for people.

use std::collections::{BTreeMap, BTreeSet};

use super::{Api, Ask, LIMIT, MEMBERS, page::Page, record::Catalogue};
use crate::{
    api::{
        mapping_spec::{Finding, Severity},
        migration::Authentication,
    },
    model::{Record, Value, record::is_empty},
    source::{Lacking, Preflight, SourceError, Ways, files, wire::Refusal},
};

/// The list that every account has.
const DOCUMENTED: &str = "contact";
/// The one whose records others have written, and nobody has listed.
const COMPANY: &str = "company";

/// The lists that are asked for.
const LISTS: [&str; 5] = ["contact", "company", "deal", "list", "user"];

/// Objects of a Pipz account, and the columns that an export of each has or should have.
const EXPORTS: [(&str, &[&str]); 12] = [
    (
        "contact",
        &[
            "contact_id",
            "email",
            "name",
            "phone",
            "company_id",
            "owner_id",
            "tags",
            "contact_custom_…",
        ],
    ),
    (
        "company",
        &[
            "id",
            "name",
            "website",
            "email",
            "phone",
            "city_name",
            "state",
            "country_code",
            "tags",
            "company_custom_…",
        ],
    ),
    (
        "deal",
        &[
            "deal_id",
            "name",
            "value",
            "stage",
            "pipeline",
            "status",
            "owner",
            "contact_email",
            "company_name",
            "expected_close_date",
            "creation_date",
            "close_date",
            "lost_reason",
        ],
    ),
    ("list", &["id", "name"]),
    (MEMBERS, &["list_id", "contact_id"]),
    ("user", &["id", "name", "email", "active"]),
    ("pipeline", &["id", "name"]),
    (
        "stage",
        &["id", "name", "position", "pipeline_id", "type", "probability"],
    ),
    (
        "event",
        &["id", "type", "contact_id", "occurred_at", "title", "url", "message"],
    ),
    (
        "campaign",
        &[
            "id",
            "name",
            "subject",
            "sent_at",
            "status",
            "html",
            "list_ids",
            "sent",
            "opens",
            "clicks",
            "unsubscribes",
        ],
    ),
    ("segment", &["id", "name", "count", "rules"]),
    (
        "automation",
        &["id", "name", "status", "trigger", "conditions", "actions"],
    ),
];

/// What the account offers.
#[derive(Clone, Debug, Default)]
pub struct Probed {
    pub offered: BTreeMap<&'static str, Offered>,
    /// Why the others are not.
    pub refused: BTreeMap<&'static str, String>,
    /// Those of them that the API should have, and fails at.
    pub failing: BTreeSet<&'static str>,
    /// Custom fields of contacts.
    pub catalogue: Catalogue,
    /// Why there is no catalogue.
    pub no_catalogue: Option<String>,
}

/// How an object is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offered {
    /// It takes the parameters for custom values.
    pub extras: bool,
    /// Rows have fieldsets: one that has none is a summary.
    pub fieldsets: bool,
    /// What rows are.
    pub rows: Rows,
    /// Why nobody can tell whether rows are summaries.
    pub no_detail: Option<String>,
    /// How many records there are, if the answer says so.
    pub total: Option<i64>,
    /// Fields of the first row.
    pub fields: Vec<String>,
}

/// What the rows of a list are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// Nobody knows: there were none, or none of their details was to be had. They are taken for whole.
    #[default]
    Unknown,
    /// They have what details have.
    Whole,
    /// Each record is asked for by itself.
    Summaries,
}

impl Offered {
    /// Whether each record is asked for by itself.
    pub const fn has_summaries(&self) -> bool {
        matches!(self.rows, Rows::Summaries)
    }
}

/// The catalogue of custom fields.
pub const CATALOGUE: &str = "contactfields";
const EXTRAS: &str = "extras";
const FIELDSETS: &str = "fieldsets";
const SUMMARY: &str = "summary";
const WHOLE: &str = "whole";

impl Probed {
    /// How an object is read.
    #[must_use]
    pub fn ways(&self, name: &str, offered: &Offered) -> BTreeSet<String> {
        let catalogue = name == DOCUMENTED && self.no_catalogue.is_none() && !self.catalogue.is_empty();
        let ways = [
            (EXTRAS, offered.extras),
            (FIELDSETS, offered.fieldsets),
            (SUMMARY, offered.has_summaries()),
            (WHOLE, offered.rows == Rows::Whole),
            (CATALOGUE, catalogue),
        ];
        ways.into_iter()
            .filter(|(_, holds)| *holds)
            .map(|(way, _)| way.to_owned())
            .collect()
    }

    /// What was offered at discovery and is now, read as it was found then.
    ///
    /// # Errors
    /// A sentence, where the catalogue of custom fields was there and is not: their names would be others. One that is there
    /// by now gives no names: the plan knows them without.
    pub fn pinned(mut self, pinned: &Ways) -> Result<Self, String> {
        self.offered.retain(|name, _| pinned.contains_key(*name));
        for (name, offered) in &mut self.offered {
            let had = |way: &str| pinned.get(*name).is_some_and(|ways| ways.contains(way));
            offered.extras |= had(EXTRAS);
            offered.fieldsets |= had(FIELDSETS);
            if had(SUMMARY) {
                offered.rows = Rows::Summaries;
            }
        }
        let had_catalogue = pinned.get(DOCUMENTED).is_some_and(|ways| ways.contains(CATALOGUE));
        match &self.no_catalogue {
            Some(why) if had_catalogue => Err(format!("it was there at discovery, and now {why}")),
            None if had_catalogue && self.catalogue.is_empty() => {
                Err("it named custom fields at discovery, and names none now: replan where that is meant".into())
            }
            None if !had_catalogue => Ok(Self {
                catalogue: Catalogue::default(),
                no_catalogue: Some("it was not there at discovery".into()),
                ..self
            }),
            _ => Ok(self),
        }
    }
}

/// Asks for everything once; after discovery for what was offered then.
pub async fn probe(api: &Api) -> Result<Probed, SourceError> {
    let mut probed = Probed::default();
    let pinned = api.pinned.get();
    let is_wanted = |name: &str| pinned.is_none_or(|pinned| pinned.contains_key(name));
    for kind in LISTS.into_iter().filter(|kind| is_wanted(kind)) {
        let known = pinned.and_then(|pinned| pinned.get(kind));
        let is_known = known.is_some_and(|ways| ways.contains(SUMMARY) || ways.contains(WHOLE));
        match list(api, kind, is_known).await {
            Ok(offered) => drop(probed.offered.insert(kind, offered)),
            Err(refusal) => match (kind, &refusal) {
                ("contact", Refusal::Unauthorized) => return Err(unauthorized(api).await),
                (_, Refusal::Throttled(_)) => return Err(api.failed(kind, &refusal)),
                (_, Refusal::Failed(_) | Refusal::Elsewhere(_)) if kind == DOCUMENTED || pinned.is_some() => {
                    return Err(api.failed(kind, &refusal));
                }
                // whether there is such a thing at all is a guess: it is told, and a file may serve
                _ => {
                    if kind == COMPANY && matches!(refusal, Refusal::Failed(_) | Refusal::Elsewhere(_)) {
                        probed.failing.insert(kind);
                    }
                    probed.refused.insert(kind, refusal.words());
                }
            },
        }
    }
    if is_wanted(MEMBERS) {
        match members(api, &probed, pinned.is_some()).await? {
            Ok(offered) => drop(probed.offered.insert(MEMBERS, offered)),
            Err(why) => drop(probed.refused.insert(MEMBERS, why)),
        }
    }
    if probed.offered.contains_key("contact") {
        match api
            .page(&Ask {
                kind: CATALOGUE,
                limit: 1_000,
                ..Ask::default()
            })
            .await
        {
            Ok(page) => probed.catalogue = Catalogue::of_rows("contact", &page.rows),
            Err(refusal) => probed.no_catalogue = Some(refusal.words()),
        }
    }
    Ok(probed)
}

/// A list that no account has.
const NO_LIST: &str = "999999999";

/// How the members of lists are read: as the contacts of each, if contacts can be narrowed by list. That is tried once.
async fn members(api: &Api, probed: &Probed, was_tried: bool) -> Result<Result<Offered, String>, SourceError> {
    let (Some(_), Some(contact)) = (probed.offered.get("list"), probed.offered.get("contact")) else {
        return Ok(Err("it offers no lists".into()));
    };
    let offered = Offered {
        total: None,
        rows: Rows::Unknown,
        no_detail: None,
        fields: ["list_id", "contact_id"].map(str::to_owned).to_vec(),
        ..contact.clone()
    };
    if was_tried {
        return Ok(Ok(offered));
    }
    let refusal = match contacts_of(api, NO_LIST).await {
        Ok(page) if page.rows.is_empty() => return Ok(Ok(offered)),
        // that there is no such list is an answer as good as an empty one
        Err(Refusal::Absent(_)) => return Ok(Ok(offered)),
        Ok(_) => {
            return Ok(Err(
                "it gives contacts for a list that does not exist: it does not look at list_id".into(),
            ));
        }
        Err(refusal @ (Refusal::Throttled(_) | Refusal::Unauthorized)) => {
            return Err(api.failed("contact", &refusal));
        }
        Err(refusal) => refusal,
    };
    // it may take the lists that there are, and fail at others
    let takes_lists = match a_list(api).await {
        Some(list) => contacts_of(api, &list).await.is_ok() && contacts_of(api, NO_LIST).await.is_err(),
        None => false,
    };
    Ok(if takes_lists {
        Ok(offered)
    } else {
        Err(format!("asked for the contacts of a list {}", refusal.words()))
    })
}

async fn contacts_of(api: &Api, list: &str) -> Result<Page, Refusal> {
    let ask = Ask {
        kind: "contact",
        limit: 1,
        list: Some(list),
        ..Ask::default()
    };
    api.page(&ask).await
}

/// Whether what is announced for a list is a count of that list: one that no account has is empty. Where nobody can tell it is
/// taken for one, since nothing is taken away then.
pub async fn counts_by_list(api: &Api) -> bool {
    let answer = contacts_of(api, NO_LIST).await;
    answer.map_or(true, |page| {
        page.rows.is_empty() && page.total.is_none_or(|total| total == 0)
    })
}

/// The id of one that there is.
async fn a_list(api: &Api) -> Option<String> {
    let ask = Ask {
        kind: "list",
        limit: 1,
        ..Ask::default()
    };
    let page = api.page(&ask).await.ok()?;
    let mut rows = page.rows.iter().filter_map(|row| files::record(row.as_bytes()).ok());
    rows.find_map(|row| super::reading::id_of(&row))
}

/// Rows that are looked at, of the beginning and of the end: the first may be odd, or deleted a moment ago.
const ROWS: u64 = 5;

async fn list(api: &Api, kind: &'static str, is_known: bool) -> Result<Offered, Refusal> {
    let ask = Ask {
        kind,
        limit: ROWS,
        extras: true,
        ..Ask::default()
    };
    let (page, extras) = match api.page(&ask).await {
        Err(Refusal::Refused(_)) => (api.page(&Ask { extras: false, ..ask }).await?, false),
        answer => (answer?, true),
    };
    let mut offered = Offered {
        extras,
        total: page.total.filter(|total| *total >= 0),
        ..Offered::default()
    };
    let readable = page.rows.iter().filter_map(|row| files::record(row.as_bytes()).ok());
    let mut rows: Vec<Record> = readable.take(usize::try_from(ROWS).unwrap_or(usize::MAX)).collect();
    let Some(first) = rows.first() else {
        return Ok(offered);
    };
    if rows.iter().all(|row| super::reading::id_of(row).is_none()) {
        return Err(Refusal::Refused("200, with rows that have no id".into()));
    }
    offered.fields = super::record::flatten(kind, first.clone(), &Catalogue::default())
        .record
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    offered.fieldsets = rows.iter().any(|row| !is_empty(row.get("fieldsets")));
    if !is_known && matches!(kind, "contact" | "company" | "deal") {
        let last = last_rows(api, &Ask { extras, ..ask }, offered.total, &rows).await?;
        rows.extend(last);
        (offered.rows, offered.no_detail) = compared_with_details(api, kind, &rows).await?;
    }
    Ok(offered)
}

/// Rows of the end of a list: the oldest, which are the barest, are at its beginning. Where nothing tells where the end is, those
/// of its second half, be it the end or not.
async fn last_rows(api: &Api, ask: &Ask<'_>, total: Option<i64>, first: &[Record]) -> Result<Vec<Record>, Refusal> {
    if let Some(total) = total.and_then(|total| u64::try_from(total).ok())
        && total > ROWS
    {
        let rows = rows_at(api, ask, (total - ROWS).max(ROWS)).await?;
        if !rows.is_empty() {
            return Ok(rows);
        }
    }
    // also where more was announced than there is
    let (mut last, mut offset) = (Vec::new(), ROWS);
    while offset <= FAR {
        let rows = rows_at(api, ask, offset).await?;
        // some give the first page, or the last, whatever the offset
        if rows.is_empty() || is_same(&rows, first) || is_same(&rows, &last) {
            break;
        }
        last = rows;
        offset *= 2;
    }
    Ok(last)
}

/// Rows behind which no end is looked for.
const FAR: u64 = 10_000_000;

fn is_same(rows: &[Record], others: &[Record]) -> bool {
    let ids = |rows: &[Record]| rows.iter().map(super::reading::id_of).collect::<Vec<_>>();
    ids(rows) == ids(others)
}

async fn rows_at(api: &Api, ask: &Ask<'_>, offset: u64) -> Result<Vec<Record>, Refusal> {
    match api.page(&Ask { offset, ..*ask }).await {
        Ok(page) => {
            let rows = page.rows.iter().filter_map(|row| files::record(row.as_bytes()).ok());
            Ok(rows.take(usize::try_from(ROWS).unwrap_or(usize::MAX)).collect())
        }
        Err(refusal @ (Refusal::Failed(_) | Refusal::Throttled(_))) => Err(refusal),
        // what is announced is a guess
        Err(_) => Ok(Vec::new()),
    }
}

/// Whether any detail has what its row lacks; or why nobody can tell.
async fn compared_with_details(api: &Api, kind: &str, rows: &[Record]) -> Result<(Rows, Option<String>), Refusal> {
    let flat = |record: &Record| super::record::flatten(kind, record.clone(), &Catalogue::default()).record;
    let known: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| flat(row).into_iter().map(|(name, _)| name))
        .collect();
    let (mut why, mut read, mut failed) = (None, false, 0);
    for row in rows {
        let Some(id) = super::reading::id_of(row) else { continue };
        match api.detail(kind, &id).await {
            Ok(Ok(detail)) if adds(&flat(&detail), &flat(row), &known) => return Ok((Rows::Summaries, None)),
            // one whose record has no more to say tells nothing of the others
            Ok(Ok(_)) => read = true,
            Ok(Err(wrong)) => why = Some(wrong),
            // of one that fails for good the others tell; each costs all patience
            Err(refusal @ Refusal::Failed(_)) if read => {
                failed += 1;
                if failed == 2 {
                    return Ok((Rows::Unknown, Some(refusal.words())));
                }
            }
            Err(refusal @ (Refusal::Failed(_) | Refusal::Throttled(_))) => return Err(refusal),
            Err(refusal) => why = Some(refusal.words()),
        }
    }
    Ok(if read {
        (Rows::Whole, None)
    } else {
        (Rows::Unknown, why)
    })
}

/// What the API says of a record for its own sake.
const OF_THE_API: [&str; 1] = ["resource_uri"];

/// Whether a detail has a value that its row lacks or has cut short, or a field that no row has, be it empty in this one.
fn adds(detail: &Record, row: &Record, known: &BTreeSet<String>) -> bool {
    detail
        .iter()
        .filter(|(name, _)| !OF_THE_API.contains(&name.as_str()))
        .any(|(name, value)| {
            !known.contains(name)
                || !is_empty(Some(value))
                    && row
                        .get(name)
                        .is_none_or(|short| is_empty(Some(short)) || is_cut(short, value))
        })
}

/// Whether a value is the beginning of another one, or a part of it.
fn is_cut(short: &Value, whole: &Value) -> bool {
    match (short, whole) {
        (Value::String(short), Value::String(whole)) => {
            let [short, whole] = [short, whole].map(|text| text.trim_end_matches(['…', '.', ' ']));
            whole.len() > short.len() && whole.starts_with(short)
        }
        (Value::Array(short), Value::Array(whole)) => {
            whole.len() > short.len() || short.iter().zip(whole).any(|(short, whole)| is_cut(short, whole))
        }
        (Value::Object(short), Value::Object(whole)) => whole.iter().any(|(name, whole)| {
            !is_empty(Some(whole))
                && short
                    .get(name)
                    .is_none_or(|short| is_empty(Some(short)) || is_cut(short, whole))
        }),
        _ => false,
    }
}

/// The keys are refused: perhaps only the way they were sent.
async fn unauthorized(api: &Api) -> SourceError {
    let (sent, other) = match api.options.authentication {
        Authentication::Query => ("in the query", Authentication::Basic),
        Authentication::Basic => ("as HTTP Basic", Authentication::Query),
    };
    let ask = Ask {
        kind: "contact",
        limit: 1,
        way: Some(other),
        ..Ask::default()
    };
    if api.page(&ask).await.is_ok() {
        return SourceError::Unauthorized {
            message: format!(
                "Pipz refuses the keys {sent} (401) and takes them the other way: set source.pipz.authentication to {other:?}"
            ),
        };
    }
    api.failed("contact", &Refusal::Unauthorized)
}

/// What people should know of it.
pub fn preflight(probed: &Probed, base: &str, calls_per_minute: u32) -> Preflight {
    let info = |object: &str, message: String| Finding {
        severity: Severity::Info,
        code: "SourceOffers".into(),
        path: format!("source[{object}]"),
        message,
    };
    let mut findings: Vec<Finding> = probed
        .offered
        .iter()
        .map(|(name, offered)| info(name, format!("{base} offers {name}{}", size(offered, calls_per_minute))))
        .collect();
    findings.extend(probed.offered.iter().filter_map(|(name, offered)| {
        let why = offered.no_detail.as_ref()?;
        Some(Finding {
            severity: Severity::Warning,
            message: format!(
                "{base}/{name}/<id>/ cannot be read ({why}): rows of the list are taken for whole records; compare one with what Pipz shows"
            ),
            ..info(name, String::new())
        })
    }));
    findings.extend(probed.no_catalogue.iter().map(|why| {
        info(
            "contact",
            format!(
                "{base}/contactfields: {why}; custom fields are taken from the contacts, without those that nobody has"
            ),
        )
    }));
    let lacking = EXPORTS
        .iter()
        .filter(|(name, _)| !probed.offered.contains_key(name))
        .map(|(name, columns)| Lacking {
            name: (*name).to_owned(),
            documented: *name == DOCUMENTED,
            failing: probed.failing.contains(name),
            why: probed
                .refused
                .get(name)
                .map_or_else(|| "it has no such call".to_owned(), Clone::clone),
            columns,
        });
    Preflight {
        findings,
        lacking: lacking.collect(),
    }
}

/// `: about 5000 records, about 51 calls, at least 26 s`.
fn size(offered: &Offered, calls_per_minute: u32) -> String {
    let Some(total) = offered.total.and_then(|total| u64::try_from(total).ok()) else {
        return if offered.has_summaries() {
            ": each record is asked for by itself, since rows are summaries".into()
        } else {
            String::new()
        };
    };
    let pages = total / (LIMIT - 1) + 2;
    let (calls, why) = if offered.has_summaries() {
        (
            pages + total,
            ", since rows are summaries and each record is asked for by itself",
        )
    } else {
        (pages, "")
    };
    let seconds = calls * 60 / u64::from(calls_per_minute.max(1));
    format!(": about {total} records, {calls} calls, {seconds} s{why}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_lacks_what_its_detail_has_more_of() {
        let known = BTreeSet::from(["a".to_owned()]);
        for (row, detail, more) in [
            (json!("Maria da S…"), json!("Maria da Silva"), true),
            (json!("Maria da..."), json!("Maria da Silva"), true),
            (json!("Maria da Silv…"), json!("Maria da Silva"), true),
            (json!("2026-01-01"), json!("2026-01-01T10:00:00"), true),
            (json!("Maria Silva"), json!("Maria Silva"), false),
            (json!("Etc."), json!("Etc."), false),
            (json!("1"), json!("2"), false),
            (json!(null), json!("x"), true),
            (json!("x"), json!(null), false),
            (json!(["a"]), json!(["a", "b"]), true),
            (json!([{"id": 1}]), json!([{"id": 1, "name": "x"}]), true),
            (json!([{"id": 1}]), json!([{"id": 1, "name": null}]), false),
            (json!(7), json!(8), false),
        ] {
            let of = |value: &Value| Record::from_iter([("a".to_owned(), value.clone())]);
            assert_eq!(adds(&of(&detail), &of(&row), &known), more, "{row} {detail}");
        }
    }

    #[test]
    fn what_is_said_of_an_account_names_the_objects_the_calls_and_the_exports() {
        let contact = Offered {
            total: Some(5_000),
            ..Offered::default()
        };
        let company = Offered {
            total: Some(10),
            rows: Rows::Summaries,
            ..Offered::default()
        };
        let probed = Probed {
            offered: BTreeMap::from([("contact", contact), ("company", company), ("list", Offered::default())]),
            refused: BTreeMap::from([("deal", "it answers 404".to_owned())]),
            no_catalogue: Some("it answers 405".into()),
            ..Probed::default()
        };
        let said = preflight(&probed, "https://acme.pipz.io/api/v1", 120);
        let text: Vec<&str> = said.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            text,
            [
                "https://acme.pipz.io/api/v1 offers company: about 10 records, 12 calls, 6 s, since rows are summaries and each record is asked for by itself",
                "https://acme.pipz.io/api/v1 offers contact: about 5000 records, 52 calls, 26 s",
                "https://acme.pipz.io/api/v1 offers list",
                "https://acme.pipz.io/api/v1/contactfields: it answers 405; custom fields are taken from the contacts, without those that nobody has",
            ]
        );
        let deal = said.lacking.iter().find(|lacking| lacking.name == "deal").unwrap();
        assert_eq!((deal.why.as_str(), deal.columns[0]), ("it answers 404", "deal_id"));
        assert!(
            said.lacking
                .iter()
                .all(|lacking| !["contact", "company", "list"].contains(&lacking.name.as_str()))
        );
    }
}
