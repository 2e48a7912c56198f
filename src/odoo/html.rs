//! HTML as a reader sees it, since Odoo rewrites what it is sent. Pure.

use std::fmt::Write as _;

/// Tags that part words; all others, and those that nobody knows and Odoo takes away, do not.
const BLOCKS: [&str; 41] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "caption",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "img",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "tr",
    "ul",
];
/// Tags that show nothing by themselves.
const WRAPPERS: [&str; 12] = [
    "p", "br", "div", "span", "b", "i", "u", "em", "strong", "font", "html", "body",
];
/// Tags whose addresses Odoo keeps.
const LEADING: [&str; 6] = ["a", "area", "audio", "img", "source", "video"];
/// Addresses that Odoo never keeps begin so, but for data that are a picture.
const NEVER_KEPT: [&str; 3] = ["javascript:", "vbscript:", "data:"];

/// What there is to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The text: no tags, no scripts and styles, entities resolved, white space as one blank.
    pub text: String,
    /// Where links lead and pictures come from, in their order.
    pub addresses: Vec<String>,
    /// Nothing at all.
    pub is_blank: bool,
}

impl Seen {
    /// Of this HTML.
    #[must_use]
    pub fn of(html: &str) -> Self {
        let (mut text, mut rest) = (String::with_capacity(html.len()), html);
        let (mut addresses, mut shows) = (Vec::new(), false);
        while let Some(open) = rest.find('<') {
            unescape_into(&rest[..open], &mut text);
            let tag = &rest[open + 1..];
            let name: String = tag
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '/')
                .collect::<String>()
                .to_lowercase();
            let end = match name.as_str() {
                _ if tag.starts_with("!--") => tag.find("-->").map(|place| place + 3),
                "script" | "style" | "title" => closing(tag, &name),
                _ if !tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) => Some(0),
                _ => tag_end(tag),
            };
            let bare = name.trim_matches('/');
            if end == Some(0) {
                text.push('<');
            } else if BLOCKS.contains(&bare) {
                text.push(' ');
            }
            let is_hidden = matches!(
                bare,
                "script" | "style" | "title" | "head" | "link" | "meta" | "base" | ""
            );
            if !is_hidden && !name.starts_with('/') {
                shows |= !WRAPPERS.contains(&bare) && bare != "a";
            }
            if LEADING.contains(&name.as_str()) {
                addresses.extend(address(&tag[name.len()..end.unwrap_or(tag.len())]));
            }
            rest = end.map_or("", |end| &tag[end..]);
        }
        unescape_into(rest, &mut text);
        // Odoo's sanitiser drops control characters
        text.retain(|c| !c.is_control() || c.is_whitespace());
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            is_blank: text.is_empty() && addresses.is_empty() && !shows,
            text,
            addresses,
        }
    }

    /// Whether the text is the same but for white space, which tags that Odoo takes away may leave or not.
    #[must_use]
    pub fn reads_like(&self, other: &Self) -> bool {
        let letters = |seen: &Self| seen.text.split_whitespace().collect::<String>();
        self.text == other.text || letters(self) == letters(other)
    }

    /// All of it in one text.
    #[must_use]
    pub fn whole(&self) -> String {
        self.addresses.iter().fold(self.text.clone(), |mut whole, address| {
            let _ = write!(whole, "\n{address}");
            whole
        })
    }
}

/// Behind the end of a tag; a `>` within quotes is none.
fn tag_end(tag: &str) -> Option<usize> {
    let (mut quote, mut before) = (None, ' ');
    for (place, character) in tag.char_indices() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') if before == '=' => quote = Some(character),
            (None, '>') => return Some(place + 1),
            _ => {}
        }
        if !character.is_whitespace() {
            before = character;
        }
    }
    // a quote that nobody closed
    tag.find('>').map(|place| place + 1).filter(|_| quote.is_some())
}

/// Behind the end tag of a `script`, `style` or `title`.
fn closing(tag: &str, name: &str) -> Option<usize> {
    let start = tag.to_ascii_lowercase().find(&format!("</{name}"))?;
    tag[start..].find('>').map(|place| start + place + 1)
}

/// The address in the attributes of a tag, in one spelling.
fn address(attributes: &str) -> Option<String> {
    let lower = attributes.to_ascii_lowercase();
    let value = ["href", "src"].iter().find_map(|name| {
        let ends = lower.match_indices(name).filter_map(|(at, _)| {
            let begins = attributes[..at].ends_with(|c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'' | '/'));
            let value = attributes[at + name.len()..].trim_start().strip_prefix('=')?;
            begins.then(|| value.trim_start())
        });
        ends.into_iter().next()
    })?;
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next(),
        _ => value.split(|c: char| c.is_ascii_whitespace() || c == '>').next(),
    }?;
    let mut address = String::new();
    unescape_into(value.trim(), &mut address);
    let address = percent_decoded(&address);
    let lower = address.to_ascii_lowercase();
    let kept = lower.starts_with("data:image/") || !NEVER_KEPT.iter().any(|word| lower.starts_with(word));
    (kept && !address.is_empty()).then_some(address)
}

