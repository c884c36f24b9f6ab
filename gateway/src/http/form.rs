//! `application/x-www-form-urlencoded`, as the URL standard has it, but strict about UTF-8.

use crate::{ApiError, Args, limits};

/// The fields of a form or a query string.
///
/// # Errors
/// `invalid_form_data` if it is not UTF-8 once decoded; `invalid_arguments` past the bound of arguments.
pub(super) fn parse(encoded: &[u8]) -> Result<Args, ApiError> {
    let mut args = Args::default();
    for (count, field) in encoded.split(|byte| *byte == b'&').filter(|field| !field.is_empty()).enumerate() {
        if count >= limits::ARGS_MAX {
            return Err(ApiError::argument("too many arguments"));
        }
        let (name, value) = match field.iter().position(|byte| *byte == b'=') {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &field[field.len()..]),
        };
        args.put(decoded(name)?, decoded(value)?);
    }
    Ok(args)
}

fn decoded(encoded: &[u8]) -> Result<String, ApiError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, behind) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, behind @ ..]) => match hex(*high).zip(hex(*low)) {
                Some((high, low)) => {
                    bytes.push(high << 4 | low);
                    rest = behind;
                }
                None => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| ApiError::refused("invalid_form_data"))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let args = parse("text=a+b%20%C3%A9%26&empty=&alone&text=last%2&bad=%zz".as_bytes()).unwrap();
        let expected = serde_json::json!({ "text": "last%2", "empty": "", "alone": "", "bad": "%zz" });
        assert_eq!(serde_json::Value::Object(args.to_values()), expected);
        assert_eq!(parse(b"text=%ff").unwrap_err().code(), "invalid_form_data");
        assert_eq!(parse("a=1&".repeat(limits::ARGS_MAX + 1).as_bytes()).unwrap_err().code(), "invalid_arguments");
    }
}
