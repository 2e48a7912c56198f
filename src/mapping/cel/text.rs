//! Functions of text: those of CEL, the string extension, and the language's own.

use std::{borrow::Cow, fmt::Write as _};

use super::{
    evaluate::{Evaluated, Run},
    functions::{arguments, entries, list, whole},
    value::Val,
};
use crate::mapping::compare;

type Args<'a> = Vec<Val<'a>>;

fn text(value: Val<'_>) -> Result<Cow<'_, str>, String> {
    match value {
        Val::Text(text) => Ok(text),
        other => Err(format!("takes string, not {}", other.type_name())),
    }
}

fn one(args: Args<'_>) -> Result<Cow<'_, str>, String> {
    let [value] = arguments(args)?;
    text(value)
}

fn two(args: Args<'_>) -> Result<(Cow<'_, str>, Cow<'_, str>), String> {
    let [a, b] = arguments(args)?;
    Ok((text(a)?, text(b)?))
}

/// The last argument, if there are more than `least`, as a whole number.
fn last_whole(args: &mut Args<'_>, least: usize) -> Result<Option<i64>, String> {
    if args.len() > least {
        args.pop().map(|value| whole(&value)).transpose()
    } else {
        Ok(None)
    }
}

/// Trimmed and lower case, in all scripts.
pub(super) fn lower<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    Ok(Val::text(one(args)?.trim().to_lowercase()))
}

pub(super) fn host<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    Ok(compare::host(&one(args)?).map_or(Val::Null, Val::text))
}

/// Plain text as HTML: blank lines part paragraphs, other line ends are kept.
pub(super) fn html<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let text = one(args)?.replace("\r\n", "\n").replace('\r', "\n");
    let mut html = String::with_capacity(text.len() + 16);
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.trim_matches('\n'));
    for paragraph in paragraphs.filter(|paragraph| !paragraph.trim().is_empty()) {
        html.push_str("<p>");
        for character in paragraph.chars() {
            match character {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&#34;"),
                '\'' => html.push_str("&#39;"),
                '\n' => html.push_str("<br/>"),
                other => html.push(other),
            }
        }
        html.push_str("</p>");
    }
    Ok(Val::text(html))
}

/// In one pass, the longest key first: what was put in is not looked at again.
pub(super) fn replace_all<'a>(run: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [source, map] = arguments(args)?;
    let source = text(source)?;
    let mut pairs = entries(map)?;
    pairs.retain(|(key, _)| !key.is_empty());
    pairs.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
    run.spend(source.len() / 16)?;
    let mut replaced = String::with_capacity(source.len());
    let mut rest = source.as_ref();
    while let Some(character) = rest.chars().next() {
        if let Some((key, value)) = pairs.iter().find(|(key, _)| rest.starts_with(key.as_str())) {
            run.spend(value.len() / 16)?;
            replaced.push_str(value);
            rest = &rest[key.len()..];
        } else {
            replaced.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    Ok(Val::text(replaced))
}

pub(super) fn contains<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    two(args).map(|(text, part)| Val::Bool(text.contains(part.as_ref())))
}

pub(super) fn starts_with<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    two(args).map(|(text, part)| Val::Bool(text.starts_with(part.as_ref())))
}

pub(super) fn ends_with<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    two(args).map(|(text, part)| Val::Bool(text.ends_with(part.as_ref())))
}

const OUTSIDE: &str = "the place is outside the text";

/// The place in bytes of a place in characters, the end included.
fn place(text: &str, characters: i64) -> Result<usize, String> {
    let characters = usize::try_from(characters).map_err(|_| OUTSIDE)?;
    let mut places = text.char_indices().map(|(place, _)| place).chain([text.len()]);
    places.nth(characters).ok_or_else(|| OUTSIDE.to_owned())
}

fn characters(text: &str) -> Result<i64, String> {
    i64::try_from(text.chars().count()).map_err(|_| OUTSIDE.to_owned())
}

pub(super) fn char_at<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [source, at] = arguments(args)?;
    let (source, at) = (text(source)?, whole(&at)?);
    let rest = &source[place(&source, at)?..];
    Ok(Val::text(rest.chars().next().map_or_else(String::new, String::from)))
}

