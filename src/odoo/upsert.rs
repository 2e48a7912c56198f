//! Writing records with the effect of once.
//!
//! One call is one transaction, so a batch is in or it is not. What already has its external id is never created again;
//! a call without an answer is settled by reading the external ids back; a refused batch is taken apart until only the
//! bad rows are left. What no client can prevent (a dead writer's call that commits late) the sweep finds.
//!
//! Won leads must go through one `Writer` at a time: Odoo counts them in a table on which two writers collide.

mod batch;

use std::{
    collections::HashSet,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value as Json, json};
use tokio::sync::Mutex;

use self::batch::{
    Row, Sorted, Then, Way, absent, by_values, of_bounded_weight, once_each, same_fields, weight, whole,
};
use super::{
    bisect::{Group, Groups},
    content::{self, Contents, NoContents, Unread},
    identity,
    lines::{self, LineOp},
    models::made_by_load,
    patience,
    rpc::{Rpc, RpcError},
    wire,
};
use crate::{
    args,
    model::{ExternalId, OdooModel, OdooValue, Rejection, SourceKey},
};

/// A record to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Key in the source.
    pub key: SourceKey,
    /// Its identity in Odoo.
    pub external_id: ExternalId,
    /// What to do.
    pub op: Op,
}

/// What to do with a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Make it. If its external id is there after all, that record gets the values.
    Create(Vec<(String, OdooValue)>),
    /// Change it.
    Update {
        /// The record.
        id: i64,
        /// The changed fields; of a many2many the links to add.
        values: Vec<(String, OdooValue)>,
        /// Links of a many2many to take away.
        unlink: Vec<(String, Vec<i64>)>,
        /// Changes of lines.
        lines: Vec<(String, Vec<LineOp>)>,
    },
    /// Give a record that was there before us its external id, and what fills its emptiness.
    Adopt {
        /// The record.
        id: i64,
        /// What fills emptiness.
        values: Vec<(String, OdooValue)>,
        /// Changes of lines.
        lines: Vec<(String, Vec<LineOp>)>,
    },
}

impl Op {
    /// The values that it sends.
    #[must_use]
    pub fn values(&self) -> &[(String, OdooValue)] {
        match self {
            Self::Create(values) | Self::Update { values, .. } | Self::Adopt { values, .. } => values,
        }
    }
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Made by this call.
    Created(i64),
    /// Changed; also a record to create whose external id was there already.
    Updated(i64),
    /// Has its external id now, and its values.
    Adopted(i64),
    /// Odoo refuses this row, alone too; nothing of it is in Odoo.
    Failed(Rejection),
}

/// What is done, in no particular order.
pub type Done = Vec<(SourceKey, Written)>;

/// Writing ended before its end. What is not in `done` was not carried out, as far as anyone can know.
#[derive(Debug, thiserror::Error)]
#[error("writing ended early")]
pub struct Interrupted {
    /// What is done.
    pub done: Done,
    /// Why it ended.
    #[source]
    pub stop: Stop,
}

/// Why writing ended early.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// `may_send` said no.
    #[error("this worker may send nothing any more")]
    Fenced,
    /// Odoo.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// Content that is to be sent cannot be read.
    #[error(transparent)]
    Content(#[from] Unread),
}

/// Calls in a row without an answer after which the server is the matter, not the data.
const UNANSWERED: u32 = 12;
/// Between two looks for what a call without an answer may still commit.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// Writes the records of one object.
pub struct Writer {
    rpc: Arc<dyn Rpc>,
    model: OdooModel,
    module: String,
    contents: Arc<dyn Contents>,
    /// Calls that carry more content than others go one by one, or memory would grow with the connections.
    heavy: Mutex<()>,
    /// The server lacks `web_save_multi`.
    single: AtomicBool,
}

/// One `write`: what is done, and how patient it still is.
struct Session<'a> {
    may_send: &'a (dyn Fn() -> bool + Sync),
    done: Done,
    waits: u32,
    unanswered: u32,
    /// Rows that never get an answer, even alone.
    silent: Vec<(SourceKey, RpcError)>,
    /// Some call was carried out.
    carried: bool,
}

/// What a call without a result means for its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The data is refused.
    Refused,
    /// The method is not there.
    NoMethod,
    /// Nothing was carried out; try again after this long.
    Wait(Duration),
    /// Unknown until read back.
    Unknown,
    /// It ends here.
    GiveUp,
}

