//! Services that give credentials, played by a server of three lines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use backstay_store_s3::{Credentials, CredentialsError, CredentialsProvider as _, DefaultChain, Variables};

/// Gives these answers, one per connection, in this order, and keeps the requests.
fn serve(answers: Vec<(u16, String)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                request.push_str(&line);
            }
            reader.take(length).read_to_string(&mut request).unwrap();
            requests.lock().unwrap().push(request);
            let head = format!(
                "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    (url, seen)
}

fn fetch(variables: &[(&str, &str)]) -> Result<Credentials, CredentialsError> {
    let variables: Variables = variables.iter().copied().collect();
    DefaultChain::new(&variables).fetch()
}

const GIVEN: &str = r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"secret","Token":"token",
    "Expiration":"2030-01-01T00:00:00Z"}"#;

fn expected() -> Credentials {
    Credentials::new("id", "secret")
        .with_session_token("token")
        .with_expiry(1_893_456_000)
}

#[test]
fn a_web_identity_is_exchanged() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a+b\n").unwrap();
    let answer = "<AssumeRoleWithWebIdentityResponse xmlns=\"x\"><AssumeRoleWithWebIdentityResult><Credentials>\
                  <AccessKeyId>id</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
                  <Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
                  </AssumeRoleWithWebIdentityResponse>";
    let (url, seen) = serve(vec![(200, answer.to_owned()), (403, String::new())]);
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_ENDPOINT_URL_STS", &url),
    ];
    assert_eq!(fetch(&variables).unwrap(), expected());
    let request = seen.lock().unwrap()[0].clone();
    assert!(
        request.contains("WebIdentityToken=a%2Bb") && request.contains("RoleArn=arn%3Aaws"),
        "{request}"
    );
    assert!(matches!(fetch(&variables), Err(CredentialsError::Service { .. })));
    assert!(matches!(
        fetch(&variables[..1]),
        Err(CredentialsError::Incomplete { .. })
    ));
}

#[test]
fn a_container_is_asked() {
    let (url, seen) = serve(vec![(200, GIVEN.to_owned())]);
    let url = format!("{url}/creds");
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in"),
    ];
    assert_eq!(fetch(&variables).unwrap(), expected());
    let request = seen.lock().unwrap()[0].to_lowercase();
    assert!(
        request.contains("get /creds") && request.contains("authorization: let me in"),
        "{request}"
    );
}

#[test]
fn a_machine_is_asked_with_a_token() {
    let answers = [(200, "the token"), (200, "role\n"), (200, GIVEN)];
    let (url, seen) = serve(answers.map(|(status, body)| (status, body.to_owned())).to_vec());
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    assert_eq!(fetch(&variables).unwrap(), expected());
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("PUT /latest/api/token"), "{seen:?}");
    assert!(seen[2].contains("/security-credentials/role"), "{seen:?}");
    assert!(
        seen[2].to_lowercase().contains("x-aws-ec2-metadata-token: the token"),
        "{seen:?}"
    );
}

#[test]
fn where_no_machine_answers_there_are_none() {
    // Nothing listens there any more.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let found = fetch(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]);
    assert!(matches!(found, Err(CredentialsError::Nowhere { .. })), "{found:?}");
}
