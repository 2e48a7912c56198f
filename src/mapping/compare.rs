//! How values are compared: for `match` and for lookups.

use crate::model::{OdooValue, Reference};

/// The comparable form of a value of a field; `None` where it is empty. Text is trimmed and without case, a `website`
/// is whose site it is, links are sorted; the rest is compared exactly.
#[must_use]
pub fn normal(ttype: &str, field: &str, value: &OdooValue) -> Option<String> {
    match value {
        // no match goes by lines
        OdooValue::Empty | OdooValue::Lines(_) => None,
        OdooValue::Text(text) if ttype == "selection" => Some(text.clone()).filter(|text| !text.is_empty()),
        OdooValue::Text(text) => normal_text(field, text),
        OdooValue::Integer(number) => Some(number.to_string()),
        OdooValue::Float(number) => Some(canonical_float(*number)),
        OdooValue::Boolean(yes) => Some(yes.to_string()),
        OdooValue::Date(text) | OdooValue::DateTime(text) => Some(text.clone()),
        OdooValue::Content(content) => Some(format!("{} {}", content.sha1, content.size)),
        OdooValue::Link(reference) => Some(link(reference)),
        OdooValue::Links(references) => {
            let mut sorted: Vec<&Reference> = references.iter().collect();
            sorted.sort_unstable();
            sorted.dedup();
            let links: Vec<String> = sorted.into_iter().map(link).collect();
            Some(links.join(",")).filter(|links| !links.is_empty())
        }
    }
}

/// The comparable form of text; `None` where it is blank.
#[must_use]
pub fn normal_text(field: &str, text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    if field == "website" {
        return whose_site(host(&lower)?, &lower);
    }
    Some(lower).filter(|text| !text.is_empty())
}

/// Hosts on which many have their page: it is the path that tells whose.
const SHARED_HOSTS: [&str; 38] = [
    "airbnb.com",
    "amazon.com",
    "beacons.ai",
    "behance.net",
    "bio.link",
    "bit.ly",
    "booking.com",
    "ebay.com",
    "etsy.com",
    "facebook.com",
    "fb.com",
    "fb.me",
    "g.page",
    "github.com",
    "goo.gl",
    "google.com",
    "ifood.com.br",
    "instagram.com",
    "linkedin.com",
    "linktr.ee",
    "medium.com",
    "mercadolivre.com.br",
    "olx.com.br",
    "pinterest.com",
    "shopee.com.br",
    "t.me",
    "telegram.me",
    "threads.net",
    "tiktok.com",
    "tripadvisor.com",
    "twitter.com",
    "vimeo.com",
    "wa.me",
    "whatsapp.com",
    "x.com",
    "yelp.com",
    "youtu.be",
    "youtube.com",
];

/// Where people have their mail: as a website it is nobody's.
const OF_MAIL: [&str; 16] = [
    "aol.com",
    "bol.com.br",
    "gmail.com",
    "gmx.com",
    "hotmail.com",
    "icloud.com",
    "ig.com.br",
    "live.com",
    "mail.com",
    "msn.com",
    "outlook.com",
    "proton.me",
    "protonmail.com",
    "terra.com.br",
    "uol.com.br",
    "yahoo.com",
];

