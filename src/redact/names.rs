//! A map from names, for the one look-up that every member costs.
//!
//! It keeps the order in which names came, and all of their text in one piece, so that a map is quickly made, copied and
//! dropped. Open addressing over a power of two of slots, at most half of them taken. A name is compared by its length
//! and its first sixteen bytes, which nearly always are the whole of it; what a longer one has beyond them is compared as
//! well, so a poor hash costs time and never a wrong answer.

/// A map from names to values, in the order in which the names came.
#[derive(Debug, Clone)]
pub struct Names<V> {
    /// The names one after another.
    text: String,
    named: Vec<Named<V>>,
    /// Each 0 where it is free, else one more than a place in `named`.
    slots: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Named<V> {
    words: [u64; 2],
    length: u32,
    start: u32,
    value: V,
}

/// What of a name is compared first.
#[derive(Debug, Clone, Copy)]
struct Key {
    /// The first sixteen bytes, or fewer and zeros.
    words: [u64; 2],
    /// The length in bytes, and [`ESCAPED`].
    length: u32,
}

/// The room for the text of a name, in bytes: what most elements of FHIR need.
const TEXT: usize = 12;

/// How many bytes of a name its key holds.
const WORDS: usize = 16;

/// By the length of a name, the bytes of its key.
#[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
static MASKS: [[u64; 2]; WORDS + 1] = {
    let mut masks = [[0; 2]; WORDS + 1];
    let mut length = 1;
    while length <= WORDS {
        let mask = u128::MAX >> (128 - 8 * length);
        masks[length] = [mask as u64, (mask >> 64) as u64];
        length += 1;
    }
    masks
};

const ONES: u64 = 0x0101_0101_0101_0101;

/// Marks a name with a backslash, which stands in JSON only as an escape, and never as it is.
const ESCAPED: u32 = 1 << 31;

impl<V> Names<V> {
    /// A map without names.
    pub const fn new() -> Self {
        Self { text: String::new(), named: Vec::new(), slots: Vec::new() }
    }

    /// A map without names that has room for as many.
    pub fn with_capacity(names: usize) -> Self {
        let slots = vec![0; (names * 2).next_power_of_two()];
        Self { text: String::with_capacity(names * TEXT), named: Vec::with_capacity(names), slots }
    }

    /// Sets the value of a name, and says at which place it stands.
    pub fn insert(&mut self, name: &str, value: V) -> usize {
        if let Some(known) = self.place(name.as_bytes()) {
            if let Some(named) = self.named.get_mut(known) {
                named.value = value;
            }
            return known;
        }
        let place = self.named.len();
        if self.slots.len() < (place + 1) * 2 {
            self.grow();
        }
        let start = self.text.len();
        self.text.push_str(name);
        let Key { words, length } = Key::of_name(name.as_bytes());
        self.named.push(Named { words, length, start: start as u32, value });
        self.take_slot(place);
        place
    }

    /// Makes room for twice as many names.
    fn grow(&mut self) {
        let more = self.named.len().max(4);
        self.named.reserve_exact(more);
        self.text.reserve(more * TEXT);
        self.slots = vec![0; ((self.named.len() + more) * 2).next_power_of_two()];
        for place in 0..self.named.len() {
            self.take_slot(place);
        }
    }

    fn take_slot(&mut self, place: usize) {
        let Some(named) = self.named.get(place) else { return };
        let mask = self.slots.len() - 1;
        let mut at = named.key().hash() & mask;
        // INVARIANT: half of the slots are free, so the search ends.
        while self.slots.get(at).is_some_and(|slot| *slot != 0) {
            at = (at + 1) & mask;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = place as u32 + 1;
        }
    }

    /// The value of this name.
    pub fn get(&self, name: &[u8]) -> Option<&V> {
        self.find(Key::of_name(name), name, 0).map(|(_, named)| &named.value)
    }

    /// The value of the name that stands, as it is in JSON, in a part of a text. It is looked at in its place, since
    /// sixteen bytes are read faster where others follow. A name that JSON writes with an escape is not found.
    #[inline(always)]
    pub(super) fn get_within(&self, text: &[u8], start: usize, end: usize) -> Option<&V> {
        self.find(Key::of(text, start, end), text, start).map(|(_, named)| &named.value)
    }

    /// The place of this name.
    pub fn place(&self, name: &[u8]) -> Option<usize> {
        self.find(Key::of_name(name), name, 0).map(|(place, _)| place)
    }