pub(super) fn index_of<'a>(_: &Run<'a>, mut args: Args<'a>) -> Evaluated<'a> {
    let offset = last_whole(&mut args, 2)?;
    let (source, part) = two(args)?;
    let start = offset.map_or(Ok(0), |offset| place(&source, offset))?;
    let found = source[start..].find(part.as_ref());
    found
        .map_or(Ok(-1), |at| characters(&source[..start + at]))
        .map(Val::Int)
}

pub(super) fn last_index_of<'a>(_: &Run<'a>, mut args: Args<'a>) -> Evaluated<'a> {
    let offset = last_whole(&mut args, 2)?;
    let (source, part) = two(args)?;
    let start = offset.map_or(Ok(source.len()), |offset| place(&source, offset))?;
    // what begins at or before the place may end after it
    let end = source.len().min(start + part.len());
    let end = (end..=source.len())
        .find(|end| source.is_char_boundary(*end))
        .unwrap_or(source.len());
    let found = source[..end].rfind(part.as_ref());
    found.map_or(Ok(-1), |at| characters(&source[..at])).map(Val::Int)
}

pub(super) fn join<'a>(run: &Run<'a>, mut args: Args<'a>) -> Evaluated<'a> {
    let separator = if args.len() > 1 { args.pop() } else { None };
    let separator = separator.map_or(Ok(Cow::Borrowed("")), text)?;
    let [source] = arguments(args)?;
    let mut joined = String::new();
    for (at, element) in list(source)?.into_iter().enumerate() {
        let element = match element {
            Val::Text(text) => text,
            Val::Null => return Err("the list holds null: join compact(…) of it".to_owned()),
            other => {
                return Err(format!(
                    "takes a list of strings, not of {}; use string(…)",
                    other.type_name()
                ));
            }
        };
        if at > 0 {
            joined.push_str(&separator);
        }
        run.spend((element.len() + separator.len()) / 16)?;
        joined.push_str(&element);
    }
    Ok(Val::text(joined))
}

pub(super) fn lower_ascii<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    Ok(Val::text(one(args)?.to_ascii_lowercase()))
}

pub(super) fn upper_ascii<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    Ok(Val::text(one(args)?.to_ascii_uppercase()))
}

pub(super) fn trim<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    Ok(match one(args)? {
        Cow::Borrowed(text) => Val::text(text.trim()),
        Cow::Owned(text) => Val::text(text.trim().to_owned()),
    })
}

/// The first so many, or all.
pub(super) fn replace<'a>(run: &Run<'a>, mut args: Args<'a>) -> Evaluated<'a> {
    let times = last_whole(&mut args, 3)?;
    let [source, from, to] = arguments(args)?;
    let (source, from, to) = (text(source)?, text(from)?, text(to)?);
    let times = times.map_or(usize::MAX, |times| usize::try_from(times).unwrap_or(usize::MAX));
    let found = source.matches(from.as_ref()).take(times).count();
    run.spend((source.len() + found.saturating_mul(to.len())) / 16)?;
    Ok(Val::text(source.replacen(from.as_ref(), &to, times)))
}

/// Into so many pieces at most, the last with the rest; between characters where the separator is blank.
pub(super) fn split<'a>(run: &Run<'a>, mut args: Args<'a>) -> Evaluated<'a> {
    let most = last_whole(&mut args, 2)?;
    let (source, separator) = two(args)?;
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let pieces: Vec<&str> = if separator.is_empty() {
        let mut pieces = Vec::new();
        let mut rest = source.as_ref();
        while let Some(first) = rest.chars().next().filter(|_| pieces.len() < most) {
            let end = if pieces.len() + 1 == most {
                rest.len()
            } else {
                first.len_utf8()
            };
            pieces.push(&rest[..end]);
            rest = &rest[end..];
        }
        pieces
    } else {
        source.splitn(most, separator.as_ref()).collect()
    };
    run.spend(pieces.len())?;
    Ok(Val::list(
        pieces.into_iter().map(|piece| Val::text(piece.to_owned())).collect(),
    ))
}

pub(super) fn substring<'a>(_: &Run<'a>, mut args: Args<'a>) -> Evaluated<'a> {
    let end = last_whole(&mut args, 2)?;
    let [source, start] = arguments(args)?;
    let (source, start) = (text(source)?, whole(&start)?);
    let start = place(&source, start)?;
    let end = end.map_or(Ok(source.len()), |end| place(&source, end))?;
    source
        .get(start..end)
        .map(|part| Val::text(part.to_owned()))
        .ok_or_else(|| "the end is before the start".to_owned())
}

