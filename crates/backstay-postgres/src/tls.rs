//! TLS with libpq's meanings of `sslmode` and `sslrootcert`
//! (<https://www.postgresql.org/docs/current/libpq-ssl.html>).

mod certificate;
mod verifier;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};

pub(crate) use certificate::server_end_point;
use verifier::{Check, Roots, Verifier};

use crate::config::{ConnectionConfig, RootCertificates, SslMode};
use crate::supabase::ROOTS;

/// Why no TLS could be set up from the settings; nothing was sent yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// The mode verifies, but nothing says against what.
    #[error(
        "sslmode={0} verifies the server, but no root certificate is named: set sslrootcert to a file or to system"
    )]
    NoRoots(&'static str),
    /// `sslrootcert=system` trusts so many that only the host name tells servers apart.
    #[error("sslmode={0} is too weak for sslrootcert=system: use verify-full")]
    TooWeakForSystem(&'static str),
    /// A PEM file could not be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// A root file without a single certificate.
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// A root certificate that cannot be one.
    #[error("{} holds a certificate that cannot be used", path.display())]
    UnusableRoot {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: rustls::Error,
    },
    /// The operating system names no root certificates.
    #[error("no root certificates found on this system")]
    NoSystemRoots(#[source] Option<rustls_native_certs::Error>),
    /// The client's certificate and key do not go together, or the key is of an unknown kind.
    #[error("the client certificate {} cannot be used with its key", path.display())]
    UnusableClientCertificate {
        /// The certificate's file.
        path: PathBuf,
        /// What went wrong.
        source: rustls::Error,
    },
    /// A root certificate that comes with Backstay cannot be read.
    #[error("cannot read a root certificate that comes with Backstay")]
    OwnRoot(#[source] pem::Error),
    /// The library refuses its own defaults.
    #[error("cannot set up TLS")]
    Library(#[source] rustls::Error),
}

/// Builds the TLS client that the settings ask for; `None` where they ask for none.
///
/// A certificate that is itself in the root file is trusted as it is, whatever its dates: that is how a self-signed
/// server certificate is used. A certificate without `subjectAltName` never matches a host name.
pub(crate) fn client_config(config: &ConnectionConfig) -> Result<Option<Arc<ClientConfig>>, TlsSetupError> {
    let Some(check) = check(config)? else { return Ok(None) };
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(check, provider.signature_verification_algorithms);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsSetupError::Library)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let client = match &config.ssl_client_cert {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = read_certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsSetupError::File {
                path: key.clone(),
                source,
            })?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|source| TlsSetupError::UnusableClientCertificate {
                    path: certificate.clone(),
                    source,
                })?
        }
    };
    Ok(Some(Arc::new(client)))
}

/// The name that the server's certificate must have.
///
/// Where the name is not verified one that no certificate could have does not matter; the address stands in.
pub(crate) fn server_name(mode: SslMode, name: &str, address: IpAddr) -> Option<ServerName<'static>> {
    match ServerName::try_from(name.to_owned()) {
        Ok(name) => Some(name),
        Err(_) if mode == SslMode::VerifyFull => None,
        Err(_) => Some(ServerName::from(address)),
    }
}

/// What is to be verified; `None` without TLS.
fn check(config: &ConnectionConfig) -> Result<Option<Check>, TlsSetupError> {
    let mode = mode_name(config.ssl_mode);
    let check = match (config.ssl_mode, &config.ssl_root_cert) {
        (SslMode::Disable, _) => return Ok(None),
        (SslMode::Allow | SslMode::Prefer | SslMode::Require | SslMode::VerifyCa, Some(RootCertificates::System)) => {
            return Err(TlsSetupError::TooWeakForSystem(mode));
        }
        (SslMode::Allow | SslMode::Prefer, _) | (SslMode::Require, None) => Check::Nothing,
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => return Err(TlsSetupError::NoRoots(mode)),
        (SslMode::Require | SslMode::VerifyCa, Some(roots)) => Check::Chain(load_roots(roots)?),
        (SslMode::VerifyFull, Some(roots)) => Check::ChainAndName(load_roots(roots)?),
    };
    Ok(Some(check))
}

