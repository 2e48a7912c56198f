//! A list of Pipz as a stream of items: page by page, each record once, whatever shifts meanwhile.

use std::{collections::VecDeque, sync::Arc};

use futures::{StreamExt, stream};

use super::{
    Api, Ask, LIMIT,
    offer::{self, Offered},
    page::Page,
    record::{self, Catalogue, Flat},
};
use crate::{
    api::phase_run::FEWER,
    model::{Digest, Record, Rejection, Value, record::is_empty},
    source::{
        Item, Items, SourceError, files,
        seen::Seen,
        walk::{Next, Walk},
        wire::Refusal,
    },
};

const REPEATED: (&str, &str) = ("Repeated", "the list gave this row more than once");
const DIFFERS: (&str, &str) = (
    "RepeatedDiffers",
    "the list gave this row more than once, with different values: the first is used; where it was changed meanwhile the next round meets it",
);

const LOOK: &str = "look whether the keys may see all of them";

/// Pages that are looked through for a row that may be gone.
const ABOUT: u32 = 30;

/// The id of a row as text.
pub fn id_of(row: &Record) -> Option<String> {
    match row.get("id")? {
        Value::String(id) if !id.trim().is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// A row with its detail, both made flat: what that has counts, but for nothing.
fn with(mut row: Flat, detail: Flat) -> Flat {
    for (name, value) in detail.record {
        if !is_empty(Some(&value)) || !row.record.contains_key(&name) {
            row.record.insert(name, value);
        }
    }
    row.labels.extend(detail.labels);
    row
}

/// A row as it came: its identity, its digest, and the row or what is wrong with it.
struct Row {
    id: String,
    digest: Digest,
    read: Result<Record, String>,
}

impl Row {
    fn of(text: &str) -> Self {
        let read = files::record(text.as_bytes());
        let read = read.and_then(|row| {
            if id_of(&row).is_some() {
                Ok(row)
            } else {
                Err("it has no id".into())
            }
        });
        let digest = Digest::of(text.as_bytes());
        let (id, read) = match read {
            Ok(row) => (id_of(&row), Ok(row)),
            // its id may be read even where the row is not
            Err(why) => {
                let id = serde_json::from_str(text).ok().and_then(|row| id_of(&row));
                let named = id
                    .as_ref()
                    .map_or_else(String::new, |id| format!("the row with the id {id}: "));
                (id, Err(format!("{named}{why}")))
            }
        };
        // what has no id is told from others by its text
        let id = id.unwrap_or_else(|| format!("#{digest}"));
        Self { id, digest, read }
    }
}

/// A list being read.
pub struct Reading {
    api: Arc<Api>,
    kind: String,
    /// Only the members of this list.
    list: Option<String>,
    offered: Offered,
    walk: Walk,
    seen: Seen,
    /// Rows of the page that are not taken yet, each with its offset.
    rows: VecDeque<(u64, Row)>,
    over: bool,
    /// How many there are by what the last page said.
    announced: Option<i64>,
    /// Rows that came again.
    repeated: u64,
    /// What cannot be read of the list as a whole.
    odd: Option<Item>,
}

impl Reading {
    /// At the beginning of a list.
    pub fn new(api: Arc<Api>, kind: &str, list: Option<String>, offered: Offered) -> Result<Self, SourceError> {
        Ok(Self {
            seen: Seen::create(&api.options.scratch)?,
            api,
            kind: kind.to_owned(),
            list,
            walk: Walk::new(LIMIT),
            offered,
            rows: VecDeque::new(),
            over: false,
            announced: None,
            repeated: 0,
            odd: None,
        })
    }

    /// As a stream.
    pub fn items(self) -> Items {
        stream::try_unfold(Box::new(self), |mut reading| async move {
            let item = reading.next().await?;
            Ok(item.map(|item| (item, reading)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Item>, SourceError> {
        loop {
            if let Some((offset, row)) = self.rows.pop_front() {
                if let Some(item) = self.item(offset, row).await? {
                    return Ok(Some(item));
                }
                continue;
            }
            if let Some(odd) = self.odd.take() {
                return Ok(Some(odd));
            }
            if self.over {
                return Ok(None);
            }
            self.turn_page().await?;
        }
    }

    async fn turn_page(&mut self) -> Result<(), SourceError> {
        let offset = self.walk.offset();
        let ask = Ask {
            kind: &self.kind,
            offset,
            limit: LIMIT,
            // of members no more than the id is wanted
            extras: self.offered.extras && self.list.is_none(),
            list: self.list.as_deref(),
            way: None,
        };
        let page = match self.api.page(&ask).await {
            // a list that there is, and whose contacts there are not
            Err(refusal @ Refusal::Absent(_)) if self.list.is_some() && offset == 0 => {
                let list = self.list.clone().unwrap_or_default();
                self.over = true;
                self.odd = Some(self.broken(0, &format!("the contacts of the list {list}: {}", refusal.words())));
                return Ok(());
            }
            // some have nothing there beyond the end
            Err(Refusal::Absent(_)) if self.has_ended(&ask).await || self.is_beyond(&ask).await => Page::default(),
            answer => answer.map_err(|refusal| self.api.failed(&self.kind, &refusal))?,
        };
        let rows: Vec<Row> = page.rows.iter().map(|row| Row::of(row)).collect();
        let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        let overlap = self.walk.overlap(&ids);
        let may_repeat = self.walk.is_first_round() && !self.walk.is_same(&ids);
        let mut new = 0;
        for (place, row) in (offset..).zip(rows).skip(overlap) {
            let is_new = self.seen.insert(&row.id)?;
            let differs = self.seen.insert(&format!("{}\0{}", row.id, row.digest))?;
            if is_new {
                new += 1;
                self.rows.push_back((place, row));
            } else if may_repeat {
                self.repeated += 1;
                let (code, message) = if differs { DIFFERS } else { REPEATED };
                self.api.note(row.id, code, message.into());
            }
        }
        self.announced = page.total.or(self.announced);
        match self.walk.met(&ids, new) {
            Next::Ask => {}
            Next::Over => {
                self.over = true;
                self.compare_with_announced().await;
            }
            // what it announced is there: it pages no further
            Next::Endless if self.has_all_announced() => self.over = true,
            Next::Endless => {
                return Err(SourceError::Unusable {
                    place: self.api.place(&self.kind),
                    message: "it gives the same rows for every offset, so that nobody can tell whether there are more"
                        .into(),
                });
            }
        }
        Ok(())
    }

    /// Whether all that was announced is there. A page that begins with a row that was there is beyond the end only where rows
    /// went meanwhile.
    async fn has_ended(&self, ask: &Ask<'_>) -> bool {
        if !self.has_all_announced() || !self.walk.is_anchored() {
            return self.has_all_announced();
        }
        let begins = Ask { offset: 0, ..*ask };
        let now = self.api.page(&begins).await.ok().and_then(|page| page.total);
        now.and_then(|now| u64::try_from(now).ok())
            .is_some_and(|now| now <= ask.offset)
    }

    /// Where nothing announces the end: whether there is a first page, and still none here.
    async fn is_beyond(&self, ask: &Ask<'_>) -> bool {
        let begins = Ask { offset: 0, ..*ask };
        ask.offset > 0
            && !self.walk.is_anchored()
            && self.announced.is_none()
            && self.api.page(&begins).await.is_ok_and(|page| !page.rows.is_empty())
            && matches!(self.api.page(ask).await, Err(Refusal::Absent(_)))
    }

    fn has_all_announced(&self) -> bool {
        let announced = self.announced.and_then(|said| u64::try_from(said).ok());
        announced.is_some_and(|announced| announced > 0 && self.walk.known() >= announced)
    }

    /// A source that gave less than it said may have been cut off; that number is a guess, and no reason to stop. Rows that came
    /// again may be what is counted, or have come in place of others.
    async fn compare_with_announced(&self) {
        let read = self.walk.known();
        let announced = self.announced.and_then(|said| u64::try_from(said).ok()).unwrap_or(0);
        if announced <= read {
            return;
        }
        let Some(list) = &self.list else {
            let kind = &self.kind;
            tracing::warn!("the API says that there are about {announced} of {kind}, and gave {read}");
            let twice = match self.repeated {
                0 => String::new(),
                repeated => format!(", {repeated} of them more than once"),
            };
            let message = format!("the API says that there are about {announced}, and gave {read}{twice}: {LOOK}");
            self.api.note(String::new(), FEWER, message.into());
            return;
        };
        // some count all contacts, whatever the list
        if offer::counts_by_list(&self.api).await {
            let message = format!(
                "the API says that the list {list} has about {announced}, and gave {read}: {LOOK}; nobody is taken off a list now"
            );
            self.api.note(list.clone(), FEWER, message.into());
        }
    }

    /// What a new row becomes; `None` for one that was deleted meanwhile.
    async fn item(&self, offset: u64, row: Row) -> Result<Option<Item>, SourceError> {
        let Row { id, read, .. } = row;
        let record = match read {
            Ok(record) => record,
            Err(why) => return Ok(Some(self.broken(offset, &why))),
        };
        let detail = if self.list.is_none() && self.is_summary(&record) {
            match self.api.detail(&self.kind, &id).await {
                Ok(Ok(detail)) => Some(detail),
                Ok(Err(why)) => return Ok(Some(self.broken(offset, &format!("its detail: {why}")))),
                Err(refusal @ Refusal::Absent(404 | 410)) if self.is_listed(offset, &id).await? => {
                    let words = refusal.words();
                    return Ok(Some(
                        self.broken(offset, &format!("its detail: {words}, though the list has it")),
                    ));
                }
                Err(Refusal::Absent(404 | 410)) => {
                    let message = "deleted between the list and its detail";
                    self.api.note(id, "Deleted", message.into());
                    return Ok(None);
                }
                Err(refusal @ (Refusal::Forbidden(_) | Refusal::Refused(_))) => {
                    return Ok(Some(self.broken(offset, &format!("its detail: {}", refusal.words()))));
                }
                Err(refusal) => return Err(self.api.failed(&format!("{}/{id}", self.kind), &refusal)),
            }
        } else {
            None
        };
        let probed = self.api.probed().await?;
        let none = Catalogue::default();
        // it is of contacts: a field of theirs is none of another object
        let catalogue = if self.kind == "contact" {
            &probed.catalogue
        } else {
            &none
        };
        let mut flat = record::flatten(&self.kind, record, catalogue);
        if let Some(detail) = detail {
            let known = catalogue.with(&self.kind, &flat.labels);
            flat = with(flat, record::flatten(&self.kind, detail, &known));
        }
        if !flat.labels.is_empty() {
            self.api.told(&self.kind, &flat.labels);
        }
        Ok(Some(Item::Record(flat.record)))
    }

    /// Whether the list has a row still: where it was, or about there, since others may be gone. A page may be shorter than it
    /// was asked for.
    async fn is_listed(&self, offset: u64, id: &str) -> Result<bool, SourceError> {
        let begin = offset.saturating_sub(LIMIT / 2);
        let (mut at, mut pages) = (offset, 0);
        while at <= offset + LIMIT / 2 && pages < ABOUT {
            let ask = Ask {
                kind: &self.kind,
                offset: at,
                limit: LIMIT,
                ..Ask::default()
            };
            let page = match self.api.page(&ask).await {
                Ok(page) => page,
                Err(Refusal::Absent(_)) => Page::default(),
                Err(refusal) => return Err(self.api.failed(&self.kind, &refusal)),
            };
            if page.rows.iter().any(|row| Row::of(row).id == id) {
                return Ok(true);
            }
            // then from before it
            at = if pages == 0 {
                begin
            } else {
                at + page.rows.len().max(1) as u64
            };
            pages += 1;
        }
        Ok(false)
    }

    fn is_summary(&self, row: &Record) -> bool {
        self.offered.has_summaries() || self.offered.fieldsets && row.get("fieldsets").is_none()
    }

    fn broken(&self, offset: u64, why: &str) -> Item {
        let place = format!("{}?offset={offset}", self.api.place(&self.kind));
        Item::Broken(Rejection::new(
            "BrokenRow",
            self.kind.as_str(),
            format!("{place}: {why}"),
        ))
    }
}

/// The members of all lists: rows of `list_id` and `contact_id`.
pub struct Members {
    api: Arc<Api>,
    lists: Items,
    offered: Offered,
    list: Option<(Value, Reading)>,
}

impl Members {
    /// Of these lists.
    pub fn new(api: Arc<Api>, lists: Items, offered: Offered) -> Self {
        Self {
            api,
            lists,
            offered,
            list: None,
        }
    }

    /// As a stream.
    pub fn items(self) -> Items {
        stream::try_unfold(Box::new(self), |mut members| async move {
            let item = members.next().await?;
            Ok(item.map(|item| (item, members)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Item>, SourceError> {
        loop {
            if let Some((list, reading)) = &mut self.list {
                match reading.next().await? {
                    Some(Item::Record(contact)) => {
                        let id = contact.get("id").cloned().unwrap_or_default();
                        let pair = [("list_id".to_owned(), list.clone()), ("contact_id".to_owned(), id)];
                        return Ok(Some(Item::Record(pair.into_iter().collect())));
                    }
                    Some(item) => return Ok(Some(item)),
                    None => self.list = None,
                }
            }
            let Some(item) = self.lists.next().await else {
                return Ok(None);
            };
            // lists that cannot be read are told where lists are read
            if let Item::Record(list) = item?
                && let Some(id) = id_of(&list)
            {
                let reading = Reading::new(self.api.clone(), "contact", Some(id), self.offered.clone())?;
                self.list = Some((list.get("id").cloned().unwrap_or_default(), reading));
            }
        }
    }
}
