//! The name that was probably meant, for a message about an unknown one.

/// The nearest of the `known` names, if one is near enough to have been meant: a third of the letters may differ and at
/// most three, by Damerau and Levenshtein, letter case aside. Of several equally near the first.
pub fn suggest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (wanted.len() / 3).clamp(1, 3);
    let lower = wanted.to_ascii_lowercase();
    known
        // Lengths that differ by more can't be near; this also keeps a long name from costing its square.
        .filter(|name| name.len().abs_diff(wanted.len()) <= bound)
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::suggest;

    const KNOWN: [&str; 5] = ["birthDate", "name", "gender", "deceased", "telecom"];

    #[test]
    fn a_slip_of_letters_finds_the_name() {
        for (slip, meant) in [("brithDate", "birthDate"), ("nmae", "name"), ("Gender", "gender"), ("telcom", "telecom")]
        {
            assert_eq!(suggest(slip, KNOWN.into_iter()), Some(meant));
        }
    }

    #[test]
    fn what_is_far_from_every_name_finds_none() {
        for far in ["", "x", "photograph", "date"] {
            assert_eq!(suggest(far, KNOWN.into_iter()), None, "{far}");
        }
    }
}
