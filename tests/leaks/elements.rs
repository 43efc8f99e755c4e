//! L01 to L07 at once for all of FHIR R4: each element hidden once, and nothing else lost. Pure, without sockets.

use crate::canaries::{
    DEPTH, ELSEWHERE, NARRATIVE, Plants, WITHHELD, canaries, everywhere, is_below, paths, plan, resources, seen,
};

#[test]
fn l01_to_l07_whichever_element_is_hidden_no_canary_below_it_comes_out_and_no_other_is_lost() {
    let (mut hidden, mut planted, mut kept) = (0, 0, 0);
    for (of, name) in resources() {
        let mut plants = Plants::default();
        let resource = plants.resource(of, DEPTH);
        let (alone, everywhere) = (resource.to_string(), everywhere(&resource).to_string());
        planted += plants.elements.len();
        let mut elements = Vec::new();
        paths(of, "", &mut elements);
        for element in &elements {
            let plan = plan(&format!("{{ {}: {{ \"*\": show, {element}: hide }} }}", name));
            let path = format!("{}.{element}", name);
            let out = seen(&plan, &alone);
            let found = canaries(&plants, &out);
            for canary in &found {
                let place = &plants.elements[*canary];
                assert!(!is_below(place, &path), "{path} is hidden, and {place} comes out");
            }
            // And nothing else is lost.
            let lost = plants.elements.iter().find(|(canary, place)| {
                let withheld = place.contains(NARRATIVE)
                    || place.contains(ELSEWHERE)
                    || place.split('.').any(|step| WITHHELD.contains(&step));
                !withheld && !is_below(place, &path) && !found.contains(&canary.as_str())
            });
            assert_eq!(lost, None, "{path} is hidden, and something else is gone");
            (hidden, kept) = (hidden + 1, kept + found.len());
            // In entries, in Bundles in them, in Parameters, in other resources.
            if !element.contains('.') {
                for canary in canaries(&plants, &seen(&plan, &everywhere)) {
                    let place = &plants.elements[canary];
                    assert!(!is_below(place, &path), "{path} is hidden, and {place} comes out of a container");
                }
            }
        }
    }
    println!("{hidden} elements hidden one by one, {planted} canaries planted, {kept} seen");
    assert!(hidden > 5_000 && planted > 100_000 && kept > 1_000_000, "{hidden}, {planted}, {kept}");
}
