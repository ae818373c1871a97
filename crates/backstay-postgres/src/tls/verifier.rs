//! How much of a server's certificate is verified.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::certificate::public_key;

/// What is verified beside the handshake's signature.
#[derive(Debug)]
pub(super) enum Check {
    /// Nothing: whoever answers is talked to.
    Nothing,
    /// That a trusted root vouches for the certificate.
    Chain(Roots),
    /// That, and that the certificate is for the host name.
    ChainAndName(Roots),
}

/// Who is trusted.
#[derive(Debug)]
pub(super) struct Roots {
    /// Those who may vouch for a server's certificate.
    pub(super) store: RootCertStore,
    /// Certificates trusted themselves, since a person put them into the root file.
    pub(super) named: Vec<CertificateDer<'static>>,
}

/// Verifies a server as far as `Check` says.
///
/// The signature of the handshake is verified in every case: channel binding says something only if the server has
/// the key of the certificate that it shows.
#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(check: Check, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { check, algorithms }
    }

    fn verify_chain(
        &self,
        roots: &Roots,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        // `webpki` refuses an authority's certificate as a server's, which a self-signed one mostly is.
        if roots.named.iter().any(|named| named.as_ref() == end_entity.as_ref()) {
            return Ok(());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &roots.store, intermediates, now, self.algorithms.all)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.check {
            Check::Nothing => {}
            Check::Chain(roots) => self.verify_chain(roots, end_entity, intermediates, now)?,
            Check::ChainAndName(roots) => {
                self.verify_chain(roots, end_entity, intermediates, now)?;
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    /// Takes the key out of the certificate by itself, since `webpki` does not parse the X.509 version 1 certificates
    /// that old recipes make and that modes which verify no chain must accept.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(cert).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(key), dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
