use super::*;
use crate::json::node::Document;

/// Holds what is to be stored, or what is said of the element that can't be written, to what is expected.
#[track_caller]
fn check(stored: &str, copy: &str, sent: &str, expected: &str) {
    let documents = [stored, copy, sent].map(|text| Document::read(text.as_bytes()).unwrap());
    let [stored_tree, copy_tree, sent_tree] = documents.each_ref().map(|document| Tree::of(document).unwrap());
    let merged = match merge(Place::root("Patient"), &stored_tree, &copy_tree, sent_tree) {
        Ok(merged) => String::from_utf8(merged.to_bytes()).unwrap(),
        Err(WriteError::Hidden { element }) => format!("{element} is hidden"),
        Err(WriteError::Lost { element }) => format!("{element} is lost"),
        Err(WriteError::Items { element }) => format!("{element} has items"),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(merged, expected, "{stored} {copy} {sent}");
}

#[test]
fn what_the_gateway_put_into_a_copy_stays_as_it_is_and_is_not_stored() {
    check(r#"{"a":1}"#, r#"{"a":1,"_m":2}"#, r#"{"a":3,"_m":2}"#, r#"{"a":3}"#);
    check(r#"{"a":1}"#, r#"{"a":1,"_m":2}"#, r#"{"a":3}"#, r#"{"a":3}"#);
    check(r#"{"a":1}"#, r#"{"a":1,"_m":2}"#, r#"{"a":3,"_m":4}"#, "Patient.m is hidden");
}

#[test]
fn of_what_is_taken_away_stays_what_the_caller_did_not_see() {
    let stored = r#"{"a":{"x":1,"y":2},"b":3}"#;
    check(stored, r#"{"a":{"x":1},"b":3}"#, r#"{"b":3}"#, r#"{"a":{"y":2},"b":3}"#);
    check(stored, r#"{"a":{"x":1,"y":2},"b":3}"#, r#"{"b":3}"#, r#"{"b":3}"#);
    // With what the gateway put there it goes as a whole.
    check(stored, r#"{"a":{"x":1,"y":2,"_m":0},"b":3}"#, r#"{"b":3}"#, r#"{"b":3}"#);
    check(stored, r#"{"a":{"x":9},"b":3}"#, r#"{"b":3}"#, "Patient.a.x is lost");
}

#[test]
fn an_item_of_a_copy_is_found_in_what_is_stored_where_there_is_one_way_alone() {
    let list = |items: &str| format!(r#"{{"l":[{items}]}}"#);
    for (stored, copy, sent, expected) in [
        // Lists within items, of which some are withheld.
        (
            r#"{"g":["A","B"]},{"g":["C","D"]}"#,
            r#"{"g":["C"]}"#,
            r#"{"g":["C"]},{"g":["E"]}"#,
            Some(r#"{"g":["A","B"]},{"g":["C","D"]},{"g":["E"]}"#),
        ),
        (
            r#"{"g":["A","B"]},{"g":["C"]}"#,
            r#"{"g":[null,"B"]}"#,
            r#"{"g":[null,"B"]},{"n":1}"#,
            Some(r#"{"g":["A","B"]},{"n":1},{"g":["C"]}"#),
        ),
        (
            r#"{"g":[{"x":1},{"y":2}]},{"g":[{"x":1}]}"#,
            r#"{"g":[null,{"y":2}]}"#,
            r#"{"g":[null,{"y":2}]},{"n":1}"#,
            Some(r#"{"g":[{"x":1},{"y":2}]},{"n":1},{"g":[{"x":1}]}"#),
        ),
        // A value that was made coarser is of the one where it could stand.
        (
            r#"{"a":"2001-01-02","b":1},{"a":{"c":1}}"#,
            r#"{"a":"2001"}"#,
            r#"{"a":"2001"},{"n":1}"#,
            Some(r#"{"a":"2001-01-02","b":1},{"n":1},{"a":{"c":1}}"#),
        ),
        (r#"{"a":"2001-01-02"},{"a":"2002-01-02"}"#, r#"{"a":"2001"}"#, r#"{"a":"2001"},{"n":1}"#, None),
        // What is exactly there comes first; a member that the gateway put there is not.
        (
            r#"{"a":1,"h":1},{"a":2,"h":2},{"a":3}"#,
            r#"{"a":2}"#,
            r#"{"a":2,"n":1}"#,
            Some(r#"{"a":1,"h":1},{"a":2,"h":2,"n":1},{"a":3}"#),
        ),
        (r#"{"b":3,"h":1},{"b":2,"h":2}"#, r#"{"b":2,"_m":1}"#, r#"{"b":2,"_m":1},{"n":1}"#, None),
        (r#""A","B","B""#, r#""B""#, r#""B","C""#, None),
    ] {
        let (stored, copy, sent) = (list(stored), list(copy), list(sent));
        let expected = expected.map(list);
        check(&stored, &copy, &sent, expected.as_deref().unwrap_or("Patient.l has items"));
    }
}

#[test]
fn an_item_that_is_sent_is_known_by_its_id_as_it_stands_or_by_its_place_and_shape() {
    let list = |items: &str| format!(r#"{{"l":[{items}]}}"#);
    let (stored, copy) = (r#"{"g":["a","b"],"k":{"x":1},"h":1}"#, r#"{"g":["a","b"],"k":{"x":1}}"#);
    for (stored, copy, sent, expected) in [
        // Nothing of it is as it was, but its shape.
        (stored, copy, r#"{"g":["c","d"],"k":{"x":2}}"#, Some(r#"{"g":["c","d"],"k":{"x":2},"h":1}"#)),
        (stored, copy, r#"{"g":["c"],"k":{"x":2}}"#, None),
        (stored, copy, r#"{"g":["c",{}],"k":{"x":2}}"#, None),
        (stored, copy, r#"{"g":["c","d"],"k":{"y":2}}"#, None),
        (stored, copy, r#"{"g":["c","d"],"n":{"x":2}}"#, None),
        (stored, copy, r#"{"g":["c","d"],"k":{"x":2},"n":1}"#, None),
        (stored, copy, r#"{"k":{"x":2}}"#, None),
        // Its shape is another one, and one of its members is as it was.
        (stored, copy, r#"{"g":["a","b"],"n":1}"#, Some(r#"{"g":["a","b"],"h":1,"n":1}"#)),
        // Each is one at the most.
        (r#"{"n":"a","h":1}"#, r#"{"n":"a"}"#, r#"{"n":"a"},{"n":"a"}"#, Some(r#"{"n":"a","h":1},{"n":"a"}"#)),
        (
            r#"{"n":"a"},{"id":"2","n":"b","h":2}"#,
            r#"{"n":"a"},{"id":"2","n":"b"}"#,
            r#"{"id":"2","n":"b"},{"id":"3","n":"c"}"#,
            Some(r#"{"id":"2","n":"b","h":2},{"id":"3","n":"c"}"#),
        ),
    ] {
        let expected = expected.map(list);
        check(&list(stored), &list(copy), &list(sent), expected.as_deref().unwrap_or("Patient.l has items"));
    }
}
