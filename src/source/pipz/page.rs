//! An answer of Pipz, taken apart: the text of each row, and how many there are in all if the answer says so. Pure.

use serde::de::{Deserialize as _, IgnoredAny};
use serde_json::{Deserializer, Value};

/// A page of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The JSON of each row, as it came.
    pub rows: Vec<String>,
    /// `meta.total_count`: a guess, and only ever said with "about".
    pub total: Option<i64>,
}

/// Reads `{"meta": …, "objects": [row, …]}`, or a bare list of rows; `None` for JSON that is neither.
///
/// # Errors
/// Where it is no JSON; without a word of the answer.
pub fn read(text: &str) -> Result<Option<Page>, String> {
    let mut at = Cursor(text.trim_start());
    if !at.is('[') && !at.is('{') {
        at.value()?;
        return at.end().map(|()| None);
    }
    if at.0.starts_with('[') {
        let rows = at.list()?;
        at.end()?;
        return Ok(Some(Page { rows, total: None }));
    }
    let (mut rows, mut total, mut is_null) = (None, None, false);
    at.take('{')?;
    if !at.is('}') {
        loop {
            let name: String = serde_json::from_str(at.value()?).map_err(|_| "which is no JSON".to_owned())?;
            at.take(':')?;
            match name.as_str() {
                "objects" if at.0.starts_with('[') => rows = Some(at.list()?),
                "objects" => is_null = at.value()? == "null",
                "meta" => {
                    let meta: Value = serde_json::from_str(at.value()?).unwrap_or_default();
                    total = meta["total_count"].as_i64();
                }
                _ => drop(at.value()?),
            }
            if at.is('}') {
                break;
            }
            at.take(',')?;
        }
    }
    at.take('}')?;
    at.end()?;
    // an empty list, as some write it; without a number it may be a failure
    let rows = rows.or_else(|| (is_null && total.is_some()).then(Vec::new));
    Ok(rows.map(|rows| Page { rows, total }))
}

/// The text of the one record in an answer, be it wrapped: `{…}`, `[{…}]`, `{"contact": {…}}`, `{"objects": [{…}]}`.
///
/// # Errors
/// Where it is no JSON, or holds another number of records than one; without a word of the answer.
pub fn one(text: &str) -> Result<&str, String> {
    const NOT_ONE: &str = "which is not one record";
    let mut at = Cursor(text.trim());
    let whole = at.value()?;
    at.end()?;
    let mut at = Cursor(whole);
    if at.is('[') {
        return match at.values()?[..] {
            [row] if row.starts_with('{') => Ok(row),
            _ => Err(NOT_ONE.to_owned()),
        };
    }
    if !at.is('{') {
        return Err(NOT_ONE.to_owned());
    }
    let mut within = Vec::new();
    at.take('{')?;
    while !at.is('}') {
        let name: String = serde_json::from_str(at.value()?).map_err(|_| "which is no JSON".to_owned())?;
        at.take(':')?;
        let value = at.value()?;
        if name == "id" {
            return Ok(whole);
        }
        if name != "meta" && value.starts_with(['{', '[']) {
            within.push(value);
        }
        if !at.is('}') {
            at.take(',')?;
        }
    }
    match within[..] {
        [inner] => one(inner),
        _ => Err(NOT_ONE.to_owned()),
    }
}

