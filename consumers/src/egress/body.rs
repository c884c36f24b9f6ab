//! Reads a body up to a bound, counted before and after decompression.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HeaderMap};

use super::error::EgressError;

/// The encodings that a request accepts. Not brotli and not zstd: hosts need not use them, and each decoder is one more
/// thing that a hostile body can be aimed at.
pub(super) const ACCEPT_ENCODING: &str = "gzip, deflate";

/// First bytes of a body.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// True if there was more than asked for.
    pub(super) truncated: bool,
}

/// Reads at most `bytes_max` bytes of the body, after decompression and also before it. Past either bound it stops
/// reading and returns what came; the rest is never received.
pub(super) async fn read(headers: &HeaderMap, mut incoming: Incoming, bytes_max: usize) -> Result<Body, EgressError> {
    let mut decoder = Decoder::of(headers, bytes_max)?;
    let mut received = 0_usize;
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|_| EgressError::BrokenResponse)?.into_data() else { continue };
        let within = data.len().min(bytes_max - received);
        received += within;
        if !decoder.write(&data[..within])? || within < data.len() {
            return Ok(decoder.finish(true));
        }
    }
    Ok(decoder.finish(false))
}

/// Decompression that ends in a bounded buffer.
enum Decoder {
    Plain(Bounded),
    Gzip(MultiGzDecoder<Bounded>),
    Zlib(ZlibDecoder<Bounded>),
    Deflate(DeflateDecoder<Bounded>),
    /// `deflate`, of which the first byte has not been seen: some hosts send it with zlib's head, as they should, some without.
    EitherDeflate(Bounded),
}

impl Decoder {
    fn of(headers: &HeaderMap, bytes_max: usize) -> Result<Self, EgressError> {
        let sink = Bounded { bytes: Vec::new(), bytes_max, is_full: false };
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let (first, more) = (encodings.next(), encodings.next());
        let Some(encoding) = first else { return Ok(Self::Plain(sink)) };
        if more.is_some() {
            // One after another, of which none was asked for.
            return Err(EgressError::BadEncoding);
        }
        match encoding.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(Self::Plain(sink)),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip(MultiGzDecoder::new(sink))),
            b"deflate" => Ok(Self::EitherDeflate(sink)),
            _ => Err(EgressError::BadEncoding),
        }
    }

    /// Returns false if there is no need to read on: the bound is reached, or what follows cannot be read.
    fn write(&mut self, data: &[u8]) -> Result<bool, EgressError> {
        if let (Self::EitherDeflate(sink), Some(first)) = (&mut *self, data.first()) {
            let sink = std::mem::replace(sink, Bounded { bytes: Vec::new(), bytes_max: 0, is_full: false });
            // RFC 1950: the low bits of the first byte are 8, the method of deflate. A raw stream of which that is true
            // would begin with a stored block of a reserved kind or a compressed one that no encoder makes so.
            *self = if first & 0x0f == 8 {
                Self::Zlib(ZlibDecoder::new(sink))
            } else {
                Self::Deflate(DeflateDecoder::new(sink))
            };
        }
        let written = match self {
            Self::Plain(sink) | Self::EitherDeflate(sink) => sink.write_all(data),
            Self::Gzip(decoder) => decoder.write_all(data),
            Self::Zlib(decoder) => decoder.write_all(data),
            Self::Deflate(decoder) => decoder.write_all(data),
        };
        match written {
            Ok(()) => Ok(true),
            // The bound, or bytes that are not of the compressed stream: what came before them is good.
            Err(_) if !self.sink().bytes.is_empty() => Ok(false),
            Err(_) => Err(EgressError::BadEncoding),
        }
    }

    fn sink(&self) -> &Bounded {
        match self {
            Self::Plain(sink) | Self::EitherDeflate(sink) => sink,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zlib(decoder) => decoder.get_ref(),
            Self::Deflate(decoder) => decoder.get_ref(),
        }
    }

    fn finish(mut self, truncated: bool) -> Body {
        // What the decoder holds back still counts; a stream that ends early is as good as one that was cut here.
        let _ = match &mut self {
            Self::Plain(_) | Self::EitherDeflate(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
        };
        let truncated = truncated || self.sink().is_full;
        let bytes = match &mut self {
            Self::Plain(sink) | Self::EitherDeflate(sink) => std::mem::take(&mut sink.bytes),
            Self::Gzip(decoder) => std::mem::take(&mut decoder.get_mut().bytes),
            Self::Zlib(decoder) => std::mem::take(&mut decoder.get_mut().bytes),
            Self::Deflate(decoder) => std::mem::take(&mut decoder.get_mut().bytes),
        };
        Body { bytes: bytes.into(), truncated }
    }
}

/// A buffer that refuses what does not fit, so that a decoder stops there.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = data.len().min(self.bytes_max - self.bytes.len());
        self.bytes.extend_from_slice(&data[..taken]);
        if taken < data.len() {
            self.is_full = true;
            // Not of a kind that is tried again.
            return Err(io::Error::other("more than is wanted"));
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
