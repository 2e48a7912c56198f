//! Joins: rows of another source object, put on a record as a list before anything else looks at it.

use std::collections::BTreeSet;

use super::{
    cel::Expression,
    check::undocumented,
    compile::{Compiler, Draft, Sees},
    findings::{hint, shortened},
    names,
    object::{Object, Order},
    path::Path,
    read::canonical_text,
    scope::Scope,
};
use crate::{
    api::mapping_spec as api,
    model::{Record, Rejection, SourceKey, Value, record::is_empty},
};

/// Most rows that one record may have of a join.
pub const ROWS_MAX: usize = 10_000;

/// A compiled join.
#[derive(Debug)]
pub struct Join {
    /// Name of the list on the record.
    pub name: String,
    /// Source object that has the rows.
    pub object: String,
    by: Path,
    equals: Path,
    pub(super) filter: Option<Expression>,
    order_by: Option<Path>,
}

/// A row of a join that `where` lets in.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Text by which records find it.
    pub text: String,
    /// Its place among the rows of a record.
    pub order: Order,
    /// The row; or why the records that find it cannot be used.
    pub value: Result<Record, Rejection>,
}

fn text_at(path: &Path, record: &Record) -> Option<String> {
    let lets = Record::new();
    let value = path.resolve(&bare(record, &lets));
    (!is_empty(Some(&value))).then(|| canonical_text(&value))
}

const fn bare<'a>(record: &'a Record, lets: &'a Record) -> Scope<'a> {
    Scope {
        record,
        lets,
        each: None,
        line: None,
    }
}

impl Object {
    /// Its joins.
    #[must_use]
    pub fn joins(&self) -> &[Join] {
        &self.plan.joins
    }

    /// Every source object that it reads, once each.
    #[must_use]
    pub fn source_objects(&self) -> BTreeSet<&str> {
        let joined = self.joins().iter().map(|join| join.object.as_str());
        joined.chain([self.source_object.as_str()]).collect()
    }

    /// A record of a join's source object as a row; `None` where it is none. A row that names nobody has an empty text, which
    /// no record asks for.
    #[must_use]
    pub fn row(&self, join: &Join, record: Record) -> Option<Row> {
        let text = text_at(&join.by, &record).unwrap_or_default();
        let lets = Record::new();
        let refused = match join
            .filter
            .as_ref()
            .map(|filter| (filter, filter.condition(&self.plan.env, &bare(&record, &lets))))
        {
            None | Some((_, Ok(true))) => None,
            Some((_, Ok(false))) => return None,
            Some((filter, Err(message))) => Some(Rejection::new(
                "Expression",
                join.name.as_str(),
                format!(
                    "{}.join[{}].where: {message} in {}",
                    self.name,
                    join.name,
                    shortened(filter.source(), 200)
                ),
            )),
        };
        let order = join
            .order_by
            .as_ref()
            .map_or(Order::Nothing, |path| self.order_of(&record, path));
        Some(Row {
            text,
            order,
            value: refused.map_or(Ok(record), Err),
        })
    }

    /// The text by which a record finds its rows.
    #[must_use]
    pub fn rows_text(join: &Join, record: &Record) -> Option<String> {
        text_at(&join.equals, record)
    }

    /// Puts the rows of a join on a record. Up to one more than [`ROWS_MAX`] are looked at.
    ///
    /// # Errors
    /// Why the record cannot be used.
    pub fn put_rows(
        &self,
        join: &Join,
        record: &mut Record,
        rows: Vec<Result<Record, Rejection>>,
    ) -> Result<(), Rejection> {
        if rows.len() > ROWS_MAX {
            return Err(Rejection::new(
                "TooManyRows",
                join.name.as_str(),
                format!(
                    "{}.join[{}]: the record has more than {ROWS_MAX} rows",
                    self.name, join.name
                ),
            ));
        }
        let rows = rows
            .into_iter()
            .map(|row| row.map(Value::Object))
            .collect::<Result<Vec<_>, _>>()?;
        record.insert(join.name.clone(), Value::Array(rows));
        Ok(())
    }

    /// The key of a record that cannot be used, as far as it has one without lets and elements.
    #[must_use]
    pub fn bare_key(&self, record: &Record) -> Option<SourceKey> {
        let lets = Record::new();
        self.key(&bare(record, &lets)).ok()
    }
}

/// Compiles the joins of an object.
pub(super) fn compile(compiler: &mut Compiler<'_>, draft: &mut Draft<'_>) -> Vec<Join> {
    let joins = draft.spec.source.as_ref().and_then(|source| source.join.as_deref());
    let mut ready = Vec::new();
    for said in joins.unwrap_or_default() {
        let path = format!("{}.source.join[{}]", draft.path, said.name);
        if draft
            .spec
            .lets
            .as_ref()
            .is_some_and(|lets| lets.contains_key(&said.name))
        {
            let message = format!(
                "the join {0} and the let {0} have one name: call one another",
                said.name
            );
            compiler.findings.error("HiddenField", &path, message);
        }
        ready.extend(join(compiler, draft, said, &path));
    }
    ready
}

