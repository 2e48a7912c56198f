//! Lines of a one2many: read with their names, merged into what is there, written in the call of their record.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value as Json, json};

use super::{
    conflict::{self, field_digest},
    patience,
    rpc::{Rpc, RpcError},
    verify::{ReadRecord, read_back},
};
use crate::{
    args,
    mapping::{LineFields, TargetField},
    model::{Line, OdooValue, Reference},
};

/// Ids listed in one call.
const LIST: usize = 1_000;

/// A line as Odoo has it.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundLine {
    /// Its id.
    pub id: i64,
    /// Name of its external id in our module; none: it is not ours.
    pub name: Option<String>,
    /// Its values.
    pub record: ReadRecord,
    /// The user who made it: a line's last writer is who changed its record, too.
    pub made_by: Option<i64>,
}

/// The lines of records that were read with the one2many field, by the id of the record.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn read(
    rpc: &dyn Rpc,
    module: &str,
    lines: &LineFields,
    records: &BTreeMap<i64, ReadRecord>,
) -> Result<BTreeMap<i64, Vec<FoundLine>>, RpcError> {
    let ids_of = |record: &ReadRecord| match record.values.get(&lines.field) {
        Some(OdooValue::Links(ids)) => ids.iter().filter_map(Reference::id).collect(),
        _ => Vec::new(),
    };
    let ids: Vec<i64> = records.values().flat_map(ids_of).collect();
    let mut names = names(rpc, module, &lines.model.0, &ids).await?;
    let maker = TargetField::new("create_uid", "many2one");
    let mut fields = lines.read_back();
    fields.push(maker.clone());
    let mut found = read_back(rpc, &lines.model.0, &fields, &ids).await?;
    let mut line = |id: i64| {
        let mut record = found.remove(&id)?;
        let made_by = match record.values.remove(&maker.name) {
            Some(OdooValue::Link(maker)) => maker.id(),
            _ => None,
        };
        Some(FoundLine {
            id,
            name: names.remove(&id),
            record,
            made_by,
        })
    };
    let of_record =
        |(id, record): (&i64, &ReadRecord)| (*id, ids_of(record).into_iter().filter_map(&mut line).collect());
    Ok(records.iter().map(of_record).collect())
}

async fn names(rpc: &dyn Rpc, module: &str, model: &str, ids: &[i64]) -> Result<HashMap<i64, String>, RpcError> {
    let mut names = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(LIST) {
        let domain = json!([["module", "=", module], ["model", "=", model], ["res_id", "in", chunk]]);
        let args = args!({"domain": domain, "fields": ["name", "res_id"]});
        let answer = patience::call(rpc, "ir.model.data", "search_read", args).await?;
        for row in patience::rows(&answer, "search_read")? {
            names.insert(
                patience::integer(row, "res_id")?,
                patience::text(row, "name").to_owned(),
            );
        }
    }
    Ok(names)
}

/// A change of a one2many.
#[derive(Clone, Debug, PartialEq)]
pub enum LineOp {
    /// A new line.
    Add(Line),
    /// Changed fields of a line, and links of its many2many fields to take away.
    Change {
        /// The line.
        id: i64,
        /// The changed fields.
        values: Vec<(String, OdooValue)>,
        /// Links to take away.
        unlink: Vec<(String, Vec<i64>)>,
    },
    /// A line that the source has no more.
    Remove(i64),
}

/// What was written last, by the name of the line: field to digest. A name without fields: a person took the line away.
pub type WrittenLines = BTreeMap<String, BTreeMap<String, String>>;

/// What becomes of the lines of one record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineMerge {
    /// What to send.
    pub ops: Vec<LineOp>,
    /// Lines (by name) and fields that a person keeps; without a field the whole line.
    pub kept: Vec<(String, Option<String>)>,
    /// The whole field is theirs.
    pub theirs: bool,
    /// Lines (by name) that the source does not give, and that it may have.
    pub stay: Vec<String>,
    /// A person's value was written over, or a line made again that they took away.
    pub overwritten: bool,
    /// Lines, by id, with the fields whose former values are worth keeping.
    pub foreign: Vec<(i64, Vec<String>)>,
}

/// How lines are merged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// The record is being adopted: its lines stay, and only where there are none it gets ours.
    pub adopt: bool,
    /// Who we are.
    pub uid: i64,
    /// What a person changed or took away of ours is as wanted again.
    pub overwrite: bool,
    /// Ours that are not wanted stay: the source gave less than it has.
    pub stay: bool,
}

