//! The grammar of strings, numbers and nesting, a byte at a time: what the lexer keeps between two pieces of input.

use super::lexer::{MOST_DEPTH, SyntaxErrorKind};

/// Where in a string the input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Plain,
    /// Behind a backslash; `low`: only the escape of a low surrogate may follow.
    Escape {
        low: bool,
    },
    /// Within the four digits of `\u`.
    Hex {
        left: u8,
        value: u16,
        low: bool,
    },
    /// Behind a high surrogate: a backslash must come.
    LowSurrogate,
    /// Within a sequence of UTF-8: the bytes still to come, and the range of the next.
    Sequence {
        left: u8,
        min: u8,
        max: u8,
    },
}

/// Where in a number the input stands (RFC 8259, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// Whether each open bracket is of an object, as bits.
#[derive(Clone)]
pub(super) struct Nesting {
    objects: [u64; MOST_DEPTH / 64],
    pub(super) depth: usize,
}

impl Text {
    /// The state after one byte that plain content cannot take, or that an escape or a sequence goes on with.
    pub(super) fn after(self, byte: u8) -> std::result::Result<Self, SyntaxErrorKind> {
        match self {
            Self::Plain => match byte {
                b'\\' => Ok(Self::Escape { low: false }),
                0x00..=0x1f => Err(SyntaxErrorKind::Control),
                0x20..=0x7f => Ok(Self::Plain),
                // The well-formed sequences of RFC 3629, section 4: no overlong forms, no surrogates.
                0xc2..=0xdf => Ok(Self::Sequence { left: 1, min: 0x80, max: 0xbf }),
                0xe0 => Ok(Self::Sequence { left: 2, min: 0xa0, max: 0xbf }),
                0xe1..=0xec | 0xee..=0xef => Ok(Self::Sequence { left: 2, min: 0x80, max: 0xbf }),
                0xed => Ok(Self::Sequence { left: 2, min: 0x80, max: 0x9f }),
                0xf0 => Ok(Self::Sequence { left: 3, min: 0x90, max: 0xbf }),
                0xf1..=0xf3 => Ok(Self::Sequence { left: 3, min: 0x80, max: 0xbf }),
                0xf4 => Ok(Self::Sequence { left: 3, min: 0x80, max: 0x8f }),
                _ => Err(SyntaxErrorKind::Utf8),
            },
            Self::Sequence { left, min, max } => match byte {
                _ if byte < min || byte > max => Err(SyntaxErrorKind::Utf8),
                _ if left == 1 => Ok(Self::Plain),
                _ => Ok(Self::Sequence { left: left - 1, min: 0x80, max: 0xbf }),
            },
            Self::Escape { low } => match byte {
                b'u' => Ok(Self::Hex { left: 4, value: 0, low }),
                _ if low => Err(SyntaxErrorKind::Surrogate),
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(Self::Plain),
                _ => Err(SyntaxErrorKind::Escape),
            },
            Self::Hex { left, value, low } => {
                let digit = (byte as char).to_digit(16).ok_or(SyntaxErrorKind::Escape)?;
                let value = value << 4 | digit as u16;
                match value {
                    _ if left > 1 => Ok(Self::Hex { left: left - 1, value, low }),
                    0xd800..=0xdbff if !low => Ok(Self::LowSurrogate),
                    0xdc00..=0xdfff if low => Ok(Self::Plain),
                    0xd800..=0xdfff => Err(SyntaxErrorKind::Surrogate),
                    _ if low => Err(SyntaxErrorKind::Surrogate),
                    _ => Ok(Self::Plain),
                }
            }
            Self::LowSurrogate => match byte {
                b'\\' => Ok(Self::Escape { low: true }),
                _ => Err(SyntaxErrorKind::Surrogate),
            },
        }
    }
}

impl Number {
    #[inline]
    pub(super) fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Some(Self::Integer),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Some(Self::ExponentDigits),
            _ => None,
        }
    }

    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits)
    }
}

impl Nesting {
    pub(super) fn new() -> Self {
        Self { objects: [0; MOST_DEPTH / 64], depth: 0 }
    }

    // INVARIANT: `depth` is at most MOST_DEPTH, which `Lexer::open` checks before each push.
    pub(super) fn push(&mut self, object: bool) {
        if let Some(word) = self.objects.get_mut(self.depth / 64) {
            let bit = 1 << (self.depth % 64);
            if object {
                *word |= bit;
            } else {
                *word &= !bit;
            }
        }
        self.depth += 1;
    }

    pub(super) fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    #[inline]
    pub(super) fn in_object(&self) -> bool {
        self.depth.checked_sub(1).is_some_and(|top| self.is_object(top))
    }

    /// Whether the open bracket within as many others is of an object.
    #[inline]
    pub(super) fn is_object(&self, level: usize) -> bool {
        self.objects.get(level / 64).is_some_and(|word| word >> (level % 64) & 1 == 1)
    }
}
