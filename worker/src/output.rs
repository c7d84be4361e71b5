//! The insights on standard output: a table for people, a line of JSON for programs.

use std::io::Write as _;

use serde_json::Value;

use crate::args::OutputFormat;
use crate::json::{at, number_at, text_at};

/// Prints a document; none: nothing was ever published.
pub(crate) fn print(format: OutputFormat, document: Option<&str>) {
    let text = match (format, document) {
        (OutputFormat::Json, document) => format!("{}\n", document.unwrap_or("null")),
        (OutputFormat::Table, None) => "no insights yet: nothing was ever published\n".to_owned(),
        (OutputFormat::Table, Some(document)) => {
            serde_json::from_str(document).map_or_else(|_| format!("{document}\n"), |value| table(&value))
        }
    };
    let mut stdout = std::io::stdout().lock();
    // A reader that went away wants no more.
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// The document as a table with shares and top values.
pub(crate) fn table(document: &Value) -> String {
    let mut lines = Vec::new();
    lines.push(format!(
        "{}  published {}",
        text_at(document, "/pipeline"),
        text_at(document, "/published_at")
    ));
    if at(document, "/rebuilding").as_bool() == Some(true) {
        let share = at(document, "/rebuilt").as_f64().unwrap_or(0.0) * 100.0;
        lines.push(format!("REBUILDING: {share:.0} % counted again; the numbers are those from before"));
    }
    let (logins, processed) =
        (number_at(document, "/records/logins"), number_at(document, "/records/processed"));
    lines.push(format!(
        "records {}  logins {}  processed {} ({})  dead letters {}",
        number_at(document, "/records/read"),
        logins,
        processed,
        share(processed, logins),
        number_at(document, "/records/dead_letters/total"),
    ));
    for (name, title) in [("logins", "peak hour"), ("processed", "peak hour, processed")] {
        let peak = at(document, &format!("/{name}/peak_hour"));
        if let Some(hour) = at(peak, "/hour").as_u64() {
            let total = number_at(document, &format!("/{name}/total"));
            let count = number_at(peak, "/logins");
            lines.push(format!("{title}  {hour:02}:00  {count} ({})", share(count, total)));
        }
    }
    for (field, unique) in at(document, "/unique").as_object().into_iter().flatten() {
        lines.push(format!(
            "distinct {field} on {}  {} ({} to {})",
            text_at(unique, "/day"),
            number_at(unique, "/value"),
            number_at(unique, "/low"),
            number_at(unique, "/high"),
        ));
    }
    for (dimension, values) in at(document, "/logins/by").as_object().into_iter().flatten() {
        lines.push(String::new());
        lines.push(format!("{dimension:<24} {:>12} {:>7}", "logins", "share"));
        let mut sorted: Vec<(&String, u64)> = values
            .as_object()
            .into_iter()
            .flatten()
            .map(|(value, count)| (value, count.as_u64().unwrap_or(0)))
            .collect();
        sorted.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(other.0)));
        let rest: u64 = sorted.iter().skip(TOP_VALUES).map(|(_, count)| count).sum();
        for (value, count) in sorted.iter().take(TOP_VALUES) {
            lines.push(format!("  {:<22} {count:>12} {:>7}", printable(value), share(*count, logins)));
        }
        if rest > 0 {
            let title = format!("({} more)", sorted.len() - TOP_VALUES);
            lines.push(format!("  {title:<22} {rest:>12} {:>7}", share(rest, logins)));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A value as a terminal may show it: control characters would be commands.
fn printable(value: &str) -> String {
    value.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a share is shown with one digit")]
fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

const TOP_VALUES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_totals_shares_and_top_values() {
        let document = serde_json::json!({
            "pipeline": "user-login", "published_at": "2026-11-22T05:00:00.123Z",
            "records": {"read": 11, "logins": 10, "processed": 4, "filtered": 6, "dead_letters": {"total": 1}},
            "logins": {"total": 10, "by": {"device_type": {"android": 7, "ios": 3}}, "peak_hour": {"hour": 5, "logins": 6}},
            "processed": {"total": 4, "peak_hour": null},
            "unique": {"user_id": {"day": "2026-11-22", "value": 9, "low": 8, "high": 10}}
        });
        let table = table(&document);
        assert!(table.contains("records 11  logins 10  processed 4 (40.0 %)  dead letters 1"), "{table}");
        assert!(table.contains("android                           7  70.0 %"), "{table}");
        assert!(table.contains("peak hour  05:00  6 (60.0 %)"), "{table}");
    }

    #[test]
    fn a_hostile_value_cannot_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
    }
}
