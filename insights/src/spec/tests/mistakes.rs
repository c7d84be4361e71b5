//! Claims about what is refused, and how it reads.

use super::read_text;

/// All mistakes of a text, one a line.
fn mistakes(text: &str) -> String {
    match read_text(text) {
        Ok(_) => panic!("{text:?} is accepted"),
        Err(errors) => errors.to_string(),
    }
}

#[track_caller]
fn assert_refused(text: &str, expected: &str) {
    assert_eq!(mistakes(text), expected, "{text:?}");
}

#[test]
fn unknown_keys_come_with_their_line_and_all_mistakes_at_once() {
    assert_refused(
        "pipline: x\nkafka:\n  broker: [a:1]\n  group: 5\ninsights:\n  maxValues: 0\n  colour: red\n  maxValues: 1\n",
        "line 8: key \"maxValues\" is repeated, it first stands at line 6; remove one\n\
         line 1: unknown key \"pipline\", did you mean \"pipeline\"?\n\
         line 3: unknown key \"broker\" in kafka, did you mean \"brokers\"?\n\
         kafka.group: YAML reads this as a number, quote it\n\
         line 7: unknown key \"colour\" in insights, the keys here are dimensions, unique, hashKey, timeZone, \
         maxValues, publishEvery\n\
         insights.maxValues: 0 is not between 1 and 100000",
    );
    assert_refused(
        "filter:\n- field: a\n  operator: Exists\n  value: [x]\n",
        "line 4: unknown key \"value\" in filter[0], did you mean \"values\"?",
    );
}

#[test]
fn a_syntax_error_comes_alone_with_its_line() {
    let errors = read_text("pipeline: X\nkafka: [\n").unwrap_err();
    assert_eq!(errors.mistakes().len(), 1);
    assert!(errors.to_string().starts_with("line "), "{errors}");
}

#[test]
fn a_wrong_type_is_named_by_path() {
    for (text, expected) in [
        (
            "[]",
            "line 1: is a list, write keys with values (revision, pipeline, kafka, redis, source, filter, output, deadLetter, insights)",
        ),
        ("kafka: []", "kafka: is a list, not keys with values (brokers, group, tls, sasl, properties)"),
        ("kafka: {brokers: a:1}", "kafka.brokers: is text, not a list: put it into [ ]"),
        ("kafka: {brokers: [[a]]}", "kafka.brokers[0]: is a list, not text"),
        (
            "kafka: {tls: {hostnameVerification: yes}}",
            "kafka.tls.hostnameVerification: is text, neither true nor false",
        ),
        ("insights: {maxValues: \"5\"}", "insights.maxValues: is quoted text, not a whole number"),
        ("insights: {maxValues: 5.0}", "insights.maxValues: is a number, not a whole number"),
        ("revision: -1", "revision: -1 is not between 0 and 9223372036854775807"),
        ("source: {maxRecordBytes: 0}", "source.maxRecordBytes: 0 is not between 1 and 100000000"),
        ("source: {startFrom: earliest}", "source.startFrom: \"earliest\" is not one of Earliest, Latest"),
        ("source: {defaults: {a: 5}}", "source.defaults.a: YAML reads this as a number, quote it"),
        (
            "insights: {dimensions: [a]}",
            "insights.dimensions[0]: is text, not keys with values (field, fold)",
        ),
        ("insights: {unique: [null]}", "insights.unique[0]: YAML reads this as null, quote it"),
        ("kafka: {properties: {debug: }}", "kafka.properties.debug: is null, not text"),
    ] {
        assert_refused(text, expected);
    }
}

#[test]
fn durations_need_a_unit_and_a_sensible_length() {
    for text in ["1", "1.5s", "1 s", "1d", "\"\""] {
        let expected =
            "insights.publishEvery: is no duration, write a whole number with ms, s, m or h, such as 500ms";
        assert_refused(&format!("insights: {{publishEvery: {text}}}"), expected);
    }
    for text in ["99ms", "0s", "25h", "99999999999999999999h"] {
        let expected = format!("insights.publishEvery: {text} is not between 100ms and 24h");
        assert_refused(&format!("insights: {{publishEvery: {text}}}"), &expected);
    }
}

