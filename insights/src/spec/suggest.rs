//! "Did you mean": the known word that is closest to an unknown one.
//!
//! Owns what counts as close. It never decides what is known.

/// The known word that somebody who wrote `word` most likely meant.
pub(super) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = plain(word);
    let allowed = word.len().min(WORD_MAX) / 3;
    if word.len() > WORD_MAX {
        return None;
    }
    known
        .iter()
        .map(|candidate| (distance(&word, &plain(candidate)), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Without case and separators: `max_values` is as good as `maxValues`.
fn plain(word: &str) -> Vec<char> {
    word.chars()
        .filter(|character| character.is_alphanumeric())
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

/// How many characters must be added, removed or replaced (Levenshtein).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, left_char) in left.iter().enumerate() {
        let mut next = vec![index + 1];
        let pairs = row.iter().zip(row.iter().skip(1)).zip(right);
        for ((diagonal, above), right_char) in pairs {
            let before = next.last().copied().unwrap_or_default();
            let replaced = diagonal + usize::from(left_char != right_char);
            next.push(replaced.min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// No key is nearly as long; keeps the work small whatever a file holds.
const WORD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let known = ["maxValues", "timeZone", "topic", "brokers"];
        for (word, meant) in [
            ("max_values", Some("maxValues")),
            ("timezone", Some("timeZone")),
            ("broker", Some("brokers")),
            ("tpoic", None),
            ("topics", Some("topic")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(word, &known), meant, "{word}");
        }
    }
}
