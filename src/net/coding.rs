//! Content codings undone as a body streams through: identity, gzip, br and zstd (RFC 9110, section 8.4.1).
//!
//! A coding that is unknown or stacked on another is refused, a stream that stops early is an error, and what the
//! decoder holds is bounded however far the input would unfold. A refused byte is never passed on as it came.

use std::io;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use http::header::{CONTENT_ENCODING, HeaderMap};
use zstd::zstd_safe::{DParameter, InBuffer, OutBuffer};

/// The value of `Accept-Encoding` for requests to upstreams: every coding that [`Decoder`] undoes.
pub const ACCEPT_ENCODING: &str = "zstd, br, gzip";

/// The most bytes that one decoded piece holds.
pub const PIECE: usize = 64 * 1024;

/// How far a body may unfold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of a decoded body.
    pub max_decoded: u64,
    /// Decoded bytes for each encoded one, once more than [`PIECE`] bytes are decoded.
    pub max_ratio: u32,
    /// The base-2 logarithm of zstd's window in bytes: what a frame may make the decoder hold. A brotli window is at
    /// most 16 MiB by its format, a gzip window 32 KiB.
    pub max_window_log: u32,
}

impl Default for Caps {
    /// 1 GiB, 200 to 1, and the window of 8 MiB that RFC 9659 allows.
    fn default() -> Self {
        Self { max_decoded: 1 << 30, max_ratio: 200, max_window_log: 23 }
    }
}

/// Undoes the content coding of one body.
///
/// It is pulled, so that whoever reads slowly makes it hold little: hand each chunk to [`decode`](Self::decode) until
/// that answers `None`, and call [`finish`](Self::finish) when the body has ended.
///
/// ```
/// # use bytes::Bytes;
/// # use fieldgate::net::coding::{Caps, CodingError, Decoder};
/// # fn read(headers: &http::HeaderMap, body: Vec<Bytes>) -> Result<Vec<Bytes>, CodingError> {
/// let mut decoder = Decoder::new(headers, Caps::default())?;
/// let mut pieces = Vec::new();
/// for mut chunk in body {
///     while let Some(piece) = decoder.decode(&mut chunk)? {
///         pieces.push(piece);
///     }
/// }
/// decoder.finish()?;
/// # Ok(pieces)
/// # }
/// # assert_eq!(read(&http::HeaderMap::new(), vec![Bytes::from_static(b"{}")]).unwrap(), ["{}"]);
/// ```
pub struct Decoder {
    stream: Stream,
    caps: Caps,
    encoded: u64,
    decoded: u64,
    /// The last step filled its piece, so that there may be more to decode without more input.
    pending: bool,
    piece: Box<[u8]>,
}

impl Decoder {
    /// A decoder for the body of a response with these headers.
    pub fn new(headers: &HeaderMap, caps: Caps) -> Result<Self, CodingError> {
        let stream = match coding(headers)? {
            Coding::Identity => Stream::Identity,
            Coding::Gzip => Stream::Gzip { inflate: gzip(), ended: false },
            Coding::Brotli => {
                let state = BrotliState::new_strict(Default::default(), Default::default(), Default::default());
                Stream::Brotli { state: Box::new(state), ended: false }
            }
            Coding::Zstd => {
                let mut frames = zstd::stream::raw::Decoder::new().map_err(CodingError::Zstd)?;
                let window = DParameter::WindowLogMax(caps.max_window_log);
                frames.set_parameter(window).map_err(CodingError::Zstd)?;
                Stream::Zstd { frames, ended: false }
            }
        };
        let piece = if matches!(stream, Stream::Identity) { 0 } else { PIECE };
        Ok(Self { stream, caps, encoded: 0, decoded: 0, pending: false, piece: vec![0; piece].into() })
    }

    /// The next decoded piece, of which `input` has been moved on past what it took; `None` when `input` is used up.
    ///
    /// A piece is never empty and holds at most [`PIECE`] bytes, save that identity hands `input` out as it is.
    /// After an error the decoder must not be used again.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, CodingError> {
        if matches!(self.stream, Stream::Identity) {
            let piece = std::mem::take(input);
            self.count(piece.len(), piece.len())?;
            return Ok((!piece.is_empty()).then_some(piece));
        }
        while self.pending || !input.is_empty() {
            let (read, written) = self.stream.step(input, &mut self.piece)?;
            input.advance(read);
            self.count(read, written)?;
            self.pending = written == self.piece.len();
            if let Some(piece) = self.piece.get(..written).filter(|piece| !piece.is_empty()) {
                return Ok(Some(Bytes::copy_from_slice(piece)));
            }
            // A stream that neither takes nor gives while it has input would be asked for ever.
            if read == 0 && !input.is_empty() {
                return Err(CodingError::Trailing);
            }
        }
        Ok(None)
    }

    /// Says that the body has ended. A stream that has not is an error; a body without a single byte is empty, whatever
    /// its coding, since servers name a coding for bodies that they then leave out.
    pub fn finish(self) -> Result<(), CodingError> {
        let ended = match self.stream {
            Stream::Identity => true,
            Stream::Gzip { ended, .. } | Stream::Brotli { ended, .. } | Stream::Zstd { ended, .. } => {
                (ended || self.encoded == 0) && !self.pending
            }
        };
        if ended { Ok(()) } else { Err(CodingError::Truncated) }
    }

    fn count(&mut self, read: usize, written: usize) -> Result<(), CodingError> {
        self.encoded = self.encoded.saturating_add(read as u64);
        self.decoded = self.decoded.saturating_add(written as u64);
        let proportionate = self.encoded.saturating_mul(u64::from(self.caps.max_ratio));
        if self.decoded > self.caps.max_decoded {
            return Err(CodingError::TooLarge { limit: self.caps.max_decoded });
        }
        if self.decoded > PIECE as u64 && self.decoded > proportionate {
            return Err(CodingError::Bomb { limit: self.caps.max_ratio });
        }
        Ok(())
    }
}