#[test]
fn an_unset_variable_and_an_unreadable_file_are_named() {
    assert_refused("source: {topic: 'a-${UNSET}'}", "source.topic: environment variable UNSET is not set");
    assert_refused(
        "filter: [{field: '${UNSET}', operator: Exists}]",
        "filter[0].field: environment variable UNSET is not set",
    );
    let errors = mistakes(
        "output: {hashKey: '${file:/none}'}\nkafka: {sasl: {mechanism: PLAIN, username: u, passwordFile: /no}}",
    );
    let paths: Vec<&str> = errors.lines().filter_map(|line| line.split(" cannot be read: ").next()).collect();
    assert_eq!(paths, ["output.hashKey: ${file:/none}", "kafka.sasl.passwordFile: /no"]);
}

#[test]
fn a_filter_value_that_yaml_reads_as_something_else_must_be_quoted() {
    for (value, kind) in
        [("3.0", "a number"), ("3", "a number"), ("true", "a boolean"), ("null", "null"), ("~", "null")]
    {
        let text = format!("filter: [{{field: app_version, operator: Gt, values: [{value}]}}]");
        assert_refused(&text, &format!("filter[0].values[0]: YAML reads this as {kind}, quote it"));
    }
    for value in ["3.0.1", "\"3.0\"", "'true'", "no"] {
        let text = format!("filter: [{{field: app_version, operator: In, values: [{value}]}}]");
        assert!(read_text(&text).is_ok(), "{value}");
    }
}

#[test]
fn operators_take_the_values_that_they_need() {
    let operators = "In, NotIn, Exists, DoesNotExist, Gt, Ge, Lt, Le, InNetwork, NotInNetwork";
    for (requirement, expected) in [
        ("operator: In", "values: In needs at least one value"),
        ("operator: NotInNetwork, values: []", "values: NotInNetwork needs at least one value"),
        ("operator: Exists, values: [a]", "values: Exists takes no values, remove them"),
        ("operator: DoesNotExist, values: [a]", "values: DoesNotExist takes no values, remove them"),
        ("operator: Gt", "values: Gt takes one value, not 0"),
        ("operator: Le, values: ['1', '2']", "values: Le takes one value, not 2"),
        (
            "operator: InNetwork, values: [10.0.0.0/8, 10.1.2.3/8]",
            "values: the filter's \"10.1.2.3/8\" on f has host bits: its network address is 10.0.0.0",
        ),
        (
            "operator: InNetwork, values: [a]",
            "values: the filter's \"a\" on f is not a network such as 10.0.0.0/8 or 2001:db8::/32",
        ),
        ("values: [a]", "operator: is missing"),
        ("operator: Equals", &format!("operator: \"Equals\" is not one of {operators}")),
    ] {
        assert_refused(&format!("filter: [{{field: f, {requirement}}}]"), &format!("filter[0].{expected}"));
    }
    assert_refused("filter: [{operator: Exists}]", "filter[0].field: is missing");
    assert!(read_text("filter: [{field: f, operator: Exists, values: []}]").is_ok());
}

#[test]
fn ids_topics_and_addresses_are_checked() {
    for (text, path) in [
        ("pipeline: User", "pipeline: "),
        ("pipeline: ''", "pipeline: "),
        ("kafka: {brokers: []}", "kafka.brokers: is empty"),
        ("kafka: {brokers: [a:1, b]}", "kafka.brokers[1]: \"b\" is not host:port"),
        ("kafka: {group: ''}", "kafka.group: "),
        ("source: {topic: a b}", "source.topic: \"a b\" is no name of a topic"),
        ("output: {topic: user-login}", "output.topic: \"user-login\" is source.topic already"),
        ("deadLetter: {topic: user-login}", "deadLetter.topic: \"user-login\" is source.topic already"),
        (
            "deadLetter: {topic: processed-user-login}",
            "deadLetter.topic: \"processed-user-login\" is output.topic already",
        ),
        ("insights: {timeZone: Mars}", "insights.timeZone: \"Mars\" is no known time zone"),
        ("kafka: {tls: {certificate: /c}}", "kafka.tls.key: is missing"),
        ("kafka: {tls: {key: /c}}", "kafka.tls.certificate: is missing"),
    ] {
        let found = mistakes(text);
        assert!(found.starts_with(path) && found.lines().count() == 1, "{text}: {found}");
    }
}

#[test]
fn sasl_takes_exactly_one_password() {
    for (text, expected) in [
        ("username: u, password: p", "mechanism: is missing"),
        ("mechanism: PLAIN, password: p", "username: is missing"),
        ("mechanism: PLAIN, username: u", "password: is missing, write password or passwordFile"),
        ("mechanism: PLAIN, username: u, password: ''", "password: is empty"),
        (
            "mechanism: PLAIN, username: u, password: p, passwordFile: /secret",
            "password: stands beside passwordFile, remove one",
        ),
        (
            "mechanism: GSSAPI, username: u, password: p",
            "mechanism: \"GSSAPI\" is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
        ),
    ] {
        let found = mistakes(&format!("kafka: {{sasl: {{{text}}}}}"));
        assert!(found.lines().any(|line| line == format!("kafka.sasl.{expected}")), "{text}: {found}");
    }
}

