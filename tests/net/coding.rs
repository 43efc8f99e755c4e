//! Content codings against the encoders that servers use.

use std::io::{Read, Write};

use bytes::Bytes;
use fieldgate::net::coding::{Caps, CodingError, Decoder, PIECE};
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use proptest::prelude::*;

const CODINGS: [&str; 4] = ["identity", "gzip", "br", "zstd"];
const COMPRESSED: [&str; 3] = ["gzip", "br", "zstd"];

fn encode(coding: &str, plain: impl Read) -> Vec<u8> {
    let mut plain = plain;
    let mut encoded = Vec::new();
    match coding {
        "identity" => drop(plain.read_to_end(&mut encoded).unwrap()),
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(&mut encoded, flate2::Compression::default());
            std::io::copy(&mut plain, &mut encoder).unwrap();
            encoder.finish().unwrap();
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(&mut encoded, 4096, 5, 22);
            std::io::copy(&mut plain, &mut encoder).unwrap();
        }
        "zstd" => {
            let mut encoder = zstd::Encoder::new(&mut encoded, 1).unwrap();
            encoder.include_checksum(true).unwrap();
            std::io::copy(&mut plain, &mut encoder).unwrap();
            encoder.finish().unwrap();
        }
        other => panic!("{other}"),
    }
    encoded
}

fn headers(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (CONTENT_ENCODING, HeaderValue::from_str(value).unwrap())).collect()
}

fn decode(coding: &str, chunks: &[&[u8]], caps: Caps) -> Result<Vec<u8>, CodingError> {
    let mut decoded = Vec::new();
    decode_into(&mut decoded, coding, chunks, caps).map(|()| decoded)
}

fn decode_into(decoded: &mut Vec<u8>, coding: &str, chunks: &[&[u8]], caps: Caps) -> Result<(), CodingError> {
    let mut decoder = Decoder::new(&headers(&[coding]), caps)?;
    for chunk in chunks {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(piece) = decoder.decode(&mut chunk)? {
            assert!(!piece.is_empty() && (coding == "identity" || piece.len() <= PIECE));
            decoded.extend_from_slice(&piece);
        }
        assert!(chunk.is_empty());
    }
    decoder.finish()
}

