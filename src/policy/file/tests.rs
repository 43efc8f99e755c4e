//! Tests: what a policy file is told where it is wrong, at its line and column, and what its includes and bounds mean.

use super::*;
use crate::policy::{Checked, Finding, Policy};

/// A policy with these views and documents, and a role with these keys.
fn text(views: &str, role: &str) -> String {
    let role = role.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let purposes = if role.contains("purposes:") { "" } else { "    purposes: [TREAT]\n" };
    format!(
        "version: 1\nfhir: R4\ndocuments: {{ record: {{}} }}\nviews: {{ {views} }}\nroles:\n  r:\n    about: x\n    \
         owner: y\n{role}{purposes}  other: {{ about: x, owner: y, purposes: [TREAT], sees: {{ Patient: show }} }}\n"
    )
}

fn line(finding: &Finding) -> String {
    finding.to_string()
}

fn mistakes(text: &str) -> Vec<String> {
    match Checked::parse("p", text, &Definitions::r4()) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(line).collect(),
    }
}

/// The one mistake of a text says this of the last place where `at` stands.
#[track_caller]
fn refused_text(text: &str, at: &str, says: &str) {
    let (before, _) = text.rsplit_once(at).unwrap_or_else(|| panic!("{at} stands nowhere in {text}"));
    let (lines, column) = (before.lines().count().max(1), before.chars().rev().take_while(|c| *c != '\n').count());
    let line = if before.ends_with('\n') { lines + 1 } else { lines };
    assert_eq!(mistakes(text), [format!("p:{line}:{}: {says}", column + 1)], "{text}");
}

#[track_caller]
fn refused(role: &str, at: &str, says: &str) {
    refused_text(&text("", role), at, says);
}

#[track_caller]
fn taken(role: &str) -> (Policy, Vec<String>) {
    taken_text(&text("", role))
}

#[track_caller]
fn taken_text(text: &str) -> (Policy, Vec<String>) {
    let parsed = Policy::parse("p", text, &Definitions::r4());
    let (policy, warnings) = parsed.unwrap_or_else(|mistakes| panic!("{text}\n{mistakes}"));
    (policy, warnings.iter().map(line).collect())
}

#[test]
fn a_name_that_is_unknown_is_taken_for_a_document_where_it_starts_in_lower_case() {
    refused(
        "sees: { Patient: show, unheardofthing: { '$.id': show } }",
        "unheardofthing",
        "unknown document unheardofthing: a document is declared under documents; a resource type starts with a capital",
    );
    refused(
        "sees: { Patient: show, rekord: { '$.id': show } }",
        "rekord",
        "unknown document rekord: did you mean record?",
    );
    refused("sees: { Patient: show, Unheardofthing: show }", "Unheard", "unknown resource type Unheardofthing");
    refused(
        "sees: { Patient: show, Pateint: show }",
        "Pateint",
        "unknown resource type Pateint: did you mean Patient?",
    );
}

#[test]
fn a_document_starts_with_a_lower_case_letter_so_that_it_is_no_resource_type() {
    for name in ["Record", "Patient", "7", "_a"] {
        let text = text("", "sees: { Patient: show }").replace("record: {}", &format!("\"{name}\": {{}}"));
        refused_text(&text, &format!("\"{name}\""), &format!("the document {name} starts with no lower-case letter"));
    }
}