    /// The name at a place, and its value.
    pub fn at(&self, place: usize) -> Option<(&str, &V)> {
        self.named.get(place).map(|named| (self.name(named), &named.value))
    }

    /// The same, to change the value.
    pub fn value_at_mut(&mut self, place: usize) -> Option<&mut V> {
        self.named.get_mut(place).map(|named| &mut named.value)
    }

    /// The names and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.named.iter().map(|named| (self.name(named), &named.value))
    }

    /// The values, by place.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.named.iter().map(|named| &named.value)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The name of this key, which begins at this place of the text.
    #[inline(always)]
    fn find(&self, key: Key, text: &[u8], start: usize) -> Option<(usize, &Named<V>)> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = key.hash() & mask;
        // A free slot holds 0, which is one more than no place.
        while let Some(place) = self.slots.get(at)?.checked_sub(1) {
            let named = self.named.get(place as usize)?;
            let alike = named.words == key.words && named.length == key.length;
            if alike && (named.len() <= WORDS || self.is_rest(named, text, start)) {
                return Some((place as usize, named));
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Whether what stands behind the sixteenth byte is that of the name.
    #[inline(never)]
    fn is_rest(&self, named: &Named<V>, text: &[u8], start: usize) -> bool {
        text.get(start + WORDS..start + named.len()) == self.name(named).as_bytes().get(WORDS..)
    }

    fn name(&self, named: &Named<V>) -> &str {
        // INVARIANT: a name begins and ends within the text, which holds all of them.
        let start = named.start as usize;
        self.text.get(start..start + named.len()).unwrap_or_default()
    }
}

/// Whether what stands, as it is in JSON, in a part of a text, is written with an escape.
#[inline(always)]
pub(super) fn is_escaped(text: &[u8], start: usize, end: usize) -> bool {
    let Key { words: [first, second], length } = Key::of(text, start, end);
    let rest = || text.get(start + WORDS..end).is_some_and(|rest| rest.contains(&b'\\'));
    has_backslash(first) | has_backslash(second) || length as usize > WORDS && rest()
}

/// Whether one of eight bytes is a backslash.
#[inline(always)]
fn has_backslash(word: u64) -> bool {
    let other = word ^ (ONES * b'\\' as u64);
    // A byte that is 0 borrows, which sets its high bit. One above it may be told wrongly then, but not without one.
    other.wrapping_sub(ONES) & !other & (ONES << 7) != 0
}

/// Fewer bytes than a key holds, and zeros.
#[cold]
fn padded(bytes: &[u8]) -> [u8; WORDS] {
    let mut padded = [0; WORDS];
    padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    padded
}

impl<V> Named<V> {
    fn key(&self) -> Key {
        Key { words: self.words, length: self.length }
    }

    fn len(&self) -> usize {
        (self.length & !ESCAPED) as usize
    }
}

impl Key {
    /// The key of what stands, as it is in JSON, in a part of a text.
    #[inline(always)]
    fn of(text: &[u8], start: usize, end: usize) -> Self {
        let length = end.saturating_sub(start);
        // INVARIANT: there is a mask for each length of up to sixteen.
        let mask = MASKS.get(length.min(WORDS)).copied().unwrap_or_default();
        let bytes = match text.get(start..).and_then(|rest| rest.first_chunk::<WORDS>()) {
            Some(bytes) => *bytes,
            None => padded(text.get(start..).unwrap_or_default()),
        };
        let word = u128::from_le_bytes(bytes);
        let words = [word as u64 & mask[0], (word >> 64) as u64 & mask[1]];
        Self { words, length: length as u32 }
    }

    /// The key of a name.
    fn of_name(name: &[u8]) -> Self {
        let key = Self::of(name, 0, name.len());
        Self { length: if name.contains(&b'\\') { key.length | ESCAPED } else { key.length }, ..key }
    }

    #[inline(always)]
    fn hash(self) -> usize {
        let [first, second] = self.words;
        let mixed = first ^ second.rotate_left(29) ^ u64::from(self.length);
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
    }
}

/// Names alone, in the order in which they came: to be told, and seldom to be looked up.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    /// The names one after another.
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl List {
    /// A list without names that has room for as many.
    pub(super) fn with_capacity(names: usize) -> Self {
        Self { text: String::with_capacity(names * TEXT), ends: Vec::with_capacity(names) }
    }

    /// Adds a name, and says at which place it stands.
    pub(super) fn push(&mut self, name: &str) -> usize {
        self.text.push_str(name);
        self.ends.push(self.text.len() as u32);
        self.ends.len() - 1
    }

    /// The place of this name.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.iter().position(|known| known == name)
    }

    /// The names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = *end as usize;
            // INVARIANT: a name ends where the next begins, within the text.
            self.text.get(std::mem::replace(&mut start, end)..end).unwrap_or_default()
        })
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'n, V> FromIterator<(&'n str, V)> for Names<V> {
    fn from_iter<I: IntoIterator<Item = (&'n str, V)>>(named: I) -> Self {
        let mut names = Self::new();
        for (name, value) in named {
            names.insert(name, value);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own_value_and_no_other_name_has_any() {
        let names: Vec<String> = (0..500).map(|n| format!("{}name{n}", "x".repeat(n % 20))).collect();
        for mut map in [Names::new(), Names::with_capacity(500)] {
            for (n, name) in names.iter().enumerate() {
                assert_eq!(map.insert(name, n + 1), n);
            }
            for (n, name) in names.iter().enumerate() {
                assert_eq!(map.insert(name, n), n, "it stays where it is");
            }
            assert_eq!(map.len(), names.len());
            for (n, (name, known)) in names.iter().zip(map.iter()).enumerate() {
                assert_eq!(known, (name.as_str(), &n));
                assert_eq!(map.at(n), Some(known));
                assert_eq!(map.get(name.as_bytes()), Some(&n));
                assert_eq!(map.get(format!("{name}!").as_bytes()), None);
            }
            assert_eq!(map.insert("a\\b", 9), names.len(), "a backslash is a part of it as any other");
            assert_eq!((map.get(b"a\\b"), map.at(names.len())), (Some(&9), Some(("a\\b", &9))));
            assert_eq!(map.get(b""), None);
            assert_eq!(map.insert("", 7), names.len() + 1, "the empty name is a name");
            assert_eq!(map.get(b""), Some(&7));
        }
        assert_eq!(Names::<u8>::new().get(b"a"), None);
        assert!(Names::<u8>::new().is_empty() && ![("a", 1)].into_iter().collect::<Names<u8>>().is_empty());
    }

    #[test]
    fn an_escape_is_seen_wherever_it_stands_in_a_name() {
        for length in 0..40 {
            let text = format!("\\{}\\", "x".repeat(length));
            assert!(!is_escaped(text.as_bytes(), 1, length + 1), "what is around a name is none of it");
            for at in 1..=length {
                let mut text = text.clone().into_bytes();
                text[at] = b'\\';
                assert!(is_escaped(&text, 1, length + 1), "{length} {at}");
                for more in 1..=length {
                    let mut two = text.clone();
                    two[more] = b'\\';
                    assert!(is_escaped(&two, 1, length + 1), "{length} {at} {more}");
                    let behind = [b"0123456789".as_slice(), &two].concat();
                    assert!(is_escaped(&behind, 11, length + 11), "{length} {at} {more}");
                }
                for near in [b'[', b']', 0xdc, 0x5d, 0] {
                    text[at] = near;
                    assert!(!is_escaped(&text, 1, length + 1), "{length} {at} {near:x}");
                }
            }
        }
    }

    #[test]
    fn a_name_is_found_in_its_place_whatever_surrounds_it() {
        let names = ["", "a", "seven77", "eight888", "nine99999", "sixteen666666666", "seventeen77777777", "a\\b"];
        let map: Names<usize> = names.iter().enumerate().map(|(n, name)| (*name, n)).collect();
        for (n, name) in names.iter().enumerate() {
            for (before, after) in [("", ""), ("xxxxxxxxxx", ""), ("", "yyyyyyyyyy"), ("x", "y")] {
                let text = format!("{before}{name}{after}");
                let found = map.get_within(text.as_bytes(), before.len(), before.len() + name.len());
                assert_eq!(found, Some(&n).filter(|_| !name.contains('\\')), "{name} in {text}");
            }
        }
        for near in ["seventeen777777x7", "seventeen7x777777", "sixteen66666666x", "x", "eight88x"] {
            assert_eq!(map.get_within(near.as_bytes(), 0, near.len()), None, "{near}");
        }
    }
}
