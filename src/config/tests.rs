//! The configuration file that is shipped is true, and every refusal is one line that names its place.

use figment::value::Value;

use super::*;
use crate::auth::AccountKind;
use crate::auth::Permission;

const SHIPPED: &str = include_str!("../../config/xetgate.toml");

fn vars(vars: &[(&str, &str)]) -> Vec<(String, String)> {
    vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Loads `text` as a file, with `environment` over it; the file's own path is cut out of the message.
fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = Config::load(Some(&path), &vars(environment));
    loaded.map_err(|error| error.to_string().replace(dir.path().to_str().unwrap(), "DIR"))
}

/// Every key in a value, whatever section it is in.
fn keys(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Dict(_, dict) => {
            for (key, inner) in dict {
                into.push(key.clone());
                keys(inner, into);
            }
        }
        Value::Array(_, items) => items.iter().for_each(|item| keys(item, into)),
        _ => {}
    }
}

#[test]
fn the_shipped_file_says_the_defaults() {
    assert_eq!(load(SHIPPED, &[]).unwrap(), Config::default());
    assert_eq!(load("", &[]).unwrap(), Config::default());
}

#[test]
fn the_shipped_file_names_every_key() {
    let credential = CredentialConfig {
        access_key_id: "AK".to_owned(),
        secret_access_key: None,
        secret_access_key_file: None,
        token: None,
        token_file: None,
        permission: Permission::Read,
        buckets: None,
    };
    let account = AccountConfig {
        name: "a".to_owned(),
        kind: AccountKind::User,
        members: Vec::new(),
        new_buckets: Some(Visibility::Private),
        credentials: vec![credential],
    };
    let mut full = Config { accounts: vec![account], ..Config::default() };
    full.metrics.listen = Some(full.hub.listen);
    full.traces.otlp_endpoint = Some(String::new());
    let mut names = Vec::new();
    keys(&Value::serialize(&full).unwrap(), &mut names);
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let is_named = SHIPPED.lines().map(|line| line.trim_start_matches(['#', ' '])).any(|line| {
            line.starts_with(&format!("{name} = ")) || line.contains(&format!("{name}]")) // a key, or a section
        });
        assert!(is_named, "config/xetgate.toml does not tell of `{name}`");
    }
}

