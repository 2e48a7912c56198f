//! Custom fields of the source: what their values are, and the custom fields of Odoo that they become.
//!
//! The spec is extended by ordinary entries, so that everything after it knows of nothing else.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::{
    SourceShape,
    compile::Draft,
    findings::{Findings, shortened},
    object::covers,
    path::{self, json_cell},
    read::{Formats, Moment, canonical_text, moment, number},
};
use crate::{
    api::mapping_spec::{CreateField, Field, FieldType, MappingSpecSpec, OnMissing},
    model::{DeclaredField, DeclaredType, Record, Value, digest::hex, record::is_empty},
    odoo::models::Models,
};

/// Longest name of a custom field.
const NAME_MAX: usize = 63;
/// Longest text that is a Char rather than a Text.
const CHAR_MAX: usize = 256;
/// Most options that a Selection is made of.
const OPTIONS_MAX: usize = 200;
/// Names that one message lists.
const LISTED_MAX: usize = 40;

/// A field that the source has beside those it always has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// What the source says of it.
    pub declared: DeclaredField,
    /// What its values were seen to be.
    pub seen: Observed,
}

/// What the values of a field were seen to be, one after the other.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each type that the values may have, apart from the others"
)]
pub struct Observed {
    values: u64,
    whole: bool,
    number: bool,
    yes_no: bool,
    day: bool,
    time: bool,
    moment: bool,
    nested: bool,
    longest: usize,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            values: 0,
            whole: true,
            number: true,
            yes_no: true,
            day: false,
            time: false,
            moment: true,
            nested: false,
            longest: 0,
        }
    }
}

impl Observed {
    /// Takes one more value in.
    pub fn observe(&mut self, formats: &Formats, value: &Value) {
        if is_empty(Some(value)) {
            return;
        }
        self.values += 1;
        self.nested |= is_nested(value);
        let text = canonical_text(value);
        let lines = text.contains('\n');
        self.longest = self
            .longest
            .max(if lines { CHAR_MAX + 1 } else { text.chars().count() });
        let read = exact_number(formats, value, &text);
        self.number &= read.is_some();
        self.whole &= read.is_some_and(|number| number.fract() == 0.0);
        self.yes_no &= value.is_boolean() || is_yes_no(&text);
        match moment(formats, value) {
            Ok(Moment::Day(_)) => self.day = true,
            Ok(Moment::Instant(..)) => self.time = true,
            Err(_) => self.moment = false,
        }
    }

