//! One batch in flight: what Odoo has now, what to send of it, what became of it.

mod again;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::json;

use super::{
    contents,
    error::{StepError, of_rpc},
    heart::Heart,
    lookups::Known,
    verify::Instead,
};
use crate::{
    mapping::{LineFields, TargetField},
    model::{ExternalId, OdooModel, OdooValue, Record, Rejection, SourceKey},
    odoo::{
        conflict::{self, Computed, Merge},
        content,
        lines::{self, FoundLine, LineOp, Terms},
        rpc::Rpc,
        upsert::{Op, Stop, Write, Writer, Written},
        verify::{ReadRecord, read_back},
    },
    workspace::{Entry, Former, Why, Workspace},
};

/// A record that is mapped and decided on.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub key: SourceKey,
    pub external_id: ExternalId,
    pub digest: String,
    pub values: Vec<(String, OdooValue)>,
    /// What is only compared.
    pub checks: Vec<(String, OdooValue)>,
    pub todo: Todo,
    pub open: Open,
    /// People made its record one with another.
    pub merged: bool,
    /// What happened to it in this run so far that does not happen again.
    pub notes: Vec<Rejection>,
    /// The source has it again after it was archived for its want, be it in another object.
    pub revived: bool,
    /// What the read-back found in place of what was sent.
    pub instead: Instead,
}

/// Whether values of a record are open when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    No,
    /// To be filled in this load: not counted yet.
    Now,
    /// To be filled when other objects are there: counted as deferred.
    Later,
}

#[derive(Clone, Debug)]
pub(super) enum Todo {
    Create,
    Adopt(i64),
    Compare {
        known: Known,
        id: i64,
        entry: Option<Box<Entry>>,
    },
}

impl Prepared {
    /// What the ledger has of it.
    pub(super) fn entry(&self) -> Option<&Entry> {
        match &self.todo {
            Todo::Compare { entry, .. } => entry.as_deref(),
            Todo::Create | Todo::Adopt(_) => None,
        }
    }

    /// Whether it is in Odoo and no ledger tells what we wrote of it.
    fn is_unknown(&self) -> bool {
        matches!(&self.todo, Todo::Compare { entry: None, .. })
    }
}

/// When a record was made.
fn made() -> TargetField {
    TargetField::new("create_date", "datetime")
}

pub(super) fn active() -> TargetField {
    TargetField::new("active", "boolean")
}

/// A record that was written, or refused.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub prepared: Prepared,
    pub end: End,
    /// How it met what was there; nothing of it for a record that was made.
    pub merge: Merge,
    /// Lines that a person keeps, by the name of their external id, and fields of them.
    pub kept_lines: Vec<(String, Option<String>)>,
    /// Somebody else had written to the record.
    pub touched: bool,
    /// What Odoo has made of the HTML that it was sent now.
    pub forms: BTreeMap<String, OdooValue>,
    /// What came of sending once more what Odoo had set otherwise.
    pub again: Vec<Rejection>,
}

/// Changes of lines, by field.
type LineOps = Vec<(String, Vec<LineOp>)>;

/// How a record and its lines met what was there.
#[derive(Clone, Debug, Default)]
struct Met {
    merge: Merge,
    kept_lines: Vec<(String, Option<String>)>,
    touched: bool,
}

/// Records as they are in Odoo, and their lines by field.
struct Now {
    records: BTreeMap<i64, ReadRecord>,
    lines: BTreeMap<String, BTreeMap<i64, Vec<FoundLine>>>,
}

#[derive(Clone, Debug)]
pub(super) enum End {
    Created(i64),
    Adopted(i64),
    Updated(i64),
    Untouched(i64),
    Failed(Rejection),
}

impl End {
    /// The record; none where Odoo refused it.
    fn id(&self) -> Option<i64> {
        match self {
            Self::Created(id) | Self::Adopted(id) | Self::Updated(id) | Self::Untouched(id) => Some(*id),
            Self::Failed(_) => None,
        }
    }
}

/// What one batch in flight needs.
pub(super) struct Sender {
    pub writer: Arc<Writer>,
    pub rpc: Arc<dyn Rpc>,
    pub workspace: Workspace,
    pub heart: Heart,
    pub targets: Vec<TargetField>,
    /// Those of them that Odoo computes from others.
    pub computed: Arc<[Computed]>,
    /// What Odoo gives of them where nothing is sent.
    pub defaults: Arc<BTreeMap<String, OdooValue>>,
    /// Records that somebody else wrote to, whoever Odoo names as the last.
    pub touched: Arc<BTreeSet<i64>>,
    pub lines: Vec<LineFields>,
    pub module: String,
    pub object: String,
    pub model: String,
    pub uid: i64,
    /// What a person wrote is written over.
    pub overwrite: bool,
    /// Lines that the source has no more stay: it gave less than it has.
    pub lines_stay: bool,
    pub now: Timestamp,
}