#[test]
fn the_shipped_examples_are_valid() {
    let text: String = SHIPPED
        .lines()
        .filter(|line| !line.contains("secret_access_key_file") && !line.contains("token_file"))
        .map(|line| match line.strip_prefix("# ") {
            Some(example)
                if example.starts_with('[') || (example.contains(" = ") && !example.contains("  ")) =>
            {
                format!("{example}\n").replace("\"...\"", "\"secret-of-team\"").replace("hf_...", "hf_abcdef")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let config = load(&text, &[]).unwrap();
    let credentials = config.credentials(None).unwrap();
    assert_eq!(credentials.len(), 1);
    assert_eq!(credentials[0].account.as_str(), "team");
    assert_eq!(credentials[0].permission, Permission::Write);
    assert_eq!(config.data_dir.as_deref(), Some(Path::new("/var/lib/xetgate")));
}

#[test]
fn the_environment_lies_over_the_file() {
    let file = "[s3]\nlisten = \"127.0.0.1:1\"\nregion = \"eu-1\"\n";
    let environment = [
        ("XETGATE__S3__LISTEN", "127.0.0.1:2"),
        ("XETGATE__LOG__FORMAT", "json"),
        ("XETGATE_DATA_DIR", "/x"),
    ];
    let config = load(file, &environment).unwrap();
    assert_eq!(config.s3.listen.port(), 2);
    assert_eq!(config.s3.region, "eu-1");
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn every_refusal_is_one_line_that_names_key_and_place() {
    type Vars<'a> = &'a [(&'a str, &'a str)];
    let table: [(&str, Vars<'_>, &str); 16] = [
        ("datadir = 1", &[], "unknown key `datadir` in DIR/x.toml (known here: data_dir, "),
        ("[s3]\nlisen = 1", &[], "unknown key `s3.lisen` in DIR/x.toml (known here: listen, "),
        ("[s4]\nlisten = 1", &[], "unknown key `s4` in DIR/x.toml"),
        (
            "[[accounts]]\nname=\"a\"\n[[accounts.credentials]]\nacess=1",
            &[],
            "unknown key `accounts.0.credentials.0.acess` in DIR/x.toml",
        ),
        ("[[accounts]]\n", &[], "`accounts.0.name` in DIR/x.toml: must be given"),
        (
            "",
            &[("XETGATE__S3__LISEN", "x")],
            "unknown key `s3.lisen` in environment variable XETGATE__S3__LISEN",
        ),
        (
            "",
            &[("XETGATE__SERVER__SHUTDOWN_GRACE_SECS", "x")],
            "`server.shutdown_grace_secs` in environment variable",
        ),
        ("mode = \"clustre\"", &[], "`mode` in DIR/x.toml: mode \"clustre\" does not exist, only"),
        ("[s3]\nlisten = \"here\"", &[], "`s3.listen` in DIR/x.toml: invalid socket address"),
        ("[tls]\ncert_file = \"x\"", &[], "`tls.cert_file` and `tls.key_file` must be given together"),
        ("[hub]\nlisten = \"127.0.0.1:9000\"", &[], "`s3.listen` and `hub.listen` must not be one address"),
        ("[s3]\nmax_connections = 0", &[], "`s3.max_connections` must not be 0"),
        (
            "[traces]\notlp_endpoint = \"localhost:4317\"",
            &[],
            "`traces.otlp_endpoint` must be an address such",
        ),
        (
            "[traces]\notlp_endpoint = \"http://ada:hidden@c\"",
            &[],
            "`traces.otlp_endpoint` must be an address",
        ),
        ("", &[("XETGATE__TRACES__SAMPLE_RATIO", "1.5")], "`traces.sample_ratio` must be from 0 to 1"),
        (
            "a = \"secret\nb",
            &[],
            "DIR/x.toml is not valid TOML: TOML parse error at line 1, column 12: invalid",
        ),
    ];
    for (text, environment, expected) in table {
        let message = load(text, environment).unwrap_err();
        assert!(message.starts_with(expected), "{message}");
        assert!(!message.contains('\n') && !message.contains("hidden"), "{message}");
    }
}

#[test]
fn secrets_come_in_place_or_from_a_file_beside_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s"), "from-a-file\n").unwrap();
    let declare = |secret: &str| {
        let text = format!(
            "[[accounts]]\nname = \"ada\"\n[[accounts.credentials]]\naccess_key_id = \"AK\"\npermission = \"read\"\n{secret}"
        );
        let path = dir.path().join("x.toml");
        std::fs::write(&path, text).unwrap();
        let credentials = Config::load(Some(&path), &[]).unwrap().credentials(Some(&path));
        credentials.map(|all| all[0].secret_access_key.expose().to_owned()).map_err(|error| error.to_string())
    };
    assert_eq!(declare("secret_access_key = \"in-place\"").unwrap(), "in-place");
    assert_eq!(declare("secret_access_key_file = \"s\"").unwrap(), "from-a-file");
    let both = declare("secret_access_key_file = \"s\"\nsecret_access_key = \"in-place\"").unwrap_err();
    assert_eq!(
        both,
        "account \"ada\", access key id \"AK\": give either secret_access_key or secret_access_key_file"
    );
    assert_eq!(declare("").unwrap_err(), both);
    assert!(declare("secret_access_key_file = \"none\"").unwrap_err().contains("none: No such file"));
    let short = declare("secret_access_key = \"tiny\"").unwrap_err();
    assert!(
        short.ends_with("secret_access_key: a secret must have 8 to 256 visible ASCII characters"),
        "{short}"
    );
}

#[test]
fn the_data_folder_is_the_users_own() {
    let dir = |environment: &[(&str, &str)]| default_data_dir(&vars(environment)).ok();
    assert_eq!(dir(&[("XDG_DATA_HOME", "/d"), ("HOME", "/h")]), Some("/d/xetgate".into()));
    assert_eq!(dir(&[("XDG_DATA_HOME", "d"), ("HOME", "/h")]), Some("/h/.local/share/xetgate".into()));
    assert_eq!(dir(&[]), None);
}
