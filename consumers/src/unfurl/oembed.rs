//! Reads an oEmbed document. Source: oembed.com, version 1.0.

use serde_json::Value;

/// Bytes of a document that are read. With `html`, which is not used, they have a few kilobytes.
pub(super) const OEMBED_BYTES_MAX: usize = 64 * 1024;

/// The parts of a document that are used. None of them is trusted. Its `html` is left out: nobody here could say that it is harmless.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Oembed {
    pub(super) kind: String,
    pub(super) title: Option<String>,
    pub(super) author_name: Option<String>,
    pub(super) author_url: Option<String>,
    pub(super) provider_name: Option<String>,
    pub(super) thumbnail: Option<Picture>,
    /// Of a `photo`.
    pub(super) photo: Option<Picture>,
}

/// An image that is named, not fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) url: String,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
}

/// Returns `None` for what is not a JSON object.
pub(super) fn read(body: &[u8]) -> Option<Oembed> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let document = document.as_object()?;
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    // Numbers by the specification, strings in the wild.
    let number = |key: &str| match document.get(key)? {
        Value::Number(number) => u32::try_from(number.as_u64()?).ok(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    };
    let picture = |url: &str, width: &str, height: &str| {
        text(url).map(|url| Picture { url, width: number(width), height: number(height) })
    };
    let kind = text("type").unwrap_or_default();
    Some(Oembed {
        title: text("title"),
        author_name: text("author_name"),
        author_url: text("author_url"),
        provider_name: text("provider_name"),
        thumbnail: picture("thumbnail_url", "thumbnail_width", "thumbnail_height"),
        photo: if kind == "photo" { picture("url", "width", "height") } else { None },
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_every_shape_are_read() {
        let photo = read(br#"{"type":"photo","url":"https://a.example/p.jpg","width":"640","height":480.0,"title":7}"#)
            .unwrap();
        assert_eq!(
            photo.photo.unwrap(),
            Picture { url: "https://a.example/p.jpg".into(), width: Some(640), height: None }
        );
        assert_eq!(photo.title, None);
        let video =
            read(br#"{"type":"video","url":"https://a.example/v","thumbnail_url":"t","thumbnail_width":-1}"#).unwrap();
        assert_eq!((video.photo, video.thumbnail.unwrap().width), (None, None));
        for broken in ["", "[]", "7", "{", "null", "<oembed/>", &"[".repeat(50_000), &"{\"a\":".repeat(10_000)] {
            assert_eq!(read(broken.as_bytes()), None);
        }
        assert_eq!(read(b"{}").unwrap(), Oembed::default());
    }
}
