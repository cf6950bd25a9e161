//! The admin API, asked.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::AdminError;

/// Nothing that is asked here takes long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway and the token it is asked with.
pub(super) struct Client {
    endpoint: String,
    token: String,
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(endpoint: String, token: String) -> Self {
        Self { endpoint, token, http: reqwest::Client::new() }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, AdminError> {
        self.send(self.request(Method::GET, path)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, AdminError> {
        self.send(self.request(Method::POST, path).body(body.to_string())).await
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
