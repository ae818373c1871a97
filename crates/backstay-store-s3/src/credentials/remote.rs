use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use ureq::Agent;
use ureq::http::Request;

use super::{Credentials, CredentialsError, Variables};
use backstay_http::Failure;

use crate::failure::Told as _;
use crate::sign::query;
use crate::xml::Element;

const ANSWER_BYTES_MAX: u64 = 64 << 10;
const TOKEN_BYTES_MAX: u64 = 64 << 10;
const CONTAINER: &str = "http://169.254.170.2";
const MACHINE: &str = "http://169.254.169.254";
const WEB_IDENTITY: &str = "the security token service";
const CONTAINER_SERVICE: &str = "the container's service of credentials";
const MACHINE_SERVICE: &str = "the machine's metadata service";

/// Services that give credentials over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    agent: Agent,
}

impl Remote {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            // Where there is no such service, nobody should wait for it.
            .timeout_connect(Some(Duration::from_secs(1)))
            .timeout_global(Some(Duration::from_secs(10)))
            .build();
        Self {
            agent: Agent::new_with_config(config),
        }
    }

    /// Those of a role that a token in a file stands for.
    pub(crate) fn of_web_identity(&self, variables: &Variables) -> Result<Option<Credentials>, CredentialsError> {
        let failed = |failure| service(WEB_IDENTITY, failure);
        let (file, role) = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN");
        let (path, role) = match (variables.get(file), variables.get(role)) {
            (None, _) => return Ok(None),
            (Some(_), None) => {
                return Err(CredentialsError::Incomplete {
                    present: file,
                    missing: role,
                });
            }
            (Some(path), Some(role)) => (path, role),
        };
        let token = read_token(path)?;
        let endpoint = match (
            variables.get("AWS_ENDPOINT_URL_STS"),
            variables.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
        ) {
            (Some(endpoint), _) => endpoint.trim_end_matches('/').to_owned(),
            (None, Some(region)) => format!("https://sts.{region}.amazonaws.com"),
            (None, None) => "https://sts.amazonaws.com".to_owned(),
        };
        let body = query(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            (
                "RoleSessionName",
                variables.get("AWS_ROLE_SESSION_NAME").unwrap_or("backstay"),
            ),
            ("WebIdentityToken", &token),
        ]);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let text = self
            .ask("POST", &format!("{endpoint}/"), &headers, Some(&body))
            .map_err(failed)?;
        let root = Element::parse(text.as_bytes()).map_err(|error| failed(Failure::unusable(error.to_string())))?;
        let found = root
            .first("AssumeRoleWithWebIdentityResult")
            .and_then(|result| result.first("Credentials"));
        let text = |name: &'static str| {
            let value = found.and_then(|found| found.text_of(name));
            value.ok_or_else(|| failed(Failure::unusable(format!("it has no {name}"))))
        };
        let credentials = Credentials::new(text("AccessKeyId")?, text("SecretAccessKey")?);
        let expiration = expiry(text("Expiration")?).map_err(failed)?;
        Ok(Some(
            credentials
                .with_session_token(text("SessionToken")?)
                .with_expiry(expiration),
        ))
    }

    /// Those of the task or pod that this runs in.
    pub(crate) fn of_container(&self, variables: &Variables) -> Result<Option<Credentials>, CredentialsError> {
        let relative = variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let full = variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let url = match (relative, full) {
            (Some(path), _) => format!("{CONTAINER}{path}"),
            (None, Some(url)) => url.to_owned(),
            (None, None) => return Ok(None),
        };
        let token = match variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(path) => Some(read_token(path)?),
            None => variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
        };
        let headers: Vec<_> = token.iter().map(|token| ("authorization", token.as_str())).collect();
        let given = self.ask("GET", &url, &headers, None).and_then(|text| of_json(&text));
        given.map(Some).map_err(|failure| service(CONTAINER_SERVICE, failure))
    }

    /// Those of the machine's role (`IMDSv2`); none where no such service answers.
    pub(crate) fn of_machine(&self, variables: &Variables) -> Result<Option<Credentials>, CredentialsError> {
        if variables
            .get("AWS_EC2_METADATA_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            return Ok(None);
        }
        let endpoint = variables
            .get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
            .unwrap_or(MACHINE)
            .trim_end_matches('/');
        let lifetime = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
        let token = match self.ask("PUT", &format!("{endpoint}/latest/api/token"), &lifetime, Some("")) {
            Ok(token) => token,
            // This is no machine of AWS's.
            Err(Failure::Connection(_)) => return Ok(None),
            Err(failure) => return Err(service(MACHINE_SERVICE, failure)),
        };
        let headers = [("x-aws-ec2-metadata-token", token.trim())];
        let roles = format!("{endpoint}/latest/meta-data/iam/security-credentials/");
        let given = self.ask("GET", &roles, &headers, None).and_then(|role| {
            let role = role.lines().next().unwrap_or_default().trim();
            of_json(&self.ask("GET", &format!("{roles}{role}"), &headers, None)?)
        });
        match given {
            Ok(found) => Ok(Some(found)),
            // It has no role.
            Err(failure) if failure.is_missing() => Ok(None),
            Err(failure) => Err(service(MACHINE_SERVICE, failure)),
        }
    }

    fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> Result<String, Failure> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let invalid = |error: ureq::http::Error| Failure::Connection(ureq::Error::Http(error));
        let answer = match body {
            None => self.agent.run(request.body(()).map_err(invalid)?),
            Some(body) => self.agent.run(request.body(body).map_err(invalid)?),
        };
        let mut answer = answer.map_err(Failure::Connection)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        if !(200..300).contains(&status) {
            return Err(Failure::Refused {
                status,
                code: String::new(),
                message: String::new(),
                retry_after: None,
            });
        }
        body.map_err(Failure::Connection)
    }
}

fn service(service: &'static str, failure: Failure) -> CredentialsError {
    CredentialsError::Service {
        service,
        is_transient: failure.may_pass(),
        source: Box::new(failure),
    }
}

fn read_token(path: &str) -> Result<String, CredentialsError> {
    use std::io::Read as _;
    let path = PathBuf::from(path);
    let mut text = String::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text.trim().to_owned()),
        Err(source) => Err(CredentialsError::File { path, source }),
    }
}

fn expiry(text: &str) -> Result<i64, Failure> {
    let time: Result<Timestamp, _> = text.trim().parse();
    time.map(Timestamp::as_second)
        .map_err(|_| Failure::unusable("its time of expiry is no time"))
}

/// The document that the container's and the machine's service give, a flat object of texts.
fn of_json(text: &str) -> Result<Credentials, Failure> {
    let given: Given = serde_json::from_str(text).map_err(|error| Failure::unusable(error.to_string()))?;
    let mut credentials = Credentials::new(given.access_key_id, given.secret_access_key);
    if let Some(token) = given.token {
        credentials = credentials.with_session_token(token);
    }
    if let Some(time) = given.expiration {
        credentials = credentials.with_expiry(expiry(&time)?);
    }
    Ok(credentials)
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}
