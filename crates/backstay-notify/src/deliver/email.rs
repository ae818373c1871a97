use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls as LettreTls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Message, SmtpTransport, Transport as _};

use crate::channel::{SettledEmail, Tls};
use crate::event::Event;

use super::{Attempt, Limits, chain};

const CA_BYTES_MAX: u64 = 8 << 20;

/// Sends a mail, in one try.
pub(super) fn send(
    email: &SettledEmail,
    ca_file: Option<&Path>,
    event: &Event,
    limits: &Limits,
) -> Result<(), Attempt> {
    let message = message(email, event).map_err(|error| lasting(chain(&error)))?;
    let encrypted = || parameters(email, ca_file).map_err(lasting);
    let tls = match email.tls {
        Tls::StartTls => LettreTls::Required(encrypted()?),
        Tls::Implicit => LettreTls::Wrapper(encrypted()?),
        Tls::None => LettreTls::None,
    };
    let mut server = SmtpTransport::builder_dangerous(&email.host)
        .port(email.port)
        .tls(tls)
        .timeout(Some(limits.one))
        .hello_name(client_id(&event.host));
    if let Some((user, password)) = &email.login {
        server = server.credentials(Credentials::new(user.clone(), password.clone()));
    }
    match server.build().send(&message) {
        Ok(_) => Ok(()),
        Err(error) => Err(Attempt {
            is_transient: !(error.is_permanent() || error.is_client() || error.is_tls() || error.is_response()),
            why: chain(&error),
        }),
    }
}

fn lasting(why: String) -> Attempt {
    Attempt {
        why,
        is_transient: false,
    }
}

fn message(email: &SettledEmail, event: &Event) -> Result<Message, lettre::error::Error> {
    let mut message = Message::builder()
        .from(email.from.clone())
        .subject(format!("[backstay] {}", event.summary()));
    for receiver in &email.to {
        message = message.to(receiver.clone());
    }
    message.header(ContentType::TEXT_PLAIN).body(event.text())
}

fn parameters(email: &SettledEmail, ca_file: Option<&Path>) -> Result<TlsParameters, String> {
    let mut parameters = TlsParameters::builder(email.host.trim_matches(['[', ']']).to_owned());
    if let Some(path) = ca_file {
        let unreadable =
            |error: &dyn std::error::Error| format!("cannot read the certificates in {}: {error}", path.display());
        let mut pem = Vec::new();
        File::open(path)
            .and_then(|file| file.take(CA_BYTES_MAX).read_to_end(&mut pem))
            .map_err(|error| unreadable(&error))?;
        let authorities = Certificate::from_pem(&pem).map_err(|error| unreadable(&error))?;
        parameters = parameters
            .certificate_store(CertificateStore::None)
            .add_root_certificate(authorities);
    }
    parameters.build().map_err(|error| chain(&error))
}

/// By what name the server is greeted: that of this machine, where it can be one.
fn client_id(host: &str) -> ClientId {
    let is_name = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    if is_name && !host.is_empty() {
        ClientId::Domain(host.to_owned())
    } else {
        ClientId::default()
    }
}
