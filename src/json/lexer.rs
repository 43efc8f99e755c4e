//! The lexer: strict RFC 8259 over input that comes in pieces of any size.
//!
//! The caller hands over a piece, and asks for tokens until the piece is used up; the lexer keeps what a token needs to
//! go on in the next piece, which is a few bytes of state however long the token is. It never buffers. A string is
//! checked to be UTF-8 with paired surrogates, a number to the grammar, and nothing may follow the one value.
//!
//! What RFC 8259 leaves open is refused: a byte order mark, a lone surrogate in an escape, nesting beyond the limit.
//! Numbers of any size and precision pass, since their bytes are never changed.

use super::grammar::{Nesting, Number, Text};
use super::simd::BackEnd;

/// The deepest nesting that a lexer can be told to follow.
pub const MOST_DEPTH: usize = 512;

/// A strict lexer of one JSON text.
#[derive(Clone)]
pub struct Lexer {
    pub(super) expect: Expect,
    pub(super) nesting: Nesting,
    pub(super) under_way: UnderWay,
    pub(super) max_depth: usize,
    pub(super) back_end: BackEnd,
}

/// A token, by its place in the piece of input that it ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it starts: at 0 where it began in an earlier piece.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
}

/// The kinds of token. Commas and colons are checked, and not handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `{`
    ObjectStart,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// The name of a member, with its quotes.
    Name,
    /// A string, with its quotes.
    String,
    /// A number.
    Number,
    /// `true`, `false` or `null`.
    Literal,
}

/// Where the input stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct SyntaxError {
    /// Why.
    pub kind: SyntaxErrorKind,
    /// The place of the offending byte: within the piece where a lexer says it, within the whole input elsewhere.
    pub offset: u64,
}

/// Why the input is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxErrorKind {
    /// No value can start with this byte.
    #[error("expected a value")]
    ExpectedValue,
    /// A member's name must come here.
    #[error("expected a name in quotes")]
    ExpectedName,
    /// A colon must come here.
    #[error("expected ':'")]
    ExpectedColon,
    /// A comma or the end of the array or object must come here.
    #[error("expected ',' or the end of the array or object")]
    ExpectedComma,
    /// A number breaks off or goes on as none may.
    #[error("malformed number")]
    Number,
    /// Neither `true`, `false` nor `null`.
    #[error("malformed literal")]
    Literal,
    /// A control character stands in a string.
    #[error("unescaped control character in a string")]
    Control,
    /// A backslash is followed by what is no escape.
    #[error("malformed escape in a string")]
    Escape,
    /// An escaped surrogate has no partner.
    #[error("lone surrogate in a string")]
    Surrogate,
    /// The bytes of a string are not UTF-8.
    #[error("a string that is not UTF-8")]
    Utf8,
    /// Arrays and objects nest deeper than the limit.
    #[error("nested deeper than the limit")]
    Depth,
    /// Something stands behind the end of the value.
    #[error("text behind the end of the document")]
    Trailing,
    /// The input ends within the value.
    #[error("the document breaks off")]
    Truncated,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

/// A token that began in this piece or an earlier one and has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnderWay {
    None,
    Text { name: bool, state: Text },
    Number(Number),
    Literal { rest: &'static [u8] },
}

type Result<T> = std::result::Result<T, SyntaxError>;

impl Lexer {
    /// A lexer of one text, with a limit of the nesting (at most [`MOST_DEPTH`]).
    pub fn new(max_depth: usize) -> Self {
        Self {
            expect: Expect::Value,
            nesting: Nesting::new(),
            under_way: UnderWay::None,
            max_depth: max_depth.min(MOST_DEPTH),
            back_end: BackEnd::best(),
        }
    }

    /// The same lexer, reading by these instructions and not by the fastest.
    pub fn on(self, back_end: BackEnd) -> Self {
        Self { back_end, ..self }
    }

    /// What instructions it reads by.
    pub fn back_end(&self) -> BackEnd {
        self.back_end
    }

