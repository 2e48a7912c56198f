//! Names as they are written in paths and expressions.

/// First names of a path's alternatives that stand for something else than a field of the record.
pub(super) fn reserved(path: &str) -> Vec<&str> {
    unquoted_pieces(path, '|')
        .into_iter()
        .map(|alternative| unquoted_pieces(alternative, '.')[0])
        .filter(|name| matches!(*name, "item" | "parent" | "index" | "line"))
        .collect()
}

/// Splits outside quotes; the pieces are trimmed. There is always one.
fn unquoted_pieces(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut begin, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == '"' {
            quoted = !quoted;
        } else if c == separator && !quoted {
            pieces.push(text[begin..at].trim());
            begin = at + c.len_utf8();
        }
    }
    pieces.push(text[begin..].trim());
    pieces
}

/// Whether an expression calls `key`: its text is a canonical key then, and is not escaped again.
pub(super) fn calls_key(expression: &str) -> bool {
    let mut rest = expression;
    let mut before = None;
    while let Some(at) = rest.find("key(") {
        let previous = rest[..at].chars().next_back().or(before);
        if !previous.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.') {
            return true;
        }
        rest = &rest[at + "key(".len()..];
        before = Some('(');
    }
    false
}

/// Whether CEL can say the name.
pub(super) fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_those_that_open_an_alternative_unquoted() {
        for (path, wanted) in [
            ("item", vec!["item"]),
            ("name | item.id|parent.x", vec!["item", "parent"]),
            ("record.item", vec![]),
            ("\"item\" | \"a|item\"", vec![]),
            ("items.index", vec![]),
        ] {
            assert_eq!(reserved(path), wanted, "{path}");
        }
    }

    #[test]
    fn a_call_of_key_is_told_from_names_that_end_in_it() {
        for (text, wanted) in [
            ("key([record.a])", true),
            ("record.a == null ? null : key([record.a])", true),
            ("monkey(record.a)", false),
            ("record.key(1)", false),
            ("monkey(key([1]))", true),
        ] {
            assert_eq!(calls_key(text), wanted, "{text}");
        }
    }
}