/// Odoo encodes some characters of an address, and leaves others as they are.
fn percent_decoded(address: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(address.len()), address.as_bytes());
    while let Some((first, others)) = rest.split_first() {
        let code = (*first == b'%').then(|| std::str::from_utf8(others.get(..2)?).ok());
        if let Some(byte) = code.flatten().and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unescape_into(escaped: &str, text: &mut String) {
    let mut rest = escaped;
    while let Some(start) = rest.find('&') {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some((characters, length)) = entity(rest) {
            text.push_str(&characters);
            rest = &rest[length..];
        } else {
            text.push('&');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
}

/// What the entity that the text begins with stands for, and the entity's length.
fn entity(text: &str) -> Option<(String, usize)> {
    let end = text.char_indices().take(34).find(|(_, c)| *c == ';')?.0;
    let name = &text[1..end];
    let characters = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?.to_string()
        }
        None => quick_xml::escape::resolve_html5_entity(name)?.to_owned(),
    };
    Some((characters, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_reader_sees() {
        for (html, seen) in [
            ("<p>Olá <b>mun</b>do</p><p>2 &lt; 3</p>", "Olá mundo 2 < 3"),
            ("a<br/>b &#233;&#xE9; &unknown; & c", "a b éé &unknown; & c"),
            ("Jos&eacute; &copy; &hellip; &euro; &ccedil;&atilde;o", "José © … € ção"),
            ("<p>a<o:p></o:p>b <label>c</label>d</p>", "ab cd"),
            ("<style>p {}</style><SCRIPT>1 < 2</SCRIPT>x<!-- <p>y -->", "x"),
            ("1 < 2", "1 < 2"),
            ("<p title=\"a > b\">text</p>", "text"),
            ("<p title='it\"s > so'>text</p><p don't>x</p>", "text x"),
            ("<p title=\"open>text</p>", "text"),
            ("<p", ""),
            (
                "<?xml version=\"1.0\"?><html><head><title>Mail</title></head><body>a<?xml:namespace x />b</body></html>",
                "ab",
            ),
            ("so <3 1 <= 2", "so <3 1 <= 2"),
        ] {
            assert_eq!(Seen::of(html).text, seen, "{html}");
        }
        assert!(Seen::of("<nav>a</nav>b").reads_like(&Seen::of("<x>a</x>b")));
        assert!(!Seen::of("a").reads_like(&Seen::of("b")));
    }

    #[test]
    fn addresses_are_found_in_one_spelling() {
        for (html, addresses) in [
            (
                "<a href=\"https://a.br/x?a=1&amp;b=2\">x</a>",
                &["https://a.br/x?a=1&b=2"][..],
            ),
            (
                "<A title='href' HREF = 'https://a.br/S%C3%A3o'>x</a>",
                &["https://a.br/São"],
            ),
            (
                "<p><img alt=x src=/web/image/3><a href=#top>y</a></p>",
                &["/web/image/3", "#top"],
            ),
            ("<a href=\"javascript:alert(1)\">js</a><a href=\"\">no</a>", &[]),
            ("<a title=\"1>2\" href=\"https://a.br\">t</a>", &["https://a.br"]),
            (
                "<iframe src=\"https://a.br\"></iframe><a href=\"data:text/html,x\">x</a>",
                &[],
            ),
            (
                "<img src=\"data:image/png;base64,iVBO\">",
                &["data:image/png;base64,iVBO"],
            ),
            ("<link href=\"x.css\"><script src=\"x.js\"></script>", &[]),
            ("<a data-href=\"no\">x</a>", &[]),
            ("<a href=\"100%\">x</a>", &["100%"]),
        ] {
            assert_eq!(Seen::of(html).addresses, addresses, "{html}");
        }
    }

    #[test]
    fn blank_is_what_shows_nothing() {
        for (html, blank) in [
            ("", true),
            ("<p><br></p>", true),
            ("<p> &nbsp; </p>", true),
            ("<script>x</script>", true),
            ("<p><img src=\"/web/image/3\"></p>", false),
            ("<video></video>", false),
            ("<hr>", false),
            ("<p>x</p>", false),
        ] {
            assert_eq!(Seen::of(html).is_blank, blank, "{html}");
        }
    }
}
