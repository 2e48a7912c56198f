//! Values as XML-RPC carries them. Pure: nothing is dropped, rounded or read another way, or there is no call.
//!
//! What Odoo's own reader and writer do was measured: it takes `<i8>` and `<nil/>`, and sends neither; it writes a line
//! break of a text bare, so that what is read is not normalised as XML asks for.

use std::fmt::Write as _;

use quick_xml::{
    Reader,
    escape::resolve_xml_entity,
    events::{BytesStart, Event},
};
use serde_json::{Map, Number, Value};

/// Values within values that are read; Odoo's own answers have a handful.
const DEEPEST: usize = 100;

/// A text that XML 1.0 cannot carry: where it is, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Such as `vals_list[2].comment`; empty at the top.
    pub place: String,
    /// The character.
    pub character: char,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// The result.
    Value(Value),
    /// It went wrong: code and text.
    Fault(i64, String),
}

/// Why a body is no answer of XML-RPC. Never quotes it.
pub(super) type Broken = &'static str;

/// A call with these parameters.
pub(super) fn request(method: &str, parameters: &[&Value]) -> Result<String, Refused> {
    Writer::default().call(method, |writer| {
        parameters
            .iter()
            .try_for_each(|value| writer.parameter(|writer| writer.value(value)))
    })
}

/// A call of a model's method for `who`. The list's values come with the names that [`Refused`] calls them by.
pub(super) fn execute_kw(
    who: &[&Value],
    list: &[(&str, Value)],
    named: &Map<String, Value>,
) -> Result<String, Refused> {
    Writer::default().call("execute_kw", |writer| {
        for value in who {
            writer.parameter(|writer| writer.value(value))?;
        }
        writer.parameter(|writer| writer.array(list.iter().map(|(name, value)| (*name, value))))?;
        writer.parameter(|writer| writer.members(named))
    })
}

/// Reads an answer.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Broken> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8")?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    Parser { reader }.reply()
}

#[derive(Default)]
struct Writer {
    xml: String,
    place: String,
}

impl Writer {
    fn call(
        mut self,
        method: &str,
        parameters: impl FnOnce(&mut Self) -> Result<(), Refused>,
    ) -> Result<String, Refused> {
        self.markup("<?xml version=\"1.0\"?><methodCall><methodName>");
        self.text(method)?;
        self.markup("</methodName><params>");
        parameters(&mut self)?;
        self.markup("</params></methodCall>");
        Ok(self.xml)
    }

    fn parameter(&mut self, value: impl FnOnce(&mut Self) -> Result<(), Refused>) -> Result<(), Refused> {
        self.markup("<param>");
        value(self)?;
        self.markup("</param>");
        Ok(())
    }

    fn markup(&mut self, markup: &str) {
        self.xml.push_str(markup);
    }

    /// Writes what lies at a place within the place.
    fn inside(&mut self, step: &str, write: impl FnOnce(&mut Self) -> Result<(), Refused>) -> Result<(), Refused> {
        let length = self.place.len();
        if !self.place.is_empty() && !step.starts_with('[') {
            self.place.push('.');
        }
        self.place.push_str(step);
        write(self)?;
        self.place.truncate(length);
        Ok(())
    }

    fn value(&mut self, value: &Value) -> Result<(), Refused> {
        match value {
            Value::Null => self.markup("<value><nil/></value>"),
            Value::Bool(yes) => write!(self.xml, "<value><boolean>{}</boolean></value>", u8::from(*yes))
                .expect("writing to a String cannot fail"),
            Value::Number(number) => self.number(number),
            Value::String(text) => {
                self.markup("<value><string>");
                self.text(text)?;
                self.markup("</string></value>");
            }
            Value::Array(items) => {
                let numbered = items.iter().enumerate();
                self.array(numbered.map(|(place, item)| (format!("[{place}]"), item)))?;
            }
            Value::Object(members) => self.members(members)?,
        }
        Ok(())
    }