/// Why a body cannot be decoded. No message holds a byte of it.
#[derive(Debug, thiserror::Error)]
pub enum CodingError {
    /// `Content-Encoding` names a coding that is not undone here.
    #[error("the content coding is none of gzip, br, zstd and identity")]
    Unknown,
    /// `Content-Encoding` names more than one coding.
    #[error("the content has more than one coding; one is supported")]
    Stacked,
    /// The body ended before its coding did.
    #[error("the encoded content was cut off")]
    Truncated,
    /// Bytes follow the end of the coding.
    #[error("the encoded content goes on after its end")]
    Trailing,
    /// Not gzip (RFC 1952), or its checksum is wrong.
    #[error("the content is not valid gzip")]
    Gzip(#[source] flate2::DecompressError),
    /// Not brotli (RFC 7932).
    #[error("the content is not valid brotli")]
    Brotli,
    /// Not zstd (RFC 8878), or a frame wants a larger window than allowed.
    #[error("the content is not valid zstd within the window allowed")]
    Zstd(#[source] io::Error),
    /// The decoded body is larger than allowed.
    #[error("the decoded content is larger than {limit} bytes")]
    TooLarge {
        /// [`Caps::max_decoded`].
        limit: u64,
    },
    /// The body unfolds further than allowed.
    #[error("the content unfolds to more than {limit} times its encoded size")]
    Bomb {
        /// [`Caps::max_ratio`].
        limit: u32,
    },
}

enum Coding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

fn coding(headers: &HeaderMap) -> Result<Coding, CodingError> {
    let mut named = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        // An empty element of a list says nothing (RFC 9110, section 5.6.1).
        let elements = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        for name in elements.filter(|name| !name.is_empty()) {
            let coding = match name.to_ascii_lowercase().as_slice() {
                b"identity" => Coding::Identity,
                b"gzip" | b"x-gzip" => Coding::Gzip,
                b"br" => Coding::Brotli,
                b"zstd" => Coding::Zstd,
                _ => return Err(CodingError::Unknown),
            };
            if named.replace(coding).is_some() {
                return Err(CodingError::Stacked);
            }
        }
    }
    Ok(named.unwrap_or(Coding::Identity))
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

enum Stream {
    Identity,
    Gzip { inflate: Decompress, ended: bool },
    Brotli { state: Box<Brotli>, ended: bool },
    Zstd { frames: zstd::stream::raw::Decoder<'static>, ended: bool },
}

impl Stream {
    /// Takes from `input`, gives to `output`: how many bytes of each.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), CodingError> {
        match self {
            Self::Identity => Ok((0, 0)),
            Self::Gzip { inflate, ended } => {
                // A gzip body is a series of members (RFC 1952, section 2.2).
                if *ended && !input.is_empty() {
                    *inflate = gzip();
                    *ended = false;
                }
                if *ended {
                    return Ok((0, 0));
                }
                let (taken, given) = (inflate.total_in(), inflate.total_out());
                let status = inflate.decompress(input, output, FlushDecompress::None).map_err(CodingError::Gzip)?;
                *ended = status == Status::StreamEnd;
                Ok((since(taken, inflate.total_in()), since(given, inflate.total_out())))
            }
            Self::Brotli { state, ended } => {
                if *ended {
                    return Ok((0, 0));
                }
                let (mut left, mut read, mut room, mut written) = (input.len(), 0, output.len(), 0);
                let result =
                    BrotliDecompressStream(&mut left, &mut read, input, &mut room, &mut written, output, &mut 0, state);
                match result {
                    BrotliResult::ResultSuccess => *ended = true,
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                    BrotliResult::ResultFailure => return Err(CodingError::Brotli),
                }
                Ok((read, written))
            }
            Self::Zstd { frames, ended } => {
                let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(output));
                let wanted =
                    zstd::stream::raw::Operation::run(frames, &mut from, &mut to).map_err(CodingError::Zstd)?;
                // Asked without input, a decoder at the end of a frame wants the next one, which need not come.
                if from.pos() > 0 || to.pos() > 0 {
                    *ended = wanted == 0;
                }
                Ok((from.pos(), to.pos()))
            }
        }
    }
}

fn gzip() -> Decompress {
    Decompress::new_gzip(15)
}

/// A difference of two counts within one call, whose buffers are slices: it fits.
fn since(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}
