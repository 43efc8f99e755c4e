//! The definitions of FHIR R4 (4.0.1): types, their elements, search parameters and the patient compartment.
//!
//! They are the tables in `data/r4/`, which `data/build.py` writes from HL7's published definitions. What the tables don't
//! hold doesn't exist: nothing here guesses a type or an element.

mod tables;

use std::fmt;
use std::ops::Deref;

use tables::Range;

/// The definitions of one FHIR release, immutable.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Definitions;

/// A type of these definitions. Ids come from [`Definitions`] alone and mean the same in each of one release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(u16);

impl TypeId {
    /// Its place among the types.
    pub(crate) const fn place(self) -> usize {
        self.0 as usize
    }
}

/// A resource type, data type, primitive type, or backbone element.
#[derive(Debug, Clone)]
pub struct Type {
    /// `Patient`, `HumanName`, `string`; a backbone by its path, `Patient.contact`.
    pub name: &'static str,
    /// What kind of type it is.
    pub kind: Kind,
    /// The type that it specialises: `Quantity` for `Age`, `string` for `code`, `DomainResource` for `Patient`.
    pub base: Option<TypeId>,
    /// Whether no instance says to be of this very type: `Resource`, `DomainResource`, `Element`, `BackboneElement`.
    pub is_abstract: bool,
    /// The standard's security category of a resource type (R4 security.html#categories).
    pub category: Option<Category>,
    elements: Range,
    /// The search parameters that it adds to those of its base.
    parameters: Range,
    /// The codes of the parameters that put a resource in a patient's compartment.
    compartment: Words,
    /// The same as element paths.
    patient_elements: Words,
}

/// The kinds of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `Patient`, and the abstract `Resource` and `DomainResource`.
    Resource,
    /// `HumanName`, `Extension`, and the abstract `Element` and `BackboneElement`.
    Complex,
    /// The object that an element is that has children of its own: `Patient.contact`, `Timing.repeat`.
    Backbone,
    /// `string`, `date`, `xhtml`: a JSON string, number or boolean with an `_sibling` for its id and extensions.
    Primitive,
}

/// The security category that the standard gives a resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Category {
    /// Holds no individual, business or patient data.
    Anonymous,
    /// Holds no patient data and is of business interest.
    Business,
    /// About individuals who are no patients.
    Individual,
    /// About patients.
    Patient,
    /// What it holds depends on its use.
    NotClassified,
}

/// An element of a type.
#[derive(Debug, Clone)]
pub struct Element {
    /// `birthDate`; a choice without its `[x]`: `value`.
    pub name: Name,
    /// Whether the element's JSON name ends in its type: `value[x]`.
    pub choice: bool,
    /// Whether it is a JSON array.
    pub many: bool,
    /// How often it occurs at least.
    pub min: u8,
    /// Whether it belongs to the resource's summary.
    pub summary: bool,
    /// Whether it changes the meaning of the elements beside it.
    pub modifier: bool,
    /// The types that it may be of; exactly one where it is no choice.
    pub types: Forms,
}

/// One of the types of an element.
#[derive(Debug, Clone)]
pub struct TypeRef {
    /// The type. For what is described elsewhere (`Questionnaire.item.item`) the backbone that describes it; for
    /// `contained` and its like the abstract type `Resource`.
    pub target: TypeId,
    /// The resource types that a `Reference` or `canonical` may point to; `Resource` means any, none means unsaid.
    pub profiles: Words,
    /// The JSON member name of a value of this type: `birthDate`, `valueQuantity`.
    pub json_name: Name,
}

/// A name of the tables: where it starts in the text of all names, and in the last twelve bits its length.
// INVARIANT: the same name has the same place wherever it stands, so two of them are compared by their places.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name(u32);