/// Merges the lines wanted into those that are there. Lines that are not ours stay; ours that are not wanted any more go.
#[must_use]
pub fn merge(lines: &LineFields, now: &[FoundLine], wanted: &[Line], last: &WrittenLines, terms: Terms) -> LineMerge {
    let Terms {
        adopt,
        uid,
        overwrite,
        stay,
    } = terms;
    let mut merge = LineMerge::default();
    let ours = now.iter().any(|line| line.name.is_some()) || wanted.iter().any(|line| last.contains_key(&line.name));
    if adopt && !ours && !now.is_empty() {
        merge.theirs = true;
        return merge;
    }
    for line in wanted {
        let there = now.iter().find(|found| found.name.as_ref() == Some(&line.name));
        let written = last.get(&line.name);
        match there {
            None if written.is_some() && !overwrite => {
                merge.kept.push((line.name.clone(), None));
            }
            // Odoo takes no second one: the person's stands for ours
            None if now
                .iter()
                .any(|found| found.name.is_none() && are_one(lines, found, line)) =>
            {
                merge.kept.push((line.name.clone(), None));
            }
            None => {
                merge.overwritten |= written.is_some();
                merge.ops.push(LineOp::Add(line.clone()));
            }
            Some(found) => merge.change(lines, found, line, written, (uid, overwrite)),
        }
    }
    let gone = now.iter().filter(|found| {
        let name = found.name.as_ref();
        name.is_some_and(|name| !wanted.iter().any(|line| line.name == *name))
    });
    for found in gone {
        if let Some(name) = found
            .name
            .as_ref()
            .filter(|name| is_edited(lines, found, last.get(*name), uid))
        {
            merge.kept.push((name.clone(), None));
            continue;
        }
        if stay {
            merge.stay.extend(found.name.clone());
            continue;
        }
        let fields = found.record.values.keys().cloned().collect();
        merge.foreign.push((found.id, fields));
        merge.ops.push(LineOp::Remove(found.id));
    }
    merge
}

/// Whether a person changed a line of ours. Without a ledger, whoever wrote last tells.
fn is_edited(lines: &LineFields, found: &FoundLine, written: Option<&BTreeMap<String, String>>, uid: i64) -> bool {
    let Some(written) = written else {
        return found.record.write_uid != uid;
    };
    found.record.write_uid != uid
        || lines.targets.iter().any(|field| {
            let now = found.record.values.get(&field.name);
            now.is_some_and(|now| match written.get(&field.name) {
                Some(digest) => !conflict::is_written(&lines.model.0, field, now, digest),
                // kept once, since it was a person's
                None => !conflict::is_blank(field, now),
            })
        })
}

/// Models whose lines are told apart by a field, and Odoo refuses a second one: a contact is on a list once.
const ONCE: [(&str, &str); 1] = [("mailing.subscription", "list_id")];

fn are_one(lines: &LineFields, found: &FoundLine, line: &Line) -> bool {
    ONCE.iter().any(|(model, field)| {
        let wanted = line
            .values
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, value)| value);
        lines.model.0 == *model && wanted.is_some_and(|wanted| found.record.values.get(*field) == Some(wanted))
    })
}

impl LineMerge {
    fn change(
        &mut self,
        lines: &LineFields,
        found: &FoundLine,
        line: &Line,
        written: Option<&BTreeMap<String, String>>,
        (uid, overwrite): (i64, bool),
    ) {
        let none = BTreeMap::new();
        // without a ledger a line that we wrote last is ours
        let theirs = written.is_some() || found.record.write_uid != uid;
        let merged = conflict::merge(
            &lines.model.0,
            &lines.targets,
            &found.record.values,
            &line.values,
            written.unwrap_or(&none),
            theirs,
            overwrite,
        );
        self.overwritten |= merged.conflicts.iter().any(|field| !merged.kept.contains(field));
        if !merged.foreign.is_empty() {
            self.foreign.push((found.id, merged.foreign));
        }
        let kept = merged.kept.iter().map(|field| (line.name.clone(), Some(field.clone())));
        self.kept.extend(kept);
        if !merged.send.is_empty() || !merged.unlink.is_empty() {
            // the others go along: Odoo computes them anew from what changes, over what is there
            let mut values = merged.send;
            for (field, value) in &line.values {
                let is_whole = !matches!(value, OdooValue::Links(_) | OdooValue::Lines(_) | OdooValue::Content(_));
                let stays = if merged.kept.contains(field) {
                    found.record.values.get(field)
                } else {
                    Some(value)
                };
                if let Some(stays) = stays.filter(|_| is_whole && values.iter().all(|(name, _)| name != field)) {
                    values.push((field.clone(), stays.clone()));
                }
            }
            self.ops.push(LineOp::Change {
                id: found.id,
                values,
                unlink: merged.unlink,
            });
        }
    }
}

