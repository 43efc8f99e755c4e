//! Reads the value of `_filter`: the paths that it tests (R4 search_filter.html).
//!
//! It knows the grammar alone, and a part of it: what two servers could split in different ways is an error, such as a
//! string with an escape or a token with a quote, since the rest of such a value may be another test. How the tests of
//! a filter are combined is not kept; who asks what a filter tests need not know.

use super::search::{Link, Modifier, ParameterName, Test};

/// What a filter tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The paths, in the order of the text.
    pub paths: Vec<Path>,
}

/// A path that a filter tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// `birthdate ge 2014`, `subject:Patient.name co "pet"`. The operator stands as the modifier that tests the same.
    Test(Test),
    /// `subject[gender eq male].name eq x`: on to those that a reference leads to and a filter holds for.
    Through {
        /// The references, at least one; the filter is of what the last leads to.
        chain: Vec<Link>,
        /// The filter.
        filter: Filter,
        /// The path from there.
        then: Box<Path>,
    },
}

/// A filter that can't be read. Holds a position and nothing of what the caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("character {at} is not one that can stand there; see https://hl7.org/fhir/R4/search_filter.html")]
pub struct FilterError {
    /// The character, from 1.
    pub at: usize,
}

/// The most paths of one filter.
const MOST_PATHS: usize = 64;
/// The most brackets within one another.
const MOST_DEPTH: usize = 16;

impl Filter {
    /// Reads a filter, percent-decoded.
    ///
    /// # Errors
    /// Where the text isn't in the grammar, or could be read in more than one way.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut reader = Reader { text, rest: text, paths: 0 };
        let filter = reader.filter(0)?;
        if reader.rest.is_empty() { Ok(filter) } else { Err(reader.error()) }
    }
}

struct Reader<'t> {
    text: &'t str,
    rest: &'t str,
    paths: usize,
}

impl<'t> Reader<'t> {
    /// At what comes next.
    fn error(&self) -> FilterError {
        self.error_at(self.rest)
    }

    /// At the beginning of a rest of the text.
    fn error_at(&self, rest: &str) -> FilterError {
        FilterError { at: self.text.chars().count() - rest.chars().count() + 1 }
    }

    fn spaces(&mut self) -> bool {
        let rest = self.rest.trim_start_matches(' ');
        std::mem::replace(&mut self.rest, rest).len() > rest.len()
    }

    fn take(&mut self, expected: &str) -> Result<(), FilterError> {
        self.rest = self.rest.strip_prefix(expected).ok_or_else(|| self.error())?;
        Ok(())
    }

    fn take_while(&mut self, allowed: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest.trim_start_matches(allowed);
        let taken = self.rest.get(..self.rest.len() - rest.len()).unwrap_or_default();
        self.rest = rest;
        taken
    }

    fn filter(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut paths = Vec::new();
        loop {
            self.spaces();
            self.term(&mut paths, depth)?;
            let gap = self.spaces();
            if self.rest.is_empty() || self.rest.starts_with([')', ']']) {
                return Ok(Filter { paths });
            }
            let joined = ["and", "or"].iter().find_map(|word| self.rest.strip_prefix(word));
            match joined {
                Some(rest) if gap && rest.starts_with([' ', '(']) => self.rest = rest,
                _ => return Err(self.error()),
            }
        }
    }

    fn term(&mut self, paths: &mut Vec<Path>, depth: usize) -> Result<(), FilterError> {
        let negated = self.rest.strip_prefix("not").map(|rest| rest.trim_start_matches(' '));
        if let Some(rest) = negated.filter(|rest| rest.starts_with('(')) {
            self.rest = rest;
        }
        if self.rest.starts_with('(') {
            if depth == MOST_DEPTH {
                return Err(self.error());
            }
            self.take("(")?;
            paths.extend(self.filter(depth + 1)?.paths);
            return self.take(")");
        }
        paths.push(self.path(depth)?);
        Ok(())
    }

    fn path(&mut self, depth: usize) -> Result<Path, FilterError> {
        let start = self.rest;
        self.paths += 1;
        if self.paths > MOST_PATHS {
            return Err(self.error());
        }
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'));
        let Ok(ParameterName::Test(test)) = ParameterName::parse(name) else { return Err(self.error_at(start)) };
        if self.rest.starts_with('[') {
            return self.through(test, start, depth);
        }
        // What an operator says of how a path is tested stands nowhere else.
        if test.modifier.is_some() {
            return Err(self.error_at(start));
        }
        if !self.spaces() {
            return Err(self.error());
        }
        let modifier = self.operator()?;
        if !self.spaces() {
            return Err(self.error());
        }
        self.value()?;
        Ok(Path::Test(Test { modifier, ..test }))
    }

