//! The nearest existing name, for findings.

/// The candidate that is nearest to `name`; `None` where none is near enough to be meant.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    let allowed = wanted.len().div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, candidate), candidate.len(), candidate))
        .filter(|(distance, ..)| *distance <= allowed)
        .min()
        .map(|(_, _, candidate)| candidate.to_owned())
}

/// How many characters differ (Levenshtein), without case; a name of which only the beginning was written is near.
fn distance(wanted: &[char], candidate: &str) -> usize {
    const BEGINNING_MIN: usize = 3;
    let mut letters = candidate.chars().flat_map(char::to_lowercase);
    if wanted.len() >= BEGINNING_MIN && wanted.iter().all(|character| letters.next() == Some(*character)) {
        return usize::from(letters.next().is_some());
    }
    let mut row: Vec<usize> = (0..=wanted.len()).collect();
    for (place, character) in candidate.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for (column, other) in wanted.iter().enumerate() {
            let substituted = diagonal + usize::from(*other != character);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[wanted.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        for (name, wanted) in [
            ("stage", Some("stage_id")),
            ("nmae", Some("name")),
            ("Name", Some("name")),
            ("expected_revenu", Some("expected_revenue")),
            ("zzzzzz", None),
            ("", None),
        ] {
            let found = nearest(name, ["name", "stage_id", "expected_revenue", "x"]);
            assert_eq!(found.as_deref(), wanted, "{name}");
        }
    }
}