impl Name {
    /// The name.
    pub fn as_str(self) -> &'static str {
        // INVARIANT: places are written with the text that they are in.
        tables::NAMES.get(self.range()).unwrap_or_default()
    }

    fn range(self) -> std::ops::Range<usize> {
        let start = (self.0 >> 12) as usize;
        start..start + self.length()
    }

    const fn length(self) -> usize {
        (self.0 & 0xfff) as usize
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.length() == other.len() && self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl From<Name> for Box<str> {
    fn from(name: Name) -> Self {
        name.as_str().into()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Several names of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Words(Name);

impl Words {
    /// The names, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        self.0.as_str().split_terminator('|')
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// The types of an element.
#[derive(Debug, Clone, Copy)]
pub struct Forms(Range);

impl Deref for Forms {
    type Target = [TypeRef];

    fn deref(&self) -> &[TypeRef] {
        self.0.of(&tables::FORMS)
    }
}

/// What a path of elements leads to.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The element at the end of the path.
    pub element: &'static Element,
    /// Its types; one alone where the path names a form of a choice, `valueQuantity`.
    pub types: &'static [TypeRef],
}

/// A search parameter as one type has it.
#[derive(Debug, Clone)]
pub struct SearchParameter {
    /// The name in a query: `birthdate`.
    pub code: Name,
    /// What kind of value it takes.
    pub kind: ParameterKind,
    /// How it finds its matches.
    pub mapping: Mapping,
    /// The paths below the type of every element that it tests; filters of its expression are tested elements too. A
    /// choice stands as `value` where each form is tested and as `valueQuantity` where this one is.
    pub elements: Words,
    /// The resource types that a reference parameter leads to; `Resource` means any.
    pub targets: Words,
    /// The codes of a composite's parts, in order.
    pub components: Words,
}

/// The kinds of search parameters (R4 search.html#ptypes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterKind {
    /// A number, with prefixes.
    Number,
    /// A date or a period, with prefixes.
    Date,
    /// Text that a value starts with.
    String,
    /// A code or identifier, with its system.
    Token,
    /// A reference; chains go on from here.
    Reference,
    /// Several parameters joined by `$`.
    Composite,
    /// A quantity, with prefixes.
    Quantity,
    /// A URI.
    Uri,
    /// As its own definition says.
    Special,
}

/// How a search parameter finds its matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mapping {
    /// By the values of its elements.
    Plain,
    /// By its parts together, each by the values of its elements.
    Composite,
    /// By an algorithm of its own on its elements.
    Special,
    /// Without an expression (`_text`, `_content`, `_query`): any element may be tested.
    Opaque,
    /// By an expression that isn't understood: any element may be tested.
    Unknown,
}

/// A type without elements, for an id that these tables don't have.
static NOTHING: Type = Type {
    name: "",
    kind: Kind::Complex,
    base: None,
    is_abstract: true,
    category: None,
    elements: Range::EMPTY,
    parameters: Range::EMPTY,
    compartment: Words(Name(0)),
    patient_elements: Words(Name(0)),
};

impl Definitions {
    /// The definitions of FHIR R4 (4.0.1).
    pub const fn r4() -> Self {
        Self
    }

    /// How many types there are: each has a place below that.
    pub(crate) fn count(&self) -> usize {
        tables::TYPES.len()
    }

    /// The concrete resource types.
    pub fn resource_types(&self) -> impl Iterator<Item = (TypeId, &'static Type)> {
        (0..).map(TypeId).zip(&tables::TYPES).filter(|(_, known)| known.is_concrete_resource())
    }

    /// The concrete resource type of this name.
    pub fn resource(&self, name: &str) -> Option<TypeId> {
        self.type_named(name).filter(|id| self.get(*id).is_concrete_resource())
    }

    /// The type of this name, of whatever kind: `HumanName`, `string`, `Patient`, `Patient.contact`, `Resource`.
    pub fn type_named(&self, name: &str) -> Option<TypeId> {
        tables::type_named(name)
    }

    /// The type of an id.
    pub fn get(&self, id: TypeId) -> &'static Type {
        // INVARIANT: ids are places among the types alone.
        tables::TYPES.get(usize::from(id.0)).unwrap_or(&NOTHING)
    }

    /// Whether the first type is the second or specialises it: `Age` is a `Quantity`, `Patient` a `Resource`.
    pub fn is_a(&self, id: TypeId, ancestor: TypeId) -> bool {
        self.lineage(id).any(|known| known == ancestor)
    }

    /// The element at a path of element names below a type: `contact.name.family`. A step may name a choice with or
    /// without its type: `value`, `valueQuantity.unit`.
    pub fn element_at(&self, base: TypeId, path: &str) -> Option<Found> {
        let mut parents = vec![base];
        let mut end = None;
        for step in path.split('.') {
            let found = parents.iter().find_map(|parent| self.get(*parent).step(step))?;
            parents = found.types.iter().map(|known| known.target).collect();
            end = Some(found);
        }
        end
    }

    /// The codes of the search parameters any of which, leading to a patient, puts a resource of this type in the
    /// patient's compartment; `None` where the type is in no patient's. A Patient is in its own by its id besides.
    pub fn patient_parameters(&self, resource: &str) -> Option<Words> {
        Some(self.get(self.type_named(resource)?).compartment).filter(|codes| !codes.is_empty())
    }

    /// The paths below a resource type of the References that lead to the patient of its compartment, from the
    /// expressions of [`Self::patient_parameters`]: `subject`, `participant.actor`. What they hold may be a reference
    /// to something else than a patient. Empty where the type is in no patient's compartment.
    pub fn patient_elements(&self, resource: TypeId) -> Words {
        self.get(resource).patient_elements
    }

    /// The search parameter of this code, the type's own or one that all resources have (`_id`, `_lastUpdated`, …).
    pub fn search_parameter(&self, resource: &str, code: &str) -> Option<&'static SearchParameter> {
        self.search_parameters(resource).find(|parameter| parameter.code == code)
    }

    /// The search parameters of a type: its own, then those that all resources have. None for an unknown type.
    pub fn search_parameters(&self, resource: &str) -> impl Iterator<Item = &'static SearchParameter> {
        let lineage = self.type_named(resource).into_iter().flat_map(|id| self.lineage(id));
        lineage.flat_map(|id| self.get(id).parameters.of(&tables::PARAMETERS))
    }

    /// A type and its bases, from the nearest to the root.
    pub fn lineage(&self, id: TypeId) -> impl Iterator<Item = TypeId> {
        // INVARIANT: ends, as every base stands above what it is the base of.
        std::iter::successors(Some(id), |id| self.get(*id).base)
    }
}

