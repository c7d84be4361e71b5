//! Owns the list of nasty records, each with a name and, under the default settings, its fate. Never decides
//! that fate: the tests compare it with the oracle's verdict.

use super::texts;
use crate::oracle::settings::SourceRecord;

/// One nasty record.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is special about it.
    pub name: String,
    /// What the default settings make of it: `output`, `filtered`, or a reason with its field, as in
    /// `missing_field user_id`.
    pub fate: String,
    /// The record, for partition 0 and offset 0.
    pub record: SourceRecord,
}

/// All of them. `max_record_bytes` is the setting of that name, `now_ms` the Kafka timestamp that they get.
pub fn cases(now_ms: i64, max_record_bytes: usize) -> Vec<Case> {
    let mut cases = Cases { now_ms, list: Vec::new() };
    cases.whole_documents(max_record_bytes);
    cases.depths();
    cases.duplicates_and_names();
    cases.required_fields();
    cases.times();
    cases.versions();
    cases.dimensions();
    cases.untouched();
    cases.list
}

struct Cases {
    now_ms: i64,
    list: Vec<Case>,
}

impl Cases {
    fn raw(&mut self, fate: &str, name: &str, value: Option<Vec<u8>>) {
        let key = Some(b"key".to_vec());
        let record = SourceRecord {
            partition: 0,
            offset: 0,
            timestamp_ms: self.now_ms,
            key,
            value,
            headers: Vec::new(),
        };
        self.list.push(Case { name: name.to_owned(), fate: fate.to_owned(), record });
    }

    fn text(&mut self, fate: &str, value: &str) {
        let name: String = value.chars().take(120).collect();
        self.raw(fate, &name, Some(value.as_bytes().to_vec()));
    }

    /// A login with one member's value replaced, or with more members when the name is new.
    fn with(&mut self, fate: &str, name: &str, json: &str) {
        let value = self.login(&[(name, Some(json))]);
        self.text(fate, &value);
    }

    fn without(&mut self, fate: &str, name: &str) {
        let value = self.login(&[(name, None)]);
        self.text(fate, &value);
    }

    /// An Android login of version 3.1, with changed, added or left out members.
    fn login(&self, changes: &[(&str, Option<&str>)]) -> String {
        let timestamp = (self.now_ms / 1000).to_string();
        let mut members = vec![
            ("user_id", Some("\"u-1\"")),
            ("app_version", Some("\"3.1\"")),
            ("ip", Some("\"203.0.113.9\"")),
            ("locale", Some("\"DE\"")),
            ("device_id", Some("\"593-47-1\"")),
            ("timestamp", Some(timestamp.as_str())),
            ("device_type", Some("\"android\"")),
        ];
        for (name, value) in changes {
            match members.iter_mut().find(|(other, _)| other == name) {
                Some((_, old)) => *old = *value,
                None => members.push((name, *value)),
            }
        }
        let texts: Vec<String> =
            members.iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", (*value)?))).collect();
        format!("{{{}}}", texts.join(","))
    }

    fn whole_documents(&mut self, max_record_bytes: usize) {
        self.raw("not_json", "tombstone", None);
        for text in texts::NOT_JSON {
            self.text("not_json", text);
        }
        for text in texts::NOT_AN_OBJECT {
            self.text("not_an_object", text);
        }
        for bytes in texts::NOT_UTF8 {
            self.raw("not_utf8", "not UTF-8", Some(bytes.to_vec()));
        }
        let mut cut = self.login(&[]).into_bytes();
        cut.extend([b' ', 0xe2, 0x82]);
        self.raw("not_utf8", "a login with half a character behind it", Some(cut));
        let mut exact = self.login(&[]).into_bytes();
        exact.resize(max_record_bytes, b' ');
        let over = [&exact[..], b" "].concat();
        self.raw("output", "exactly the limit", Some(exact));
        self.raw("too_large", "one byte over the limit", Some(over));
        let garbage = vec![0xff; max_record_bytes + 1];
        self.raw("too_large", "garbage over the limit", Some(garbage));
    }

    fn depths(&mut self) {
        let arrays = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
        self.with("output", "deep", &arrays);
        self.with("wrong_type locale", "locale", &arrays);
        self.text("not_an_object", &arrays);
        self.text("not_json", &"[".repeat(DEEP));
        let objects = format!("{}1{}", "{\"a\":".repeat(DEEP / 4), "}".repeat(DEEP / 4));
        self.with("output", "deep", &objects);
    }

    fn duplicates_and_names(&mut self) {
        let more = |cases: &Self, member: &str| cases.login(&[]).replacen('{', &format!("{{{member},"), 1);
        for member in ["\"locale\":\"DE\"", "\"loc\\u0061le\":\"DE\"", "\"\\u006cocale\" : null"] {
            let text = more(self, member);
            self.text("duplicate_field locale", &text);
        }
        let text = more(self, "\"locale\":1,\"timestamp\":1,\"app_version\":7");
        self.text("duplicate_field app_version", &text);
        for member in
            ["\"ip\":1,\"other\":1,\"other\":2", "\"Locale\":7", "\"locale \":7", "\"x\":{\"locale\":1}"]
        {
            let text = more(self, member);
            self.text("output", &text);
        }
        let text = more(self, "\"locale\":\"\\ud800\"");
        self.text("not_json", &text);
        let text = self.login(&[]).replace("\"user_id\"", "\"\\u0075ser_\\u0069\\u0064\"");
        self.text("output", &text);
        let text = self.login(&[]).replace("\"user_id\"", "\"user_id\\u0000\"");
        self.text("missing_field user_id", &text);
        self.text("missing_field user_id", "{}");
        self.text("missing_field user_id", " { \n } ");
    }