    fn array<'v, S: AsRef<str>>(&mut self, items: impl Iterator<Item = (S, &'v Value)>) -> Result<(), Refused> {
        self.markup("<value><array><data>");
        for (step, item) in items {
            self.inside(step.as_ref(), |writer| writer.value(item))?;
        }
        self.markup("</data></array></value>");
        Ok(())
    }

    fn members(&mut self, members: &Map<String, Value>) -> Result<(), Refused> {
        self.markup("<value><struct>");
        for (name, member) in members {
            self.markup("<member><name>");
            self.text(name)?;
            self.markup("</name>");
            self.inside(name, |writer| writer.value(member))?;
            self.markup("</member>");
        }
        self.markup("</struct></value>");
        Ok(())
    }

    fn number(&mut self, number: &Number) {
        let tag = match number.as_i64() {
            _ if number.is_f64() => "double",
            Some(whole) if i32::try_from(whole).is_ok() => "int",
            _ => "i8",
        };
        match number.as_f64().filter(|_| number.is_f64()) {
            // all its digits, without an exponent, as the specification has it
            Some(real) => write!(self.xml, "<value><{tag}>{real}</{tag}></value>"),
            None => write!(self.xml, "<value><{tag}>{number}</{tag}></value>"),
        }
        .expect("writing to a String cannot fail");
    }

    fn text(&mut self, text: &str) -> Result<(), Refused> {
        for character in text.chars() {
            match character {
                '&' => self.xml.push_str("&amp;"),
                '<' => self.xml.push_str("&lt;"),
                '>' => self.xml.push_str("&gt;"),
                // bare, a reader of XML makes a line feed of it
                '\r' => self.xml.push_str("&#13;"),
                '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'.. => self.xml.push(character),
                _ => {
                    return Err(Refused {
                        place: self.place.clone(),
                        character,
                    });
                }
            }
        }
        Ok(())
    }
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Result<Event<'a>, Broken> {
        match self.reader.read_event() {
            Ok(Event::Eof) | Err(_) => Err("it is not well-formed, or cut off"),
            Ok(event) => Ok(event),
        }
    }

    fn reply(mut self) -> Result<Reply, Broken> {
        self.open("methodResponse")?;
        let reply = match self.start()?.name().as_ref() {
            "params" => {
                self.open("param")?;
                let value = self.value(0)?;
                self.close()?;
                Reply::Value(value)
            }
            "fault" => fault(&self.value(0)?)?,
            _ => return Err("it holds neither a result nor a fault"),
        };
        self.close()?;
        self.close()?;
        self.end()?;
        Ok(reply)
    }

    fn end(&mut self) -> Result<(), Broken> {
        loop {
            match self.reader.read_event() {
                Ok(Event::Text(text)) if text.trim().is_empty() => {}
                Ok(Event::Eof) => return Ok(()),
                _ => return Err("something follows its end"),
            }
        }
    }

    /// The next event that is not white space between elements.
    fn token(&mut self) -> Result<Event<'a>, Broken> {
        loop {
            match self.next()? {
                Event::Text(text) if text.trim().is_empty() => {}
                Event::Decl(_) => {}
                event => return Ok(event),
            }
        }
    }

    fn start(&mut self) -> Result<BytesStart<'a>, Broken> {
        match self.token()? {
            Event::Start(start) => Ok(start),
            // what declares entities is not read at all
            Event::DocType(_) => Err("it declares a document type"),
            _ => Err("an element is missing"),
        }
    }

    fn open(&mut self, name: &str) -> Result<(), Broken> {
        if self.start()?.name().as_ref() == name {
            Ok(())
        } else {
            Err("it has another root, or another element where one is due")
        }
    }

    /// That it is the right one the reader sees to.
    fn close(&mut self) -> Result<(), Broken> {
        match self.token()? {
            Event::End(_) => Ok(()),
            _ => Err("an element is too many"),
        }
    }

    /// A whole `<value>`.
    fn value(&mut self, depth: usize) -> Result<Value, Broken> {
        self.open("value")?;
        self.inner(depth)
    }

    /// What follows `<value>`, its end included.
    fn inner(&mut self, depth: usize) -> Result<Value, Broken> {
        if depth > DEEPEST {
            return Err("its values are nested too deeply");
        }
        let mut bare = String::new();
        let start = loop {
            match self.next()? {
                Event::Start(start) if bare.trim().is_empty() => break start,
                Event::End(_) => return Ok(Value::String(bare)),
                other => piece(&mut bare, &other)?,
            }
        };
        let value = match start.name().as_ref() {
            "string" => Value::String(self.text()?),
            "int" | "i4" | "i8" => whole(self.text()?.trim())?,
            "double" => real(self.text()?.trim())?,
            "boolean" => match self.text()?.trim() {
                "1" => Value::Bool(true),
                "0" => Value::Bool(false),
                _ => return Err("a boolean is neither 0 nor 1"),
            },
            "nil" => {
                self.close()?;
                Value::Null
            }
            "array" => self.array(depth)?,
            "struct" => self.members(depth)?,
            _ => return Err("it has a value of a type that Odoo does not send"),
        };
        self.close()?;
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Value, Broken> {
        self.open("data")?;
        let mut items = Vec::new();
        loop {
            match self.token()? {
                Event::Start(start) if start.name().as_ref() == "value" => items.push(self.inner(depth + 1)?),
                Event::End(_) => break,
                _ => return Err("an array holds something else than values"),
            }
        }
        self.close()?;
        Ok(Value::Array(items))
    }

    fn members(&mut self, depth: usize) -> Result<Value, Broken> {
        let mut members = Map::new();
        loop {
            match self.token()? {
                Event::Start(start) if start.name().as_ref() == "member" => {}
                Event::End(_) => return Ok(Value::Object(members)),
                _ => return Err("a struct holds something else than members"),
            }
            self.open("name")?;
            let name = self.text()?;
            let value = self.value(depth + 1)?;
            self.close()?;
            if members.insert(name, value).is_some() {
                return Err("a struct has a member twice");
            }
        }
    }

    /// Text up to the end of its element.
    fn text(&mut self) -> Result<String, Broken> {
        let mut text = String::new();
        loop {
            match self.next()? {
                Event::End(_) => return Ok(text),
                event => piece(&mut text, &event)?,
            }
        }
    }
}

