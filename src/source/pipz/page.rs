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
    /// A bare list: there are no further pages.
    pub bare: bool,
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
        return Ok(Some(Page {
            rows,
            total: None,
            bare: true,
        }));
    }
    let (mut rows, mut total) = (None, None);
    at.take('{')?;
    if !at.is('}') {
        loop {
            let name: String = serde_json::from_str(at.value()?).map_err(|_| "which is no JSON".to_owned())?;
            at.take(':')?;
            match name.as_str() {
                "objects" if at.0.starts_with('[') => rows = Some(at.list()?),
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
    Ok(rows.map(|rows| Page {
        rows,
        total,
        bare: false,
    }))
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
        let mut values = Vec::new();
        self.take('[')?;
        while !self.is(']') {
            values.push(self.value()?.to_owned());
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
                (vec![r#"{"id":1}"#, r#"{"id":2}"#], Some(7), false),
            ),
            (
                r#" { "x": [1, {"objects": 3}], "objects" : [ null , 12.50, "a\"]" ] } "#,
                (vec!["null", "12.50", r#""a\"]""#], None, false),
            ),
            (r#"{"objects":[],"meta":null}"#, (vec![], None, false)),
            (r#"{"objects":[],"meta":{"total_count":"many"}}"#, (vec![], None, false)),
            (r#"[{"id":1}]"#, (vec![r#"{"id":1}"#], None, true)),
            ("[]", (vec![], None, true)),
        ] {
            let page = read(text).unwrap().unwrap();
            let rows: Vec<&str> = page.rows.iter().map(String::as_str).collect();
            assert_eq!((rows, page.total, page.bare), wanted, "{text}");
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
        }
    }
}
