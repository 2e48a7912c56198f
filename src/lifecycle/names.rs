//! Names of attempts and of evidence. Deterministic: a second pass gives the same name, so creating twice is harmless.

use crate::{api::phase_run::Step, model::Digest};

/// Longest name of an attempt: a longer Job name is cut in the name of its pod.
const LONGEST: usize = 57;

/// Name of the Job and the PhaseRun of an attempt: `<migration>-<object or step>-r<run>a<attempt>`, at most 57
/// characters, lower case. Eight hex digits of the true name's hash are added where case or cut changed it, or where an
/// object is named like a step.
#[must_use]
pub fn attempt_name(migration: &str, step: Step, object: Option<&str>, run: i64, attempt: i64) -> String {
    let part = object.unwrap_or_else(|| step.word());
    let head = format!("{migration}-{part}");
    let tail = format!("-r{run}a{attempt}");
    let like_a_step = object.is_some_and(|name| Step::ALL.iter().any(|step| step.word() == name));
    let lower = head.to_lowercase();
    if !like_a_step && lower == head && head.len() + tail.len() <= LONGEST {
        return head + &tail;
    }
    let truth = format!(
        "{migration}/{}/{part}",
        if object.is_some() { "object" } else { "step" }
    );
    let tail = format!("-{}{tail}", short_hash(&truth));
    let mut kept: String = lower.chars().take(LONGEST.saturating_sub(tail.len())).collect();
    while kept.ends_with(['-', '.']) {
        kept.pop();
    }
    kept + &tail
}

/// Name of the sealed evidence: `<migration>-evidence-<gate>-<n>`.
#[must_use]
pub fn evidence_name(migration: &str, gate: &str, n: i64) -> String {
    format!("{migration}-evidence-{gate}-{n}")
}

fn short_hash(text: &str) -> String {
    let digest = Digest::of(text.as_bytes());
    let digits = digest.as_str().rsplit(':').next().unwrap_or_default();
    digits.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_stays_as_it_is() {
        assert_eq!(
            attempt_name("acme", Step::Load, Some("contacts"), 1, 7),
            "acme-contacts-r1a7"
        );
        assert_eq!(attempt_name("acme", Step::Extract, None, 2, 1), "acme-extract-r2a1");
        assert_eq!(evidence_name("acme", "mapping", 3), "acme-evidence-mapping-3");
    }

    #[test]
    fn what_case_or_cut_changed_carries_a_hash_and_stays_apart() {
        let camel = attempt_name("acme", Step::Load, Some("lostReasons"), 1, 1);
        assert!(
            camel.starts_with("acme-lostreasons-") && camel.ends_with("-r1a1"),
            "{camel}"
        );
        assert_ne!(camel, attempt_name("acme", Step::Load, Some("lostreasons"), 1, 1));
        assert_ne!(camel, attempt_name("acme", Step::Load, Some("lostReAsons"), 1, 1));
        let long = "m".repeat(40);
        let cut = attempt_name(&long, Step::Load, Some(&"o".repeat(63)), 123, 4567);
        assert!(cut.len() <= LONGEST, "{cut}");
        assert_ne!(cut, attempt_name(&long, Step::Load, Some(&"o".repeat(62)), 123, 4567));
    }

    #[test]
    fn an_object_named_like_a_step_does_not_take_the_steps_name() {
        for step in Step::ALL {
            assert_ne!(
                attempt_name("acme", Step::Load, Some(step.word()), 1, 1),
                attempt_name("acme", step, None, 1, 1)
            );
        }
    }

    #[test]
    fn a_name_is_never_cut_at_a_separator() {
        let name = attempt_name(&"m".repeat(40), Step::Load, Some("someObject"), 10, 10);
        assert!(name.starts_with("mmmm") && !name.contains("--"), "{name}");
    }
}
