//! Which Migration is meant. Pure.

use super::error::Error;

/// Reads `NAME`, `migration/NAME` and the other names that kubectl has for the kind.
///
/// # Errors
/// With what would be right.
pub(super) fn parse(text: &str) -> Result<String, Error> {
    let name = match text.split_once('/') {
        None => text,
        Some(("migration" | "migrations" | "mig" | "migration.crmferry.io" | "migrations.crmferry.io", name)) => name,
        Some((kind, _)) => {
            return Err(Error::Usage(format!(
                "{kind:?} is not what this is about: write migration/NAME or NAME"
            )));
        }
    };
    let valid = !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    if !valid {
        return Err(Error::Usage(format!(
            "{name:?} is no name of a Migration: write migration/NAME or NAME"
        )));
    }
    Ok(name.to_owned())
}

/// The one Migration of a namespace, where no name is given.
///
/// # Errors
/// When there is none, or a name is needed to choose; says which there are.
pub(super) fn only(mut there: Vec<String>, namespace: &str) -> Result<String, Error> {
    there.sort();
    match there.as_slice() {
        [] => Err(Error::Refused(format!(
            "there is no Migration in namespace {namespace}: look in another with -n, or create one"
        ))),
        [name] => Ok(name.clone()),
        many => Err(Error::Usage(format!(
            "namespace {namespace} has {} Migrations, say which: {}",
            many.len(),
            listed(many)
        ))),
    }
}

/// There is no Migration of that name.
pub(super) fn absent(name: &str, mut there: Vec<String>, namespace: &str) -> Error {
    there.sort();
    Error::Refused(match there.as_slice() {
        [] => format!("there is no Migration {name} in namespace {namespace}, nor any other: look in another with -n"),
        some => format!(
            "there is no Migration {name} in namespace {namespace}; there is {}",
            listed(some)
        ),
    })
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The words of `retry`: a target and `from-extract`, in either order, both optional.
///
/// # Errors
/// When there is another word.
pub(super) fn retry(words: &[String]) -> Result<(Option<String>, bool), Error> {
    let (mut target, mut from_extract) = (None, false);
    for word in words {
        if word == "from-extract" && !from_extract {
            from_extract = true;
        } else if target.is_none() {
            target = Some(word.clone());
        } else {
            return Err(Error::Usage(format!(
                "{word:?} is too much: write retry [migration/NAME] [from-extract]"
            )));
        }
    }
    Ok((target, from_extract))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_or_a_kind_and_a_name() {
        for (text, wanted) in [
            ("acme", Some("acme")),
            ("migration/acme", Some("acme")),
            ("migrations.crmferry.io/acme-2", Some("acme-2")),
            ("mig/acme", Some("acme")),
            ("phaserun/acme", None),
            ("migration/", None),
            ("migration/a/b", None),
            ("Acme", None),
            ("", None),
        ] {
            assert_eq!(parse(text).ok().as_deref(), wanted, "{text:?}");
        }
    }

    #[test]
    fn without_a_name_the_only_one_is_meant_and_those_there_are_are_named() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(only(names(&["acme"]), "crm").unwrap(), "acme");
        let several = only(names(&["b", "a"]), "crm").unwrap_err();
        assert_eq!(several.to_string(), "namespace crm has 2 Migrations, say which: a, b");
        assert_eq!(several.code(), 2);
        assert_eq!(only(vec![], "crm").unwrap_err().code(), 1);
        let many: Vec<String> = (10..22).map(|n| format!("m{n}")).collect();
        assert!(absent("x", many, "crm").to_string().ends_with("m18, m19 and 2 more"));
        assert!(absent("x", vec![], "crm").to_string().contains("nor any other"));
    }

    #[test]
    fn retry_takes_its_words_in_either_order() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (text, wanted) in [
            ("", Some((None, false))),
            ("from-extract", Some((None, true))),
            ("migration/acme from-extract", Some((Some("migration/acme"), true))),
            ("from-extract acme", Some((Some("acme"), true))),
            ("acme", Some((Some("acme"), false))),
            ("acme other", None),
        ] {
            let found = retry(&words(text)).ok();
            assert_eq!(
                found.as_ref().map(|(target, from)| (target.as_deref(), *from)),
                wanted,
                "{text:?}"
            );
        }
    }
}
