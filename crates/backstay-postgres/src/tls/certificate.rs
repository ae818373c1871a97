//! The two fields of an X.509 certificate that are read here: its key and the algorithm that signed it.

use sha2::{Digest, Sha256, Sha384, Sha512};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const EXPLICIT_VERSION: u8 = 0xa0;

/// The data that binds SCRAM to a TLS channel: the hash of the server's certificate (`tls-server-end-point`).
///
/// The hash is that of the certificate's own signature, SHA-256 in place of MD5 and SHA-1 (RFC 5929, section 4.1).
/// `None` where the signature has no hash of its own (Ed25519) or names it elsewhere (RSA-PSS).
pub(crate) fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, after_tbs) = element(element(certificate, SEQUENCE)?.0, SEQUENCE)?;
    let (algorithm, _) = element(after_tbs, SEQUENCE)?;
    let (oid, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    // RFC 8017 (pkcs-1) for RSA, RFC 5758 and RFC 3279 (ansi-X9-62 signatures) for ECDSA.
    match oid {
        // md5WithRSA, sha1WithRSA, sha256WithRSA
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04 | 0x05 | 0x0b]
        // ecdsaWithSha1, ecdsaWithSha256
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => Some(Sha256::digest(certificate).to_vec()),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => Some(Sha384::digest(certificate).to_vec()),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The `SubjectPublicKeyInfo` of a certificate, DER as it stands there.
pub(super) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let (tbs, _) = element(element(certificate, SEQUENCE)?.0, SEQUENCE)?;
    let mut rest = tbs;
    // version 1 certificates leave the version out
    if rest.first() == Some(&EXPLICIT_VERSION) {
        rest = any_element(rest)?.2;
    }
    // serial number, signature algorithm, issuer, validity, subject
    for _ in 0..5 {
        rest = any_element(rest)?.2;
    }
    let (tag, _, after) = any_element(rest)?;
    (tag == SEQUENCE).then(|| &rest[..rest.len() - after.len()])
}

/// The content of the first element, which must have this tag, and what follows it.
fn element(der: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = any_element(der)?;
    (tag == expected).then_some((content, rest))
}

/// Tag and content of the first element of DER data, and what follows it (X.690, section 8.1; short tags only).
fn any_element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// SEQUENCE { tbs, SEQUENCE { oid }, signature }, as small as the readers accept.
    fn certificate(oid: &[u8]) -> Vec<u8> {
        fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
            let mut der = vec![tag, u8::try_from(content.len()).unwrap()];
            der.extend_from_slice(content);
            der
        }
        let key = wrap(SEQUENCE, b"key");
        let tbs = [
            wrap(EXPLICIT_VERSION, &[2, 1, 2]),
            wrap(2, &[1]),
            wrap(SEQUENCE, &[]),
            wrap(SEQUENCE, b"issuer"),
            wrap(SEQUENCE, b"dates"),
            wrap(SEQUENCE, b"subject"),
            key,
        ]
        .concat();
        let body = [
            wrap(SEQUENCE, &tbs),
            wrap(SEQUENCE, &wrap(OBJECT_IDENTIFIER, oid)),
            wrap(3, &[0]),
        ]
        .concat();
        wrap(SEQUENCE, &body)
    }

    #[test]
    fn the_signature_algorithm_chooses_the_hash() {
        const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
        const ECDSA: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
        for (prefix, last, expected) in [
            (&RSA[..], 0x05, Some(32)),
            (&RSA[..], 0x0b, Some(32)),
            (&RSA[..], 0x0c, Some(48)),
            (&RSA[..], 0x0d, Some(64)),
            (&RSA[..], 0x0a, None),
            (&ECDSA[..], 0x02, Some(32)),
            (&ECDSA[..], 0x03, Some(48)),
            (&ECDSA[..], 0x04, Some(64)),
            (&[0x2b, 0x65][..], 0x70, None),
        ] {
            let certificate = certificate(&[prefix, &[last]].concat());
            let length = server_end_point(&certificate).map(|hash| hash.len());
            assert_eq!(length, expected, "{prefix:x?} {last:x}");
        }
    }

    #[test]
    fn the_key_is_found_with_and_without_a_version() {
        let with = certificate(&[0x2b]);
        assert_eq!(public_key(&with), Some(&b"\x30\x03key"[..]));
        let mut without = with;
        // Drops the five bytes of the version and shortens the two sequences around them.
        without.drain(4..9);
        without[1] -= 5;
        without[3] -= 5;
        assert_eq!(public_key(&without), Some(&b"\x30\x03key"[..]));
    }

    proptest! {
        #[test]
        fn damaged_certificates_give_none_and_no_panic(at in 0usize..60, byte: u8, cut in 0usize..60) {
            let mut damaged = certificate(&[0x2b]);
            let length = damaged.len();
            damaged[at % length] = byte;
            damaged.truncate(length - cut.min(length));
            let _ = public_key(&damaged);
            let _ = server_end_point(&damaged);
        }
    }
}
