use super::{bare, record};
use crate::oracle::{
    Delivery, Settings, Sinks, SourceRecord, Target, audit_output, expected_dead_letters, expected_output,
};

const TARGET: Target<'static> = Target { partitions: 2, incarnation: "1-abc" };

fn source() -> Vec<SourceRecord> {
    let mut source = Vec::new();
    for (partition, offset, value) in
        [(3, 7, "{\"t\":1700000000}"), (3, 8, "{}"), (3, 9, "{\"t\":1700000001}"), (0, 0, "x")]
    {
        let headers = vec![("a".to_owned(), None), ("rollcall-source".to_owned(), Some(b"0-x:1:1".to_vec()))];
        source.push(SourceRecord { partition, offset, headers, ..record(value) });
    }
    source
}

/// The records that a perfect worker delivers.
fn delivered(deliveries: Vec<Delivery>) -> Vec<SourceRecord> {
    let mut records = Vec::new();
    for (offset, delivery) in (0..).zip(deliveries) {
        let mut headers = delivery.source_headers;
        headers.extend(delivery.added_headers);
        headers.extend(delivery.free_headers.iter().map(|name| ((*name).to_owned(), Some(b"text".to_vec()))));
        let Delivery { partition, timestamp_ms, key, value, .. } = delivery;
        records.push(SourceRecord { partition, offset, timestamp_ms, key, value, headers });
    }
    records
}

fn audit(output: &[SourceRecord], dead_letters: &[SourceRecord], may_refuse: bool) -> Vec<String> {
    let incarnations = (0..6).map(|partition| (partition, "1-abc".to_owned())).collect();
    let sinks = Sinks {
        output,
        output_partitions: 2,
        dead_letters,
        dead_letter_partitions: 2,
        incarnations: &incarnations,
        may_refuse,
    };
    audit_output(&bare(), &source(), &sinks)
}

fn both() -> (Vec<SourceRecord>, Vec<SourceRecord>) {
    let output = delivered(expected_output(&bare(), &source(), TARGET));
    (output, delivered(expected_dead_letters(&bare(), &source(), TARGET)))
}

fn header(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.as_bytes().to_vec()))
}

#[test]
fn an_output_record_carries_its_source() {
    let output = expected_output(&bare(), &source(), TARGET);
    assert_eq!(output.len(), 2);
    assert_eq!((output[0].partition, output[0].key.as_deref()), (1, Some(&b"k"[..])));
    assert_eq!(output[0].value.as_deref(), Some(&b"{\"t\":\"2023-11-14 22:13:20\"}"[..]));
    assert_eq!(output[0].source_headers, source()[0].headers);
    assert_eq!(output[0].added_headers, [header("rollcall-source", "1-abc:3:7")]);
}

#[test]
fn a_dead_letter_is_untouched_and_says_why() {
    let settings = Settings { source_topic: "logins".to_owned(), ..bare() };
    let letters = expected_dead_letters(&settings, &source(), TARGET);
    assert_eq!(letters.len(), 2);
    assert_eq!((letters[0].partition, letters[1].partition), (1, 0));
    assert_eq!(letters[0].value.as_deref(), Some(&b"{}"[..]));
    assert_eq!(
        letters[0].added_headers,
        [
            header("rollcall-reason", "missing_field"),
            header("rollcall-field", "t"),
            header("rollcall-source", "1-abc:3:8"),
            header("__connect.errors.topic", "logins"),
            header("__connect.errors.partition", "3"),
            header("__connect.errors.offset", "8"),
            header("__streams.errors.topic", "logins"),
            header("__streams.errors.partition", "3"),
            header("__streams.errors.offset", "8"),
        ]
    );
    assert!(letters[1].added_headers.iter().all(|(name, _)| name != "rollcall-field"));
}

#[test]
fn perfect_topics_pass_the_audit() {
    let (output, dead_letters) = both();
    assert_eq!(audit(&output, &dead_letters, false), Vec::<String>::new());
    assert_eq!(audit(&output, &dead_letters, true), Vec::<String>::new());
}

