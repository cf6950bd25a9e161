//! Signature Version 4. Source: IAM user guide, "Create a signed AWS API request".

use axum::body::Body;
use axum::http::Request;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use super::S3Request;

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn sha256_hex(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// The request, signed with a key if there is one.
pub(crate) fn request(asked: &S3Request, key: Option<(&str, String)>) -> Request<Body> {
    let mut headers = asked.headers.clone();
    headers.push(("host", "s3.test".to_owned()));
    if let Some((id, secret)) = key {
        sign(asked, &mut headers, id, &secret);
    }
    let mut request = Request::builder().method(asked.method).uri(&asked.target);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.header("content-length", "0").body(Body::empty()).unwrap()
}

fn sign(asked: &S3Request, headers: &mut Vec<(&'static str, String)>, id: &str, secret: &str) {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let now = xetgate::model::clock::Ambient::system().clock.now();
    let time = OffsetDateTime::from(std::time::SystemTime::from(now)).format(format).unwrap();
    let payload = sha256_hex(b"");
    headers.push(("x-amz-date", time.clone()));
    headers.push(("x-amz-content-sha256", payload.clone()));
    headers.sort();
    let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    let canonical = format!(
        "{}\n{path}\n{}\n{}\n{}\n{payload}",
        asked.method,
        pairs.join("&"),
        lines.concat(),
        names.join(";")
    );
    let scope = format!("{}/us-east-1/s3/aws4_request", &time[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
    let key = [&time[..8], "us-east-1", "s3", "aws4_request"]
        .into_iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part));
    let signature = hex::encode(hmac(&key, &text));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={}, Signature={signature}",
        names.join(";")
    );
    headers.push(("authorization", authorization));
}