/// Adds a piece of text as it stands; of entities XML's own five alone.
fn piece(text: &mut String, event: &Event<'_>) -> Result<(), Broken> {
    match event {
        Event::Text(piece) => text.push_str(piece),
        Event::CData(piece) => text.push_str(piece),
        Event::GeneralRef(reference) => match reference.resolve_char_ref() {
            Ok(Some(character)) => text.push(character),
            Ok(None) => text.push_str(resolve_xml_entity(reference).ok_or("it has an entity that is not XML's own")?),
            Err(_) => return Err("it refers to a character that is none"),
        },
        _ => return Err("it has something else where text is due"),
    }
    Ok(())
}

fn whole(text: &str) -> Result<Value, Broken> {
    let signed = text.parse::<i64>().map(Value::from);
    signed
        .or_else(|_| text.parse::<u64>().map(Value::from))
        .map_err(|_| "an integer is none, or too large")
}

fn real(text: &str) -> Result<Value, Broken> {
    let number = text.parse().ok().and_then(Number::from_f64);
    number.map(Value::Number).ok_or("a number is none, or not finite")
}

fn fault(value: &Value) -> Result<Reply, Broken> {
    match (value["faultCode"].as_i64(), value["faultString"].as_str()) {
        (Some(code), Some(text)) => Ok(Reply::Fault(code, text.to_owned())),
        _ => Err("a fault has no code or no text"),
    }
}

#[cfg(test)]
mod tests;
