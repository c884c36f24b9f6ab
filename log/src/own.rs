//! The values of the log's own two records, claim and barrier. They repeat the headers for people; no program reads
//! them.

use bytes::Bytes;

use crate::{BARRIER_SCHEMA, CLAIM_SCHEMA};

/// The value of a claim by `node`, sent at `at_micros` since 1970.
pub fn claim_value(node: &str, at_micros: i64) -> Bytes {
    let mut value = framed(CLAIM_SCHEMA);
    long(&mut value, i64::try_from(node.len()).unwrap_or(i64::MAX));
    value.extend_from_slice(node.as_bytes());
    long(&mut value, at_micros);
    value.into()
}

/// The value of a barrier sent at `at_micros` since 1970.
pub fn barrier_value(at_micros: i64) -> Bytes {
    let mut value = framed(BARRIER_SCHEMA);
    long(&mut value, at_micros);
    value.into()
}

fn framed(schema_id: u32) -> Vec<u8> {
    let mut value = vec![0];
    value.extend_from_slice(&schema_id.to_be_bytes());
    value
}

/// Avro's variable-length zig-zag long (Apache Avro 1.11 specification, "Binary encoding").
fn long(to: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        to.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_avros() {
        for (value, bytes) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (64, vec![0x80, 1]), (-65, vec![0x81, 1])] {
            let mut to = Vec::new();
            long(&mut to, value);
            assert_eq!(to, bytes, "{value}");
        }
    }
}
