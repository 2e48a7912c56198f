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
        return whose_site(host(&lower)?, text.trim());
    }
    Some(lower).filter(|text| !text.is_empty())
}

/// Hosts on which many have their page: it is the path that tells whose.
const SHARED_HOSTS: [&str; 31] = [
    "beacons.ai",
    "behance.net",
    "bio.link",
    "bit.ly",
    "elo7.com.br",
    "enjoei.com.br",
    "etsy.com",
    "fb.com",
    "fb.me",
    "g.page",
    "github.com",
    "globo.com",
    "goo.gl",
    "ifood.com.br",
    "kiwify.com.br",
    "linktr.ee",
    "magazineluiza.com.br",
    "medium.com",
    "messenger.com",
    "reclameaqui.com.br",
    "t.me",
    "telegram.me",
    "threads.com",
    "threads.net",
    "tiktok.com",
    "twitter.com",
    "vimeo.com",
    "wa.me",
    "whatsapp.com",
    "x.com",
    "youtu.be",
];

/// The same with a form of the host for many a country: `amazon.com.br`, `amazon.de`.
const SHARED_NAMES: [&str; 16] = [
    "airbnb",
    "amazon",
    "booking",
    "doctoralia",
    "ebay",
    "facebook",
    "google",
    "instagram",
    "linkedin",
    "mercadolibre",
    "mercadolivre",
    "olx",
    "pinterest",
    "shopee",
    "tripadvisor",
    "youtube",
];

/// Shared hosts, without the country, on which a page is a name, whose case tells nothing.
const OF_NAMES: [&str; 8] = [
    "facebook",
    "github",
    "instagram",
    "linkedin",
    "pinterest",
    "tiktok",
    "twitter",
    "x",
];

/// Labels before a shared host that are its own: forms for a device or a country.
const ITS_OWN: [&str; 12] = [
    "br", "business", "l", "lm", "m", "maps", "mobile", "pt", "pt-br", "touch", "web", "www",
];

/// Pages of a shared host that are its own.
const HOMES: [&str; 19] = [
    "accounts",
    "accounts/login",
    "company",
    "explore",
    "feed",
    "groups",
    "home",
    "home.php",
    "in",
    "index.php",
    "login",
    "login.php",
    "maps",
    "pages",
    "profile.php",
    "search",
    "send",
    "store",
    "watch",
];
/// Those of them whose query tells whose they are.
const ASKED_FOR: [&str; 6] = ["maps", "profile.php", "search", "send", "store/apps/details", "watch"];

/// What stands between a name and its country: `com.br` alone is nobody's.
const SECOND_LEVEL: [&str; 12] = [
    "adv", "co", "com", "edu", "eng", "gob", "gov", "ind", "jus", "mil", "net", "org",
];

/// Where many have their pages, and others hosts of their own below it.
const BY_PAGE_ALONE: [&str; 7] = [
    "cnpj.biz",
    "gov.br",
    "gov.uk",
    "hotmart.com",
    "jusbrasil.com.br",
    "lattes.cnpq.br",
    "wixsite.com",
];

/// First words of what people write where there is none: `nao.tem`.
const NONE: [&str; 4] = ["nao", "não", "nenhum", "sem"];

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
fn whose_site(host: String, written: &str) -> Option<String> {
    let is_mail = !written.contains("://")
        && written
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
    let Some(shared) = shared_host(&host) else {
        return Some(host).filter(|host| !is_nobodys(host));
    };
    let rest = written.split_once("://").map_or(written, |(_, rest)| rest);
    let page = rest.split_once('/')?.1.split('#').next()?;
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let (mut path, lower) = (path.trim_matches('/').to_owned(), path.trim_matches('/').to_lowercase());
    if OF_NAMES
        .iter()
        .any(|name| shared.split('.').any(|label| label == *name))
    {
        path.clone_from(&lower);
    }
    let asked = (ASKED_FOR.contains(&lower.as_str()) && !query.is_empty()).then(|| format!("?{query}"));
    let is_nobodys = path.is_empty() || HOMES.contains(&lower.as_str()) && asked.is_none();
    (!is_nobodys).then(|| format!("{shared}/{path}{}", asked.unwrap_or_default()))
}

