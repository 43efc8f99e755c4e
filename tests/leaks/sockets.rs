//! x
use std::time::Instant;

use fieldgate::policy::Policy;

use crate::canaries::*;

#[test]
fn measure() {
    let mut bytes = 0; let mut roles=0; let mut most=0; let mut docs=0;
    for depth in 0..4 { 
        let mut total=0; let mut n=0; let mut weighted=0;
    for (of, known) in D.resource_types().filter(|(_, known)| !ENVELOPES.contains(&known.name)) {
        let mut plants = Plants::default();
        let doc = plants.resource(of, depth).to_string();
        let mut e = Vec::new();
        paths(of, "", &mut e);
        total += doc.len(); n+=plants.elements.len(); weighted += doc.len()*e.len();
    }
    println!("depth {depth}: {total} bytes {n} canaries, weighted {weighted}");
    }
    let start = Instant::now();
    for (of, known) in D.resource_types().filter(|(_, known)| !ENVELOPES.contains(&known.name)).take(20) {
        let mut elements = Vec::new();
        paths(of, "", &mut elements);
        roles += elements.len(); most = most.max(elements.len());
        let text: String = elements.iter().enumerate().map(|(i, path)| format!("  role-{i}: {{ about: x, owner: x@x, review_by: 2999-01-01, purposes: [TREAT], sees: {{ \"*\": show, {}: {{ {path}: hide }} }} }}\n", known.name)).collect();
        let text = format!("version: 1\nfhir: R4\nroles:\n{text}");
        let p = Policy::parse("p", &text, &D).unwrap();
        bytes += text.len();
    }
    println!("{roles} {most} {bytes} {:?}", start.elapsed());
    let start = Instant::now();
    let mut roles=0;
    for (of, known) in D.resource_types().filter(|(_, known)| !ENVELOPES.contains(&known.name)).take(20) {
        let mut elements = Vec::new();
        paths(of, "", &mut elements);
        roles += elements.len(); most = most.max(elements.len());
        let text: String = elements.iter().enumerate().map(|(i, path)| format!("  role-{i}: {{ about: x, owner: x@x, review_by: 2999-01-01, purposes: [TREAT], sees: {{ {}: {{ \"*\": show, {path}: hide }} }} }}\n", known.name)).collect();
        let text = format!("version: 1\nfhir: R4\nroles:\n{text}");
        let p = Policy::parse("p", &text, &D).unwrap();
        bytes += text.len();
    }
    println!("{roles} {most} {bytes} {:?}", start.elapsed());
}