/// The host, which is a company's own; on a shared one the page too. A shared host without a page is nobody's, and so is what
/// is no host at all: `n/a`, `não tem`, an e-mail.
fn whose_site(host: String, lower: &str) -> Option<String> {
    let is_mail = !lower.contains("://")
        && lower
            .split(['/', '?', '#'])
            .next()
            .is_some_and(|named| named.contains('@'));
    let mail = OF_MAIL.iter().any(|mail| {
        host.strip_prefix(mail)
            .is_some_and(|rest| rest.is_empty() || rest == ".br")
    });
    if is_mail || mail || !is_a_hosts_name(&host) {
        return None;
    }
    let shared = |shared: &&&str| {
        host.strip_suffix(**shared)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let Some(shared) = SHARED_HOSTS.iter().find(shared) else {
        return Some(host);
    };
    let rest = lower.split_once("://").map_or(lower, |(_, rest)| rest);
    let page = rest.split_once('/')?.1.split('#').next()?.trim_matches('/');
    (!page.is_empty()).then(|| format!("{shared}/{page}"))
}

/// Labels with dots between, the last of them a word.
fn is_a_hosts_name(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let is_label =
        |label: &&str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    labels.len() > 1
        && labels.iter().all(is_label)
        && labels
            .last()
            .is_some_and(|last| last.chars().count() > 1 && last.contains(char::is_alphabetic))
}

/// The host of an address or an e-mail, lower case, without `www.`; `None` where there is none.
#[must_use]
pub fn host(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let named = authority.rsplit('@').next().unwrap_or(authority);
    let host = match named.strip_prefix('[').and_then(|address| address.split_once(']')) {
        Some((address, _)) => address,
        None => named
            .split(|c: char| c.is_whitespace() || matches!(c, ':' | '>' | '<' | ',' | ';'))
            .next()
            .unwrap_or(named),
    };
    let host = host.trim_end_matches('.');
    let host = host.strip_prefix("www.").unwrap_or(host);
    Some(host.to_owned()).filter(|host| !host.is_empty())
}

/// A number in its one form: no exponent, no fraction where it is whole, no negative zero.
#[must_use]
pub(super) fn canonical_float(number: f64) -> String {
    if number == 0.0 {
        "0".to_owned()
    } else {
        number.to_string()
    }
}

fn link(reference: &Reference) -> String {
    match reference {
        Reference::Id(id) => id.to_string(),
        Reference::Pending(id) => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ExternalId;

    #[test]
    fn values_that_agree_have_one_form() {
        let text = |text: &str| OdooValue::Text(text.to_owned());
        let id = Reference::Id;
        let pending = Reference::Pending(ExternalId {
            module: "m".to_owned(),
            name: "n".to_owned(),
        });
        for (ttype, field, value, wanted) in [
            ("char", "name", OdooValue::Empty, None),
            ("char", "name", text("   "), None),
            ("char", "name", text(" São PAULO "), Some("são paulo")),
            (
                "char",
                "website",
                text("https://www.Acme.com.br/a?b"),
                Some("acme.com.br"),
            ),
            ("char", "website", text("acme.com.br"), Some("acme.com.br")),
            ("char", "website", text("https://"), None),
            ("char", "website", text("www"), None),
            ("char", "website", text("N/A"), None),
            ("char", "website", text("não tem"), None),
            ("char", "website", text("sem.site aqui"), Some("sem.site")),
            ("char", "website", text("-"), None),
            ("char", "website", text("0"), None),
            ("char", "website", text("192.168.0.1"), None),
            ("char", "website", text("http://localhost:8069"), None),
            ("char", "website", text("ana@acme.com"), None),
            ("char", "website", text("gmail.com"), None),
            ("char", "website", text("www.yahoo.com.br"), None),
            (
                "char",
                "website",
                text("https://hotmail.com.ar/x"),
                Some("hotmail.com.ar"),
            ),
            ("char", "website", text("http://user@acme.com/"), Some("acme.com")),
            (
                "char",
                "website",
                text("padaria-são-joão.com.br"),
                Some("padaria-são-joão.com.br"),
            ),
            (
                "char",
                "website",
                text("https://pt-br.facebook.com/Padaria/#about"),
                Some("facebook.com/padaria"),
            ),
            (
                "char",
                "website",
                text("facebook.com/oficina"),
                Some("facebook.com/oficina"),
            ),
            ("char", "website", text("http://www.instagram.com/"), None),
            ("char", "website", text("linktr.ee"), None),
            ("char", "website", text("netflix.com/br"), Some("netflix.com")),
            ("selection", "type", text("Other"), Some("Other")),
            ("integer", "n", OdooValue::Integer(0), Some("0")),
            ("float", "n", OdooValue::Float(12.0), Some("12")),
            ("float", "n", OdooValue::Float(-0.0), Some("0")),
            ("boolean", "b", OdooValue::Boolean(false), Some("false")),
            (
                "date",
                "d",
                OdooValue::Date("2024-01-01".to_owned()),
                Some("2024-01-01"),
            ),
            ("many2one", "p", OdooValue::Link(id(5)), Some("5")),
            ("many2one", "p", OdooValue::Link(pending), Some("m.n")),
            ("many2many", "p", OdooValue::Links(vec![]), None),
            (
                "many2many",
                "p",
                OdooValue::Links(vec![id(10), id(9), id(10)]),
                Some("9,10"),
            ),
        ] {
            assert_eq!(normal(ttype, field, &value).as_deref(), wanted, "{ttype} {value:?}");
        }
    }

    #[test]
    fn the_host_is_found_in_addresses_and_mails() {
        for (text, wanted) in [
            ("https://www.Acme.com.br:8080/x?y#z", Some("acme.com.br")),
            ("acme.com", Some("acme.com")),
            ("WWW.acme.com.", Some("acme.com")),
            ("ana@mail.acme.com", Some("mail.acme.com")),
            ("Ana Lima <ana@acme.com>", Some("acme.com")),
            ("https://medium.com/@ana", Some("medium.com")),
            ("https://user:pw@acme.com/", Some("acme.com")),
            ("http://[2001:db8::1]:80/", Some("2001:db8::1")),
            ("https://", None),
            ("@", None),
            ("", None),
        ] {
            assert_eq!(host(text).as_deref(), wanted, "{text}");
        }
    }
}
