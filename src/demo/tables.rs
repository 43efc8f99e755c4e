//! The tables under `data/`, parsed: names, places, conditions, medicines, tests and texts of the synthetic practice.
//!
//! A row that does not parse is left out here and found by the test below; nothing is guessed.

use std::sync::LazyLock;

/// All tables, parsed once.
pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(Tables::parse);

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $row:ident from $file:literal $(of $kind:literal)? {
        $($field:ident: $type:ident),* $(,)?
    })*) => {
        pub(super) struct Tables { $($(#[$doc])* pub(super) $name: Vec<$row>,)* }

        impl Tables {
            fn parse() -> Self {
                Self { $($name: rows(include_str!(concat!("data/", $file)), None $(.or(Some($kind)))?)
                    .filter_map(|cells| $row::parse(&cells)).collect(),)* }
            }

            /// Every table's name, rows in the file, rows parsed.
            #[cfg(test)]
            fn counts(&self) -> Vec<(&'static str, usize, usize)> {
                vec![$((stringify!($name),
                    rows(include_str!(concat!("data/", $file)), None $(.or(Some($kind)))?).count(),
                    self.$name.len())),*]
            }
        }

        $($(#[$doc])* pub(super) struct $row { $(pub(super) $field: tables!(@type $type),)* }

        impl $row {
            fn parse(cells: &[&'static str]) -> Option<Self> {
                let mut cells = cells.iter();
                let row = Self { $($field: tables!(@cell $type cells),)* };
                cells.next().is_none().then_some(row)
            }
        })*
    };
    (@type text) => { &'static str };
    (@type number) => { i64 };
    (@type decimal) => { f64 };
    (@type list) => { Vec<&'static str> };
    (@cell text $cells:ident) => { *$cells.next()? };
    (@cell number $cells:ident) => { $cells.next()?.parse().ok()? };
    (@cell decimal $cells:ident) => { $cells.next()?.parse().ok()? };
    (@cell list $cells:ident) => { $cells.next()?.split(',').filter(|item| !item.is_empty()).collect() };
}

tables! {
    /// Where a family comes from, and what goes with it.
    cultures: Culture from "cultures.txt" {
        key: text, weight: number, race: text, race_display: text, ethnicity: text, ethnicity_display: text,
        language: text, language_display: text, speakers: number,
    }
    /// Given names (`f`, `m`) and family names (`family`) of a culture.
    names: Names from "names.txt" { culture: text, kind: text, names: list }
    /// Towns that patients live in.
    places: Place from "places.txt" {
        city: text, state: text, zips: list, area: text, latitude: decimal, longitude: decimal,
    }
    /// Street names.
    streets: Street from "streets.txt" { name: text }
    /// The people of a practice, taken in turn.
    panel: Seat from "panel.txt" { youngest: number, oldest: number, sex: text, conditions: list, marks: list }
    /// What people have.
    conditions: Illness from "conditions.txt" {
        key: text, course: text, snomed: text, display: text, icd: text, icd_display: text, sex: text, youngest: number,
        oldest: number, percent: number, sensitivity: list, note: text,
    }
    /// What is prescribed for it.
    medicines: Medicine from "medications.txt" {
        condition: text, rxnorm: text, display: text, youngest: number, oldest: number, sig: text, a_day: number,
        dispensed: number, unit: text,
    }
    /// Laboratory panels.
    lab_panels: LabPanel from "tests.txt" of "panel" { key: text, loinc: text, display: text }
    /// The tests of a panel with the usual value.
    lab_tests: LabTest from "tests.txt" of "test" {
        panel: text, loinc: text, display: text, unit: text, ucum: text, usual: decimal, spread: decimal,
        decimals: number, low: decimal, high: decimal,
    }
    /// Which panel is ordered for what.
    lab_orders: LabOrder from "tests.txt" of "order" { condition: text, panel: text, youngest: number }
    /// Where a test starts with a condition that is not yet treated.
    lab_shifts: LabShift from "tests.txt" of "shift" { condition: text, loinc: text, start: decimal }
    /// Vaccines.
    vaccines: Vaccine from "vaccines.txt" {
        cvx: text, display: text, youngest: number, oldest: number, percent: number,
    }
    /// Allergies.
    allergies: Allergy from "allergies.txt" {
        system: text, code: text, display: text, category: text, criticality: text, reaction: text,
        reaction_display: text, severity: text, youngest: number,
    }
    /// Procedures.
    procedures: Operation from "procedures.txt" {
        snomed: text, display: text, sex: text, youngest: number, oldest: number, condition: text, percent: number,
        note: text,
    }
    /// What appointments are made for.
    bookings: Booking from "bookings.txt" {
        condition: text, youngest: number, oldest: number, description: text, comment: text,
    }
    /// Who works in the practice.
    practitioners: Staff from "practice.txt" of "practitioner" {
        given: text, family: text, prefix: text, suffix: text, specialty: text, specialty_display: text, gender: text,
    }
    /// Who pays.
    payers: Payer from "practice.txt" of "payer" { name: text, city: text, state: text, zip: text }
    /// Where the practice is.
    locations: Site from "practice.txt" of "location" {
        name: text, line: text, city: text, state: text, zip: text, telephone: text,
    }
}

/// The rows of a table; of those that begin with `kind`, without it, where a file holds several tables.
fn rows(text: &'static str, kind: Option<&'static str>) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(move |line| match kind {
        None => Some(line.split('|').collect()),
        Some(kind) => Some(line.strip_prefix(kind)?.strip_prefix('|')?.split('|').collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_every_table_parses() {
        for (table, in_file, parsed) in TABLES.counts() {
            assert!(in_file > 0, "{table} is empty");
            assert_eq!(in_file, parsed, "{table}");
        }
    }

    #[test]
    fn tables_name_only_rows_that_exist() {
        let known = |key: &str| key == "*" || TABLES.conditions.iter().any(|illness| illness.key == key);
        assert!(TABLES.panel.iter().flat_map(|seat| &seat.conditions).all(|key| known(key)));
        assert!(TABLES.medicines.iter().all(|medicine| known(medicine.condition)));
        assert!(TABLES.lab_orders.iter().all(|order| known(order.condition)));
        assert!(TABLES.lab_shifts.iter().all(|shift| known(shift.condition)));
        assert!(TABLES.bookings.iter().all(|booking| known(booking.condition)));
        assert!(TABLES.procedures.iter().all(|procedure| known(procedure.condition)));
        for kind in ["f", "m", "family"] {
            for culture in &TABLES.cultures {
                assert!(TABLES.names.iter().any(|row| row.culture == culture.key && row.kind == kind));
            }
        }
    }
}