#[test]
fn the_audit_finds_what_is_missing_doubled_swapped_or_made_up() {
    let (output, dead_letters) = both();
    assert_eq!(audit(&output[1..], &dead_letters, false), ["output: source 3/7: is missing"]);
    assert_eq!(audit(&output, &dead_letters[..1], false), ["dead letters: source 0/0: is missing"]);
    let doubled = [output.clone(), output.clone()].concat();
    assert_eq!(audit(&doubled, &dead_letters, false).len(), 3, "two doubles, one of them out of order");
    let swapped: Vec<_> = output.iter().rev().cloned().collect();
    assert_eq!(audit(&swapped, &dead_letters, false), ["output 1/0: source 3/7 comes after 3/9"]);
    let mut stranger = output.clone();
    stranger
        .push(SourceRecord { headers: vec![header("rollcall-source", "1-abc:5:1")], ..output[0].clone() });
    assert_eq!(audit(&stranger, &dead_letters, false), ["output: (5, 1) is not in the source"]);
    let mut nameless = output.clone();
    nameless
        .push(SourceRecord { headers: vec![header("rollcall-source", "2-abc:3:8")], ..output[0].clone() });
    assert_eq!(audit(&nameless, &dead_letters, false).len(), 1);
    let mut both_places = output.clone();
    both_places
        .push(SourceRecord { headers: vec![header("rollcall-source", "1-abc:3:8")], ..output[0].clone() });
    assert!(!audit(&both_places, &dead_letters, false).is_empty());
}

type Change = fn(&mut SourceRecord);

#[test]
fn the_audit_finds_every_changed_part() {
    let changes: [Change; 9] = [
        |record| record.partition = 0,
        |record| record.timestamp_ms += 1,
        |record| record.key = None,
        |record| record.value.as_mut().unwrap().push(b' '),
        |record| record.value = None,
        |record| record.headers[0].1 = Some(Vec::new()),
        |record| record.headers.swap(0, 1),
        |record| record.headers.push(header("more", "x")),
        |record| record.headers.push(record.headers.last().unwrap().clone()),
    ];
    for (number, change) in changes.iter().enumerate() {
        let (mut output, mut dead_letters) = both();
        change(&mut output[0]);
        assert_eq!(audit(&output, &dead_letters, false).len(), 1, "change {number}");
        output = both().0;
        change(&mut dead_letters[0]);
        assert_eq!(audit(&output, &dead_letters, false).len(), 1, "change {number}");
    }
    for index in 2..both().1[0].headers.len() {
        let (output, mut dead_letters) = both();
        dead_letters[0].headers.remove(index);
        assert!(!audit(&output, &dead_letters, false).is_empty(), "header {index}");
    }
}

#[test]
fn a_refused_login_is_a_dead_letter_where_that_may_be() {
    let (mut output, mut dead_letters) = both();
    let mut refused = output.remove(1);
    refused.value.clone_from(&source()[2].value);
    refused.headers = source()[2].headers.clone();
    refused
        .headers
        .extend(dead_letters[0].headers.iter().skip(2).filter(|(name, _)| name != "rollcall-field").cloned());
    for (name, value) in &mut refused.headers[2..] {
        match name.as_str() {
            "rollcall-reason" => *value = Some(b"output_refused".to_vec()),
            "rollcall-source" => *value = Some(b"1-abc:3:9".to_vec()),
            "__connect.errors.offset" | "__streams.errors.offset" => *value = Some(b"9".to_vec()),
            _ => {}
        }
    }
    dead_letters.push(refused.clone());
    assert_eq!(audit(&output, &dead_letters, true), Vec::<String>::new());
    assert_eq!(audit(&output, &dead_letters, false).len(), 2);

    let letter = dead_letters.last_mut().unwrap();
    letter.value = None;
    letter.headers.push(header("rollcall-value-omitted", "16"));
    assert_eq!(audit(&output, &dead_letters, true), Vec::<String>::new());
    let letter = dead_letters.last_mut().unwrap();
    letter.timestamp_ms += 5000;
    assert_eq!(audit(&output, &dead_letters, true).len(), 1);
    let letter = dead_letters.last_mut().unwrap();
    letter.headers.push(header("rollcall-timestamp", "1700000000000"));
    assert_eq!(audit(&output, &dead_letters, true), Vec::<String>::new());
    let letter = dead_letters.last_mut().unwrap();
    letter
        .headers
        .retain(|(name, _)| name != "a" && !name.ends_with("omitted") && name != "rollcall-timestamp");
    letter.headers.remove(0);
    letter.headers.push(header("rollcall-omitted", "value,headers,key"));
    letter.key = None;
    assert_eq!(audit(&output, &dead_letters, true), Vec::<String>::new());
}
