//! The meaning of the filter's requirements, value by value.
//!
//! It never looks at whole documents.

use crate::record::filter::{Test, check};
use crate::record::view::Seen;
use crate::spec::{Operator, Requirement};

fn requirement(operator: Operator, values: &[&str]) -> Requirement {
    super::requirement("f", operator, values)
}

fn passes(operator: Operator, values: &[&str], seen: Seen<'_>) -> bool {
    Test::new(&requirement(operator, values), false).unwrap().passes(seen)
}

#[test]
fn an_absent_field_passes_the_negations_only() {
    use Operator::{DoesNotExist, Exists, Ge, Gt, In, InNetwork, Le, Lt, NotIn, NotInNetwork};
    for (operator, values, expected) in [
        (NotIn, &["1"][..], true),
        (NotInNetwork, &["::1"], true),
        (DoesNotExist, &[], true),
        (In, &["1"], false),
        (Exists, &[], false),
        (InNetwork, &["::1"], false),
        (Gt, &["1"], false),
        (Ge, &["1"], false),
        (Lt, &["1"], false),
        (Le, &["1"], false),
    ] {
        assert_eq!(passes(operator, values, Seen::Absent), expected, "{operator:?}");
    }
}

#[test]
fn text_is_compared_without_ascii_case_and_other_values_by_their_json_text() {
    for (seen, expected) in [
        (Seen::Text("ANDROID"), true),
        (Seen::Text("É"), true),
        (Seen::Text("é"), false),
        (Seen::Text("android "), false),
        (Seen::Text(""), false),
        // Alike at both ends only.
        (Seen::Text("androidandroid"), false),
        (Seen::Text("Rollcallrollcall"), true),
        (Seen::Text("rollcall"), false),
        (Seen::Text("A long text, THIS, with ends"), true),
        (Seen::Text("A long text, that, with ends"), false),
        (Seen::Number("1.50"), true),
        (Seen::Number("1.5"), false),
        (Seen::Text("1.50"), true),
        (Seen::Boolean("true"), true),
        (Seen::Boolean("false"), false),
        (Seen::Composite("[]"), false),
    ] {
        let long = "a long text, this, with ends";
        let values = ["android", "rollcallrollcall", long, "É", "1.50", "TRUE", "[]"];
        assert_eq!(passes(Operator::In, &values, seen), expected, "{seen:?}");
        assert_eq!(passes(Operator::NotIn, &values, seen), !expected, "{seen:?}");
        assert!(
            passes(Operator::Exists, &[], seen) && !passes(Operator::DoesNotExist, &[], seen),
            "{seen:?}"
        );
    }
}

#[test]
fn orders_compare_numbers_exactly_and_nothing_else() {
    for (text, expected) in [
        ("2", [false, true, false, true]),
        ("2.0000000000000000001", [true, true, false, false]),
        ("-3e0", [false, false, true, true]),
    ] {
        for (operator, expected) in
            [Operator::Gt, Operator::Ge, Operator::Lt, Operator::Le].into_iter().zip(expected)
        {
            assert_eq!(passes(operator, &["20e-1"], Seen::Number(text)), expected, "{text} {operator:?}");
            assert_eq!(passes(operator, &["20e-1"], Seen::Text(text)), expected, "{text} {operator:?}");
        }
    }
    for seen in [
        Seen::Text(" 2"),
        Seen::Text("3.0.0"),
        Seen::Text(""),
        Seen::Text("0x2"),
        Seen::Boolean("true"),
        Seen::Composite("[2]"),
    ] {
        for operator in [Operator::Gt, Operator::Ge, Operator::Lt, Operator::Le] {
            assert!(!passes(operator, &["2"], seen), "{seen:?} {operator:?}");
        }
    }
}

#[test]
fn the_version_field_compares_versions() {
    let test = Test::new(&requirement(Operator::Gt, &["3.0"]), true).unwrap();
    for (seen, expected) in [
        (Seen::Text("3.0.0"), false),
        (Seen::Text("3.10"), true),
        (Seen::Text("3.1.0-beta"), true),
        (Seen::Text("3.0-beta"), false),
        (Seen::Text("3.1.0-01"), false),
        (Seen::Text(" 3.1"), false),
        (Seen::Number("3.1"), true),
        (Seen::Number("3.1e5"), false),
        (Seen::Boolean("true"), false),
    ] {
        assert_eq!(test.passes(seen), expected, "{seen:?}");
    }
}

#[test]
fn what_is_not_an_address_is_in_no_network() {
    for (seen, expected) in [
        (Seen::Text("10.1.2.3"), true),
        (Seen::Text("::1"), true),
        (Seen::Text("::ffff:10.0.0.1"), false),
        (Seen::Text("010.1.2.3"), false),
        (Seen::Text("::1%lo"), false),
        (Seen::Text("10.1.2.3/8"), false),
        (Seen::Number("10.1"), false),
        (Seen::Composite("[]"), false),
    ] {
        assert_eq!(passes(Operator::InNetwork, &["10.0.0.0/8", "::1"], seen), expected, "{seen:?}");
        assert_eq!(passes(Operator::NotInNetwork, &["10.0.0.0/8", "::1"], seen), !expected, "{seen:?}");
    }
}

#[test]
fn each_mistake_names_the_field_and_what_to_do() {
    use Operator::{DoesNotExist, Exists, Ge, Gt, In, InNetwork, Lt, NotIn, NotInNetwork};
    for (operator, values, is_version_field, expected) in [
        (Exists, &["a"][..], false, "the filter's Exists on f takes no values: leave them out"),
        (DoesNotExist, &["a"], false, "the filter's DoesNotExist on f takes no values: leave them out"),
        (In, &[], false, "the filter's In on f has no values: name at least one"),
        (NotIn, &[], false, "the filter's NotIn on f has no values: name at least one"),
        (InNetwork, &[], false, "the filter's InNetwork on f has no values: name at least one"),
        (Gt, &[], false, "the filter's Gt on f takes one value, not 0"),
        (Lt, &["1", "2"], true, "the filter's Lt on f takes one value, not 2"),
        (Ge, &["3.0.0"], false, "the filter's \"3.0.0\" on f is not a number as JSON writes it"),
        (Ge, &["v3"], true, "the filter's \"v3\" on f is not a version such as 3.0 or 3.1.0-beta.2"),
        (
            NotInNetwork,
            &["x"],
            false,
            "the filter's \"x\" on f is not a network such as 10.0.0.0/8 or 2001:db8::/32",
        ),
        (
            InNetwork,
            &["::", "10.0.0.1/8"],
            false,
            "the filter's \"10.0.0.1/8\" on f has host bits: its network address is 10.0.0.0",
        ),
    ] {
        let error = check(&requirement(operator, values), is_version_field).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(check(&requirement(Ge, &["3.0.0"]), true), Ok(()));
}
