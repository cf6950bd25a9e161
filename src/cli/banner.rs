//! What a person sees at the start: where things are, and a line to paste.
//!
//! A secret that was made here is shown on a terminal only; elsewhere (a journal, a file) the line reads it from its
//! own file when it is run. A secret that was given is never shown: who gave it has it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::auth::Credential;
use crate::auth::root::{ACCESS_KEY_ID_VAR, Root, RootSource, SECRET_ACCESS_KEY_VAR, TOKEN_VAR};

/// What is shown.
pub(super) struct Banner<'a> {
    pub(super) data_dir: &'a Path,
    pub(super) s3: SocketAddr,
    pub(super) hub: SocketAddr,
    /// Whether they speak TLS.
    pub(super) tls: bool,
    pub(super) region: &'a str,
    pub(super) root: Option<&'a Root>,
    /// Whether a person is looking.
    pub(super) terminal: bool,
}

impl Banner<'_> {
    /// The text, several lines.
    pub(super) fn text(&self) -> String {
        let (version, data_dir) = (env!("CARGO_PKG_VERSION"), self.data_dir.display());
        let (endpoint, hub, region) =
            (endpoint(self.s3, self.tls), endpoint(self.hub, self.tls), self.region);
        let mut text = format!(
            "xetgate {version}\n  data folder   {data_dir}\n  S3 endpoint   {endpoint}\n  Hub endpoint  {hub}\n"
        );
        let stays_here = self.s3.ip().is_loopback() && self.hub.ip().is_loopback();
        if !self.tls && !stays_here {
            text.push_str("  WARNING       reachable from outside without TLS: see [tls], or put a TLS proxy in front\n");
        }
        let (account, keys, token) = match self.root {
            None => (
                "as declared in the configuration".to_owned(),
                "AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...".to_owned(),
                "HF_TOKEN=...".to_owned(),
            ),
            Some(Root { credential, source }) => (
                format!("{} ({})", credential.account, origin(source)),
                self.keys(credential, source),
                self.token(credential, source),
            ),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  account       {account}\n\nPaste, to try it:\n");
        let _ = writeln!(text, "  {keys} aws --endpoint-url {endpoint} --region {region} s3 ls");
        let _ = writeln!(text, "  HF_ENDPOINT={hub} {token} hf buckets list\n");
        text
    }

    fn keys(&self, credential: &Credential, source: &RootSource) -> String {
        let id = &credential.access_key_id;
        match source {
            RootSource::Given => {
                format!(
                    r#"AWS_ACCESS_KEY_ID="${ACCESS_KEY_ID_VAR}" AWS_SECRET_ACCESS_KEY="${SECRET_ACCESS_KEY_VAR}""#
                )
            }
            RootSource::Kept { .. } if self.terminal => {
                format!(
                    "AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={}",
                    credential.secret_access_key.expose()
                )
            }
            RootSource::Kept { path, .. } => {
                format!(
                    r#"AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY="$({})""#,
                    read("secret_access_key", path)
                )
            }
        }
    }

    fn token(&self, credential: &Credential, source: &RootSource) -> String {
        match (source, &credential.token) {
            (RootSource::Given, _) => format!(r#"HF_TOKEN="${TOKEN_VAR}""#),
            (RootSource::Kept { .. }, Some(token)) if self.terminal => format!("HF_TOKEN={}", token.expose()),
            (RootSource::Kept { path, .. }, _) => format!(r#"HF_TOKEN="$({})""#, read("token", path)),
        }
    }
}

/// A shell command that reads a secret from its file.
fn read(key: &str, path: &Path) -> String {
    let path = path.display().to_string().replace('\'', r"'\''");
    format!(r#"sed -n 's/^{key} = "\(.*\)"$/\1/p' '{path}'"#)
}

fn origin(source: &RootSource) -> String {
    match source {
        RootSource::Given => format!("credential from {ACCESS_KEY_ID_VAR}"),
        RootSource::Kept { path, .. } => format!("credential in {}", path.display()),
    }
}

/// A URL that reaches a listener from this machine.
pub(super) fn endpoint(listen: SocketAddr, tls: bool) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("{}://{}", if tls { "https" } else { "http" }, SocketAddr::new(ip, listen.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{AccessKeyId, Permission, Secret};
    use crate::model::names::Namespace;

    fn text(source: RootSource, terminal: bool) -> String {
        let credential = Credential {
            account: Namespace::new("root").unwrap(),
            access_key_id: AccessKeyId::new("AKROOT").unwrap(),
            secret_access_key: Secret::new("made-secret").unwrap(),
            token: Some(Secret::new("hf_made-secret").unwrap()),
            permission: Permission::Admin,
            buckets: None,
            created_at: None,
            expires_at: None,
        };
        let root = Root { credential, source };
        let (s3, hub) = (SocketAddr::from(([0, 0, 0, 0], 9000)), SocketAddr::from(([127, 0, 0, 1], 9001)));
        let data_dir = Path::new("/d");
        Banner { data_dir, s3, hub, tls: false, region: "us-east-1", root: Some(&root), terminal }.text()
    }

    fn kept() -> RootSource {
        RootSource::Kept { path: "/it's/root-credential.toml".into(), exposed: false }
    }

    #[test]
    fn a_person_sees_where_things_are_and_a_line_to_paste() {
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "xetgate {version}\n\
            \x20 data folder   /d\n\
            \x20 S3 endpoint   http://127.0.0.1:9000\n\
            \x20 Hub endpoint  http://127.0.0.1:9001\n\
            \x20 WARNING       reachable from outside without TLS: see [tls], or put a TLS proxy in front\n\
            \x20 account       root (credential in /it's/root-credential.toml)\n\n\
            Paste, to try it:\n\n\
            \x20 AWS_ACCESS_KEY_ID=AKROOT AWS_SECRET_ACCESS_KEY=made-secret \
            aws --endpoint-url http://127.0.0.1:9000 --region us-east-1 s3 ls\n\
            \x20 HF_ENDPOINT=http://127.0.0.1:9001 HF_TOKEN=hf_made-secret hf buckets list\n\n"
        );
        assert_eq!(text(kept(), true), expected);
    }

    #[test]
    fn a_journal_gets_no_secret() {
        let journal = text(kept(), false);
        assert!(!journal.contains("made-secret"));
        assert!(journal.contains(
            r#"="$(sed -n 's/^secret_access_key = "\(.*\)"$/\1/p' '/it'\''s/root-credential.toml')" aws"#
        ));
        assert!(journal.contains(
            r#"HF_TOKEN="$(sed -n 's/^token = "\(.*\)"$/\1/p' '/it'\''s/root-credential.toml')" hf"#
        ));
    }

    #[test]
    fn a_given_secret_is_not_shown() {
        let given = text(RootSource::Given, true);
        assert!(!given.contains("made-secret"));
        assert!(given.contains(r#"AWS_SECRET_ACCESS_KEY="$XETGATE_ROOT_SECRET_ACCESS_KEY" aws"#));
    }
}