fn verdict(error: &RpcError, way: Way, waits: u32) -> Verdict {
    match error {
        RpcError::Rejected { .. } | RpcError::Missing { .. } => Verdict::Refused,
        RpcError::NotFound { .. } if way == Way::Update => Verdict::NoMethod,
        RpcError::Unknown { .. } => Verdict::Unknown,
        RpcError::Unauthorized
        | RpcError::Forbidden { .. }
        | RpcError::NotFound { .. }
        | RpcError::Conflict
        | RpcError::Throttled { .. }
        | RpcError::Unreachable { .. } => patience::wait_if_unsent(error, waits).map_or(Verdict::GiveUp, Verdict::Wait),
    }
}

fn rejection(error: &RpcError) -> Rejection {
    match error {
        RpcError::Rejected { name, message } => {
            Rejection::new(name.rsplit('.').next().unwrap_or_default(), "", message.as_str())
        }
        RpcError::Missing { message } => Rejection::new("MissingError", "", message.as_str()),
        other => Rejection::new("NotWritten", "", other.to_string()),
    }
}

impl Writer {
    /// A writer for the records of `model` whose external ids are in `module`.
    pub fn new(rpc: Arc<dyn Rpc>, model: OdooModel, module: String) -> Self {
        Self {
            rpc,
            model,
            module,
            contents: Arc::new(NoContents),
            heavy: Mutex::new(()),
            single: AtomicBool::new(false),
        }
    }

    /// With content to send.
    #[must_use]
    pub fn with_contents(mut self, contents: Arc<dyn Contents>) -> Self {
        self.contents = contents;
        self
    }

    /// Writes a batch. Before every call that changes something `may_send` must be true.
    ///
    /// # Errors
    /// [`Interrupted`] with what is done, when `may_send` says no or Odoo cannot or will not be talked to.
    pub async fn write(&self, batch: Vec<Write>, may_send: &(dyn Fn() -> bool + Sync)) -> Result<Done, Interrupted> {
        let mut session = Session {
            may_send,
            done: Vec::with_capacity(batch.len()),
            waits: 0,
            unanswered: 0,
            silent: Vec::new(),
            carried: false,
        };
        match self.carry_out(batch, &mut session).await {
            Ok(()) => Ok(session.done),
            Err(stop) => Err(Interrupted {
                done: session.done,
                stop,
            }),
        }
    }

    async fn carry_out(&self, batch: Vec<Write>, session: &mut Session<'_>) -> Result<(), Stop> {
        let names: Vec<String> = batch
            .iter()
            .filter(|write| !matches!(write.op, Op::Update { .. }))
            .map(|write| write.external_id.name.clone())
            .collect();
        let found = identity::owners(&*self.rpc, &self.module, &names).await?;
        let way = if made_by_load(&self.model.0) {
            Way::Load
        } else {
            Way::Create
        };
        let Sorted {
            mut create,
            update,
            name,
            done,
        } = Sorted::of(batch, &found, &self.model, way);
        session.done.extend(done);
        let groups = if way == Way::Load {
            create.sort_by_cached_key(|row| wire::columns(&row.values));
            same_fields(&create)
        } else {
            whole(&create)
        };
        self.send_all(&create, way, groups, session).await?;
        // values first, name second: killed in between, the record is matched and adopted again
        self.send_all(&update, Way::Update, whole(&update), session).await?;
        session.judge_silent()?;
        let failed: HashSet<SourceKey> = session.failed();
        let name: Vec<Row> = name.into_iter().filter(|row| !failed.contains(&row.key)).collect();
        self.send_all(&name, Way::Name, whole(&name), session).await?;
        session.judge_silent()
    }

