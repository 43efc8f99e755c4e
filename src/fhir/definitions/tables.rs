//! Parses the tables of `data/r4/`. Each table opens with a description of its lines.
//!
//! It never skips a line that it can't read: a table that makes no sense is no table.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Category, Definitions, Element, Kind, Mapping, ParameterKind, SearchParameter, Type, TypeId, TypeRef, Words,
};

/// A line of a table that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("data/r4/{table}, line {line}: {problem}; run data/build.py and build again")]
pub struct DefinitionsError {
    /// The table's file name.
    pub table: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The types by name.
type Names = HashMap<&'static str, TypeId>;
/// What a table says of each type.
type ByType<T> = HashMap<TypeId, Box<[T]>>;

/// A table by its file name.
struct Table {
    name: &'static str,
    text: &'static str,
}

const ELEMENTS: Table = Table { name: "elements.txt", text: include_str!("../../../data/r4/elements.txt") };
const SEARCH: Table = Table { name: "search.txt", text: include_str!("../../../data/r4/search.txt") };
const COMPARTMENT: Table =
    Table { name: "compartment-patient.txt", text: include_str!("../../../data/r4/compartment-patient.txt") };

/// A line that is no comment.
#[derive(Clone, Copy)]
struct Row {
    table: &'static str,
    line: usize,
    text: &'static str,
}

pub(super) fn r4() -> Result<Definitions, DefinitionsError> {
    let elements = ELEMENTS.rows();
    let by_name = type_names(&elements)?;
    let mut definitions = Definitions {
        types: types(&elements, &by_name)?,
        search: search(&by_name)?,
        compartment: compartment(&by_name)?,
        by_name,
        patient_elements: HashMap::new(),
        nothing: Type {
            name: "",
            kind: Kind::Complex,
            base: None,
            is_abstract: true,
            category: None,
            elements: Vec::new(),
        },
    };
    definitions.find_patient_elements();
    Ok(definitions)
}

/// The name of every type; elements may name a type that stands below them.
fn type_names(rows: &[Row]) -> Result<Names, DefinitionsError> {
    let mut names = HashMap::with_capacity(rows.len() / 4);
    for (row, id) in rows.iter().filter(|row| row.is_head()).zip((0..=u16::MAX).map(TypeId)) {
        let name = row.words().nth(1).ok_or(row.problem("a type without a name"))?;
        if names.insert(name, id).is_some() {
            return Err(row.problem("a type that stands above already"));
        }
    }
    Ok(names)
}

fn types(rows: &[Row], by_name: &Names) -> Result<Vec<Type>, DefinitionsError> {
    let mut types: Vec<Type> = Vec::with_capacity(by_name.len());
    for (first, rest) in blocks(rows) {
        let mut of = head(first, rest.len(), by_name, &types)?;
        let inherited = of.elements.len();
        for row in rest {
            let element = element(row, by_name)?;
            match of.elements.iter_mut().take(inherited).find(|inherited| inherited.name == element.name) {
                Some(inherited) => *inherited = element,
                None => of.elements.push(element),
            }
        }
        types.push(of);
    }
    Ok(types)
}

/// The heads, each with the rows that belong to it. What stands above the first head is taken for one, and is none.
fn blocks(rows: &[Row]) -> impl Iterator<Item = (&Row, &[Row])> {
    rows.chunk_by(|_, next| !next.is_head()).filter_map(<[Row]>::split_first)
}

/// A type with the elements that it has from its base, which is among the types `above`, and room for its `own`.
fn head(row: &Row, own: usize, by_name: &Names, above: &[Type]) -> Result<Type, DefinitionsError> {
    if !row.is_head() {
        return Err(row.problem("an element without a type"));
    }
    let mut words = row.words();
    let kind = match words.next() {
        Some("resource") => Kind::Resource,
        Some("complex") => Kind::Complex,
        Some("backbone") => Kind::Backbone,
        Some("primitive") => Kind::Primitive,
        _ => return Err(row.problem("an unknown kind of type")),
    };
    let name = words.next().ok_or(row.problem("a type without a name"))?;
    let mut base = (kind == Kind::Backbone).then_some("BackboneElement");
    let (mut is_abstract, mut category) = (false, None);
    while let Some(word) = words.next() {
        match word {
            ":" => base = Some(words.next().ok_or(row.problem("a colon without a base"))?),
            "abstract" => is_abstract = true,
            "anonymous" => category = Some(Category::Anonymous),
            "business" => category = Some(Category::Business),
            "individual" => category = Some(Category::Individual),
            "patient" => category = Some(Category::Patient),
            "not-classified" => category = Some(Category::NotClassified),
            _ => return Err(row.problem("an unknown word after the type's name")),
        }
    }
    let base = base.map(|name| row.type_named(name, by_name)).transpose()?;
    let inherited: &[Element] = match base {
        None => &[],
        Some(base) => {
            let base = above.get(usize::from(base.0));
            &base.ok_or(row.problem("a base that doesn't stand above"))?.elements
        }
    };
    let mut elements = Vec::with_capacity(inherited.len() + own);
    elements.extend_from_slice(inherited);
    Ok(Type { name, kind, base, is_abstract, category, elements })
}

fn element(row: &Row, by_name: &Names) -> Result<Element, DefinitionsError> {
    let mut words = row.words();
    let (Some(name), Some(cardinality), Some(flags)) = (words.next(), words.next(), words.next()) else {
        return Err(row.problem("an element without a name, a cardinality or flags"));
    };
    let (name, choice) = name.strip_suffix("[x]").map_or((name, false), |name| (name, true));
    let types = words.map(|word| type_ref(row, name, choice, word, by_name)).collect::<Result<Arc<[_]>, _>>()?;
    if types.is_empty() || (types.len() > 1 && !choice) {
        return Err(row.problem("an element of no type, or of several without being a choice"));
    }
    let (min, many) = match cardinality {
        "0..1" => (0, false),
        "0..*" => (0, true),
        "1..1" => (1, false),
        "1..*" => (1, true),
        _ => return Err(row.problem("an unknown cardinality")),
    };
    let (summary, modifier) = match flags {
        "-" => (false, false),
        "S" => (true, false),
        "M" => (false, true),
        "SM" => (true, true),
        _ => return Err(row.problem("unknown flags")),
    };
    Ok(Element { name, choice, many, min, summary, modifier, types })
}

/// `Quantity`, or `Reference(Patient|Group)`.
fn type_ref(
    row: &Row,
    element: &'static str,
    choice: bool,
    word: &'static str,
    by_name: &Names,
) -> Result<TypeRef, DefinitionsError> {
    let (name, profiles) = match word.strip_suffix(')') {
        None => (word, ""),
        Some(word) => word.split_once('(').ok_or(row.problem("a list of targets without its start"))?,
    };
    let json_name = if choice { Cow::Owned(form_name(element, name)) } else { Cow::Borrowed(element) };
    Ok(TypeRef { target: row.type_named(name, by_name)?, profiles: Words(profiles), json_name })
}

/// `valueQuantity` of `value` and `Quantity`.
fn form_name(element: &str, of: &str) -> String {
    let mut name = String::with_capacity(element.len() + of.len());
    name.push_str(element);
    let mut letters = of.chars();
    name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    name.push_str(letters.as_str());
    name
}

fn search(by_name: &Names) -> Result<ByType<SearchParameter>, DefinitionsError> {
    let mut found = HashMap::new();
    for (first, rest) in blocks(&SEARCH.rows()) {
        let mut parameters: Vec<SearchParameter> = Vec::with_capacity(rest.len());
        for row in rest {
            let detail = row.text.trim_start();
            if let Some(targets) = detail.strip_prefix("> ") {
                let last = parameters.last_mut().ok_or(row.problem("targets without a parameter"))?;
                last.targets = Words(if targets == "*" { "Resource" } else { targets });
            } else if let Some(parts) = detail.strip_prefix("+ ") {
                let last = parameters.last_mut().ok_or(row.problem("parts without a parameter"))?;
                last.components = Words(parts);
            } else {
                parameters.push(search_parameter(row)?);
            }
        }
        found.insert(first.type_named(first.text, by_name)?, parameters.into());
    }
    Ok(found)
}

fn search_parameter(row: &Row) -> Result<SearchParameter, DefinitionsError> {
    let mut words = row.text.trim_start().splitn(4, ' ');
    let (Some(code), Some(kind), Some(mapping)) = (words.next(), words.next(), words.next()) else {
        return Err(row.problem("a parameter without a code, a kind or a class"));
    };
    let kind = match kind {
        "number" => ParameterKind::Number,
        "date" => ParameterKind::Date,
        "string" => ParameterKind::String,
        "token" => ParameterKind::Token,
        "reference" => ParameterKind::Reference,
        "composite" => ParameterKind::Composite,
        "quantity" => ParameterKind::Quantity,
        "uri" => ParameterKind::Uri,
        "special" => ParameterKind::Special,
        _ => return Err(row.problem("an unknown kind of parameter")),
    };
    let mapping = match mapping {
        "plain" => Mapping::Plain,
        "composite" => Mapping::Composite,
        "special" => Mapping::Special,
        "opaque" => Mapping::Opaque,
        "unmapped" => Mapping::Unknown,
        _ => return Err(row.problem("an unknown class of parameter")),
    };
    let elements = Words(words.next().unwrap_or_default());
    // INVARIANT: a parameter that isn't unmapped tests at least one element; a guard that asks whether all of them are
    // shown would otherwise let it pass.
    if elements.is_empty() != matches!(mapping, Mapping::Opaque | Mapping::Unknown) {
        return Err(row.problem("elements where the class has none, or none where it has some"));
    }
    Ok(SearchParameter { code, kind, mapping, elements, targets: Words(""), components: Words("") })
}

fn compartment(by_name: &Names) -> Result<HashMap<TypeId, Words>, DefinitionsError> {
    let entry = |row: Row| {
        let (name, codes) = row.text.split_once(' ').ok_or(row.problem("a type without a parameter"))?;
        Ok((row.type_named(name, by_name)?, Words(codes)))
    };
    COMPARTMENT.rows().into_iter().map(entry).collect()
}

impl Table {
    fn rows(&self) -> Vec<Row> {
        let rows = self.text.lines().zip(1..).map(|(text, line)| Row { table: self.name, line, text });
        rows.filter(|row| !row.text.starts_with('#')).collect()
    }
}

impl Row {
    /// Whether it opens a type; what belongs to the type is indented.
    fn is_head(&self) -> bool {
        !self.text.starts_with(' ')
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        self.text.split_ascii_whitespace()
    }

