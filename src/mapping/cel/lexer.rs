//! From the text of an expression to tokens.

use super::CelProblem;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(u64),
    Double(f64),
    Text(String),
    /// An operator or a bracket.
    Mark(&'static str),
    End,
}

/// Longest first, so that `<=` is not `<`.
const MARKS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}", "=", "|",
];

/// The tokens with their places in bytes; the last is [`Token::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, CelProblem> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip();
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        tokens.push((token, start));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    /// Blanks and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let solid = rest.trim_start();
            self.at += rest.len() - solid.len();
            if !solid.starts_with("//") {
                return;
            }
            self.at += solid.find('\n').unwrap_or(solid.len());
        }
    }

    fn token(&mut self) -> Result<Token, CelProblem> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token::End);
        };
        let second = rest[first.len_utf8()..].chars().next();
        match first {
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            '"' | '\'' => self.text(false),
            'r' | 'R' if matches!(second, Some('"' | '\'')) => {
                self.at += 1;
                self.text(true)
            }
            'b' | 'B' if matches!(second, Some('"' | '\'')) => Err(self.problem("the language has no bytes")),
            'a'..='z' | 'A'..='Z' | '_' => {
                let name = self.while_in(|c| c.is_ascii_alphanumeric() || c == '_');
                Ok(Token::Name(name.to_owned()))
            }
            other => {
                let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) else {
                    return Err(self.problem(&format!("unexpected {other:?}")));
                };
                self.at += mark.len();
                Ok(Token::Mark(mark))
            }
        }
    }

    fn while_in(&mut self, belongs: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self) -> Result<Token, CelProblem> {
        let start = self.at;
        let digits = |c: char| c.is_ascii_digit();
        if self.rest().starts_with("0x") {
            self.at += 2;
            let hex = self.while_in(|c| c.is_ascii_hexdigit());
            let value = u64::from_str_radix(hex, 16).map_err(|_| self.problem("a number that is too large"))?;
            return self.whole(value);
        }
        self.while_in(digits);
        let mut double = false;
        if self.rest().starts_with('.') && self.rest()[1..].starts_with(digits) {
            double = true;
            self.at += 1;
            self.while_in(digits);
        }
        let exponent = self.rest().strip_prefix(['e', 'E']);
        if exponent.is_some_and(|e| e.strip_prefix(['+', '-']).unwrap_or(e).starts_with(digits)) {
            double = true;
            self.at += 2;
            self.while_in(digits);
        }
        let text = &self.source[start..self.at];
        if double {
            let value: f64 = text.parse().map_err(|_| self.problem("a number that cannot be read"))?;
            return if value.is_finite() {
                Ok(Token::Double(value))
            } else {
                Err(self.problem("a number that is too large"))
            };
        }
        let value = text.parse().map_err(|_| self.problem("a number that is too large"))?;
        self.whole(value)
    }

    fn whole(&self, value: u64) -> Result<Token, CelProblem> {
        match self.rest().chars().next() {
            Some('u' | 'U') => Err(self.problem("the language has no uint: write the number without u")),
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => Err(self.problem(&format!("unexpected {c:?}"))),
            _ => Ok(Token::Int(value)),
        }
    }

    fn text(&mut self, raw: bool) -> Result<Token, CelProblem> {
        let start = self.at;
        let quote = &self.rest()[..1];
        let triple = quote.repeat(3);
        let fence = if self.rest().starts_with(&triple) {
            triple.as_str()
        } else {
            quote
        };
        self.at += fence.len();
        let mut text = String::new();
        loop {
            if self.rest().starts_with(fence) {
                self.at += fence.len();
                return Ok(Token::Text(text));
            }
            let next = self.rest().chars().next();
            self.at += next.map_or(0, char::len_utf8);
            match next {
                Some('\\') if raw => {
                    text.push('\\');
                    // a raw text keeps the backslash, but an escaped quote does not end it
                    let kept = self.rest().chars().next();
                    self.at += kept.map_or(0, char::len_utf8);
                    text.extend(kept);
                }
                Some('\\') => text.push(self.escape()?),
                Some('\n') if fence.len() == 1 => break,
                Some(character) => text.push(character),
                None => break,
            }
        }
        self.at = start;
        Err(self.problem("a text that is not closed"))
    }

    fn escape(&mut self) -> Result<char, CelProblem> {
        let kind = self.rest().chars().next();
        self.at += kind.map_or(0, char::len_utf8);
        let simple = match kind {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(same @ ('\\' | '?' | '"' | '\'' | '`')) => same,
            Some('x' | 'X') => return self.code(2, 16),
            Some('u') => return self.code(4, 16),
            Some('U') => return self.code(8, 16),
            Some('0'..='3') => {
                self.at -= 1;
                return self.code(3, 8);
            }
            _ => return Err(self.problem("an unknown escape in a text; a backslash itself is \\\\")),
        };
        Ok(simple)
    }

    fn code(&mut self, digits: usize, radix: u32) -> Result<char, CelProblem> {
        let code = self
            .rest()
            .get(..digits)
            .filter(|code| code.chars().all(|c| c.is_digit(radix)))
            .and_then(|code| u32::from_str_radix(code, radix).ok())
            .and_then(char::from_u32)
            .ok_or_else(|| self.problem("an escape in a text that names no character"))?;
        self.at += digits;
        Ok(code)
    }

    fn problem(&self, what: &str) -> CelProblem {
        CelProblem::syntax(self.source, self.at, what)
    }
}