impl Sender {
    pub async fn send(self, batch: Vec<Prepared>) -> Result<Vec<Done>, StepError> {
        let current = self.current(&batch).await?;
        let mut undo = Vec::new();
        let mut writes = Vec::new();
        let mut ends: BTreeMap<SourceKey, (End, Met)> = BTreeMap::new();
        for prepared in &batch {
            let (op, met) = self.operation(prepared, &current, &mut undo);
            let id = match prepared.todo {
                Todo::Compare { id, .. } | Todo::Adopt(id) => id,
                Todo::Create => 0,
            };
            ends.insert(prepared.key.clone(), (End::Untouched(id), met));
            writes.extend(op.map(|op| Write {
                key: prepared.key.clone(),
                external_id: prepared.external_id.clone(),
                op,
            }));
        }
        self.keep_contents(&mut undo, &writes).await?;
        self.workspace.append_undo(&self.object, &undo).await?;
        let heart = self.heart.clone();
        let written = match self.writer.write(writes, &move || heart.may_send()).await {
            Ok(written) => written,
            Err(interrupted) => return Err(stopped_by(&interrupted.stop)),
        };
        for (key, written) in written {
            if let Some((end, _)) = ends.get_mut(&key) {
                *end = match written {
                    Written::Created(id) => End::Created(id),
                    Written::Updated(id) => End::Updated(id),
                    Written::Adopted(id) => End::Adopted(id),
                    Written::Failed(rejection) => End::Failed(rejection),
                };
            }
        }
        let mut again = self.send_again(&batch, &ends, &current).await?;
        let mut forms = self.forms(&batch, &ends).await?;
        Ok(batch
            .into_iter()
            .filter_map(|prepared| {
                let (end, met) = ends.remove(&prepared.key)?;
                let Met {
                    merge,
                    kept_lines,
                    touched,
                } = met;
                let forms = end.id().and_then(|id| forms.remove(&id)).unwrap_or_default();
                let again = again.remove(&prepared.key).unwrap_or_default();
                Some(Done {
                    prepared,
                    end,
                    merge,
                    kept_lines,
                    touched,
                    forms,
                    again,
                })
            })
            .collect())
    }

    /// What Odoo has made of the HTML that it was just sent, by record.
    async fn forms(
        &self,
        batch: &[Prepared],
        ends: &BTreeMap<SourceKey, (End, Met)>,
    ) -> Result<BTreeMap<i64, BTreeMap<String, OdooValue>>, StepError> {
        let html: Vec<TargetField> = self
            .targets
            .iter()
            .filter(|field| conflict::is_html(field))
            .cloned()
            .collect();
        let is_html = |name: &str| html.iter().any(|field| field.name == name);
        let mut sent: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
        for prepared in batch {
            let Some((end, Met { merge, .. })) = ends.get(&prepared.key) else {
                continue;
            };
            let made = matches!(prepared.todo, Todo::Create);
            let all = prepared.values.iter().filter(|_| made).chain(&merge.send);
            let texts = all.filter(|(name, value)| is_html(name) && matches!(value, OdooValue::Text(_)));
            let names: Vec<&str> = texts.map(|(name, _)| name.as_str()).collect();
            if let Some(id) = end.id().filter(|_| !names.is_empty()) {
                sent.insert(id, names);
            }
        }
        if sent.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids: Vec<i64> = sent.keys().copied().collect();
        let mut found = read_back(&*self.rpc, &self.model, &html, &ids).await?;
        // what a person wrote meanwhile is not what Odoo made of ours
        found.retain(|_, record| record.write_uid == self.uid);
        for (id, record) in &mut found {
            let names = sent.get(id);
            record
                .values
                .retain(|name, _| names.is_some_and(|names| names.contains(&name.as_str())));
        }
        Ok(found.into_iter().map(|(id, record)| (id, record.values)).collect())
    }

    /// Content that is written over is kept in the workspace, and the undo log names it.
    async fn keep_contents(&self, undo: &mut [Former], writes: &[Write]) -> Result<(), StepError> {
        let holds_content = |field: &str| {
            let target = self.targets.iter().find(|target| target.name == field);
            target.is_some_and(|target| target.ttype == "binary")
        };
        for former in undo.iter_mut().filter(|former| former.model.0 == self.model) {
            let values = writes
                .iter()
                .find(|write| write.key == former.key)
                .map_or(&[][..], |write| write.op.values());
            for (field, _) in values.iter().filter(|(field, _)| holds_content(field)) {
                let Some(was) = former.fields.get_mut(field).filter(|was| was.is_object()) else {
                    continue;
                };
                let bytes = content::bytes(&*self.rpc, &self.model, former.id, field).await?;
                let mut kept = self.workspace.write_content();
                kept.push(&bytes).await?;
                *was = json!(kept.finish().await?);
            }
        }
        Ok(())
    }