/// A host that many share, without what is its own of it.
fn shared_host(host: &str) -> Option<String> {
    if BY_PAGE_ALONE.contains(&host) {
        return Some(host.to_owned());
    }
    let labels: Vec<&str> = host.split('.').collect();
    let named = labels.len().checked_sub(1 + endings(&labels))?;
    let is_shared = SHARED_NAMES.contains(&labels[named]);
    let is_listed = || {
        let below = |shared: &&str| {
            let rest = host.strip_suffix(shared)?;
            (rest.is_empty() || rest.ends_with('.')).then_some(())
        };
        SHARED_HOSTS.iter().any(|shared| below(shared).is_some())
    };
    (is_shared || is_listed()).then(|| {
        let own = labels.iter().take_while(|label| ITS_OWN.contains(*label)).count();
        labels[own.min(named)..].join(".")
    })
}

/// How many of the last labels are no name: one, and two in `com.br`.
fn endings(labels: &[&str]) -> usize {
    match labels {
        [.., second, country] if country.len() == 2 && SECOND_LEVEL.contains(second) => 2,
        _ => 1,
    }
}

/// Whether a host is but the ending of others, or says that there is none.
fn is_nobodys(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    labels.len() == 2 && (endings(&labels) == 2 || NONE.contains(&labels[0]))
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
    fn a_website_is_whose_site_it_is() {
        for (written, wanted) in [
            ("https://www.Acme.com.br/a?b", Some("acme.com.br")),
            ("acme.com.br", Some("acme.com.br")),
            ("https://", None),
            ("www", None),
            ("N/A", None),
            ("não tem", None),
            ("sem.site aqui", None),
            ("nao.tem", None),
            ("www.com.br", None),
            ("https://www.gov.br/anvisa/", Some("gov.br/anvisa")),
            ("https://www.gov.br", None),
            ("saude.sp.gov.br/x", Some("saude.sp.gov.br")),
            (
                "https://www.tripadvisor.com.br/Hotel_1",
                Some("tripadvisor.com.br/Hotel_1"),
            ),
            ("amazon.de", None),
            ("https://www.google.com/?gws_rd=ssl", None),
            ("facebook.com/home.php?x=1", None),
            ("facebook.com/profile.php?id=7", Some("facebook.com/profile.php?id=7")),
            ("Bit.ly/AbC", Some("bit.ly/AbC")),
            ("https://ana.medium.com/about", Some("ana.medium.com/about")),
            ("instagram.com/accounts/login/", None),
            ("facebook.com/profile.php", None),
            ("facebook.com/LojaZ/?ref=page", Some("facebook.com/lojaz")),
            ("pay.kiwify.com.br/AbC", Some("pay.kiwify.com.br/AbC")),
            ("hotmart.com/x", Some("hotmart.com/x")),
            ("www.ind.br", None),
            ("maps.google.com.br/x", Some("google.com.br/x")),
            ("olx.acme.com.br", Some("olx.acme.com.br")),
            ("-", None),
            ("0", None),
            ("192.168.0.1", None),
            ("http://localhost:8069", None),
            ("ana@acme.com", None),
            ("gmail.com", None),
            ("www.yahoo.com.br", None),
            ("https://hotmail.com.ar/x", Some("hotmail.com.ar")),
            ("http://user@acme.com/", Some("acme.com")),
            ("padaria-são-joão.com.br", Some("padaria-são-joão.com.br")),
            (
                "https://pt-br.facebook.com/Padaria/#about",
                Some("facebook.com/padaria"),
            ),
            ("facebook.com/oficina", Some("facebook.com/oficina")),
            ("http://www.instagram.com/", None),
            ("linktr.ee", None),
            ("netflix.com/br", Some("netflix.com")),
        ] {
            assert_eq!(normal_text("website", written).as_deref(), wanted, "{written}");
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