    /// The type that fits every value; `None`: nested data, which no field takes.
    fn fitting(&self) -> Option<FieldType> {
        Some(match self {
            Self { nested: true, .. } => return None,
            Self { values: 0, .. } => FieldType::Char,
            Self { yes_no: true, .. } => FieldType::Boolean,
            Self { whole: true, .. } => FieldType::Integer,
            Self { number: true, .. } => FieldType::Float,
            Self {
                moment: true,
                time: true,
                ..
            } => FieldType::DateTime,
            Self { moment: true, .. } => FieldType::Date,
            Self { longest, .. } if *longest > CHAR_MAX => FieldType::Text,
            Self { .. } => FieldType::Char,
        })
    }
}

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(list) => list.iter().any(|item| item.is_object() || item.is_array()),
        Value::String(text) => json_cell(text).is_some_and(|cell| is_nested(&cell)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The number that a value is, if a number field keeps all of it: a code such as `007`, or one of many digits, is text.
fn exact_number(formats: &Formats, value: &Value, text: &str) -> Option<f64> {
    let read = number(formats, value).ok().filter(|number| number.exact)?.value;
    let text = text.trim();
    if value.is_string() && !is_plain(text) {
        return None;
    }
    let digits = text.trim_start_matches('-');
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with(['.', ',']) && {
        let second = digits.as_bytes()[1];
        second.is_ascii_digit()
    };
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    let fits = read.fract() != 0.0 || (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&read);
    (!leading_zero && count <= 15 && fits && !text.starts_with('+')).then_some(read)
}

/// Whether a text is nothing but a number: `12E4` and `123 456 789` are codes. Thousands are parted in amounts, which have a
/// fraction; `12.345.678` has none.
fn is_plain(text: &str) -> bool {
    let marks = text.chars().filter(|letter| matches!(letter, '.' | ',')).count();
    let is_of_digits = text
        .trim_start_matches(['-', '+'])
        .chars()
        .all(|letter| letter.is_ascii_digit() || matches!(letter, '.' | ','));
    let has_fraction = text.contains('.') && text.contains(',');
    is_of_digits && (marks < 2 || has_fraction)
}

/// A word for yes or no; a digit is a number.
fn is_yes_no(text: &str) -> bool {
    let word = text.trim().to_lowercase();
    matches!(
        word.as_str(),
        "true" | "false" | "yes" | "no" | "y" | "n" | "on" | "off" | "sim" | "não" | "na\u{303}o" | "да" | "нет"
    )
}

impl Candidate {
    /// What it becomes: what the source says, as far as its values leave that open, else what fits its values. Where not
    /// every value was seen, text, which keeps those to come.
    fn becomes(&self, all_seen: bool) -> Option<CreateField> {
        let numeric = |fitting: Option<FieldType>| match fitting {
            Some(FieldType::Integer) => FieldType::Integer,
            _ => FieldType::Float,
        };
        let mut options = None;
        let type_ = match &self.declared.kind {
            None if all_seen => self.seen.fitting()?,
            None if self.seen.nested => return None,
            None if self.seen.longest > CHAR_MAX => FieldType::Text,
            None | Some(DeclaredType::Text | DeclaredType::Choices) => FieldType::Char,
            Some(DeclaredType::Json) => return None,
            Some(DeclaredType::LongText) => FieldType::Text,
            Some(DeclaredType::Number) => numeric(self.seen.fitting()),
            Some(DeclaredType::DateTime) => FieldType::DateTime,
            Some(DeclaredType::Date) if self.seen.time => FieldType::DateTime,
            Some(DeclaredType::Date) => FieldType::Date,
            Some(DeclaredType::Checkbox) => FieldType::Boolean,
            Some(DeclaredType::Choice(choices)) if choices.is_empty() || choices.len() > OPTIONS_MAX => FieldType::Char,
            Some(DeclaredType::Choice(choices)) => {
                options = Some(choices.iter().cloned().collect());
                FieldType::Selection
            }
        };
        let label = if self.declared.label.trim().is_empty() {
            &self.declared.name
        } else {
            &self.declared.label
        };
        Some(CreateField {
            type_,
            label: Some(label.chars().take(256).collect()),
            help: None,
            options,
            relation: None,
        })
    }
}

/// Takes the values of a record in, by name of the field.
pub fn observe(seen: &mut BTreeMap<String, Observed>, formats: &Formats, record: &Record) {
    for (name, value) in record {
        if let Some(seen) = seen.get_mut(name) {
            seen.observe(formats, value);
        } else {
            let mut first = Observed::default();
            first.observe(formats, value);
            seen.insert(name.clone(), first);
        }
    }
}

/// The spec with an entry for every custom field that an object discovers; `None` where there is none.
pub(super) fn expand(
    spec: &MappingSpecSpec,
    drafts: &[Draft<'_>],
    source: &BTreeMap<String, SourceShape>,
    models: &Models,
    findings: &mut Findings,
) -> Option<MappingSpecSpec> {
    let mut expanded = spec.clone();
    let mut any = false;
    for draft in drafts {
        let (Some(discover), Some(shape)) = (&draft.spec.discover, source.get(draft.source_object)) else {
            continue;
        };
        let ignored = |name: &str| draft.spec.ignore.iter().flatten().any(|pattern| covers(pattern, name));
        let left = shape
            .custom
            .iter()
            .filter(|field| !draft.used.contains(&field.declared.name) && !ignored(&field.declared.name));
        let left: Vec<&Candidate> = left.collect();
        let entries = entries(&discover.prefix, draft, (&left, shape.whole), models, findings);
        any |= !entries.is_empty();
        let mut objects = expanded.objects.iter_mut().flatten();
        if let Some(object) = objects.find(|object| object.name == draft.spec.name) {
            object.fields.get_or_insert_default().extend(entries);
        }
    }
    any.then_some(expanded)
}

fn entries(
    prefix: &str,
    draft: &Draft<'_>,
    (left, all_seen): (&[&Candidate], bool),
    models: &Models,
    findings: &mut Findings,
) -> Vec<Field> {
    let path = format!("{}.discover", draft.path);
    let mapped = draft.spec.fields.iter().flatten().map(|field| field.to.as_str());
    let mapped: BTreeSet<&str> = mapped.collect();
    let plain: Vec<String> = left
        .iter()
        .map(|field| format!("{prefix}{}", slug(&field.declared.name)))
        .collect();
    let (mut entries, mut nested) = (Vec::new(), Vec::new());
    let mut made: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (field, name) in left.iter().zip(&plain) {
        let Some(mut create) = field.becomes(all_seen) else {
            nested.push(field.declared.name.clone());
            continue;
        };
        let taken = mapped.contains(name.as_str()) || plain.iter().filter(|other| *other == name).count() > 1;
        let mut to = if taken || name.len() > NAME_MAX {
            apart(name, &field.declared.name)
        } else {
            name.clone()
        };
        let there = models.field(draft.model, &to).map(|there| there.ttype.clone());
        let earlier = second(draft.model, (&to, &field.declared.name), create.type_, models);
        match (there.as_deref(), earlier) {
            // an earlier export had other values, and those of this one may be of the first kind again
            (Some(_), Some((other, type_))) => {
                if type_ != create.type_ {
                    create.options = None;
                }
                create.type_ = type_;
                to = other;
            }
            // takes every value
            (Some("text"), _) => {
                create.type_ = FieldType::Text;
                create.options = None;
            }
            (Some("char"), _) if create.type_ != FieldType::Text => {
                create.type_ = FieldType::Char;
                create.options = None;
            }
            (Some(ttype), None) if ttype != create.type_.ttype() => {
                let other = apart(&to, &format!("{} {}", field.declared.name, create.type_.ttype()));
                let message = format!(
                    "{to} is of type {ttype} in Odoo, which does not take every value of {} now: they go into {other}, all of \
                     them; look at what is left in {to}",
                    field.declared.name
                );
                findings.warning("Discovered", &path, message);
                to = other;
            }
            (Some(_), None) => {
                if let Some(other) = any_second(draft.model, (&to, &field.declared.name), models) {
                    let message = format!(
                        "the values of {} go into {to} again; look at what is left in {other}",
                        field.declared.name
                    );
                    findings.warning("Discovered", &path, message);
                }
            }
            (None, _) => {}
        }
        made.entry(create.type_.ttype())
            .or_default()
            .push(format!("{} → {to}", field.declared.name));
        entries.push(Field {
            to,
            from: Some(path::quoted(&field.declared.name)),
            on_missing: Some(OnMissing::Empty),
            create: Some(create),
            ..Field::default()
        });
    }
    for (ttype, names) in made {
        let message = format!("{} custom fields become {ttype}: {}", names.len(), listed(&names));
        findings.info("Discovered", &path, message);
    }
    if !nested.is_empty() {
        let message = format!(
            "custom fields with nested values, which no field of Odoo takes, are left behind: {}; map what is meant of them",
            listed(&nested)
        );
        findings.warning("Discovered", &path, message);
    }
    entries
}

fn listed(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(LISTED_MAX)
        .map(|name| shortened(name, 60))
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(LISTED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A field that an earlier export's values went into, since the first did not take them: as long as it takes every value,
/// it is the one.
fn second(model: &str, (to, source): (&str, &str), values: FieldType, models: &Models) -> Option<(String, FieldType)> {
    use FieldType::{Char, Float, Integer, Text};
    let takes = |type_: FieldType| {
        type_ == values
            || match type_ {
                Text => true,
                Char => values != Text,
                Float => values == Integer,
                _ => false,
            }
    };
    let mut seconds = seconds(model, (to, source), models);
    seconds.find(|(_, type_)| takes(*type_))
}

/// Any such field, whether it takes the values or not.
fn any_second(model: &str, field: (&str, &str), models: &Models) -> Option<String> {
    seconds(model, field, models).next().map(|(other, _)| other)
}

fn seconds(model: &str, (to, source): (&str, &str), models: &Models) -> impl Iterator<Item = (String, FieldType)> {
    use FieldType::{Boolean, Char, Date, DateTime, Float, Integer, Selection, Text};
    let types = [Text, Char, Float, DateTime, Selection, Integer, Date, Boolean];
    types.into_iter().filter_map(move |type_| {
        let other = apart(to, &format!("{source} {}", type_.ttype()));
        let there = models.field(model, &other)?;
        (there.ttype == type_.ttype()).then_some((other, type_))
    })
}

/// A name that no other field has, the same in every run.
fn apart(name: &str, source: &str) -> String {
    let digest = hex(&Sha256::digest(source.as_bytes()));
    let kept: String = name.chars().take(NAME_MAX - 9).collect();
    format!("{kept}_{}", &digest[..8])
}

/// A field's name in the letters that Odoo takes: lower case, without accents, everything else as one `_`.
fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for letter in name.to_lowercase().chars() {
        match plain_letter(letter) {
            Some("") => {}
            Some(letters) => slug.push_str(letters),
            None if letter.is_ascii_lowercase() || letter.is_ascii_digit() => slug.push(letter),
            None if slug.ends_with('_') || slug.is_empty() => {}
            None => slug.push('_'),
        }
    }
    let slug = slug.trim_end_matches('_');
    if slug.is_empty() {
        // letters of another script: the label says what it is
        return hex(&Sha256::digest(name.as_bytes()))[..8].to_owned();
    }
    slug.to_owned()
}

/// A letter of the Latin script without its accent; nothing for an accent of its own.
const fn plain_letter(letter: char) -> Option<&'static str> {
    Some(match letter {
        'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'č' => "c",
        'é' | 'è' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => "e",
        'í' | 'ì' | 'î' | 'ï' | 'ī' => "i",
        'ñ' | 'ń' | 'ň' => "n",
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' => "o",
        'ú' | 'ù' | 'û' | 'ü' | 'ū' | 'ů' => "u",
        'ý' | 'ÿ' => "y",
        'š' | 'ś' => "s",
        'ž' | 'ź' | 'ż' => "z",
        'ł' => "l",
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        '\u{300}'..='\u{36f}' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