fn document(repeats: usize) -> Vec<u8> {
    let entry = |number| format!(r#"{{"resourceType":"Observation","id":"{number:x}","status":"final"}},"#);
    (0..repeats).map(|number| entry(number * 7919)).collect::<String>().into_bytes()
}

#[test]
fn l30_every_split_of_an_encoded_body_decodes_alike() {
    let plain = document(8);
    for coding in CODINGS {
        let encoded = encode(coding, plain.as_slice());
        for split in 0..=encoded.len() {
            let (head, tail) = encoded.split_at(split);
            assert_eq!(decode(coding, &[head, tail], Caps::default()).unwrap(), plain, "{coding} at {split}");
        }
        let single: Vec<_> = encoded.chunks(1).collect();
        assert_eq!(decode(coding, &single, Caps::default()).unwrap(), plain, "{coding} byte by byte");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn l30_large_bodies_decode_alike_in_any_chunks(repeats in 3000_usize..6000, size in 1_usize..100_000) {
        let plain = document(repeats);
        for coding in CODINGS {
            let encoded = encode(coding, plain.as_slice());
            let chunks: Vec<_> = encoded.chunks(size).collect();
            prop_assert_eq!(decode(coding, &chunks, Caps::default()).unwrap(), plain.as_slice());
        }
    }
}

#[test]
fn identity_hands_out_the_very_bytes_it_got() {
    let mut decoder = Decoder::new(&HeaderMap::new(), Caps::default()).unwrap();
    let chunk = Bytes::from_static(b"{}");
    let piece = decoder.decode(&mut chunk.clone()).unwrap().unwrap();
    assert_eq!(piece.as_ptr(), chunk.as_ptr());
}

#[test]
fn l30_a_body_cut_off_anywhere_is_an_error() {
    let plain = document(8);
    for coding in COMPRESSED {
        let encoded = encode(coding, plain.as_slice());
        for end in 1..encoded.len() {
            let cut = decode(coding, &[&encoded[..end]], Caps::default());
            assert!(matches!(cut, Err(CodingError::Truncated)), "{coding} cut at {end}: {cut:?}");
        }
    }
}

#[test]
fn l25_a_changed_byte_is_an_error_or_changes_nothing() {
    let plain = document(8);
    for coding in ["gzip", "zstd"] {
        let encoded = encode(coding, plain.as_slice());
        let mut refused = 0;
        for place in 0..encoded.len() {
            let mut changed = encoded.clone();
            changed[place] ^= 0x20;
            match decode(coding, &[&changed], Caps::default()) {
                Ok(decoded) => assert_eq!(decoded, plain, "{coding} changed at {place}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused * 10 > encoded.len() * 9, "{coding}: {refused} of {} refused", encoded.len());
    }
}

#[test]
fn l25_a_body_that_is_not_in_its_coding_is_refused() {
    for coding in COMPRESSED {
        assert!(decode(coding, &[br#"{"resourceType":"Patient"}"#], Caps::default()).is_err(), "{coding}");
    }
}

#[test]
fn l25_a_bomb_is_refused_before_it_unfolds() {
    for (coding, size) in [("gzip", 64 << 20), ("br", 64 << 20), ("zstd", 1 << 30)] {
        let bomb = encode(coding, std::io::repeat(0).take(size));
        assert!(bomb.len() < 1 << 20);
        let mut decoded = Vec::new();
        let refused = decode_into(&mut decoded, coding, &[&bomb], Caps::default());
        assert!(matches!(refused, Err(CodingError::Bomb { limit: 200 })), "{coding}: {refused:?}");
        assert!(decoded.len() <= PIECE, "{coding}: {} bytes came out first", decoded.len());
    }
}

#[test]
fn l25_a_body_larger_than_allowed_is_refused() {
    let plain = document(4000);
    let caps = Caps { max_decoded: plain.len() as u64 - 1, ..Caps::default() };
    for coding in CODINGS {
        let mut decoded = Vec::new();
        let encoded = encode(coding, plain.as_slice());
        let refused = decode_into(&mut decoded, coding, &[&encoded], caps);
        assert!(matches!(refused, Err(CodingError::TooLarge { .. })), "{coding}: {refused:?}");
        assert!(decoded.len() < plain.len());
        let enough = Caps { max_decoded: plain.len() as u64, ..caps };
        assert_eq!(decode(coding, &[&encoded], enough).unwrap(), plain);
    }
}

#[test]
fn one_chunk_that_unfolds_far_comes_in_small_pieces() {
    let caps = Caps { max_ratio: u32::MAX, ..Caps::default() };
    for coding in COMPRESSED {
        let encoded = encode(coding, std::io::repeat(b' ').take(16 << 20));
        assert_eq!(decode(coding, &[&encoded], caps).unwrap().len(), 16 << 20, "{coding}");
    }
}

#[test]
fn l25_bytes_after_the_end_are_refused() {
    for coding in COMPRESSED {
        let encoded = encode(coding, &b"{}"[..]);
        for trailer in [&b"{\"canary\":1}        "[..], &[0; 32]] {
            assert!(decode(coding, &[&encoded, trailer], Caps::default()).is_err(), "{coding} in its own chunk");
            assert!(decode(coding, &[&[&encoded, trailer].concat()], Caps::default()).is_err(), "{coding}");
        }
    }
}

#[test]
fn members_of_gzip_and_frames_of_zstd_follow_each_other() {
    for coding in ["gzip", "zstd"] {
        let [first, second] = [&b"{\"a\":"[..], b"1}"].map(|plain| encode(coding, plain));
        assert_eq!(decode(coding, &[&first, &second], Caps::default()).unwrap(), b"{\"a\":1}");
        assert_eq!(decode(coding, &[&[first, second].concat()], Caps::default()).unwrap(), b"{\"a\":1}");
    }
    let skippable = [&0x184D_2A50_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), b"skip"].concat();
    let frames = [skippable.clone(), encode("zstd", &b"{}"[..]), skippable].concat();
    assert_eq!(decode("zstd", &[&frames], Caps::default()).unwrap(), b"{}");
}

#[test]
fn l25_a_window_larger_than_allowed_is_refused() {
    let encode = |log| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        // Without a size that is known ahead a frame must name its window.
        encoder.write_all(b"{}").unwrap();
        encoder.flush().unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(decode("zstd", &[&encode(23)], Caps::default()).unwrap(), b"{}");
    let refused = decode("zstd", &[&encode(24)], Caps::default());
    assert!(matches!(refused, Err(CodingError::Zstd(_))), "{refused:?}");
}

#[test]
fn a_body_without_a_byte_is_empty_in_every_coding() {
    for coding in CODINGS {
        assert_eq!(decode(coding, &[], Caps::default()).unwrap(), b"");
        assert_eq!(decode(coding, &[b""], Caps::default()).unwrap(), b"");
    }
}

#[test]
fn l25_unknown_and_stacked_codings_are_refused() {
    let refusal = |values: &[&str]| Decoder::new(&headers(values), Caps::default()).map(|_| ()).unwrap_err();
    for unknown in ["deflate", "compress", "gzip;q=1", "g zip", "\"gzip\"", "exi", "*"] {
        assert!(matches!(refusal(&[unknown]), CodingError::Unknown), "{unknown}");
    }
    for stacked in [&["gzip, br"][..], &["gzip", "gzip"], &["identity,gzip"], &["gzip,", ", zstd"]] {
        assert!(matches!(refusal(stacked), CodingError::Stacked), "{stacked:?}");
    }
    assert_eq!(decode("X-GZip ,", &[&encode("gzip", &b"{}"[..])], Caps::default()).unwrap(), b"{}");
    assert!(Decoder::new(&headers(&["", " , "]), Caps::default()).is_ok());
}
