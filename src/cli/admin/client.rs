//! A client of the admin API.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::AdminError;

/// Nothing that is asked here takes long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than a backup takes: terabytes.
const PATIENCE_LONG: Duration = Duration::from_hours(7 * 24);

/// A gateway and the token it is asked with.
pub(super) struct Client {
    endpoint: String,
    token: String,
    http: reqwest::Client,
}

impl Client {
    /// `is_here`: the gateway listens on this machine, where its certificate is for another name.
    pub(super) fn new(endpoint: String, token: String, is_here: bool) -> Result<Self, AdminError> {
        let http = reqwest::Client::builder().danger_accept_invalid_certs(is_here).build();
        let http = http.map_err(|error| AdminError::Unreachable { url: endpoint.clone(), error })?;
        Ok(Self { endpoint, token, http })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, AdminError> {
        self.send(self.request(Method::GET, path)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, AdminError> {
        self.send(self.request(Method::POST, path).body(body.to_string())).await
    }

    /// For what may take hours.
    pub(super) async fn post_patiently(&self, path: &str, body: &Value) -> Result<Value, AdminError> {
        self.send(self.request(Method::POST, path).timeout(PATIENCE_LONG).body(body.to_string())).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, AdminError> {
        self.send(self.request(Method::PUT, path).body(body.to_string())).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value, AdminError> {
        self.send(self.request(Method::DELETE, path)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.endpoint);
        self.http.request(method, url).bearer_auth(&self.token).timeout(PATIENCE)
    }

    /// The answer's JSON, or why it was refused.
    async fn send(&self, request: RequestBuilder) -> Result<Value, AdminError> {
        let unreachable = |error: reqwest::Error| {
            let url = self.endpoint.clone();
            AdminError::Unreachable { url, error: error.without_url() }
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let reason =
            answer["error"].as_str().map_or_else(|| format!("the gateway answers {status}"), str::to_owned);
        Err(AdminError::Refused(reason))
    }
}
