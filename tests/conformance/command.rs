//! The command: its spec, its mistakes, its exit codes.

use std::path::Path;

use fieldgate::conformance::Spec;
use fieldgate::fhir::Definitions;

use crate::process;

const HEAD: &str = "version: 1\nresources:\n  Patient/p1:\n    shown: { name.family: Lovelace }\n";

fn spec(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// The exit code, and what was said on stderr with the file's name as `spec`.
fn told(text: &str) -> (Option<i32>, String) {
    let file = spec(text);
    let path = file.path().to_str().unwrap();
    let output = process::run(&["conformance", "--target", "http://127.0.0.1:9/fhir", "--spec", path]);
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap().replace(path, "spec"))
}

#[test]
fn a_mistake_of_the_spec_is_told_with_its_place_and_what_was_meant() {
    for (text, expected) in [
        (
            format!("{HEAD}    witheld: {{ birthDate: 1970-01-09 }}\n"),
            "spec:5:5: unknown field `witheld`, expected one of existence, shown, withheld: did you mean withheld?",
        ),
        (
            format!("{HEAD}    withheld: {{ brithDate: 1970-01-09 }}\n"),
            "spec:5:17: Patient has no element brithDate: did you mean birthDate?",
        ),
        (
            format!("{HEAD}    withheld: {{ name.gven: Augusta }}\n"),
            "spec:5:17: Patient has no element name.gven: did you mean name.given?",
        ),
        (
            format!("{HEAD}    withheld: {{ Patient.birthDate: 1970-01-09 }}\n"),
            "write birthDate, the type stands above",
        ),
        (format!("{HEAD}    withheld: {{ gender: x }}\n"), "spec:5:17: a value of fewer than 3 characters"),
        (
            format!("{HEAD}    withheld: {{ name.family: Lovelace }}\n"),
            "spec:5:17: the value stands in what must be seen as well",
        ),
        (
            format!("{HEAD}    withheld: {{ birthDate: {{ value: 1970-01-09, wrong: 1970-01-09 }} }}\n"),
            "spec:5:17: wrong must be another value",
        ),
        (format!("{HEAD}    withheld: {{ birthDate: 19700109 }}\n"), "in quotes if it is a number"),
        (
            format!("{HEAD}    withheld: {{ birthDate: [1970-01-09] }}\n"),
            "expected a value, in quotes if it is a number",
        ),
        (HEAD.to_owned(), "spec:1:1: nothing is withheld: name elements that the caller must not see"),
        (
            "version: 1\nresources:\n  Patient/p1: { withheld: { birthDate: 1970-01-09 } }\n".to_owned(),
            "spec:1:1: no resource has shown",
        ),
        (HEAD.replace("Patient/", "Patent/"), "spec:3:3: unknown resource type Patent: did you mean Patient?"),
        (
            HEAD.replace("Patient/p1", "Patient"),
            "spec:3:3: this is no resource: write its type and its id: Patient/123",
        ),
        (HEAD.replace("p1", "p_1"), "spec:3:3: what follows the / is no id"),
        (
            HEAD.replace("version: 1", "version: 2"),
            "spec:1:10: this version of the spec is not known: write version: 1",
        ),
        (
            format!("headers: {{ Authorization: Bearer abc }}\n{HEAD}"),
            "spec:1:12: the value of authorization is a secret and must not stand here",
        ),
        (
            format!(
                "headers: {{ Authorization: {{ file: nowhere.header }} }}\n{HEAD}    withheld: {{ birthDate: 1970-01-09 }}\n"
            ),
            "spec:1:12: authorization: ",
        ),
        (
            format!(
                "headers: {{ Authorization: \"Bearer ${{NO_SUCH_NAME}}\" }}\n{HEAD}    withheld: {{ birthDate: 1970-01-09 }}\n"
            ),
            "spec:1:12: authorization: the environment has no NO_SUCH_NAME",
        ),
        (format!("certificate: x.pem\n{HEAD}"), "spec:1:14: certificate and key go together: give both or none"),
        (format!("allow: [write]\n{HEAD}"), "spec:1:9: unknown variant `write`"),
    ] {
        let (code, said) = told(&text);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{expected} is not in\n{said}");
        for secret in ["1970-01-09", "19700109", "Lovelace", "Bearer abc"] {
            assert!(!said.contains(secret), "{secret} is in\n{said}");
        }
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let (_, said) =
        told(&format!("{HEAD}    withheld: {{ brithDate: 1970-01-09, adress: Somewhere }}\n  Patent/1: {{}}\n"));
    assert_eq!(said.matches("error: spec:").count(), 4, "{said}");
}

#[test]
fn a_command_line_that_is_not_understood_and_a_server_that_is_not_there_have_codes_of_their_own() {
    let file = spec(&format!("{HEAD}    withheld: {{ birthDate: 1970-01-09 }}\n"));
    let path = file.path().to_str().unwrap();
    for (arguments, code) in [
        (vec!["--target", "nowhere", "--spec", path], 2),
        (vec!["--target", "http://127.0.0.1:9/fhir?x=y", "--spec", path], 2),
        (vec!["--target", "http://127.0.0.1:9/fhir", "--spec", "nowhere.yaml"], 2),
        (vec!["--target", "http://127.0.0.1:9/fhir", "--spec", path, "--row", "L99"], 2),
        (vec!["--target", "http://127.0.0.1:9/fhir", "--spec", path, "--rate", "0"], 2),
        (vec!["--target", "http://127.0.0.1:9/fhir", "--spec", path], 1),
    ] {
        let output = process::run(&[&["conformance"], arguments.as_slice()].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains("error: "), "{said}");
    }
}

#[test]
fn the_example_specs_have_no_mistake() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(root.join("config/conformance.yaml")).unwrap();
    let page = std::fs::read_to_string(root.join("docs/conformance.md")).unwrap();
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for text in [file.as_str()].into_iter().chain(blocks) {
        let read = Spec::parse(Path::new("spec.yaml"), text, &Definitions::r4());
        assert!(read.is_ok(), "{:?}\n{text}", read.err());
        let read = read.unwrap();
        assert!(read.credentials(|_| Some("a-token".to_owned())).is_ok(), "{text}");
    }
}
