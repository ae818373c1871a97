use std::net::TcpListener;
use std::thread;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::conninfo::{Variables, resolve_source};

#[test]
fn the_roots_are_those_that_supabase_publishes() {
    for (pem, fingerprint, end) in [
        (
            ROOTS[0],
            "807025AD50D4ED219D2C9C7D299C004F824EB00CF7F65AFEF607D07B72E6CAFA",
            "310426105653Z",
        ),
        (
            ROOTS[1],
            "5F9B77951A7AA1303F9B58EEA9BFA89E358CFDC15F9786FF10D4930A722C9AE2",
            "350901080125Z",
        ),
    ] {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let [Ok(certificate)] = certificates.as_slice() else {
            panic!("{} certificates in one file", certificates.len());
        };
        let found: String = Sha256::digest(certificate)
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        assert_eq!(found, fingerprint);
        // Issuer and subject are the same: it is a root. The date of its end stands in clear, too.
        let count = |text: &str| {
            let windows = certificate.windows(text.len());
            windows.filter(|window| *window == text.as_bytes()).count()
        };
        assert_eq!((count("Supabase Root 2021 CA"), count(end)), (2, 1));
    }
}

/// A project whose direct host is at that port of this machine, with its pooler.
fn resolved(port: u16) -> Resolved {
    let variables: Variables = [
        ("SUPABASE_PROJECT_REF", "abc"),
        ("SUPABASE_DB_PASSWORD", "hunter2"),
        (
            "SUPABASE_POOLER_URL",
            "postgresql://postgres.abc@aws-1-eu-west-1.pooler.supabase.com:5432/postgres",
        ),
    ]
    .into_iter()
    .collect();
    let mut resolved = resolve_source(None, &variables).unwrap();
    resolved.config.endpoints[0].port = port;
    let Host::Tcp { address, .. } = &mut resolved.config.endpoints[0].host else {
        panic!("the direct host is reached by TCP");
    };
    *address = Some("127.0.0.1".to_owned());
    resolved
}

#[test]
fn the_pooler_is_taken_where_the_direct_host_cannot_be_reached() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let found = resolved(closed).reachable(&CancelToken::new());
    let pooler = "postgres.abc@aws-1-eu-west-1.pooler.supabase.com:5432/postgres";
    assert_eq!(found.config.describe(), pooler);
    assert_eq!(found.pooler, None);
    assert_eq!(found.warnings.len(), 1);
    assert_eq!(
        found.warnings[0].to_string(),
        format!(
            "postgres@db.abc.supabase.co:{closed}/postgres cannot be reached, which needs IPv6; the session pooler {pooler} \
             is used"
        )
    );
}

#[test]
fn a_direct_host_that_answers_is_taken_whatever_it_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || drop(listener.accept().unwrap()));
    let found = resolved(port).reachable(&CancelToken::new());
    assert_eq!(
        found.config.describe(),
        format!("postgres@db.abc.supabase.co:{port}/postgres")
    );
    assert_eq!((found.pooler, found.warnings), (None, Vec::new()));
    server.join().unwrap();
}