/// As a literal of CEL.
pub(super) fn quote<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let mut quoted = String::from('"');
    for character in one(args)?.chars() {
        let escaped = match character {
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{b}' => "\\v",
            '\\' => "\\\\",
            '"' => "\\\"",
            other => {
                quoted.push(other);
                continue;
            }
        };
        quoted.push_str(escaped);
    }
    quoted.push('"');
    Ok(Val::text(quoted))
}

/// Places for values: `%s %d %f %e %b %x %X %o`, `%.2f`, `%%`.
pub(super) fn format<'a>(run: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [pattern, values] = arguments(args)?;
    let pattern = text(pattern)?;
    let mut values = list(values)?.into_iter();
    let mut formatted = String::new();
    let mut parts = pattern.split('%');
    formatted.push_str(parts.next().unwrap_or_default());
    while let Some(part) = parts.next() {
        if part.is_empty() {
            formatted.push('%');
            formatted.push_str(parts.next().ok_or("the format ends within a place")?);
            continue;
        }
        let value = values.next().ok_or("there are fewer values than places")?;
        let rest = clause(part, &value, &mut formatted)?;
        run.spend(formatted.len() / 16)?;
        formatted.push_str(rest);
    }
    Ok(Val::text(formatted))
}

/// Writes a value as the clause at the start of `part` says; gives what follows the clause.
fn clause<'p>(part: &'p str, value: &Val<'_>, out: &mut String) -> Result<&'p str, String> {
    const MOST_DIGITS: usize = 100;
    let (digits, rest) = match part.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let digits = rest[..end].parse().ok().filter(|digits| *digits <= MOST_DIGITS);
            (digits.ok_or("a precision is at most 100")?, &rest[end..])
        }
        None => (6, part),
    };
    let kind = rest.chars().next().ok_or("the format ends within a place")?;
    let unsigned = |number: i64| (if number < 0 { "-" } else { "" }, number.unsigned_abs());
    #[expect(clippy::cast_precision_loss, reason = "what %f and %e are for")]
    let double = match value {
        Val::Int(number) => Some(*number as f64),
        Val::Double(number) => Some(*number),
        _ => None,
    };
    let written = match (kind, value, double) {
        (_, Val::Null, _) => return Err("a value of the format is null".to_owned()),
        ('s', value, _) => {
            let text = match value.scalar_text() {
                Some(text) => text,
                None => value.clone().into_json()?.to_string(),
            };
            out.write_str(&text)
        }
        ('d', Val::Int(_) | Val::Double(_), _) => out.write_str(&value.scalar_text().unwrap_or_default()),
        ('f', _, Some(number)) => write!(out, "{number:.digits$}"),
        ('e', _, Some(number)) => out.write_str(&scientific(number, digits)),
        ('b', Val::Bool(yes), _) => write!(out, "{}", u8::from(*yes)),
        ('b', Val::Int(number), _) => write!(out, "{0}{1:b}", unsigned(*number).0, unsigned(*number).1),
        ('x', Val::Int(number), _) => write!(out, "{0}{1:x}", unsigned(*number).0, unsigned(*number).1),
        ('X', Val::Int(number), _) => write!(out, "{0}{1:X}", unsigned(*number).0, unsigned(*number).1),
        ('o', Val::Int(number), _) => write!(out, "{0}{1:o}", unsigned(*number).0, unsigned(*number).1),
        ('x', Val::Text(text), _) => text.bytes().try_for_each(|byte| write!(out, "{byte:02x}")),
        ('X', Val::Text(text), _) => text.bytes().try_for_each(|byte| write!(out, "{byte:02X}")),
        ('d' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o', other, _) => {
            return Err(format!("%{kind} does not take {}", other.type_name()));
        }
        _ => return Err("a place of the format is one of %s %d %f %e %b %x %X %o %%".to_owned()),
    };
    written.map_err(|_| "the format cannot be written".to_owned())?;
    Ok(&rest[kind.len_utf8()..])
}

/// With two digits of exponent at least, as C writes it.
fn scientific(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, exponent) = exponent
                .strip_prefix('-')
                .map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}
