//! Claims about arbitrary texts.

use proptest::prelude::*;

use super::{DOCUMENTED, FULL, read_text};

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        drop(read_text(&text));
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "\n", "\n  ", "\n- ", ": ", ":", "- ", "? ", "{", "}", "[", "]", ", ", "#", "&a ", "*a", "!", "!!str ",
                "|\n", ">-\n", "\"", "'", "---\n", "...\n", "%YAML 1.2\n", "\t", "\r", "~", "${", "}", "$", "kafka",
                "filter", "insights", "source", "é", "\u{85}", "\u{2028}", "\u{feff}", "\\", "0", "field", "values",
            ]),
            0..40,
        ),
    ) {
        drop(read_text(&tokens.concat()));
    }

    #[test]
    fn no_damage_to_a_file_makes_it_panic(
        full in any::<bool>(), start in 0_usize..1500, length in 0_usize..40, inserted in "[ -~\n]{0,4}",
    ) {
        let mut text: Vec<char> = if full { FULL } else { DOCUMENTED }.chars().collect();
        let start = start.min(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, inserted.chars());
        drop(read_text(&text.into_iter().collect::<String>()));
    }
}