/// What the ledger keeps of lines that were written.
#[must_use]
pub fn digests(lines: &LineFields, wanted: &[Line], kept: &[(String, Option<String>)]) -> WrittenLines {
    let is_kept =
        |name: &str, field: Option<&str>| kept.iter().any(|(of, what)| of == name && what.as_deref() == field);
    let of_line = |line: &Line| {
        let fields = line.values.iter().filter_map(|(field, value)| {
            let target: &TargetField = lines.targets.iter().find(|target| target.name == *field)?;
            let ours = !is_kept(&line.name, None) && !is_kept(&line.name, Some(field));
            ours.then(|| (field.clone(), field_digest(&lines.model.0, target, value)))
        });
        (line.name.clone(), fields.collect())
    };
    wanted.iter().map(of_line).collect()
}

/// Names of the lines that values of a call make.
pub(super) fn new_names(values: &serde_json::Map<String, Json>) -> Vec<String> {
    let commands = values.values().filter_map(Json::as_array).flatten();
    let made = commands.filter(|command| command[0] == json!(0));
    made.filter_map(|command| command[2]["id"].as_str().map(str::to_owned))
        .collect()
}

/// Turns commands that make lines which are there by now into commands that change them: sent twice, they make no twin.
pub(super) fn change_what_is_there(values: &mut serde_json::Map<String, Json>, there: &HashMap<String, i64>) {
    let commands = values.values_mut().filter_map(Json::as_array_mut).flatten();
    for command in commands.filter(|command| command[0] == json!(0)) {
        let id = command[2]["id"].as_str().and_then(|name| there.get(name)).copied();
        if let Some(id) = id {
            if let Some(line) = command[2].as_object_mut() {
                line.remove("id");
            }
            command[0] = json!(1);
            command[1] = json!(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OdooModel, Reference};

    const UID: i64 = 7;
    const TERMS: Terms = Terms {
        adopt: false,
        uid: UID,
        overwrite: false,
        stay: false,
    };

    fn lines() -> LineFields {
        let target = |name: &str, ttype: &str| TargetField::new(name, ttype);
        LineFields {
            field: "order_line".into(),
            model: OdooModel("sale.order.line".into()),
            targets: vec![target("name", "char"), target("price_unit", "float")],
            checks: Vec::new(),
        }
    }

    fn text(text: &str) -> OdooValue {
        OdooValue::Text(text.to_owned())
    }

    fn wanted(name: &str, label: &str) -> Line {
        Line {
            name: name.to_owned(),
            values: vec![("name".to_owned(), text(label))],
            checks: Vec::new(),
        }
    }

    fn found(id: i64, name: Option<&str>, label: &str) -> FoundLine {
        FoundLine {
            id,
            name: name.map(str::to_owned),
            record: ReadRecord {
                values: BTreeMap::from([("name".to_owned(), text(label))]),
                write_uid: UID,
                write_date: String::new(),
            },
            made_by: Some(UID),
        }
    }

    fn last(lines_written: &[(&str, &str)]) -> WrittenLines {
        let all: Vec<Line> = lines_written.iter().map(|(name, label)| wanted(name, label)).collect();
        digests(&lines(), &all, &[])
    }

    #[test]
    fn a_person_who_put_a_contact_on_the_list_before_has_the_only_line_there_may_be() {
        let list = |id| ("list_id".to_owned(), OdooValue::Link(Reference::Id(id)));
        let subscriptions = |model: &str| LineFields {
            model: OdooModel(model.to_owned()),
            targets: vec![TargetField::new("list_id", "many2one")],
            ..lines()
        };
        let mut theirs = found(9, None, "theirs");
        theirs.record.values = BTreeMap::from([list(3)]);
        let line = |name: &str, id| Line {
            values: vec![list(id)],
            ..wanted(name, "")
        };
        let lines_wanted = [line("a", 3), line("b", 4)];
        let met = |model: &str| {
            let now = std::slice::from_ref(&theirs);
            merge(&subscriptions(model), now, &lines_wanted, &WrittenLines::new(), TERMS)
        };
        let once = met("mailing.subscription");
        assert_eq!(once.ops, [LineOp::Add(line("b", 4))]);
        assert!(!once.overwritten && once.kept == [("a".to_owned(), None)]);
        assert_eq!(met("sale.order.line").ops.len(), 2, "an order may have a product twice");
    }

    #[test]
    fn lines_are_added_changed_and_removed_and_those_of_people_stay() {
        let now = [
            found(1, Some("a"), "A"),
            found(2, Some("b"), "B"),
            found(3, Some("c"), "C"),
            found(9, None, "theirs"),
        ];
        let merge = merge(
            &lines(),
            &now,
            &[wanted("a", "A"), wanted("b", "B2"), wanted("d", "D")],
            &last(&[("a", "A"), ("b", "B"), ("c", "C")]),
            TERMS,
        );
        let change = LineOp::Change {
            id: 2,
            values: vec![("name".to_owned(), text("B2"))],
            unlink: Vec::new(),
        };
        assert_eq!(merge.ops, [change, LineOp::Add(wanted("d", "D")), LineOp::Remove(3)]);
        assert!(merge.kept.is_empty());
    }

    #[test]
    fn what_a_source_does_not_give_stays_where_it_gave_less_than_it_has() {
        let now = [found(1, Some("a"), "A"), found(2, Some("b"), "B")];
        let stay = Terms { stay: true, ..TERMS };
        let merge = merge(
            &lines(),
            &now,
            &[wanted("a", "A")],
            &last(&[("a", "A"), ("b", "B")]),
            stay,
        );
        assert!(merge.ops.is_empty() && merge.kept.is_empty() && !merge.overwritten);
        assert_eq!(merge.stay, ["b"]);
    }

    #[test]
    fn what_a_person_changed_or_took_away_is_kept() {
        let now = [found(1, Some("a"), "edited")];
        let all = [wanted("a", "A2"), wanted("b", "B")];
        let first = merge(&lines(), &now, &all, &last(&[("a", "A"), ("b", "B")]), TERMS);
        assert!(first.ops.is_empty());
        assert_eq!(first.kept, [("a".into(), Some("name".into())), ("b".into(), None)]);
        // and again, from what the ledger keeps of that
        let ledger = digests(&lines(), &all, &first.kept);
        assert_eq!(merge(&lines(), &now, &all, &ledger, TERMS), first);
    }

    #[test]
    fn where_overwriting_is_asked_for_ours_is_as_wanted_again_and_the_former_values_are_told() {
        let now = [
            found(1, Some("a"), "edited"),
            found(3, Some("c"), "C"),
            found(9, None, "theirs"),
        ];
        let all = [wanted("a", "A2"), wanted("b", "B")];
        let merge = merge(
            &lines(),
            &now,
            &all,
            &last(&[("a", "A"), ("b", "B"), ("c", "C")]),
            Terms {
                overwrite: true,
                ..TERMS
            },
        );
        let change = LineOp::Change {
            id: 1,
            values: vec![("name".to_owned(), text("A2"))],
            unlink: Vec::new(),
        };
        assert_eq!(merge.ops, [change, LineOp::Add(wanted("b", "B")), LineOp::Remove(3)]);
        assert!(merge.overwritten && merge.kept.is_empty());
        let names = vec!["name".to_owned()];
        assert_eq!(merge.foreign, [(1, names.clone()), (3, names)]);
    }

    #[test]
    fn an_adopted_record_keeps_its_lines_and_gets_ours_only_where_it_has_none() {
        let theirs = merge(
            &lines(),
            &[found(9, None, "x")],
            &[wanted("a", "A")],
            &last(&[]),
            Terms { adopt: true, ..TERMS },
        );
        assert!(theirs.theirs && theirs.ops.is_empty());
        let adopt = Terms { adopt: true, ..TERMS };
        let filled = merge(&lines(), &[], &[wanted("a", "A")], &last(&[]), adopt);
        assert_eq!(filled.ops, [LineOp::Add(wanted("a", "A"))]);
    }

    #[test]
    fn a_line_that_is_there_by_now_is_changed_and_not_made_again() {
        let mut values = serde_json::Map::from_iter([(
            "order_line".to_owned(),
            json!([[0, 0, {"id": "a", "name": "A"}], [0, 0, {"id": "b", "name": "B"}], [2, 5, 0]]),
        )]);
        assert_eq!(new_names(&values), ["a", "b"]);
        change_what_is_there(&mut values, &HashMap::from([("a".to_owned(), 4)]));
        assert_eq!(
            values["order_line"],
            json!([[1, 4, {"name": "A"}], [0, 0, {"id": "b", "name": "B"}], [2, 5, 0]])
        );
    }
}
