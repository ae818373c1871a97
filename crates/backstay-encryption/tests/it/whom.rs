use backstay_core::seal::{SealError, Sealer as _};
use backstay_encryption::{AgeSealer, Identities, IdentityError, Passphrase, SecretKey};

use crate::{bytes, pair, read_all, sealed};

/// Keys for tests alone, made by `ssh-keygen`; the second is protected by `correct horse`.
const SSH_PUBLIC: &str = include_str!("keys/ed25519.pub");
const SSH: &[u8] = include_bytes!("keys/ed25519");
const SSH_PROTECTED_PUBLIC: &str = include_str!("keys/protected.pub");
const SSH_PROTECTED: &[u8] = include_bytes!("keys/protected");
const RSA_PUBLIC: &str = include_str!("keys/rsa.pub");
const RSA: &[u8] = include_bytes!("keys/rsa");

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

fn from_file(file: &[u8], passphrase: Option<&Passphrase>) -> Identities {
    let mut identities = Identities::new();
    identities.add_file(file, passphrase).unwrap();
    identities
}

#[test]
fn each_recipient_opens_it_and_nobody_else() {
    let plain = bytes(100_000);
    let (one, two) = (SecretKey::generate(), SecretKey::generate());
    let sealer = AgeSealer::to_keys([
        one.recipient(),
        SSH_PUBLIC.parse().unwrap(),
        two.recipient(),
        SSH_PROTECTED_PUBLIC.parse().unwrap(),
        RSA_PUBLIC.parse().unwrap(),
        one.recipient(),
    ])
    .unwrap();
    assert_eq!(sealer.recipients().len(), 5, "{:?}", sealer.recipients());
    let stored = sealed(&sealer, &plain, 5000);

    let protected = passphrase("correct horse");
    for (who, identities) in [
        ("one", from_file(one.file_text().as_bytes(), None)),
        ("two", from_file(two.file_text().as_bytes(), None)),
        ("ssh", from_file(SSH, None)),
        ("protected ssh", from_file(SSH_PROTECTED, Some(&protected))),
        ("rsa", from_file(RSA, None)),
    ] {
        assert!(read_all(&stored, &identities).unwrap() == plain, "{who}");
    }

    let (_, stranger) = pair();
    let Err(SealError::NoKey { recipients }) = read_all(&stored, &stranger) else {
        panic!("a stranger opened it");
    };
    assert_eq!(
        recipients,
        ["X25519", "ssh-ed25519", "X25519", "ssh-ed25519", "ssh-rsa"]
    );
    let wrong = from_file(SSH_PROTECTED, Some(&passphrase("wrong")));
    assert!(matches!(read_all(&stored, &wrong), Err(SealError::Passphrase)));
    assert!(matches!(
        read_all(&stored, &Identities::new()),
        Err(SealError::NoKey { .. })
    ));

    // One that does not fit does not hide one that does.
    let mut several = Identities::new();
    several.add_file(SSH_PROTECTED, Some(&passphrase("wrong"))).unwrap();
    several.add_key(&SecretKey::generate());
    several.add_key(&two);
    assert!(read_all(&stored, &several).unwrap() == plain);
}

#[test]
fn whoever_knows_the_passphrase_opens_it() {
    let plain = bytes(70_000);
    let sealer = AgeSealer::to_passphrase_with_work_factor(passphrase("correct horse"), 4);
    assert_eq!(sealer.recipients(), ["passphrase"]);
    let stored = sealed(&sealer, &plain, 5000);
    let mut identities = Identities::new();
    identities.add_key(&SecretKey::generate());
    assert!(matches!(read_all(&stored, &identities), Err(SealError::NoKey { .. })));
    identities.add_passphrase(&passphrase("battery staple"));
    assert!(matches!(read_all(&stored, &identities), Err(SealError::Passphrase)));
    identities.add_passphrase(&passphrase("correct horse"));
    assert!(read_all(&stored, &identities).unwrap() == plain);
    assert!(Passphrase::new(String::new()).is_none());
}

#[test]
fn a_file_of_identities_may_be_protected_itself() {
    let key = SecretKey::generate();
    let to_file = AgeSealer::to_passphrase_with_work_factor(passphrase("correct horse"), 4);
    let file = sealed(&to_file, key.file_text().as_bytes(), 100);
    let mut identities = Identities::new();
    assert_eq!(identities.add_file(&file, None), Err(IdentityError::PassphraseNeeded));
    assert_eq!(
        identities.add_file(&file, Some(&passphrase("wrong"))),
        Err(IdentityError::WrongPassphrase)
    );
    identities.add_file(&file, Some(&passphrase("correct horse"))).unwrap();

    let stored = sealed(&AgeSealer::to_keys([key.recipient()]).unwrap(), b"x", 1);
    assert_eq!(read_all(&stored, &identities).unwrap(), b"x");
}

#[test]
fn what_is_no_file_of_identities_is_refused_without_repeating_it() {
    let mut identities = Identities::new();
    assert_eq!(identities.add_file(b"# none\n", None), Err(IdentityError::Empty));
    assert_eq!(
        identities.add_file(SSH_PROTECTED, None),
        Err(IdentityError::PassphraseNeeded)
    );
    for file in [&b"hunter2\n"[..], b"-----BEGIN hunter2", b"age-encryption.org/hunter2"] {
        let refused = identities.add_file(file, Some(&passphrase("hunter2"))).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
    assert!(identities.is_empty());
    let secret = SecretKey::generate();
    let text = secret.file_text().to_string();
    assert!(!text.contains(&format!("{secret:?}")), "{secret:?}");
}
