//! A table from names to edges, for the one look-up that every member costs.
//!
//! Open addressing over a power of two of slots, at most half of them taken. The hash is of the length, the first eight
//! and the last eight bytes; a hit is always compared in full, so a poor hash costs time and never a wrong answer.

use super::plan::Edge;

#[derive(Debug)]
pub(super) struct Names {
    slots: Box<[Option<Named>]>,
}

#[derive(Debug, Clone)]
struct Named {
    name: Box<[u8]>,
    edge: Edge,
}

impl Names {
    pub(super) fn new<'n>(names: impl ExactSizeIterator<Item = (&'n str, Edge)>) -> Self {
        let mut slots = vec![None; (names.len() * 2).next_power_of_two().max(2)];
        let mask = slots.len() - 1;
        for (name, edge) in names {
            let mut at = hash(name.as_bytes()) & mask;
            // INVARIANT: half of the slots are free, so the search ends.
            while slots.get(at).is_some_and(|slot| slot.is_some()) {
                at = (at + 1) & mask;
            }
            if let Some(slot) = slots.get_mut(at) {
                *slot = Some(Named { name: name.as_bytes().into(), edge });
            }
        }
        Self { slots: slots.into() }
    }

    /// The edge of this name, as it is after unescaping.
    #[inline]
    pub(super) fn get(&self, name: &[u8]) -> Option<&Edge> {
        let mask = self.slots.len() - 1;
        let mut at = hash(name) & mask;
        while let Some(Some(named)) = self.slots.get(at) {
            if *named.name == *name {
                return Some(&named.edge);
            }
            at = (at + 1) & mask;
        }
        None
    }
}

#[inline]
fn hash(name: &[u8]) -> usize {
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    let mixed = (first ^ last.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::plan::Action;

    #[test]
    fn each_name_leads_to_its_own_edge_and_no_other_name_to_any() {
        let names: Vec<String> = (0..500).map(|n| format!("{}name{n}", "x".repeat(n % 20))).collect();
        let edges = [Action::Keep, Action::Drop].map(Edge::new);
        let table = Names::new(names.iter().enumerate().map(|(n, name)| (name.as_str(), edges[n % 2])));
        for (n, name) in names.iter().enumerate() {
            assert_eq!(table.get(name.as_bytes()), Some(&edges[n % 2]));
            assert_eq!(table.get(format!("{name}!").as_bytes()), None);
        }
        assert_eq!(table.get(b""), None);
    }
}