/// The rest of the text, without leading white space.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn is(&self, mark: char) -> bool {
        self.0.starts_with(mark)
    }

    fn take(&mut self, mark: char) -> Result<(), String> {
        let rest = self.0.strip_prefix(mark).ok_or("which is no JSON")?;
        self.0 = rest.trim_start();
        Ok(())
    }

    fn end(&self) -> Result<(), String> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err("which is no JSON".into())
        }
    }

    /// The text of the next value.
    fn value(&mut self) -> Result<&'a str, String> {
        let mut json = Deserializer::from_str(self.0);
        IgnoredAny::deserialize(&mut json).map_err(|_| "which is no JSON".to_owned())?;
        let length = json.into_iter::<IgnoredAny>().byte_offset();
        let (value, rest) = self.0.split_at(length);
        self.0 = rest.trim_start();
        Ok(value)
    }

    fn list(&mut self) -> Result<Vec<String>, String> {
        Ok(self.values()?.into_iter().map(str::to_owned).collect())
    }

    fn values(&mut self) -> Result<Vec<&'a str>, String> {
        let mut values = Vec::new();
        self.take('[')?;
        while !self.is(']') {
            values.push(self.value()?);
            if !self.is(']') {
                self.take(',')?;
                if self.is(']') {
                    return Err("which is no JSON".into());
                }
            }
        }
        self.take(']')?;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_found_whatever_stands_around_them() {
        for (text, wanted) in [
            (
                r#"{"meta":{"total_count":7},"objects":[{"id":1},{"id":2}]}"#,
                (vec![r#"{"id":1}"#, r#"{"id":2}"#], Some(7)),
            ),
            (
                r#" { "x": [1, {"objects": 3}], "objects" : [ null , 12.50, "a\"]" ] } "#,
                (vec!["null", "12.50", r#""a\"]""#], None),
            ),
            (r#"{"objects":[],"meta":null}"#, (vec![], None)),
            (r#"{"objects":[],"meta":{"total_count":"many"}}"#, (vec![], None)),
            (r#"[{"id":1}]"#, (vec![r#"{"id":1}"#], None)),
            ("[]", (vec![], None)),
        ] {
            let page = read(text).unwrap().unwrap();
            let rows: Vec<&str> = page.rows.iter().map(String::as_str).collect();
            assert_eq!((rows, page.total), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_page_is_told_without_a_word_of_it() {
        for (text, wanted) in [
            ("<html>Maria</html>", "which is no JSON"),
            ("", "which is no JSON"),
            (r#"{"objects":[{"id":1},"#, "which is no JSON"),
            (r#"{"objects":[{"id":1},]}"#, "which is no JSON"),
            (r#"{"objects":[{"id":1}]} x"#, "which is no JSON"),
        ] {
            assert_eq!(read(text).unwrap_err(), wanted, "{text}");
        }
        for text in [
            r#"{"result":"Maria"}"#,
            r#"{"objects":{"1":{"id":1}}}"#,
            "{}",
            "12",
            "null",
        ] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn one_record_is_found_however_it_is_wrapped() {
        let record = r#"{"name": "Ana", "id": 7}"#;
        for text in [
            record.to_owned(),
            format!(" [{record}] "),
            format!(r#"{{"contact": {record}}}"#),
            format!(r#"{{"meta": {{"a": 1}}, "status": "ok", "objects": [{record}]}}"#),
        ] {
            assert_eq!(one(&text), Ok(record), "{text}");
        }
        for (text, wanted) in [
            ("null", "which is not one record"),
            ("[]", "which is not one record"),
            (r#"[{"id":1},{"id":2}]"#, "which is not one record"),
            (r#"{"name":"Ana"}"#, "which is not one record"),
            (r#"{"a":{"id":1},"b":{"id":2}}"#, "which is not one record"),
            (r#"{"id":1} x"#, "which is no JSON"),
            ("<html>", "which is no JSON"),
        ] {
            assert_eq!(one(text), Err(wanted.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_row_comes_as_it_was_written(rows in prop::collection::vec(("[a-z\"\\\\\\]\\[{},: ]{0,8}", any::<i64>(), any::<bool>()), 0..6)) {
            let rows: Vec<Value> = rows.into_iter().map(|(text, number, yes)| json!({"a": text, "b": [number, yes]})).collect();
            let page = read(&json!({"meta": {"total_count": rows.len()}, "objects": rows}).to_string()).unwrap().unwrap();
            let read: Vec<Value> = page.rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn no_text_makes_it_fail_otherwise(text in "[\\[\\]{}\",:a0 ]{0,24}") {
            let _ = read(&text);
            let _ = one(&text);
        }
    }
}
