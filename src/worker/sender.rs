//! One batch in flight: what Odoo has now, what to send of it, what became of it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    error::{StepError, of_rpc},
    heart::Heart,
    lookups::Known,
};
use crate::{
    mapping::{LineFields, TargetField},
    model::{ExternalId, OdooModel, OdooValue, Record, Rejection, SourceKey},
    odoo::{
        conflict::{Merge, beside, keep_theirs},
        lines::{self, FoundLine, LineOp, WrittenLines},
        rpc::Rpc,
        upsert::{Op, Stop, Write, Writer, Written},
        verify::{ReadRecord, read_back},
    },
    workspace::{Entry, Former, Workspace},
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

/// A record that was written, or refused.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub prepared: Prepared,
    pub end: End,
    pub kept: Kept,
}

/// What a person keeps.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub fields: Vec<String>,
    /// Lines, by the name of their external id, and fields of them.
    pub lines: Vec<(String, Option<String>)>,
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

/// What one batch in flight needs.
pub(super) struct Sender {
    pub writer: Arc<Writer>,
    pub rpc: Arc<dyn Rpc>,
    pub workspace: Workspace,
    pub heart: Heart,
    pub targets: Vec<TargetField>,
    pub lines: Vec<LineFields>,
    pub module: String,
    pub object: String,
    pub model: String,
    pub uid: i64,
}

impl Sender {
    pub async fn send(self, batch: Vec<Prepared>) -> Result<Vec<Done>, StepError> {
        let current = self.current(&batch).await?;
        let mut undo = Vec::new();
        let mut writes = Vec::new();
        let mut ends: BTreeMap<SourceKey, (End, Kept)> = BTreeMap::new();
        for prepared in &batch {
            let (op, kept) = self.operation(prepared, &current, &mut undo);
            let id = match prepared.todo {
                Todo::Compare { id, .. } | Todo::Adopt(id) => id,
                Todo::Create => 0,
            };
            ends.insert(prepared.key.clone(), (End::Untouched(id), kept));
            writes.extend(op.map(|op| Write {
                key: prepared.key.clone(),
                external_id: prepared.external_id.clone(),
                op,
            }));
        }
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
        Ok(batch
            .into_iter()
            .filter_map(|prepared| {
                let (end, kept) = ends.remove(&prepared.key)?;
                Some(Done { prepared, end, kept })
            })
            .collect())
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
        let mut fields = self.targets.clone();
        for field in beside(&self.model) {
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

    /// What to send for a record; nothing where Odoo has it already.
    fn operation(&self, prepared: &Prepared, current: &Now, undo: &mut Vec<Former>) -> (Option<Op>, Kept) {
        let (id, adopt) = match &prepared.todo {
            Todo::Create => return (Some(Op::Create(prepared.values.clone())), Kept::default()),
            Todo::Adopt(id) => (*id, true),
            Todo::Compare { id, .. } => (*id, false),
        };
        let Some(now) = current.records.get(&id) else {
            // gone since the step began: the external id went with it
            return (Some(Op::Create(prepared.values.clone())), Kept::default());
        };
        let (last, adopted) = written_last(prepared, now, self.uid);
        let merge = keep_theirs(
            &self.model,
            &self.targets,
            &now.values,
            &prepared.values,
            &last,
            adopted,
        );
        let Merge { send, unlink, kept } = merge;
        let mut kept = Kept {
            fields: kept,
            lines: Vec::new(),
        };
        let lines = self.line_ops(prepared, id, current, adopted, &mut kept);
        if adopt {
            undo.push(Former {
                key: prepared.key.clone(),
                id,
                model: OdooModel(self.model.clone()),
                fields: former(&now.values),
            });
            let op = Op::Adopt {
                id,
                values: send,
                lines,
            };
            return (Some(op), kept);
        }
        if send.is_empty() && unlink.is_empty() && lines.is_empty() {
            return (None, kept);
        }
        let op = Op::Update {
            id,
            values: send,
            unlink,
            lines,
        };
        (Some(op), kept)
    }

    /// What to send of the lines of a record.
    fn line_ops(
        &self,
        prepared: &Prepared,
        id: i64,
        current: &Now,
        adopted: bool,
        kept: &mut Kept,
    ) -> Vec<(String, Vec<LineOp>)> {
        let none = WrittenLines::new();
        let last = match &prepared.todo {
            Todo::Compare { entry: Some(entry), .. } => &entry.lines,
            Todo::Compare { entry: None, .. } | Todo::Adopt(_) | Todo::Create => &none,
        };
        let mut all = Vec::new();
        for (field, value) in &prepared.values {
            let (OdooValue::Lines(wanted), Some(lines)) =
                (value, self.lines.iter().find(|lines| lines.field == *field))
            else {
                continue;
            };
            let now = current.lines.get(field).and_then(|found| found.get(&id));
            let now = now.map_or(&[][..], Vec::as_slice);
            let merge = lines::merge(lines, now, wanted, last, (adopted, self.uid));
            if merge.theirs || !merge.kept.is_empty() {
                kept.fields.push(field.clone());
            }
            kept.lines.extend(merge.kept);
            if !merge.ops.is_empty() {
                all.push((field.clone(), merge.ops));
            }
        }
        all
    }
}

/// Values as Odoo gave them, for the undo log.
fn former(values: &BTreeMap<String, OdooValue>) -> Record {
    let wire = values
        .iter()
        .filter_map(|(field, value)| Some((field.clone(), value.to_wire()?)));
    wire.collect()
}

pub(super) fn stopped_by(stop: &Stop) -> StepError {
    match stop {
        Stop::Fenced => StepError::stopped(),
        Stop::Rpc(error) => of_rpc(error),
    }
}

/// What we wrote last, and whether the values of the record are theirs where that is not known. Without a ledger (a lost
/// workspace) a record that we made and nobody wrote since is ours.
fn written_last(prepared: &Prepared, now: &ReadRecord, uid: i64) -> (BTreeMap<String, String>, bool) {
    match &prepared.todo {
        Todo::Compare {
            entry: Some(entry),
            known,
            ..
        } => (entry.fields.clone(), known.noupdate),
        Todo::Compare { entry: None, known, .. } => (BTreeMap::new(), known.noupdate || now.write_uid != uid),
        Todo::Adopt(_) | Todo::Create => (BTreeMap::new(), true),
    }
}