    async fn current(&self, batch: &[Prepared]) -> Result<Now, StepError> {
        let ids: Vec<i64> = batch
            .iter()
            .filter_map(|prepared| match prepared.todo {
                Todo::Compare { id, .. } | Todo::Adopt(id) => Some(id),
                Todo::Create => None,
            })
            .collect();
        let mut now = Now {
            records: BTreeMap::new(),
            lines: BTreeMap::new(),
        };
        if ids.is_empty() {
            return Ok(now);
        }
        let mut fields = conflict::with_beside(&self.model, &self.targets);
        let revived = batch.iter().any(|prepared| prepared.revived).then(active);
        let unknown = batch.iter().any(Prepared::is_unknown).then(made);
        for field in revived.into_iter().chain(unknown) {
            if !fields.iter().any(|mapped| mapped.name == field.name) {
                fields.push(field);
            }
        }
        now.records = read_back(&*self.rpc, &self.model, &fields, &ids).await?;
        for lines in &self.lines {
            let found = lines::read(&*self.rpc, &self.module, lines, &now.records).await?;
            now.lines.insert(lines.field.clone(), found);
        }
        Ok(now)
    }

    /// Whether somebody else wrote to a record, as far as anybody knows.
    fn is_touched(&self, prepared: &Prepared, id: i64, now: &ReadRecord) -> bool {
        now.write_uid != self.uid || self.touched.contains(&id) || prepared.entry().is_some_and(|entry| entry.touched)
    }

    fn create(&self, prepared: &Prepared) -> Op {
        Op::Create(conflict::to_create(&self.model, &prepared.values))
    }

    /// What to send for a record; nothing where Odoo has it already.
    fn operation(&self, prepared: &Prepared, current: &Now, undo: &mut Vec<Former>) -> (Option<Op>, Met) {
        let (id, adopt) = match &prepared.todo {
            Todo::Create => return (Some(self.create(prepared)), Met::default()),
            Todo::Adopt(id) => (*id, true),
            Todo::Compare { id, .. } => (*id, false),
        };
        let Some(now) = current.records.get(&id) else {
            // gone since the step began: the external id went with it
            return (Some(self.create(prepared)), Met::default());
        };
        let (mut last, adopted) = written_last(prepared, now, self.uid);
        last.extend(self.never_written(prepared, now));
        last.extend(prepared.instead.fields.clone());
        // what a person keeps was not never written
        for name in prepared.entry().into_iter().flat_map(|entry| &entry.theirs) {
            if conflict::is_of_address(name) {
                last.entry(name.clone()).or_default();
            }
        }
        let (mut targets, mut wanted) = (Cow::from(&self.targets), Cow::from(&prepared.values));
        if prepared.revived {
            // that it is archived is our doing
            let active = active();
            let archived = conflict::field_digest(&self.model, &active, &OdooValue::Boolean(false));
            last.insert(active.name.clone(), archived);
            if !wanted.iter().any(|(name, _)| *name == active.name) {
                wanted.to_mut().push((active.name.clone(), OdooValue::Boolean(true)));
                targets.to_mut().push(active);
            }
        }
        let mut merge = conflict::merge(
            &self.model,
            &targets,
            &now.values,
            &wanted,
            &last,
            adopted,
            self.overwrite,
        );
        if self.lines_stay {
            merge.keep_links();
        }
        let touched = self.is_touched(prepared, id, now);
        merge.hold(&self.computed, &now.values, &wanted, !touched && !adopted);
        let (lines, kept_lines) = self.line_ops(prepared, id, current, (adopted, &mut merge), undo);
        let changes = !(merge.send.is_empty() && merge.unlink.is_empty() && lines.is_empty());
        if adopt || !merge.foreign.is_empty() {
            undo.push(Former {
                key: prepared.key.clone(),
                id,
                model: OdooModel(self.model.clone()),
                fields: former(
                    now.values
                        .iter()
                        .filter(|(name, _)| (adopt && **name != made().name) || merge.foreign.contains(name)),
                ),
                when: Some(self.now),
                why: if adopt { Why::Adopted } else { Why::Written },
            });
        }
        let values = merge.send.clone();
        let op = if adopt {
            Some(Op::Adopt { id, values, lines })
        } else {
            let unlink = merge.unlink.clone();
            changes.then_some(Op::Update {
                id,
                values,
                unlink,
                lines,
            })
        };
        let met = Met {
            merge,
            kept_lines,
            touched,
        };
        (op, met)
    }

