//! A document as a table: RFC 4180, one count a row, for sheets.
//!
//! Owns the columns. It never lets a value be a formula: who logs in can make up values.

use serde_json::Value;

/// The document as rows of `section,dimension,value,logins`.
pub(super) fn table(document: &Value) -> String {
    let mut table = Table(String::from("section,dimension,value,logins\r\n"));
    for name in ["read", "logins", "processed", "filtered", "output_refused"] {
        table.row("records", "", name, pointer(document, &["records", name]));
    }
    for (reason, count) in members(pointer(document, &["records", "dead_letters"])) {
        table.row("dead_letters", "", reason, count);
    }
    for side in ["logins", "processed"] {
        for (dimension, values) in members(pointer(document, &[side, "by"])) {
            for (value, count) in largest_first(values) {
                table.row(side, dimension, value, count);
            }
        }
        let hours = pointer(document, &[side, "hour_of_day"]).as_array().into_iter().flatten();
        for (hour, count) in hours.enumerate() {
            table.row(&format!("{side}_by_hour"), "", &hour.to_string(), count);
        }
        for (day, count) in members(pointer(document, &[side, "days"])) {
            table.row(&format!("{side}_by_day"), "", day, count);
        }
    }
    for (field, unique) in members(pointer(document, &["unique"])) {
        let day = pointer(unique, &["day"]).as_str().unwrap_or_default();
        table.row("unique", field, day, pointer(unique, &["value"]));
    }
    table.0
}

struct Table(String);

impl Table {
    fn row(&mut self, section: &str, dimension: &str, value: &str, count: &Value) {
        let Some(count) = count.as_u64() else { return };
        self.0.push_str(section);
        self.0.push(',');
        self.cell(dimension);
        self.0.push(',');
        self.cell(value);
        self.0.push(',');
        self.0.push_str(&count.to_string());
        self.0.push_str("\r\n");
    }

    fn cell(&mut self, text: &str) {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte));
        let is_formula = text.starts_with(FORMULA_SIGNS);
        if is_plain && !is_formula {
            self.0.push_str(text);
            return;
        }
        self.0.push('"');
        if is_formula {
            self.0.push('\'');
        }
        self.0.push_str(&text.replace('"', "\"\""));
        self.0.push('"');
    }
}

fn pointer<'a>(document: &'a Value, path: &[&str]) -> &'a Value {
    let mut found = document;
    for name in path {
        found = found.get(name).unwrap_or(&Value::Null);
    }
    found
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn largest_first(values: &Value) -> Vec<(&String, &Value)> {
    let mut rows: Vec<(&String, &Value)> = members(values).collect();
    rows.sort_by(|one, other| other.1.as_u64().cmp(&one.1.as_u64()).then_with(|| one.0.cmp(other.0)));
    rows
}

/// What makes a sheet take a cell for a formula, also in its full width, and white space before it.
const FORMULA_SIGNS: [char; 12] = ['=', '+', '-', '@', '\t', '\r', '\n', ' ', '＝', '＋', '－', '＠'];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_anybody_made_up_stay_texts_in_one_cell() {
        let document = json!({ "logins": { "by": { "device_type": {
            "=1+1": 9, "a,\"b\"\r\nc": 8, "-2": 7, "＝1": 6, "ok~1.2": 5, "\t=x": 4, "é": u64::MAX
        } } } });
        let expected = "section,dimension,value,logins\r\n\
            logins,device_type,\"é\",18446744073709551615\r\n\
            logins,device_type,\"'=1+1\",9\r\n\
            logins,device_type,\"a,\"\"b\"\"\r\nc\",8\r\n\
            logins,device_type,\"'-2\",7\r\n\
            logins,device_type,\"'＝1\",6\r\n\
            logins,device_type,ok~1.2,5\r\n\
            logins,device_type,\"'\t=x\",4\r\n";
        assert_eq!(table(&document), expected);
    }
}