impl Type {
    /// The element of this name, a choice without its `[x]`: `birthDate`, `value`.
    pub fn element(&self, name: &str) -> Option<&'static Element> {
        self.elements().iter().find(|element| element.name == name)
    }

    /// The element of this JSON member, with the type that the name implies: `birthDate`, `valueQuantity`.
    pub fn member(&self, json_name: &str) -> Option<(&'static Element, &'static TypeRef)> {
        let mut members =
            self.elements().iter().flat_map(|element| element.forms().iter().map(move |of| (element, of)));
        members.find(|(_, of)| of.json_name == json_name)
    }

    /// Every element: those of the bases (`id`, `extension`, `meta`, …) and its own. A primitive's are its sibling's.
    pub fn elements(&self) -> &'static [Element] {
        self.elements.of(&tables::ELEMENTS)
    }

    fn is_concrete_resource(&self) -> bool {
        self.kind == Kind::Resource && !self.is_abstract
    }

    fn step(&self, name: &str) -> Option<Found> {
        match self.element(name) {
            Some(element) => Some(Found { element, types: element.forms() }),
            None => self.member(name).map(|(element, of)| Found { element, types: std::slice::from_ref(of) }),
        }
    }
}

impl Element {
    /// The JSON member names that the element can have, with the type of each: `birthDate`, or `valueQuantity`,
    /// `valueString`, …. The `_sibling` of a primitive is the caller's matter.
    pub fn json_names(&self) -> impl Iterator<Item = (&'static str, TypeId)> {
        self.forms().iter().map(|of| (of.json_name.as_str(), of.target))
    }

    fn forms(&self) -> &'static [TypeRef] {
        self.types.0.of(&tables::FORMS)
    }
}

impl SearchParameter {
    /// Whether the elements that it tests are not known: nothing can be said of what a search by it reveals.
    pub fn is_unmapped(&self) -> bool {
        matches!(self.mapping, Mapping::Opaque | Mapping::Unknown)
    }
}
