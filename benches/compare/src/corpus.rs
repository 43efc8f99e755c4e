//! What the contestants work on.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use fieldgate::demo::people::{DEMO_PATIENTS, DEMO_SEED, Population};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Outcome;
use crate::layout::{in_other_scripts, minified, pretty};

/// Documents that are worked on one after the other.
pub struct Corpus {
    /// As it stands in the tables.
    pub name: String,
    /// Each a JSON text.
    pub documents: Vec<Vec<u8>>,
    /// How the targets call it, where they speak of it.
    pub target: Option<Target>,
}

/// The corpora that the targets speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The medium Bundle, minified.
    Minified,
    /// The medium Bundle, pretty-printed.
    Pretty,
    /// One Patient.
    Patient,
}

impl Corpus {
    fn one(name: String, document: Vec<u8>) -> Self {
        Self { name, documents: vec![document], target: None }
    }

    fn both(name: &str, text: &[u8]) -> [Self; 2] {
        let minified = minified(text);
        let pretty = pretty(&minified);
        [Self::one(format!("{name}, minified"), minified), Self::one(format!("{name}, pretty"), pretty)]
    }

    /// The bytes of all documents.
    pub fn len(&self) -> usize {
        self.documents.iter().map(Vec::len).sum()
    }
}

/// Synthea's Bundles by the given names in their files: small, medium and large.
const SYNTHEA: [(&str, &str); 3] = [("small", "Brett_"), ("medium", "Abdul_"), ("large", "Fletcher_")];

/// The corpora: these files, or else Synthea's Bundles where they are, or else a Bundle of the synthetic practice; and
/// HL7's examples, if they are named.
pub fn corpora(files: &[PathBuf], examples: Option<&Path>) -> Outcome<Vec<Corpus>> {
    let mut corpora = Vec::new();
    for file in files {
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        corpora.extend(Corpus::both(&name, &read(file)?));
    }
    if files.is_empty() {
        let bundles = match synthea()? {
            Some(bundles) => bundles,
            None => vec![("medium".into(), practice())],
        };
        for (name, text) in &bundles {
            let mut both = Corpus::both(name, text);
            if name.contains("medium") {
                let [minified, pretty] = &mut both;
                (minified.target, pretty.target) = (Some(Target::Minified), Some(Target::Pretty));
                corpora.extend(patient(text)?);
                let other = in_other_scripts(&minified.documents.concat());
                corpora.extend(Corpus::both("medium in other scripts", &other));
            }
            corpora.extend(both);
        }
    }
    corpora.extend(examples.map(hl7).transpose()?);
    Ok(corpora)
}

fn read(file: &Path) -> Outcome<Vec<u8>> {
    let text = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text)
}

fn synthea() -> Outcome<Option<Vec<(String, Vec<u8>)>>> {
    let root = std::env::var_os("FIELDGATE_CORPORA").map(PathBuf::from);
    let Some(folder) = root.and_then(|root| fs::read_dir(root.join("synthea-r4")).ok()) else {
        println!("Synthea's Bundles are not here (FIELDGATE_CORPORA): the synthetic practice stands in for them");
        return Ok(None);
    };
    let files = folder.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    let bundle = |(size, given): (&str, &str)| {
        let named = |file: &&PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(given));
        let file = files.iter().find(named).ok_or_else(|| format!("the Bundle {given}* is missing"))?;
        Ok((format!("Synthea, {size}"), read(file)?))
    };
    SYNTHEA.into_iter().map(bundle).collect::<Outcome<_>>().map(Some)
}

fn practice() -> Vec<u8> {
    Population::generate(DEMO_SEED, DEMO_PATIENTS, jiff::civil::date(2026, 11, 22)).bundle()
}

/// The first Patient of a Bundle.
fn patient(bundle: &[u8]) -> Outcome<Option<Corpus>> {
    #[derive(Deserialize)]
    struct Bundle<'a> {
        #[serde(borrow)]
        entry: Vec<Entry<'a>>,
    }
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        resource: &'a RawValue,
    }
    let bundle: Bundle<'_> = serde_json::from_slice(bundle)?;
    let resources = bundle.entry.iter().map(|entry| entry.resource.get().as_bytes());
    let patient = resources.map(minified).find(|text| text.starts_with(br#"{"resourceType":"Patient""#));
    Ok(patient.map(|text| Corpus {
        target: Some(Target::Patient),
        ..Corpus::one(format!("one Patient of {} bytes", text.len()), text)
    }))
}

/// The types that describe FHIR itself; what is left of the examples is about patients and their care.
const CONFORMANCE: [&str; 18] = [
    "CapabilityStatement",
    "CodeSystem",
    "CompartmentDefinition",
    "ConceptMap",
    "ExampleScenario",
    "GraphDefinition",
    "ImplementationGuide",
    "Library",
    "MessageDefinition",
    "NamingSystem",
    "OperationDefinition",
    "SearchParameter",
    "StructureDefinition",
    "StructureMap",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
];

/// HL7's examples of R4, as they come: the folder that `npm pack hl7.fhir.r4.examples` unpacks to. Without the Bundles of
/// definitions, by their size.
fn hl7(folder: &Path) -> Outcome<Corpus> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "resourceType")]
        resource_type: Option<String>,
    }
    let skipped: HashSet<&str> = CONFORMANCE.into();
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    files.sort();
    let mut documents = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let text = fs::read(file)?;
        let said = serde_json::from_slice::<Said>(&text).ok().and_then(|said| said.resource_type);
        if text.len() <= 256 << 10 && said.is_some_and(|said| !skipped.contains(said.as_str())) {
            documents.push(text);
        }
    }
    if documents.is_empty() {
        return Err(format!("{}: no examples here", folder.display()).into());
    }
    Ok(Corpus { name: format!("HL7, {} examples", documents.len()), documents, target: None })
}