    /// Fields that were not written so far, and that are as Odoo made them: those are ours to fill. A default is, and all of
    /// them where nobody else wrote to the record, as far as that is known.
    fn never_written(&self, prepared: &Prepared, now: &ReadRecord) -> Vec<(String, String)> {
        let Todo::Compare {
            entry: Some(entry),
            known,
            id,
        } = &prepared.todo
        else {
            return Vec::new();
        };
        let is_ours_alone = !self.is_touched(prepared, *id, now);
        let fields = self.targets.iter().filter(|field| {
            let name = &field.name;
            let is_default = || {
                let default = self.defaults.get(name);
                default.is_some_and(|default| now.values.get(name) == Some(default))
            };
            !known.noupdate
                && !entry.fields.contains_key(name)
                && !entry.theirs.contains(name)
                && (is_ours_alone || is_default())
        });
        fields
            .filter_map(|field| {
                let digest = conflict::field_digest(&self.model, field, now.values.get(&field.name)?);
                Some((field.name.clone(), digest))
            })
            .collect()
    }

    /// What to send of the lines of a record, and which of them a person keeps.
    fn line_ops(
        &self,
        prepared: &Prepared,
        id: i64,
        current: &Now,
        (adopted, met): (bool, &mut Merge),
        undo: &mut Vec<Former>,
    ) -> (LineOps, Vec<(String, Option<String>)>) {
        let mut last = prepared.entry().map(|entry| entry.lines.clone()).unwrap_or_default();
        for (line, instead) in &prepared.instead.lines {
            last.entry(line.clone()).or_default().extend(instead.clone());
        }
        let (mut all, mut kept) = (LineOps::new(), Vec::new());
        for (field, value) in &prepared.values {
            let (OdooValue::Lines(wanted), Some(lines)) =
                (value, self.lines.iter().find(|lines| lines.field == *field))
            else {
                continue;
            };
            let now = current.lines.get(field).and_then(|found| found.get(&id));
            let now = now.map_or(&[][..], Vec::as_slice);
            let terms = Terms {
                adopt: adopted,
                uid: self.uid,
                overwrite: self.overwrite,
                stay: self.lines_stay,
            };
            let merge = lines::merge(lines, now, wanted, &last, terms);
            if merge.theirs || !merge.kept.is_empty() {
                met.kept.push(field.clone());
            }
            if merge.overwritten {
                met.conflicts.push(field.clone());
            }
            kept.extend(merge.kept);
            kept.extend(merge.stay.into_iter().map(|line| (line, None)));
            undo.extend(merge.foreign.into_iter().filter_map(|(line, fields)| {
                let found = now.iter().find(|found| found.id == line)?;
                let values = found.record.values.iter();
                Some(Former {
                    key: prepared.key.clone(),
                    id: line,
                    model: lines.model.clone(),
                    fields: former(values.filter(|(name, _)| fields.contains(name))),
                    when: Some(self.now),
                    why: Why::Written,
                })
            }));
            if !merge.ops.is_empty() {
                all.push((field.clone(), merge.ops));
            }
        }
        (all, kept)
    }
}

/// Values for the undo log, as a `write` takes them; of content what tells it.
pub(super) fn former<'a>(values: impl Iterator<Item = (&'a String, &'a OdooValue)>) -> Record {
    let wire = values.filter_map(|(field, value)| match value {
        OdooValue::Content(content) => Some((field.clone(), json!(content))),
        value => Some((field.clone(), value.to_wire()?)),
    });
    wire.collect()
}

pub(super) fn stopped_by(stop: &Stop) -> StepError {
    match stop {
        Stop::Fenced => StepError::stopped(),
        Stop::Rpc(error) => of_rpc(error),
        Stop::Content(error) => contents::unread(error),
    }
}

/// What we wrote last, and whether the values of the record are theirs where that is not known. Without a ledger (a lost
/// workspace) a record that we made and nobody wrote since is ours. One that was written since may have been written by
/// a person and then by us: it is not told apart, and what differs stays.
fn written_last(prepared: &Prepared, now: &ReadRecord, uid: i64) -> (BTreeMap<String, String>, bool) {
    match &prepared.todo {
        Todo::Compare {
            entry: Some(entry),
            known,
            ..
        } => {
            // where a person keeps every field, nothing of it is ours
            let nothing_is_ours = entry.fields.is_empty() && !entry.theirs.is_empty();
            (entry.fields.clone(), known.noupdate || nothing_is_ours)
        }
        Todo::Compare { entry: None, known, .. } => {
            let as_made = now.values.get(&made().name) == Some(&OdooValue::DateTime(now.write_date.clone()));
            (BTreeMap::new(), known.noupdate || now.write_uid != uid || !as_made)
        }
        Todo::Adopt(_) | Todo::Create => (BTreeMap::new(), true),
    }
}
