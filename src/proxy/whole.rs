//! Bodies that are read whole before anything is done with them: forms, what is written, what it is written over.
//!
//! Each has a limit, and all of them together hold no more than the process takes on.

use std::future::poll_fn;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::Body;

use super::capacity::Held;
use super::headers::Form;
use super::refusal::{Failure, Refusal};
use super::{Gateway, body};
use crate::net::coding::{CodingError, Decoder};
use crate::net::upstream::UpstreamBody;

/// A body, counted among what is held.
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    _held: Held,
}

/// Why there is no whole body.
pub(super) enum Broken<E> {
    /// It is over its limit.
    TooLarge,
    /// All that is held together is over the limit.
    Capacity,
    /// It can't be decoded.
    Coding(CodingError),
    /// It did not come whole.
    Source(E),
}

/// Reads the JSON of an upstream's response; `None` where it is over the limit of what is held of one value.
pub(super) async fn of_upstream(gateway: &Gateway, response: Response<UpstreamBody>) -> Result<Option<Whole>, Refusal> {
    let (head, source) = response.into_parts();
    let decoder = body::decoder(&head.headers, Form::Fhir, gateway.limits.caps()).map_err(Refusal::Response)?;
    match read(source, Some(decoder), gateway.limits.value_bytes, gateway.capacity.hold()).await {
        Ok(whole) => Ok(Some(whole)),
        Err(Broken::TooLarge) => Ok(None),
        Err(Broken::Capacity) => Err(Refusal::Response(Failure::Capacity)),
        Err(Broken::Coding(error)) => Err(Refusal::Response(Failure::Coding(error))),
        Err(Broken::Source(error)) => Err(Refusal::Response(Failure::Body(error))),
    }
}

/// Reads a body of at most `limit` bytes, decoded where a decoder is given.
pub(super) async fn read<B: Body<Data = Bytes>>(
    source: B,
    mut decoder: Option<Decoder>,
    limit: usize,
    mut held: Held,
) -> Result<Whole, Broken<B::Error>> {
    let mut source = pin!(source);
    let mut bytes = BytesMut::new();
    let mut take = |piece: Bytes| {
        if piece.len() > limit - bytes.len() {
            return Err(Broken::TooLarge);
        }
        if !held.reserve(piece.len()) {
            return Err(Broken::Capacity);
        }
        bytes.extend_from_slice(&piece);
        Ok(())
    };
    while let Some(frame) = poll_fn(|cx| source.as_mut().poll_frame(cx)).await {
        let mut data = frame.map_err(Broken::Source)?.into_data().unwrap_or_default();
        match &mut decoder {
            None => take(data)?,
            Some(decoder) => {
                while let Some(piece) = decoder.decode(&mut data).map_err(Broken::Coding)? {
                    take(piece)?;
                }
            }
        }
    }
    if let Some(decoder) = decoder {
        decoder.finish().map_err(Broken::Coding)?;
    }
    Ok(Whole { bytes: bytes.freeze(), _held: held })
}