    fn required_fields(&mut self) {
        for name in ["user_id", "app_version", "device_type", "timestamp"] {
            self.without(&format!("missing_field {name}"), name);
            self.with(&format!("missing_field {name}"), name, "null");
            for json in ["true", "{}", "[]", "[\"a\"]"] {
                self.with(&format!("wrong_type {name}"), name, json);
            }
            self.with(&format!("empty_field {name}"), name, "\"\"");
            let long = format!("\"{}\"", "1".repeat(257));
            self.with(&format!("field_too_long {name}"), name, &long);
        }
        self.with("wrong_type user_id", "user_id", "17");
        self.with("output", "user_id", &format!("\"{}\"", "\\u00e9".repeat(128)));
        self.with("field_too_long user_id", "user_id", &format!("\"{}é\"", "a".repeat(255)));
        self.with("not_json", "user_id", "\"\\ud800\"");
        self.with("not_json", "user_id", "\"\\udc00\\ud800\"");
        self.with("output", "user_id", "\"\\ud83d\\ude00 \\/\\b\\f\\n\\r\\t\\\\\\\"\"");
        let value = self.login(&[("user_id", Some("7")), ("timestamp", None)]);
        self.text("missing_field timestamp", &value);
        let value = self.login(&[("user_id", Some("\"\"")), ("locale", Some("7"))]);
        self.text("wrong_type locale", &value);
    }

    fn times(&mut self) {
        let seconds = self.now_ms / 1000;
        let last = (self.now_ms + 86_400_000).div_euclid(1000);
        for json in texts::TIMES {
            self.with("output", "timestamp", json);
        }
        for json in texts::TIMES_OUT_OF_RANGE {
            self.with("timestamp_out_of_range timestamp", "timestamp", json);
        }
        self.with("output", "timestamp", &last.to_string());
        self.with("output", "timestamp", &format!("\"{last}.999999999999999999999999\""));
        self.with("timestamp_out_of_range timestamp", "timestamp", &(last + 1).to_string());
        self.with("timestamp_out_of_range timestamp", "timestamp", &(seconds * 1000).to_string());
        self.with("timestamp_out_of_range timestamp", "timestamp", "99999999999999999999999999999999");
        let zeros = "0".repeat(256 - 11);
        self.with("output", "timestamp", &format!("{seconds}.{zeros}"));
        self.with("field_too_long timestamp", "timestamp", &format!("{seconds}.{zeros}0"));
        for text in texts::NOT_TIMES {
            self.with("bad_timestamp timestamp", "timestamp", &format!("\"{text}\""));
        }
        self.with(
            "output",
            "timestamp",
            &format!("\"\\u0031{}\"", seconds.to_string().get(1..).unwrap_or_default()),
        );
        self.with("bad_timestamp timestamp", "timestamp", &format!("\"{seconds}\\u0000\""));
        self.with("timestamp_out_of_range timestamp", "timestamp", "253402300799");
    }

    fn versions(&mut self) {
        for version in texts::VERSIONS_ABOVE {
            self.with("output", "app_version", &format!("\"{version}\""));
        }
        for version in texts::VERSIONS_NOT_ABOVE {
            self.with("filtered", "app_version", &format!("\"{version}\""));
        }
        for version in texts::NOT_VERSIONS {
            self.with("filtered", "app_version", &format!("\"{version}\""));
        }
        self.with("output", "app_version", &format!("\"3.{}1\"", "0".repeat(253)));
    }

    fn dimensions(&mut self) {
        let long = format!("\"{}\"", "x".repeat(256));
        let escaped = format!("\"{}\"", "\\u0078".repeat(256));
        for json in
            ["null", "\"\"", "\"~x\"", "\"~unknown\"", "\"~other\"", "\"~\"", "\"\\u007e\"", &long, &escaped]
        {
            self.with("output", "locale", json);
        }
        for json in [
            "\"\\u0000\"",
            "\"a\\\"b\"",
            "\"a\\\\b\"",
            "\"É\"",
            "\"ß\"",
            "\"ı\"",
            "\"\u{7f}\"",
            "\" de \"",
            "\"😀\"",
        ] {
            self.with("output", "locale", json);
        }
        self.without("output", "locale");
        for json in ["1", "true", "[]", "{}"] {
            self.with("wrong_type locale", "locale", json);
        }
        self.with("field_too_long locale", "locale", &format!("\"{}\"", "x".repeat(257)));
        for json in ["\"ANDROID\"", "\"aNdRoId\"", "\"\\u0061ndroid\""] {
            self.with("output", "device_type", json);
        }
        for json in ["\"ios\"", "\"~x\"", "\"android \"", "\"ändroid\"", "\"androi\u{131}\""] {
            self.with("filtered", "device_type", json);
        }
        self.with("output", "user_id", "\"~x\"");
    }

    fn untouched(&mut self) {
        for json in [
            "\"\\ud800\"",
            "\"\\u0000\"",
            "1e999999",
            "-0.0",
            "[1, 2 ,{ \"user_id\" : [ ] } ]",
            "null",
            "\"\"",
        ] {
            self.with("output", "other", json);
            self.with("output", "ip", json);
        }
        let text = self
            .login(&[])
            .replace(',', " ,\n")
            .replace(':', "\t:\r ")
            .replace('{', "\n {\t")
            .replace('}', " }\n");
        self.text("output", &text);
    }
}

const DEEP: usize = 20_000;