    fn problem(&self, problem: &'static str) -> DefinitionsError {
        DefinitionsError { table: self.table, line: self.line, problem }
    }

    fn type_named(&self, name: &str, by_name: &Names) -> Result<TypeId, DefinitionsError> {
        by_name.get(name).copied().ok_or(self.problem("a name that no type has"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_makes_no_sense_is_an_error_that_names_it() {
        let known = type_names(&ELEMENTS.rows()).unwrap();
        for (text, problem) in [
            ("  birthDate 0..1", "an element without a name, a cardinality or flags"),
            ("  birthDate 0..1 -", "an element of no type, or of several without being a choice"),
            ("  birthDate 0..1 - date dateTime", "an element of no type, or of several without being a choice"),
            ("  birthDate 0..2 - date", "an unknown cardinality"),
            ("  birthDate 0..1 X date", "unknown flags"),
            ("  birthDate 0..1 - Date", "a name that no type has"),
            ("  subject 0..1 - Reference(Patient", "a name that no type has"),
            ("  subject 0..1 - Reference|Patient)", "a list of targets without its start"),
        ] {
            let row = Row { table: "elements.txt", line: 7, text };
            let error = element(&row, &known).unwrap_err();
            assert_eq!(error, DefinitionsError { table: "elements.txt", line: 7, problem });
        }
    }

    #[test]
    fn a_search_parameter_without_elements_is_never_taken_for_one_that_is_understood() {
        for text in ["  name string plain", "  near special special", "  _text string opaque text"] {
            assert!(search_parameter(&Row { table: "search.txt", line: 1, text }).is_err(), "{text}");
        }
    }

    #[test]
    fn a_base_stands_above_what_it_is_the_base_of() {
        let known = type_names(&ELEMENTS.rows()).unwrap();
        let row = Row { table: "elements.txt", line: 1, text: "complex Age : Quantity" };
        assert!(head(&row, 0, &known, &[]).is_err());
    }

    #[test]
    fn an_element_stands_below_a_type() {
        let rows = [Row { table: "elements.txt", line: 1, text: "  use 0..1 - code" }];
        assert!(types(&rows, &Names::new()).is_err());
    }
}