    async fn send_all(
        &self,
        rows: &[Row],
        way: Way,
        groups: Vec<Range<usize>>,
        session: &mut Session<'_>,
    ) -> Result<(), Stop> {
        let mut groups = Groups::new(of_bounded_weight(rows, groups));
        while let Some(group) = groups.next() {
            let part = &rows[group.rows.clone()];
            let error = match self.send(part, way, session).await {
                Ok(ids) => {
                    session.took(part.iter().zip(ids), way);
                    groups.taken();
                    continue;
                }
                Err(Stop::Rpc(error)) => error,
                Err(stop @ (Stop::Fenced | Stop::Content(_))) => return Err(stop),
            };
            match verdict(&error, way, session.waits) {
                Verdict::Refused => session.refused(&mut groups, group, part, &error),
                Verdict::NoMethod if self.single.swap(true, Ordering::Relaxed) => return Err(error.into()),
                Verdict::NoMethod => groups.again(group),
                Verdict::Wait(wait) => {
                    session.waits += 1;
                    tokio::time::sleep(wait).await;
                    groups.again(group);
                }
                Verdict::Unknown => {
                    if let Some(wait) = patience::wait_to_repeat(&error, session.unanswered.min(3)) {
                        tokio::time::sleep(wait).await;
                    }
                    let found = self.settle(part, way).await?;
                    if found.iter().all(Option::is_none) {
                        session.unanswered(&mut groups, group, part, error)?;
                    } else {
                        session.took(part.iter().zip(&found).filter_map(|(row, id)| Some((row, (*id)?))), way);
                        groups.left(absent(&found, group.rows.start));
                    }
                }
                Verdict::GiveUp => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// One call. Gives the record of each row.
    async fn send(&self, rows: &[Row], way: Way, session: &Session<'_>) -> Result<Vec<i64>, Stop> {
        let _alone = if weight(rows) > content::CALL_BYTES {
            Some(self.heavy.lock().await)
        } else {
            None
        };
        session.ask()?;
        let ids = rows.iter().map(|row| row.id).collect();
        match way {
            Way::Create => {
                let args = wire::create(self.filled(rows).await?.into_iter(), &self.module);
                let answer = self.rpc.call(&self.model.0, "create", args).await?;
                Ok(one_each(patience::ids(&answer, "create")?, rows.len())?)
            }
            Way::Load => {
                let args = wire::load(self.filled(rows).await?.into_iter(), &self.module);
                let answer = self.rpc.call(&self.model.0, "load", args).await?;
                Ok(one_each(wire::loaded(&answer)?, rows.len())?)
            }
            Way::Update => self.update(rows, session).await.map(|()| ids),
            Way::Name => {
                let names: Vec<Json> = rows
                    .iter()
                    .map(|row| {
                        json!({"module": self.module, "name": row.name, "model": self.model.0, "res_id": row.id,
                               "noupdate": true})
                    })
                    .collect();
                self.rpc
                    .call("ir.model.data", "create", args!({"vals_list": names}))
                    .await?;
                Ok(ids)
            }
        }
    }

    /// Names and values of rows, with their content.
    async fn filled<'r>(&self, rows: &'r [Row]) -> Result<Vec<(&'r str, Map<String, Json>)>, Stop> {
        let mut filled = Vec::with_capacity(rows.len());
        for row in rows {
            filled.push((row.name.as_str(), self.values(row).await?));
        }
        Ok(filled)
    }

    /// The values of a row, with its content.
    async fn values(&self, row: &Row) -> Result<Map<String, Json>, Stop> {
        let mut values = row.values.clone();
        for (field, content) in &row.contents {
            values.insert(field.clone(), Json::from(self.contents.base64(content).await?));
        }
        let renamed = values
            .keys()
            .find(|field| content::sent_as(&self.model.0, field) != *field);
        if let Some(field) = renamed.cloned()
            && let Some(value) = values.remove(&field)
        {
            values.insert(content::sent_as(&self.model.0, &field).to_owned(), value);
        }
        Ok(values)
    }

    /// Changes records, in as few calls as the server can do. Doing it twice changes nothing more.
    async fn update(&self, rows: &[Row], session: &Session<'_>) -> Result<(), Stop> {
        let (rows, context) = self.to_update(rows).await?;
        let rows: Vec<&Row> = rows.iter().collect();
        if self.single.load(Ordering::Relaxed) {
            for (row, ids) in by_values(&rows) {
                session.ask()?;
                let values = self.values(row).await?;
                let mut args = args!({"ids": ids, "context": context});
                args.insert("vals".to_owned(), Json::Object(values));
                self.rpc.call(&self.model.0, "write", args).await?;
            }
            return Ok(());
        }
        for rows in once_each(&rows) {
            session.ask()?;
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            let mut values = Vec::with_capacity(rows.len());
            for row in rows {
                values.push(Json::Object(self.values(row).await?));
            }
            let mut args = args!({"ids": ids, "specification": {}, "context": context});
            args.insert("vals_list".to_owned(), Json::Array(values));
            self.rpc.call(&self.model.0, "web_save_multi", args).await?;
        }
        Ok(())
    }

    /// The rows that change something, and the context of their calls. New lines get names, which only a call that says
    /// the module gives; those that an earlier call made are changed.
    async fn to_update(&self, rows: &[Row]) -> Result<(Vec<Row>, Map<String, Json>), RpcError> {
        let mut rows: Vec<Row> = rows.iter().filter(|row| !row.values.is_empty()).cloned().collect();
        let names: Vec<String> = rows.iter().flat_map(|row| lines::new_names(&row.values)).collect();
        let mut context = wire::quiet();
        if !names.is_empty() {
            let there = identity::find(&*self.rpc, &self.module, &names).await?;
            for row in &mut rows {
                lines::change_what_is_there(&mut row.values, &there);
            }
            context.insert("_import_current_module".to_owned(), Json::from(self.module.as_str()));
        }
        Ok((rows, context))
    }

    /// After a call without an answer, once the server answers again: the records that are there for all that.
    async fn settle(&self, rows: &[Row], way: Way) -> Result<Vec<Option<i64>>, RpcError> {
        if way == Way::Update {
            // sent again it changes nothing more; this only waits for the server
            identity::existing(&*self.rpc, &self.model.0, &[]).await?;
            return Ok(vec![None; rows.len()]);
        }
        let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
        let mut found = identity::find(&*self.rpc, &self.module, &names).await?;
        if found.is_empty() {
            tokio::time::sleep(SECOND_LOOK).await;
            found = identity::find(&*self.rpc, &self.module, &names).await?;
        }
        Ok(names.iter().map(|name| found.get(name).copied()).collect())
    }
}

impl Session<'_> {
    fn ask(&self) -> Result<(), Stop> {
        if (self.may_send)() { Ok(()) } else { Err(Stop::Fenced) }
    }

    fn took<'a>(&mut self, rows: impl Iterator<Item = (&'a Row, i64)>, way: Way) {
        (self.waits, self.unanswered, self.carried) = (0, 0, true);
        for (row, id) in rows {
            let written = match (way, row.then) {
                (Way::Create | Way::Load, _) => Written::Created(id),
                (Way::Update, Then::Updated) => Written::Updated(id),
                (Way::Update, Then::Named) => continue,
                (Way::Update, Then::Adopted) | (Way::Name, _) => Written::Adopted(id),
            };
            self.done.push((row.key.clone(), written));
        }
    }

    fn failed(&self) -> HashSet<SourceKey> {
        let failed = self
            .done
            .iter()
            .filter(|(_, written)| matches!(written, Written::Failed(_)));
        failed.map(|(key, _)| key.clone()).collect()
    }

    fn refused(&mut self, groups: &mut Groups, group: Group, rows: &[Row], error: &RpcError) {
        (self.waits, self.unanswered) = (0, 0);
        if groups.refused(group) {
            self.done.extend(
                rows.iter()
                    .map(|row| (row.key.clone(), Written::Failed(rejection(error)))),
            );
        }
    }

    fn unanswered(&mut self, groups: &mut Groups, group: Group, rows: &[Row], error: RpcError) -> Result<(), Stop> {
        self.unanswered += 1;
        if self.unanswered > UNANSWERED {
            return Err(error.into());
        }
        if groups.unanswered(group) {
            self.silent
                .extend(rows.iter().map(|row| (row.key.clone(), error.clone())));
        }
        Ok(())
    }

    /// Rows without an answer are bad if others got one; else it is the server.
    fn judge_silent(&mut self) -> Result<(), Stop> {
        for (key, error) in std::mem::take(&mut self.silent) {
            if !self.carried {
                return Err(error.into());
            }
            self.done.push((key, Written::Failed(rejection(&error))));
        }
        Ok(())
    }
}

fn one_each(ids: Vec<i64>, rows: usize) -> Result<Vec<i64>, RpcError> {
    if ids.len() == rows {
        Ok(ids)
    } else {
        Err(patience::odd("create"))
    }
}

#[cfg(test)]
mod tests;
