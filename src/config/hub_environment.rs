//! The variables that the Hub's published clients read, understood as those understand them.
//!
//! Source: `huggingface_hub` 2.4.0, `constants.py`, `utils/_auth.py` and `utils/_headers.py`. `docs/cli.md` lists all of
//! them, with those that are not read here.

use std::path::{Path, PathBuf};

/// Variables that hold a token, in the order in which they are looked at. The second is an old name of the first.
const TOKEN_VARS: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];

/// Variables that forbid every request, in the order in which they are looked at: the first that is set decides.
const OFFLINE_VARS: [&str; 2] = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"];

/// Keeps a client from sending a token that was not given as an argument.
pub const NO_IMPLICIT_TOKEN_VAR: &str = "HF_HUB_DISABLE_IMPLICIT_TOKEN";

/// Has published clients exchange an identity of a CI system for a token, before all other places.
const OIDC_VAR: &str = "HF_OIDC_RESOURCE";

/// The environment, read as the Hub's clients read it.
#[derive(Clone, Copy)]
pub struct HubEnvironment<'a>(&'a [(String, String)]);

impl<'a> HubEnvironment<'a> {
    /// Reads from these variables.
    pub fn of(vars: &'a [(String, String)]) -> Self {
        Self(vars)
    }

    /// A variable's value. An empty one counts as not set.
    fn var(self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    fn is_on(self, name: &str) -> bool {
        self.var(name)
            .is_some_and(|value| ["1", "ON", "YES", "TRUE"].iter().any(|on| value.eq_ignore_ascii_case(on)))
    }

    /// The server's address, without slashes at its end.
    pub fn endpoint(self) -> Option<&'a str> {
        self.var("HF_ENDPOINT").map(|endpoint| endpoint.trim_end_matches('/'))
    }

    /// Further hosts that belong to the server, separated by commas in `XETGATE_HUB_HOSTS`: see
    /// [`HubModeConfig::hosts`](super::HubModeConfig::hosts).
    pub fn hosts(self) -> Vec<String> {
        let hosts = self.var("XETGATE_HUB_HOSTS").unwrap_or_default().split(',');
        hosts.map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect()
    }

    /// The name of the variable that forbids all requests, if one does.
    pub fn offline(self) -> Option<&'static str> {
        let set = OFFLINE_VARS.into_iter().find(|name| self.var(name).is_some())?;
        self.is_on(set).then_some(set)
    }

    /// Whether only a token that was given as an argument may be sent.
    pub fn forbids_implicit_token(self) -> bool {
        self.is_on(NO_IMPLICIT_TOKEN_VAR)
    }

    /// Whether progress bars are not wanted.
    pub fn hides_progress(self) -> bool {
        self.is_on("HF_HUB_DISABLE_PROGRESS_BARS")
    }

    /// The variable that asks for a token of a CI system, if it is set. No such token is fetched here: falling back to
    /// another token would act as someone else than the person means.
    pub fn wants_ci_token(self) -> Option<&'static str> {
        self.var(OIDC_VAR).map(|_| OIDC_VAR)
    }

    /// The token, and the variable it is from. One that holds nothing but white space is passed over.
    pub fn token(self) -> Option<(&'static str, String)> {
        let set = TOKEN_VARS.into_iter().find(|name| self.var(name).is_some())?;
        Some((set, clean_token(self.var(set)?)?))
    }

    /// Where `hf auth login` keeps its token.
    pub fn token_file(self) -> Option<PathBuf> {
        if let Some(path) = self.var("HF_TOKEN_PATH") {
            return Some(self.expanded(path));
        }
        let home = self.var("HF_HOME").map(|home| self.expanded(home));
        let cache = || self.var("XDG_CACHE_HOME").map(|cache| self.expanded(cache).join("huggingface"));
        let dot_cache = || self.var("HOME").map(|home| Path::new(home).join(".cache/huggingface"));
        home.or_else(cache).or_else(dot_cache).map(|home| home.join("token"))
    }

    /// A path with `~`, `$NAME` and `${NAME}` filled in. What has no value stays as it is written.
    fn expanded(self, path: &str) -> PathBuf {
        let (mut text, mut left) = (String::new(), path);
        if let Some(home) = self.var("HOME")
            && let Some(rest) = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            text.push_str(home.trim_end_matches('/'));
            left = rest;
        }
        while let Some(at) = left.find('$') {
            text.push_str(&left[..at]);
            let rest = &left[at + 1..];
            let braced = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let (name, written) = if let Some((name, _)) = braced {
                (name, name.len() + 3)
            } else {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                (&rest[..end], end + 1)
            };
            let set = self.0.iter().find(|(key, _)| key == name && !name.is_empty());
            text.push_str(set.map_or(&left[at..at + written], |(_, value)| value.as_str()));
            left = &left[at + written..];
        }
        text.push_str(left);
        text.into()
    }
}