fn mode_name(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

fn load_roots(roots: &RootCertificates) -> Result<Roots, TlsSetupError> {
    let mut store = RootCertStore::empty();
    match roots {
        RootCertificates::System => {
            let mut found = rustls_native_certs::load_native_certs();
            let (usable, _) = store.add_parsable_certificates(found.certs);
            if usable == 0 {
                return Err(TlsSetupError::NoSystemRoots(found.errors.pop()));
            }
            Ok(Roots {
                store,
                named: Vec::new(),
            })
        }
        RootCertificates::Supabase => {
            for pem in ROOTS {
                let root = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(TlsSetupError::OwnRoot)?;
                store.add(root).map_err(TlsSetupError::Library)?;
            }
            Ok(Roots {
                store,
                named: Vec::new(),
            })
        }
        RootCertificates::File(path) => {
            let named = read_certificates(path)?;
            for certificate in &named {
                store
                    .add(certificate.clone())
                    .map_err(|source| TlsSetupError::UnusableRoot {
                        path: path.clone(),
                        source,
                    })?;
            }
            Ok(Roots { store, named })
        }
    }
}

fn read_certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let unreadable = |source| TlsSetupError::File {
        path: path.clone(),
        source,
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(TlsSetupError::NoCertificate(path.clone()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ChannelBinding, Endpoint, Host};

    fn config(ssl_mode: SslMode, ssl_root_cert: Option<RootCertificates>) -> ConnectionConfig {
        ConnectionConfig {
            endpoints: vec![Endpoint {
                host: Host::Tcp {
                    name: "db.example".to_owned(),
                    address: None,
                },
                port: 5432,
            }],
            user: "u".to_owned(),
            password: None,
            database: "d".to_owned(),
            ssl_mode,
            ssl_root_cert,
            ssl_client_cert: None,
            channel_binding: ChannelBinding::Prefer,
            options: None,
            application_name: String::new(),
            connect_timeout: None,
        }
    }

    #[test]
    fn modes_and_roots_that_do_not_go_together_say_what_to_do() {
        let missing = || Some(RootCertificates::File(PathBuf::from("no/such/root.crt")));
        let system = || Some(RootCertificates::System);
        for (mode, roots, expected) in [
            (
                SslMode::VerifyCa,
                None,
                "sslmode=verify-ca verifies the server, but no root",
            ),
            (
                SslMode::VerifyFull,
                None,
                "sslmode=verify-full verifies the server, but no root",
            ),
            (
                SslMode::Prefer,
                system(),
                "sslmode=prefer is too weak for sslrootcert=system",
            ),
            (
                SslMode::Require,
                system(),
                "sslmode=require is too weak for sslrootcert=system",
            ),
            (
                SslMode::VerifyCa,
                system(),
                "sslmode=verify-ca is too weak for sslrootcert=system",
            ),
            (SslMode::Require, missing(), "cannot read no/such/root.crt"),
            (SslMode::VerifyFull, missing(), "cannot read no/such/root.crt"),
        ] {
            let error = client_config(&config(mode, roots))
                .expect_err("must be refused")
                .to_string();
            assert!(error.starts_with(expected), "{mode:?}: {error}");
        }
        for (mode, roots, expected) in [
            (SslMode::Disable, missing(), false),
            (SslMode::Allow, None, true),
            (SslMode::Prefer, missing(), true),
            (SslMode::Require, None, true),
        ] {
            let built = client_config(&config(mode, roots)).expect("must be accepted");
            assert_eq!(built.is_some(), expected, "{mode:?}");
        }
    }

    #[test]
    fn a_root_file_without_a_certificate_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let roots = Some(RootCertificates::File(file.path().to_owned()));
        let error = client_config(&config(SslMode::VerifyCa, roots)).expect_err("must be refused");
        assert!(error.to_string().ends_with("holds no certificate"), "{error}");
    }

    #[test]
    fn only_verify_full_minds_an_impossible_host_name() {
        let address = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(server_name(SslMode::VerifyFull, "not a name", address), None);
        let stand_in = server_name(SslMode::VerifyCa, "not a name", address).unwrap();
        assert_eq!(stand_in.to_str(), "192.0.2.1");
    }
}