#[test]
fn names_are_of_plain_characters_and_at_most_64_of_them() {
    let (longest, too_long) = ("a".repeat(64), "a".repeat(65));
    for (name, plain) in [
        ("a.b-c_9", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        ("", false),
        ("a b", false),
        ("aé", false),
        ("a/b", false),
    ] {
        let policy = text("v: { Patient: { name: show } }", "sees: { Patient: show }\ninclude: [v]");
        for (what, named) in [
            ("role", policy.replace("other:", &format!("\"{name}\":"))),
            ("view", policy.replace("v:", &format!("\"{name}\":")).replace("[v]", &format!("[\"{name}\"]"))),
            ("document", policy.replace("record:", &format!("\"{name}\":"))),
        ] {
            let says = format!("the name of a {what} is of letters, digits, -, _ and ., and at most 64 of them");
            let found = mistakes(&named);
            assert_eq!(!found.iter().any(|mistake| mistake.ends_with(&says)), plain, "{what} {name}: {found:?}");
            assert!(!plain || found.is_empty(), "{what} {name}: {found:?}");
        }
    }
}

#[test]
fn views_that_disagree_are_told_at_the_second_of_them() {
    for (one, other, on) in [
        ("Patient: { birthDate: show }", "Patient: { birthDate: year }", "birthDate"),
        ("Patient: show", "Patient: hide", "\"*\""),
        ("Patient: { name: show, where: \"@.active\" }", "Patient: { name: show, where: \"@.gender\" }", "where"),
        ("record: { '$.id': show }", "record: { '$.id': hide }", "$.id"),
    ] {
        let says = format!(
            "the view b disagrees with another that is included on {on}: include one of them, or take the rule out of one"
        );
        refused_text(&text(&format!("a: {{ {one} }}, b: {{ {other} }}"), "include: [a, b]"), "b]", &says);
        // Neither disagrees with itself.
        for same in [one, other] {
            let views = format!("a: {{ {same} }}, b: {{ {same} }}");
            taken_text(&text(&views, "include: [a, b]\nsees: { Organization: show }"));
        }
    }
}

#[test]
fn what_one_view_says_stands_beside_what_another_says_whichever_comes_first() {
    let definitions = Definitions::r4();
    let patient = definitions.resource("Patient").unwrap();
    let (all, some) =
        ("Patient: { '*': show, where: \"@.active\" }, record: { '$.id': show }", "Patient: { name: hide }");
    for views in [
        format!("a: {{ {all} }}, b: {{ {some}, record: {{ '$.plan': show }} }}"),
        format!("a: {{ {some}, record: {{ '$.plan': show }} }}, b: {{ {all} }}"),
    ] {
        let (policy, _) = taken_text(&text(&views, "include: [a, b]"));
        let role = policy.role(&Role::new("r")).unwrap();
        assert!(role.has_rows(patient), "{views}");
        for (path, treatment) in [("gender", "show"), ("name", "hide"), ("name.family", "hide")] {
            assert_eq!(role.treatment(&definitions, patient, path).to_string(), treatment, "{path}: {views}");
        }
        let record = policy.explain(&definitions, role, "record").unwrap();
        assert_eq!(record.len(), 2, "{record:?}");
    }
}

#[test]
fn a_rule_of_the_role_replaces_that_of_a_view_for_the_same_query_and_no_other() {
    let definitions = Definitions::r4();
    let views = "a: { record: { '$.id': show, '$.plan': show } }";
    let (policy, _) = taken_text(&text(views, "include: [a]\nsees: { record: { '$.id': { truncate: 3 } } }"));
    let record = policy.explain(&definitions, policy.role(&Role::new("r")).unwrap(), "record").unwrap();
    let told: Vec<_> = record.iter().map(|each| (each.element.as_str(), each.cases[0].treatment.as_str())).collect();
    assert_eq!(told, [("record $.plan", "show"), ("record $.id", "{ truncate: 3 }")]);
}

#[test]
fn a_purpose_stands_once() {
    refused(
        "purposes: [TREAT, HOPERAT, TREAT ]\nsees: { Patient: show }",
        "TREAT ]",
        "the purpose TREAT stands here a second time",
    );
}

#[test]
fn an_operation_is_named_and_not_the_dollar_alone() {
    refused("sees: { Patient: show }\nmay: [read, $]", "$]", "unknown interaction $");
}

#[test]
fn the_glass_is_broken_for_a_minute_to_a_day() {
    let role =
        |lasts: &str| format!("sees: {{ Patient: show }}\nbreak_glass: {{ view_of: other, for: {lasts}, notify: x }}");
    for (lasts, seconds) in [("1m", 60), ("60s", 60), ("90s", 90), ("30m", 1800), ("24h", 86400), ("86400s", 86400)] {
        let (policy, _) = taken(&role(lasts));
        let lasts = policy.role(&Role::new("r")).unwrap().break_glass().unwrap().lasts;
        assert_eq!(lasts.as_secs(), seconds, "{lasts:?}");
    }
    for lasts in
        ["59s", "0m", "25h", "86401s", "1d", "m", "1.5h", "-1m", "30", "99999999999999999999h", "18446744073709551615h"]
    {
        refused(&role(lasts), &format!("{lasts},"), "for takes a time from 1m to 24h, such as 30m");
    }
    refused(
        "sees: { Patient: show }\nbreak_glass: { view_of: r, for: 30m, notify: x }",
        "r, for",
        "break_glass lends the view of another role",
    );
}

#[test]
fn meta_and_its_labels_take_no_condition_and_what_stands_beside_them_does() {
    let says = "a condition on meta or on meta.security is not supported";
    for rule in [
        "meta[?@.source]",
        "meta[?@.source].tag",
        "meta[?@.source].security",
        "meta.security[?@.code == 'x']",
        "meta.security[?@.code].display",
    ] {
        refused(&format!("sees: {{ Patient: {{ gender: show, \"{rule}\": hide }} }}"), &format!("\"{rule}"), says);
    }
    for rule in ["meta.tag[?@.code == 'x']", "extension[?@.url == 'x']", "meta.tag", "link[?@.type == 'refer'].other"] {
        taken(&format!("sees: {{ Patient: {{ gender: show, \"{rule}\": hide }} }}"));
    }
}

#[test]
fn a_treatment_of_the_wrong_type_tells_of_one_form_where_there_are_several() {
    refused(
        "sees: { Patient: { gender: year } }",
        "year",
        "year is for date, dateTime and instant, and gender is a code",
    );
    refused(
        "sees: { Patient: { deceased: year } }",
        "year",
        "year is for date, dateTime and instant, and deceased is a boolean: write a rule for the one form that is meant",
    );
}

#[test]
fn a_type_rule_is_for_a_data_type_that_values_are_of() {
    for name in ["Element", "BackboneElement", "Resource", "DomainResource", "Patient"] {
        let found = mistakes(&text("", &format!("sees: {{ Patient: show }}\ntypes: {{ {name}: hide }}")));
        let [found] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert!(found.starts_with(&format!("p:10:14: unknown data type {name}")), "{found}");
    }
    taken("sees: { Patient: show }\ntypes: { HumanName: hide, code: hide, Age: hide }");
}

#[test]
fn a_rule_within_what_is_transformed_is_a_mistake_and_one_beside_it_is_none() {
    for (of, above, below) in [
        ("Patient", "birthDate: year", "birthDate.extension"),
        ("Patient", "deceasedDateTime: year", "deceasedDateTime.extension"),
        ("Patient", "birthDate: absent", "birthDate.extension"),
        ("Patient", "managingOrganization: { pseudonym: { domain: d } }", "managingOrganization.identifier"),
    ] {
        let Some((name, _)) = above.split_once(':') else { panic!("{above}") };
        let role = format!("sees: {{ {of}: {{ {above}, \"{below}\": show }} }}");
        refused(&role, &format!("\"{below}"), &format!("the rule for {name} takes away what {below} is a rule for"));
    }
    for rules in [
        "Observation: { valueString: { truncate: 3 }, valueQuantity.unit: show }",
        "Patient: { \"generalPractitioner[?@.type == 'x']\": { pseudonym: { domain: d } }, generalPractitioner.identifier: show }",
        "Patient: { name.text: { truncate: 3 }, name.family: show }",
    ] {
        taken(&format!("sees: {{ {rules} }}"));
    }
}

#[test]
fn a_type_whose_rules_show_nothing_is_told_of_unless_that_is_what_it_says() {
    let of = |role: &str| {
        let (_, warnings) = taken(role);
        warnings.into_iter().filter(|warning| warning.contains("is seen: none")).collect::<Vec<_>>()
    };
    assert_eq!(
        of("sees: { Encounter: show, Patient: { name: hide } }"),
        ["p:9:30: nothing of Patient is seen: none of its rules shows anything: leave it out"]
    );
    for said in [
        "sees: { Encounter: show, Patient: { '*': hide, name: hide } }",
        "sees: { Encounter: show, Patient: hide }",
        "sees: { '*': show, Patient: hide }",
        "sees: { '*': show, Patient: { name: hide } }",
        "sees: { Patient: { name: hide, name.family: show } }",
    ] {
        assert_eq!(of(said), Vec::<String>::new(), "{said}");
    }
}

#[test]
fn more_conditions_than_can_be_told_apart_are_told_at_the_last_of_them() {
    let rules: String = (0..9).map(|rank| format!("    \"telecom[?@.rank == {rank}]\": show\n")).collect();
    let role = format!("sees:\n  Patient:\n    name: show\n{rules}");
    refused(&role, "\"telecom[?@.rank == 8]", "9 conditions meet at one element; at most 8 can");
}