/// A token without the line breaks in it and the white space around it; `None` if nothing is left.
pub fn clean_token(text: &str) -> Option<String> {
    let joined: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    Some(joined.trim().to_owned()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(vars: &[(&str, &str)]) -> Vec<(String, String)> {
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Expected values: `os.environ` set so, `huggingface_hub.constants` and `get_token()` printed.
    #[test]
    fn switches_are_on_for_four_words_in_any_case() {
        for (value, is_on) in [
            ("1", true),
            ("true", true),
            ("Yes", true),
            ("ON", true),
            ("0", false),
            ("2", false),
            ("", false),
        ] {
            let vars = vars(&[
                ("HF_HUB_OFFLINE", value),
                (NO_IMPLICIT_TOKEN_VAR, value),
                ("HF_HUB_DISABLE_PROGRESS_BARS", value),
            ]);
            let hub = HubEnvironment::of(&vars);
            assert_eq!(hub.offline(), is_on.then_some("HF_HUB_OFFLINE"), "{value:?}");
            assert_eq!(hub.forbids_implicit_token(), is_on, "{value:?}");
            assert_eq!(hub.hides_progress(), is_on, "{value:?}");
        }
    }

    #[test]
    fn the_first_of_two_offline_variables_decides() {
        let offline = |set: &[(&str, &str)]| HubEnvironment::of(&vars(set)).offline();
        assert_eq!(offline(&[("TRANSFORMERS_OFFLINE", "1")]), Some("TRANSFORMERS_OFFLINE"));
        assert_eq!(offline(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]), None);
        assert_eq!(
            offline(&[("HF_HUB_OFFLINE", ""), ("TRANSFORMERS_OFFLINE", "1")]),
            Some("TRANSFORMERS_OFFLINE")
        );
        assert_eq!(offline(&[]), None);
    }

    #[test]
    fn tokens_lose_line_breaks_and_white_space() {
        let token = |set: &[(&str, &str)]| HubEnvironment::of(&vars(set)).token();
        assert_eq!(token(&[("HF_TOKEN", " hf_a\r\nb \n")]), Some(("HF_TOKEN", "hf_ab".to_owned())));
        let old = ("HUGGING_FACE_HUB_TOKEN", "hf_old\n");
        assert_eq!(token(&[("HF_TOKEN", ""), old]), Some(("HUGGING_FACE_HUB_TOKEN", "hf_old".to_owned())));
        assert_eq!(token(&[("HF_TOKEN", " \n"), old]), None, "as published clients: set, and of no use");
        assert_eq!(clean_token("\u{a0}hf_x\t").as_deref(), Some("hf_x"));
    }

    #[test]
    fn paths_are_expanded() {
        let file = |set: &[(&str, &str)]| HubEnvironment::of(&vars(set)).token_file();
        let at = |path: &str| Some(PathBuf::from(path));
        let home = ("HOME", "/home/ada");
        assert_eq!(file(&[home]), at("/home/ada/.cache/huggingface/token"));
        assert_eq!(file(&[home, ("XDG_CACHE_HOME", "$HOME/c")]), at("/home/ada/c/huggingface/token"));
        assert_eq!(file(&[home, ("HF_HOME", "~/hf")]), at("/home/ada/hf/token"));
        assert_eq!(file(&[home, ("HF_HOME", "~ada/hf")]), at("~ada/hf/token"));
        assert_eq!(file(&[home, ("HF_HOME", "${HOME}x/$NO/$")]), at("/home/adax/$NO/$/token"));
        assert_eq!(file(&[home, ("HF_HOME", "~/hf"), ("HF_TOKEN_PATH", "~/t")]), at("/home/ada/t"));
        assert_eq!(file(&[]), None);
    }
}
