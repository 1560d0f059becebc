//! What a token endpoint says: bytes of a stranger until they are read.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use ureq::http::StatusCode;

use super::Refusal;

/// A lifetime longer than this is taken as this.
const LONGEST: f64 = 24.0 * 3_600.0;
/// As much of the endpoint's own words as is shown.
const SHOWN: usize = 200;

pub(super) struct Token {
    pub(super) token: String,
    /// How long the endpoint, or the token itself, says that it is good. None if neither does: it serves once.
    pub(super) lifetime: Option<Duration>,
}

/// Reads an answer. `now` is in seconds since 1970; text that `is_secret` is not repeated.
pub(super) fn read(
    status: StatusCode,
    body: &[u8],
    now: f64,
    is_secret: impl Fn(&str) -> bool,
) -> Result<Token, Refusal> {
    if status.is_redirection() {
        return Err(Refusal::lasting(format!(
            "HTTP {}: it sends us elsewhere. Set the URL that it names",
            status.as_u16()
        )));
    }
    let json = serde_json::from_slice::<Value>(body).ok();
    let text = |name: &str| json.as_ref().and_then(|json| json.get(name)).and_then(Value::as_str);
    if status != StatusCode::OK {
        let mut why = format!("HTTP {}", status.as_u16());
        for words in [text("error"), text("error_description")].into_iter().flatten() {
            let words: String = words.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
            if !is_secret(&words) {
                why.extend([": ", &words]);
            }
        }
        let asks_to_wait = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        let passing = status.is_server_error() || asks_to_wait;
        return Err(Refusal { why, passing });
    }
    // Kafka's Java takes either.
    let Some(token) = text("access_token").or_else(|| text("id_token")).map(str::trim) else {
        let what = if json.is_some() { "its answer holds no access_token" } else { "its answer is no JSON" };
        return Err(Refusal::lasting(what));
    };
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::lasting("its access_token has characters that no token has"));
    }
    let stated = json.as_ref().and_then(|json| json.get("expires_in")).and_then(number);
    let seconds = stated.or_else(|| Some(expiry(token)? - now)).filter(|seconds| seconds.is_finite());
    let lifetime = seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, LONGEST)));
    Ok(Token { token: token.to_owned(), lifetime })
}

/// A number, which some endpoints write as a text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// When a token says that it ends, if it is a JWT that says so: `exp`, in seconds since 1970. It is not verified: that is
/// the broker's business.
fn expiry(token: &str) -> Option<f64> {
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    number(serde_json::from_slice::<Value>(&claims).ok()?.get("exp")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<(String, Option<u64>), Refusal> {
        let status = StatusCode::from_u16(status).expect("a status");
        let token = read(status, body.as_bytes(), 1_000.0, |text| text.contains("hunter2"))?;
        Ok((token.token, token.lifetime.map(|lifetime| lifetime.as_secs())))
    }

    fn good(body: &str) -> (String, Option<u64>) {
        answer(200, body).unwrap_or_else(|refusal| panic!("{}", refusal.why))
    }

    #[test]
    fn tokens_live_as_long_as_it_is_said() {
        assert_eq!(good(r#"{"access_token":"a.b","expires_in":3600}"#), ("a.b".into(), Some(3_600)));
        assert_eq!(good(r#"{"access_token":" a ","expires_in":"60"}"#), ("a".into(), Some(60)));
        assert_eq!(good(r#"{"id_token":"a"}"#), ("a".into(), None));
        assert_eq!(good(r#"{"access_token":"a","expires_in":-5}"#), ("a".into(), Some(0)));
        assert_eq!(good(r#"{"access_token":"a","expires_in":1e300}"#), ("a".into(), Some(86_400)));
        assert_eq!(good(r#"{"access_token":"a","expires_in":{}}"#), ("a".into(), None));
        let jwt = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"exp":1300}"#));
        assert_eq!(good(&format!(r#"{{"access_token":"{jwt}"}}"#)), (jwt, Some(300)));
    }

    #[test]
    fn refusals_say_why_and_whether_to_ask_again_but_no_secret() {
        let refused = |status, body| answer(status, body).expect_err("refused");
        let error = refused(401, r#"{"error":"invalid_client","error_description":"no\u0000 such client"}"#);
        assert_eq!(error, Refusal::lasting("HTTP 401: invalid_client: no such client"));
        let error = refused(400, r#"{"error":"invalid_scope","error_description":"of hunter2"}"#);
        assert_eq!(error, Refusal::lasting("HTTP 400: invalid_scope"));
        assert_eq!(refused(503, "<html>"), Refusal::passing("HTTP 503"));
        assert!(refused(429, "").passing && refused(408, "").passing && !refused(404, "").passing);
        assert!(!refused(302, "").passing && refused(302, "").why.contains("elsewhere"));
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(10_000));
        assert!(refused(400, &long).why.len() < 300);
    }

    #[test]
    fn hostile_answers_are_refused() {
        let deep = "[".repeat(100_000);
        for body in [
            "",
            "null",
            "[]",
            "hunter2",
            "{",
            r#"{"access_token":7}"#,
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            r#"{"access_token":"a\r\nb"}"#,
            r#"{"access_token":"ä"}"#,
            deep.as_str(),
        ] {
            let refusal = answer(200, body).expect_err("refused");
            assert!(!refusal.passing && !refusal.why.contains("hunter2"), "{}", refusal.why);
        }
        assert!(read(StatusCode::OK, &[0xff, 0xfe], 0.0, |_| false).is_err());
    }
}
