//! The functions: the table of all, the language's own, the conversions.

use std::{ops::RangeInclusive, sync::LazyLock};

use jiff::tz::TimeZone;
use regex::{Regex, RegexBuilder};

use super::{
    evaluate::{Evaluated, Run},
    lists, math, rules, text,
    value::{Map, Val},
};
use crate::{
    mapping::read,
    model::{SourceKey, Value, digest::canonical_json},
};

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    style: Style,
    /// How many arguments it takes, with the value it is called on.
    pub(super) takes: RangeInclusive<usize>,
    /// Null is a value to it; any other function given null gives null.
    pub(super) sees_null: bool,
    pub(super) run: Body,
}

type Body = for<'a> fn(&Run<'a>, Vec<Val<'a>>) -> Evaluated<'a>;

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`.
    Function,
    /// `x.f()`.
    Method,
    /// Either way.
    Either,
}

/// Compiled size of a pattern; matching is linear in the text whatever the pattern.
const PATTERN_BYTES: usize = 1 << 20;
/// What compiling a pattern that is not constant costs.
const PATTERN_COST: usize = 10_000;

static TABLE: LazyLock<Vec<Function>> = LazyLock::new(|| {
    use Style::{Either, Function as Global, Method};
    let own: [(&str, Style, usize, usize, bool, Body); 23] = [
        ("first", Global, 1, 1, true, first),
        ("compact", Global, 1, 1, true, compact),
        ("key", Global, 1, 1, false, key),
        ("number", Global, 1, 1, false, number),
        ("date", Global, 1, 1, false, date),
        ("datetime", Global, 1, 1, false, datetime),
        ("yes", Global, 1, 1, true, yes),
        ("lower", Global, 1, 1, false, text::lower),
        ("host", Global, 1, 1, false, text::host),
        ("html", Global, 1, 1, false, text::html),
        ("json", Global, 1, 1, true, json),
        ("replaceAll", Global, 2, 2, false, text::replace_all),
        ("qweb", Global, 1, 1, false, rules::qweb),
        ("tree", Global, 2, 2, true, rules::tree),
        ("outline", Global, 1, 1, false, rules::outline),
        ("domain", Global, 2, 2, true, rules::domain),
        ("installed", Global, 1, 1, false, installed),
        ("size", Either, 1, 1, true, size),
        ("string", Global, 1, 1, false, string),
        ("int", Global, 1, 1, false, int),
        ("double", Global, 1, 1, false, double),
        ("bool", Global, 1, 1, false, boolean),
        ("type", Global, 1, 1, false, type_of),
    ];
    let texts: [(&str, Style, usize, usize, bool, Body); 16] = [
        ("contains", Method, 2, 2, false, text::contains),
        ("startsWith", Method, 2, 2, false, text::starts_with),
        ("endsWith", Method, 2, 2, false, text::ends_with),
        ("matches", Either, 2, 2, false, matches),
        ("charAt", Method, 2, 2, false, text::char_at),
        ("indexOf", Method, 2, 3, false, text::index_of),
        ("lastIndexOf", Method, 2, 3, false, text::last_index_of),
        ("join", Method, 1, 2, false, text::join),
        ("lowerAscii", Method, 1, 1, false, text::lower_ascii),
        ("upperAscii", Method, 1, 1, false, text::upper_ascii),
        ("replace", Method, 3, 4, false, text::replace),
        ("split", Method, 2, 3, false, text::split),
        ("substring", Method, 2, 3, false, text::substring),
        ("trim", Method, 1, 1, false, text::trim),
        ("format", Method, 2, 2, false, text::format),
        ("strings.quote", Global, 1, 1, false, text::quote),
    ];
    let lists: [(&str, Style, usize, usize, bool, Body); 6] = [
        ("slice", Method, 3, 3, false, lists::slice),
        ("flatten", Method, 1, 2, false, lists::flatten),
        ("distinct", Method, 1, 1, false, lists::distinct),
        ("reverse", Method, 1, 1, false, lists::reverse),
        ("sort", Method, 1, 1, false, lists::sort),
        ("lists.range", Global, 1, 1, false, lists::range),
    ];
    let maths: [(&str, Style, usize, usize, bool, Body); 18] = [
        ("math.greatest", Global, 1, 1, false, math::greatest),
        ("math.least", Global, 1, 1, false, math::least),
        ("math.ceil", Global, 1, 1, false, math::ceil),
        ("math.floor", Global, 1, 1, false, math::floor),
        ("math.round", Global, 1, 1, false, math::round),
        ("math.trunc", Global, 1, 1, false, math::trunc),
        ("math.abs", Global, 1, 1, false, math::abs),
        ("math.sign", Global, 1, 1, false, math::sign),
        ("math.sqrt", Global, 1, 1, false, math::sqrt),
        ("math.isNaN", Global, 1, 1, false, math::is_nan),
        ("math.isInf", Global, 1, 1, false, math::is_inf),
        ("math.isFinite", Global, 1, 1, false, math::is_finite),
        ("math.bitAnd", Global, 2, 2, false, math::bit_and),
        ("math.bitOr", Global, 2, 2, false, math::bit_or),
        ("math.bitXor", Global, 2, 2, false, math::bit_xor),
        ("math.bitNot", Global, 1, 1, false, math::bit_not),
        ("math.bitShiftLeft", Global, 2, 2, false, math::shift_left),
        ("math.bitShiftRight", Global, 2, 2, false, math::shift_right),
    ];
    let all = own.into_iter().chain(texts).chain(lists).chain(maths);
    all.map(|(name, style, least, most, sees_null, run)| Function {
        name,
        style,
        takes: least..=most,
        sees_null,
        run,
    })
    .collect()
});

/// The function of a name; `Err` with how it is called instead, if it exists.
pub(super) fn find(name: &str, style: Style) -> Result<&'static Function, Option<Style>> {
    let function = TABLE.iter().find(|function| function.name == name).ok_or(None)?;
    if function.style == style || function.style == Style::Either {
        Ok(function)
    } else {
        Err(Some(function.style))
    }
}

/// Names of all functions and macros.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let macros = super::tree::LOOPS.iter().map(|(name, _)| *name);
    TABLE.iter().map(|function| function.name).chain(macros).chain(["has"])
}

/// A pattern for `matches`.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build()
        .map_err(|_| "a pattern of matches that is no regular expression (RE2 syntax), or too large".to_owned())
}

/// The arguments, whose number the parser has checked.
pub(super) fn arguments<const N: usize>(args: Vec<Val<'_>>) -> Result<[Val<'_>; N], String> {
    args.try_into().map_err(|_| "the wrong number of arguments".to_owned())
}

pub(super) fn list(value: Val<'_>) -> Result<Vec<Val<'_>>, String> {
    match value {
        Val::List(list) => Ok(list.into_vec()),
        other => Err(format!("takes list, not {}", other.type_name())),
    }
}

pub(super) fn whole(value: &Val<'_>) -> Result<i64, String> {
    match value {
        Val::Int(number) => Ok(*number),
        other => Err(format!("takes int, not {}", other.type_name())),
    }
}

/// The first element with a value; where none has one, the first that is not null, such as `""` for "else blank".
fn first<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [source] = arguments(args)?;
    if source.is_null() {
        return Ok(Val::Null);
    }
    let mut blank = Val::Null;
    for value in list(source)? {
        if !value.is_empty() {
            return Ok(value);
        }
        if blank.is_null() {
            blank = value;
        }
    }
    Ok(blank)
}

fn compact<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [source] = arguments(args)?;
    let mut values = if source.is_null() { Vec::new() } else { list(source)? };
    values.retain(|value| !value.is_empty());
    Ok(Val::list(values))
}

fn key<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [source] = arguments(args)?;
    let parts = list(source)?;
    if parts.is_empty() || parts.iter().any(Val::is_empty) {
        return Ok(Val::Null);
    }
    let texts: Option<Vec<String>> = parts.iter().map(Val::scalar_text).collect();
    let texts = texts.ok_or("a part of a key is a text, a number or a boolean")?;
    Ok(Val::text(SourceKey::of_parts(texts.iter().map(String::as_str)).0))
}

/// The argument as the reading table takes it; `None` where it is empty.
fn readable(args: Vec<Val<'_>>) -> Result<Option<Value>, String> {
    let [value] = arguments(args)?;
    if value.is_empty() {
        Ok(None)
    } else {
        value.into_json().map(Some)
    }
}

fn number<'a>(run: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let Some(value) = readable(args)? else {
        return Ok(Val::Null);
    };
    let number = read::number(&run.environment.formats, &value);
    let number = number.map_err(|_| "the value is not a number".to_owned())?;
    if !number.exact {
        run.note(read::DIGITS_CUT);
    }
    Ok(Val::Double(number.value))
}

/// As text, `YYYY-MM-DD`.
fn date<'a>(run: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let Some(value) = readable(args)? else {
        return Ok(Val::Null);
    };
    let date = read::date(&run.environment.formats, &value);
    date.map(|date| Val::text(date.to_string()))
        .map_err(|_| "the value is no date by ISO 8601 or formats.dates".to_owned())
}

/// As text, ISO 8601 in UTC with its `Z`: a field reads the same instant from it, whatever the formats' time zone.
fn datetime<'a>(run: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let Some(value) = readable(args)? else {
        return Ok(Val::Null);
    };
    let instant = read::datetime(&run.environment.formats, &value);
    let instant = instant.map_err(|_| "the value is no date or time by ISO 8601 or formats.dates".to_owned())?;
    if read::has_leap_second(&value) {
        run.note(read::LEAP_SECOND);
    }
    Ok(Val::text(format!("{}Z", instant.to_zoned(TimeZone::UTC).datetime())))
}

fn yes<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let Some(value) = readable(args)? else {
        return Ok(Val::Bool(false));
    };
    let yes = read::yes(&value);
    yes.map(Val::Bool)
        .map_err(|_| "the value is neither yes nor no".to_owned())
}

fn json<'a>(run: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [value] = arguments(args)?;
    let text = canonical_json(&value.into_json()?).map_err(|_| "the value has no JSON".to_owned())?;
    run.spend(text.len() / 16)?;
    Ok(Val::text(text))
}

fn installed<'a>(run: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [module] = arguments(args)?;
    let Val::Text(module) = module else {
        return Err("takes the name of a module".to_owned());
    };
    let modules = run.environment.installed.as_ref();
    let modules = modules.ok_or("no Odoo was looked at yet")?;
    Ok(Val::Bool(modules.contains(module.as_ref())))
}

fn matches<'a>(run: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    run.spend(PATTERN_COST)?;
    let [source, wanted] = arguments(args)?;
    match (source, wanted) {
        (Val::Text(source), Val::Text(wanted)) => Ok(Val::Bool(pattern(&wanted)?.is_match(&source))),
        (source, wanted) => Err(format!(
            "takes string, not {} and {}",
            source.type_name(),
            wanted.type_name()
        )),
    }
}

fn size<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [value] = arguments(args)?;
    let size = match &value {
        Val::Null => 0,
        Val::Text(text) => text.chars().count(),
        Val::List(list) => list.len(),
        Val::Map(map) => map.len(),
        other => return Err(format!("{} has no size", other.type_name())),
    };
    i64::try_from(size).map(Val::Int).map_err(|_| "too large".to_owned())
}

fn string<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [value] = arguments(args)?;
    match value {
        Val::Text(text) => Ok(Val::Text(text)),
        other => {
            let text = other.scalar_text().map(Val::text);
            text.ok_or_else(|| format!("{} has no text; use json(…)", other.type_name()))
        }
    }
}

fn int<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let [value] = arguments(args)?;
    match value {
        Val::Int(number) => Ok(Val::Int(number)),
        #[expect(clippy::cast_possible_truncation, reason = "within 64 bits; int() cuts the fraction")]
        Val::Double(number) if (-LIMIT..LIMIT).contains(&number) => Ok(Val::Int(number as i64)),
        Val::Double(_) => Err("the number goes beyond 64 bits".to_owned()),
        Val::Text(text) => text
            .parse()
            .map(Val::Int)
            .map_err(|_| "the text is not a whole number".to_owned()),
        other => Err(format!("takes a number or string, not {}", other.type_name())),
    }
}

fn double<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [value] = arguments(args)?;
    match value {
        #[expect(clippy::cast_precision_loss, reason = "what double() is for")]
        Val::Int(number) => Ok(Val::Double(number as f64)),
        Val::Double(number) => Ok(Val::Double(number)),
        Val::Text(text) => text
            .parse()
            .map(Val::Double)
            .map_err(|_| "the text is not a number".to_owned()),
        other => Err(format!("takes a number or string, not {}", other.type_name())),
    }
}

fn boolean<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [value] = arguments(args)?;
    match value {
        Val::Bool(yes) => Ok(Val::Bool(yes)),
        Val::Text(text) => match text.as_ref() {
            "true" => Ok(Val::Bool(true)),
            "false" => Ok(Val::Bool(false)),
            _ => Err("the text is neither true nor false; yes(…) reads more".to_owned()),
        },
        other => Err(format!("takes bool or string, not {}", other.type_name())),
    }
}

fn type_of<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [value] = arguments(args)?;
    Ok(Val::Type(value.type_name()))
}

/// Key and value of each entry, as texts, for `replaceAll`.
pub(super) fn entries(value: Val<'_>) -> Result<Vec<(String, String)>, String> {
    let Val::Map(map) = value else {
        return Err(format!("takes map, not {}", value.type_name()));
    };
    let pairs: Vec<(Val<'_>, Val<'_>)> = match map {
        Map::Data(map) => map
            .iter()
            .map(|(key, value)| (Val::text(key.as_str()), Val::data(value)))
            .collect(),
        Map::Own(pairs) => pairs,
    };
    pairs
        .into_iter()
        .map(|(key, value)| {
            let value = if value.is_null() {
                Some(String::new())
            } else {
                value.scalar_text()
            };
            key.scalar_text().zip(value)
        })
        .collect::<Option<_>>()
        .ok_or_else(|| "the map is of text to text".to_owned())
}