    /// A lexer like this one, of a value that lies within others: of each array or object around it, the outermost
    /// first, whether it is an object.
    pub fn within(&self, objects: impl Iterator<Item = bool>) -> Self {
        let mut lexer = Self { nesting: Nesting::new(), expect: Expect::Value, under_way: UnderWay::None, ..*self };
        objects.take(lexer.max_depth).for_each(|object| lexer.nesting.push(object));
        lexer
    }

    /// The next token of this piece, from `*at` on; `None` where the piece is used up before one ends.
    ///
    /// # Errors
    /// Where the input is not JSON; the offset is that of the piece. The lexer must not be used afterwards.
    pub fn next(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Token>> {
        if self.under_way != UnderWay::None {
            return self.resume(input, at);
        }
        let Some(byte) = self.seek(input, at)? else { return Ok(None) };
        self.begin(byte, input, at)
    }

    /// Says that the input has ended. `true` where a number or a literal ended with it.
    ///
    /// # Errors
    /// Where the value has not ended; the offset is 0.
    pub fn finish(&mut self) -> Result<bool> {
        let ended = match self.under_way {
            UnderWay::Number(state) => state.may_end(),
            UnderWay::Literal { rest } => rest.is_empty(),
            UnderWay::Text { .. } | UnderWay::None => false,
        };
        if ended {
            self.under_way = UnderWay::None;
            self.value_ended();
        }
        match self.expect {
            Expect::Nothing => Ok(ended),
            _ => Err(error(SyntaxErrorKind::Truncated, 0)),
        }
    }

    /// Takes white space, a comma and a colon where they may stand.
    fn seek(&mut self, input: &[u8], at: &mut usize) -> Result<Option<u8>> {
        loop {
            let Some(&byte) = input.get(*at) else { return Ok(None) };
            match (self.expect, byte) {
                (_, b' ' | b'\n' | b'\r' | b'\t') => {}
                (Expect::CommaOrEnd, b',') => {
                    self.expect = if self.nesting.in_object() { Expect::Name } else { Expect::Value };
                }
                (Expect::Colon, b':') => self.expect = Expect::Value,
                _ => return Ok(Some(byte)),
            }
            *at += 1;
        }
    }

    fn begin(&mut self, byte: u8, input: &[u8], at: &mut usize) -> Result<Option<Token>> {
        let start = *at;
        let kind = match (self.expect, byte) {
            (Expect::Name | Expect::NameOrEnd, b'"') => {
                return self.text(true, Text::Plain, start, input, at, start + 1);
            }
            (Expect::Value | Expect::ValueOrEnd, b'"') => {
                return self.text(false, Text::Plain, start, input, at, start + 1);
            }
            (Expect::Value | Expect::ValueOrEnd, b'{') => {
                self.open(true, start)?;
                TokenKind::ObjectStart
            }
            (Expect::Value | Expect::ValueOrEnd, b'[') => {
                self.open(false, start)?;
                TokenKind::ArrayStart
            }
            (Expect::CommaOrEnd | Expect::NameOrEnd, b'}') if self.nesting.in_object() => {
                self.close();
                TokenKind::ObjectEnd
            }
            (Expect::CommaOrEnd | Expect::ValueOrEnd, b']') if !self.nesting.in_object() => {
                self.close();
                TokenKind::ArrayEnd
            }
            (Expect::Value | Expect::ValueOrEnd, b'-' | b'0'..=b'9') => {
                let state = match byte {
                    b'-' => Number::Minus,
                    b'0' => Number::Zero,
                    _ => Number::Integer,
                };
                return self.number(state, start, input, at, start + 1);
            }
            (Expect::Value | Expect::ValueOrEnd, b't') => return self.literal(b"rue", start, input, at, start + 1),
            (Expect::Value | Expect::ValueOrEnd, b'f') => return self.literal(b"alse", start, input, at, start + 1),
            (Expect::Value | Expect::ValueOrEnd, b'n') => return self.literal(b"ull", start, input, at, start + 1),
            _ => return Err(error(self.expect.missing(), start)),
        };
        *at = start + 1;
        Ok(Some(Token { kind, start, end: *at }))
    }

    fn resume(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Token>> {
        let start = *at;
        match self.under_way {
            UnderWay::None => Ok(None),
            UnderWay::Text { name, state } => self.text(name, state, start, input, at, start),
            UnderWay::Number(state) => self.number(state, start, input, at, start),
            UnderWay::Literal { rest } => self.literal(rest, start, input, at, start),
        }
    }

    fn open(&mut self, object: bool, at: usize) -> Result<()> {
        if self.nesting.depth >= self.max_depth {
            return Err(error(SyntaxErrorKind::Depth, at));
        }
        self.nesting.push(object);
        self.expect = if object { Expect::NameOrEnd } else { Expect::ValueOrEnd };
        Ok(())
    }

    fn close(&mut self) {
        self.nesting.pop();
        self.value_ended();
    }

    fn value_ended(&mut self) {
        self.expect = if self.nesting.depth == 0 { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    fn text(
        &mut self,
        name: bool,
        mut state: Text,
        start: usize,
        input: &[u8],
        at: &mut usize,
        mut from: usize,
    ) -> Result<Option<Token>> {
        loop {
            if (state, input.get(from)) == (Text::Plain, Some(&b'"')) {
                self.under_way = UnderWay::None;
                if name {
                    self.expect = Expect::Colon;
                } else {
                    self.value_ended();
                }
                *at = from + 1;
                let kind = if name { TokenKind::Name } else { TokenKind::String };
                return Ok(Some(Token { kind, start, end: *at }));
            }
            let Some(&byte) = input.get(from) else {
                self.under_way = UnderWay::Text { name, state };
                *at = from;
                return Ok(None);
            };
            state = state.after(byte).map_err(|kind| error(kind, from))?;
            from += 1;
        }
    }

    fn number(
        &mut self,
        mut state: Number,
        start: usize,
        input: &[u8],
        at: &mut usize,
        mut from: usize,
    ) -> Result<Option<Token>> {
        loop {
            let Some(&byte) = input.get(from) else {
                self.under_way = UnderWay::Number(state);
                *at = from;
                return Ok(None);
            };
            match state.after(byte) {
                Some(next) => state = next,
                None if state.may_end() => break,
                None => return Err(error(SyntaxErrorKind::Number, from)),
            }
            from += 1;
        }
        self.under_way = UnderWay::None;
        self.value_ended();
        *at = from;
        Ok(Some(Token { kind: TokenKind::Number, start, end: from }))
    }

    fn literal(
        &mut self,
        mut rest: &'static [u8],
        start: usize,
        input: &[u8],
        at: &mut usize,
        mut from: usize,
    ) -> Result<Option<Token>> {
        while let Some((wanted, others)) = rest.split_first() {
            let Some(byte) = input.get(from) else {
                self.under_way = UnderWay::Literal { rest };
                *at = from;
                return Ok(None);
            };
            if byte != wanted {
                return Err(error(SyntaxErrorKind::Literal, from));
            }
            rest = others;
            from += 1;
        }
        self.under_way = UnderWay::None;
        self.value_ended();
        *at = from;
        Ok(Some(Token { kind: TokenKind::Literal, start, end: from }))
    }
}

impl Expect {
    fn missing(self) -> SyntaxErrorKind {
        match self {
            Self::Value | Self::ValueOrEnd => SyntaxErrorKind::ExpectedValue,
            Self::Name | Self::NameOrEnd => SyntaxErrorKind::ExpectedName,
            Self::Colon => SyntaxErrorKind::ExpectedColon,
            Self::CommaOrEnd => SyntaxErrorKind::ExpectedComma,
            Self::Nothing => SyntaxErrorKind::Trailing,
        }
    }
}

fn error(kind: SyntaxErrorKind, at: usize) -> SyntaxError {
    SyntaxError { kind, offset: at as u64 }
}