fn join(compiler: &mut Compiler<'_>, draft: &mut Draft<'_>, said: &api::Join, path: &str) -> Option<Join> {
    let (Some(object), Some(by)) = (&said.object, &said.by) else {
        let message = format!(
            "the join {} needs object, whose rows, and by, what they are found by",
            said.name
        );
        compiler.findings.error("Incomplete", path, message);
        return None;
    };
    let by = compiler.path(by, &format!("{path}.by"), Sees::RECORD);
    let equals = equals(compiler, draft, said, path);
    let filter = match &said.filter {
        None => None,
        Some(text) => Some(compiler.expression(text, &format!("{path}.where"), Sees::RECORD)?),
    };
    let order_by = match &said.order_by {
        None => None,
        Some(text) => Some(compiler.path(text, &format!("{path}.orderBy"), Sees::RECORD)?),
    };
    let join = Join {
        name: said.name.clone(),
        object: object.clone(),
        by: by?,
        equals: equals?,
        filter,
        order_by,
    };
    joined_fields(draft, &join, path);
    Some(join)
}

/// Notes what of the joined rows is read, to be held against what the source has.
fn joined_fields(draft: &mut Draft<'_>, join: &Join, path: &str) {
    let mut read = |place: &str, fields: Vec<String>| {
        draft
            .joined
            .push((join.object.clone(), format!("{path}.{place}"), fields));
    };
    let owned = |path: &Path| path.record_fields().into_iter().map(str::to_owned).collect();
    read("by", owned(&join.by));
    if let Some(filter) = &join.filter {
        read("where", filter.record_fields().into_iter().collect());
    }
    if let Some(order_by) = &join.order_by {
        read("orderBy", owned(order_by));
    }
}

/// The path that the rows are compared with: what is said, or the key.
fn equals(compiler: &mut Compiler<'_>, draft: &mut Draft<'_>, said: &api::Join, path: &str) -> Option<Path> {
    let place = format!("source.join[{}].equals", said.name);
    let let_named = |path: &Path| {
        let fields = path.record_fields().into_iter();
        let lets = draft.spec.lets.as_ref();
        fields
            .map(str::to_owned)
            .find(|name| lets.is_some_and(|lets| lets.contains_key(name)))
    };
    if let Some(text) = &said.equals {
        if let Some(name) = Path::parse(text).ok().and_then(|path| let_named(&path)) {
            let message = format!("rows are joined before lets are computed, and {name} is a let: name a source field");
            compiler
                .findings
                .error("BadPath", &format!("{}.{place}", draft.path), message);
            return None;
        }
        return compiler.used_path(draft, text, &place, Sees::RECORD);
    }
    let parts = draft.spec.key.as_deref().unwrap_or_default();
    let plain = |text: &String| {
        let path = Path::parse(text).ok()?;
        (names::reserved(text).is_empty() && let_named(&path).is_none()).then_some(path)
    };
    if let [one] = parts
        && let Some(path) = plain(one)
    {
        return Some(path.with_separator(compiler.formats.list()));
    }
    let message = "the key is not one field of the source: say equals, what of the record the rows are found by";
    compiler
        .findings
        .error("Incomplete", &format!("{path}.equals"), message);
    None
}

/// What joins read of source objects that the source does not have.
pub(super) fn check_source(compiler: &mut Compiler<'_>, draft: &Draft<'_>) {
    let mut told = BTreeSet::new();
    let Some(source) = compiler.world.source else {
        let joined = draft.joined.iter().filter(|(object, ..)| told.insert(object));
        for (object, place, _) in joined {
            if let Some(message) = undocumented(compiler.merged.platform, object) {
                compiler.findings.warning("UnknownSource", place, message);
            }
        }
        return;
    };
    for (object, place, fields) in &draft.joined {
        let Some(shape) = source.get(object) else {
            if told.insert(object) {
                let near = hint(object, source.keys().map(String::as_str));
                let message = format!("the source has no object {object}{near}: the join gives no rows");
                compiler.findings.warning("UnknownSource", place, message);
            }
            continue;
        };
        if let Some(first) = fields
            .first()
            .filter(|_| !fields.iter().any(|field| shape.fields.contains(field)))
        {
            let near = hint(first, shape.fields.iter().map(String::as_str));
            let message = format!("{object} has no field {}{near}", fields.join(", "));
            compiler.findings.warning("UnknownSource", place, message);
        }
    }
}

#[cfg(test)]
mod tests;