#[test]
fn locked_properties_are_refused_by_name() {
    assert_refused(
        "kafka: {properties: {enable.auto.commit: true, sasl.password: canary, linger.ms: 5}}",
        "kafka.properties.enable.auto.commit: Rollcall sets this itself, remove it\n\
         kafka.properties.sasl.password: use kafka.sasl.password instead",
    );
}

#[test]
fn the_timestamp_plays_no_other_part() {
    for (text, path) in [
        ("output: {mask: [timestamp]}", "output.mask"),
        ("output: {hash: [timestamp], hashKey: k}", "output.hash"),
        ("output: {key: timestamp}", "output.key"),
        ("source: {defaults: {timestamp: '0'}}", "source.defaults"),
        ("insights: {dimensions: [{field: timestamp}]}", "insights.dimensions"),
        ("insights: {unique: [timestamp]}", "insights.unique"),
        ("source: {fields: {timestamp: locale}}", "insights.dimensions"),
    ] {
        let found = mistakes(text);
        assert!(
            found.starts_with(&format!("{path}: ")) && found.contains("is the timestamp"),
            "{text}: {found}"
        );
    }
    assert_refused(
        "source: {fields: {version: timestamp}}",
        "source.fields.version: \"timestamp\" is the timestamp already, name another field",
    );
    assert!(read_text("output: {drop: [timestamp]}\nfilter: [{field: timestamp, operator: Exists}]").is_ok());
}

#[test]
fn a_field_has_one_fate_and_stands_once() {
    for (text, expected) in [
        ("output: {drop: [a], mask: [a]}", "output.mask: \"a\" is in output.drop already, remove one"),
        (
            "output: {drop: [a], hash: [a], hashKey: k}",
            "output.hash: \"a\" is in output.drop already, remove one",
        ),
        (
            "output: {mask: [a], hash: [a], hashKey: k}",
            "output.hash: \"a\" is in output.mask already, remove one",
        ),
        ("output: {drop: [a, b, a]}", "output.drop[2]: \"a\" is repeated, remove one"),
        ("source: {required: [a, a]}", "source.required[1]: \"a\" is repeated, remove one"),
        ("insights: {unique: [a, a]}", "insights.unique[1]: \"a\" is repeated, remove one"),
        (
            "insights: {dimensions: [{field: a}, {field: a, fold: Lower}]}",
            "insights.dimensions[1].field: \"a\" is repeated, remove one",
        ),
        ("insights: {unique: ['']}", "insights.unique[0]: is empty, name a field"),
        ("output: {key: ''}", "output.key: is empty, name a field"),
        (
            "output: {hash: [a]}",
            "output.hashKey: is missing, output.hash needs it: write for example ${file:/etc/rollcall/hash-key}",
        ),
    ] {
        assert_refused(text, expected);
    }
}

#[test]
fn default_values_are_as_short_as_counted_ones() {
    assert_refused("source: {defaults: {a: ''}}", "source.defaults.a: is 0 bytes long, not 1 to 256");
    let long = format!("source: {{defaults: {{a: '{}'}}}}", "é".repeat(129));
    assert_refused(&long, "source.defaults.a: is 258 bytes long, not 1 to 256");
    assert!(read_text(&format!("source: {{defaults: {{a: '{}'}}}}", "é".repeat(128))).is_ok());
    assert_refused(
        "source: {defaults: {a: ~x}}",
        "source.defaults.a: begins with \"~\", which marks Rollcall's own values",
    );
    assert_refused("source: {defaults: {'': x}}", "source.defaults.: is empty, name a field");
}

#[test]
fn no_mistake_repeats_a_password() {
    for text in [
        "redis: {url: 'http://u:canary@h'}",
        "redis: {url: 'redis://u:canary@h:x'}",
        "redis: {url: 'redis://canary@h'}",
        "redis: {url: [canary]}",
        "output: {hashKey: [canary]}",
        "output: {hashKey: 'a${canary b}'}",
        "kafka: {sasl: {password: canary, passwordFile: canary}}",
        "kafka: {properties: {sasl.password: canary}}",
    ] {
        assert!(!mistakes(text).contains("canary"), "{}", mistakes(text));
    }
}