    fn through(&mut self, test: Test, start: &str, depth: usize) -> Result<Path, FilterError> {
        let target = match test.modifier {
            None => None,
            Some(Modifier::Type(target)) => Some(target),
            Some(_) => return Err(self.error_at(start)),
        };
        if depth == MOST_DEPTH {
            return Err(self.error());
        }
        let mut chain = test.chain;
        chain.push(Link::Forward { code: test.code, target });
        self.take("[")?;
        let filter = self.filter(depth + 1)?;
        self.take("].")?;
        Ok(Path::Through { chain, filter, then: Box::new(self.path(depth + 1)?) })
    }

    /// The modifier that tests what an operator tests.
    fn operator(&mut self) -> Result<Option<Modifier>, FilterError> {
        let start = self.rest;
        Ok(match self.take_while(|c| c.is_ascii_alphabetic()) {
            "eq" | "ne" | "gt" | "lt" | "ge" | "le" | "ap" | "sa" | "eb" | "pr" | "po" | "re" => None,
            // Parts of a code or reference as text are parts of its display, too.
            "co" | "sw" | "ew" => Some(Modifier::Text),
            "ss" => Some(Modifier::Below),
            "sb" => Some(Modifier::Above),
            "in" => Some(Modifier::In),
            "ni" => Some(Modifier::NotIn),
            _ => return Err(self.error_at(start)),
        })
    }

    fn value(&mut self) -> Result<(), FilterError> {
        if self.rest.starts_with('"') {
            self.take("\"")?;
            // INVARIANT: no string has an escape, so that it ends at the same quote for every server.
            self.take_while(|c| !matches!(c, '"' | '\\') && !c.is_control());
            self.take("\"")?;
        } else {
            let token = self.take_while(|c| !c.is_whitespace() && !"()[]\"'\\".contains(c));
            if token.is_empty() {
                return Err(self.error());
            }
        }
        if self.rest.is_empty() || self.rest.starts_with([' ', ')', ']']) { Ok(()) } else { Err(self.error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, modifier: Option<Modifier>) -> Path {
        match ParameterName::parse(name) {
            Ok(ParameterName::Test(test)) => Path::Test(Test { modifier, ..test }),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn each_path_of_a_filter_is_read() {
        for (text, expected) in [
            ("name co \"pet\"", vec![test("name", Some(Modifier::Text))]),
            ("given eq \"peter\" and birthdate ge 2014-10-10", vec![test("given", None), test("birthdate", None)]),
            ("code eq http://loinc.org|1234-5", vec![test("code", None)]),
            ("subject.name eq \"a) or (b eq c\"", vec![test("subject.name", None)]),
            ("code in http://snomed.info/sct?fhir_vs=refset/1", vec![test("code", Some(Modifier::In))]),
            (
                "not (a eq 1 or (b ss 2 and not(c pr true)))  or not eq x",
                vec![test("a", None), test("b", Some(Modifier::Below)), test("c", None), test("not", None)],
            ),
            ("_has:Observation:patient:code eq 1", vec![test("_has:Observation:patient:code", None)]),
        ] {
            assert_eq!(Filter::parse(text), Ok(Filter { paths: expected }), "{text}");
        }
    }

    #[test]
    fn a_filter_within_a_path_is_of_what_the_reference_leads_to() {
        let read = Filter::parse("a.subject:Patient[gender eq male and (name eq x)].organization.name eq y").unwrap();
        let chain = vec![
            Link::Forward { code: "a".into(), target: None },
            Link::Forward { code: "subject".into(), target: Some("Patient".into()) },
        ];
        let filter = Filter { paths: vec![test("gender", None), test("name", None)] };
        let then = Box::new(test("organization.name", None));
        assert_eq!(read.paths, [Path::Through { chain, filter, then }]);
    }

    #[test]
    fn what_is_not_in_the_grammar_is_told_by_its_place() {
        for (text, at) in [
            ("", 1),
            ("name", 5),
            ("name eq", 8),
            ("name eq ", 9),
            ("name is x", 6),
            ("name:exact eq x", 1),
            ("_sort eq x", 1),
            ("name eq x and", 11),
            ("name eq x AND a eq b", 11),
            ("name eq x andd a eq b", 11),
            ("(name eq x", 11),
            ("name eq x)", 10),
            ("name eq \"x", 11),
            // Another server may end the string, or the token, elsewhere, and read a test in what is left.
            (r#"name eq "\" or birthdate eq \"x""#, 10),
            (r#"name eq "x"or birthdate eq y"#, 12),
            ("name eq x'y", 10),
            ("name eq x\tor birthdate eq y", 10),
            ("name eq é\u{a0}or birthdate eq y", 10),
            ("subject[name eq x] eq y", 18),
            ("name:exact[name eq x].y eq z", 1),
        ] {
            assert_eq!(Filter::parse(text), Err(FilterError { at }), "{text}");
        }
        assert!(Filter::parse(&format!("{}a eq b{}", "(".repeat(17), ")".repeat(17))).is_err());
        assert!(Filter::parse(&vec!["a eq b"; 65].join(" or ")).is_err());
    }
}
