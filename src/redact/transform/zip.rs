//! US ZIP codes cut to three digits, as 45 CFR 164.514(b)(2)(i)(B) allows.
//!
//! Three digits stay only where the census counted more than 20,000 people behind them. A prefix that no census area has
//! (military mail, firms, unassigned ranges) has nobody counted, and becomes 000 like the sparsely peopled ones. So do
//! the prefixes on the list that HHS printed, whatever later counts say.

/// The prefixes that stay. Its head says where they are from.
const KEPT: &str = include_str!("../../../data/zip3-kept.txt");

/// The prefixes that HHS's guidance turns into 000. Its head says where they are from.
const SPARSE: &str = include_str!("../../../data/zip3-sparse.txt");

/// The first three digits of `12345`, `12345-6789` or `123456789`, or 000. `None` for anything else: a postal code of
/// another country that has the form of a ZIP code is taken for one.
pub(super) fn zip3(text: &str) -> Option<String> {
    let digits = match text.split_once('-') {
        Some((zip, plus)) if zip.len() == 5 && plus.len() == 4 => is_digits(zip) && is_digits(plus),
        Some(_) => false,
        None => matches!(text.len(), 5 | 9) && is_digits(text),
    };
    let prefix = text.get(..3).filter(|_| digits)?;
    Some(if may_stay(prefix) { prefix.to_owned() } else { "000".to_owned() })
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn may_stay(prefix: &str) -> bool {
    ranges(KEPT).any(|(first, last)| (first..=last).contains(&prefix))
        && !ranges(SPARSE).any(|(first, last)| (first..=last).contains(&prefix))
}

/// The lines of a data file: a prefix, or the first and last of a range. A line that starts with `#` is a remark.
fn ranges(data: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    data.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once('-').unwrap_or((line, line)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_zip_code_is_cut_to_three_digits() {
        for text in ["02139", "02139-4307", "021394307"] {
            assert_eq!(zip3(text).unwrap(), "021", "{text}");
        }
    }

    #[test]
    fn a_sparsely_peopled_area_is_not_told() {
        // Census 2000 alone, 2000 and 2020, and 2020 alone.
        for text in ["89001", "05901", "05901-1234", "36901"] {
            assert_eq!(zip3(text).unwrap(), "000", "{text}");
        }
    }

    #[test]
    fn a_prefix_in_which_nobody_is_counted_is_not_told() {
        for text in ["00000", "00501", "09012", "55555", "96201", "56901"] {
            assert_eq!(zip3(text).unwrap(), "000", "{text}");
        }
    }

    #[test]
    fn what_is_not_a_zip_code_is_withheld() {
        for text in [
            "",
            "021",
            "0213",
            "021394",
            "02139-",
            "02139-430",
            "02139-43071",
            "0213-94307",
            "02139 4307",
            " 02139",
            "2139A",
            "SW1A 1AA",
            "٠٢١٣٩",
            "é2139",
            "02é-4307",
            "0213A-4307",
            "02139-43O7",
            "12345678",
            "1234567890",
        ] {
            assert_eq!(zip3(text), None, "{text}");
        }
    }

    #[test]
    fn the_lists_hold_what_their_heads_say() {
        let all: Vec<String> = (0..1000).map(|prefix| format!("{prefix:03}")).collect();
        let listed = |data| -> HashSet<&String> {
            all.iter()
                .filter(|each| ranges(data).any(|(first, last)| (first..=last).contains(&each.as_str())))
                .collect()
        };
        assert_eq!(listed(SPARSE).len(), 17);
        assert_eq!(listed(KEPT).len(), 876);
        for (first, last) in ranges(KEPT).chain(ranges(SPARSE)) {
            assert!(first.len() == 3 && last.len() == 3 && is_digits(first) && is_digits(last) && first <= last);
        }
        assert_eq!(all.iter().filter(|each| may_stay(each)).count(), 871, "five of HHS's 17 have grown since");
    }
}
