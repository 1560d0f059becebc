//! Tokens for Amazon MSK with IAM: a request to `kafka-cluster:Connect`, signed and not sent. It is signed anew for each
//! authentication, which costs a few hashes; nothing goes over the network.
//!
//! The format is that of AWS's own signers (`aws-msk-iam-sasl-signer`): a pre-signed URL (Signature Version 4 by query) in
//! base64. The credentials come from the environment, as AWS's tools name them; roles, profiles and the instance's own
//! credentials are for a token source (`ProducerBuilder::oauth_token`).

use std::env;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_io::driver::OAuthToken;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Seconds. What AWS's signers ask for, and the most that MSK takes.
const EXPIRES: &str = "900";

/// A token for a cluster in this region.
///
/// # Errors
/// Which variable of the environment is missing.
pub(crate) fn token(region: &str) -> Result<OAuthToken, String> {
    let variable = |name: &str| {
        env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
            format!(
                "sasl.oauthbearer.aws.msk.region needs {name} in the environment, or give the builder a token source"
            )
        })
    };
    let credentials = Credentials {
        id: variable("AWS_ACCESS_KEY_ID")?,
        secret: variable("AWS_SECRET_ACCESS_KEY")?,
        session: env::var("AWS_SESSION_TOKEN").ok().filter(|token| !token.is_empty()),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let agent = concat!("forebay/", env!("CARGO_PKG_VERSION"));
    Ok(OAuthToken::new(msk_token(&credentials, region, &Moment::of(now), agent)))
}

struct Credentials {
    id: String,
    secret: String,
    session: Option<String>,
}

/// A moment as AWS writes it.
struct Moment {
    /// `20130524`
    date: String,
    /// `20130524T000000Z`
    time: String,
}

impl Moment {
    /// From seconds since 1970. The date by H. Hinnant's `civil_from_days`.
    fn of(seconds: u64) -> Self {
        let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let date = format!("{year:04}{month:02}{day:02}");
        let time = format!("{date}T{:02}{:02}{:02}Z", second / 3_600, second / 60 % 60, second % 60);
        Self { date, time }
    }
}

fn msk_token(credentials: &Credentials, region: &str, now: &Moment, agent: &str) -> String {
    let request = Request {
        host: &format!("kafka.{region}.amazonaws.com"),
        path: "/",
        action: Some("kafka-cluster:Connect"),
        service: "kafka-cluster",
        region,
        expires: EXPIRES,
        // Of an empty body.
        body_hash: &hex(&Sha256::digest(b"")),
    };
    let url = request.presign(credentials, now);
    // What sends it may be told without being signed.
    URL_SAFE_NO_PAD.encode(format!("{url}&User-Agent={}", encoded(agent)))
}

/// A GET that is signed by query.
struct Request<'a> {
    host: &'a str,
    path: &'a str,
    action: Option<&'a str>,
    service: &'a str,
    region: &'a str,
    expires: &'a str,
    body_hash: &'a str,
}

impl Request<'_> {
    fn presign(&self, credentials: &Credentials, now: &Moment) -> String {
        let scope = format!("{}/{}/{}/aws4_request", now.date, self.region, self.service);
        let who = format!("{}/{scope}", credentials.id);
        // By name, as they are signed.
        let query: Vec<String> = [
            ("Action", self.action),
            ("X-Amz-Algorithm", Some(ALGORITHM)),
            ("X-Amz-Credential", Some(who.as_str())),
            ("X-Amz-Date", Some(now.time.as_str())),
            ("X-Amz-Expires", Some(self.expires)),
            ("X-Amz-Security-Token", credentials.session.as_deref()),
            ("X-Amz-SignedHeaders", Some("host")),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encoded(value?))))
        .collect();
        let query = query.join("&");
        let (host, path) = (self.host, self.path);
        let canonical = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\n{}", self.body_hash);
        let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{}", now.time, hex(&Sha256::digest(canonical.as_bytes())));
        let mut key = format!("AWS4{}", credentials.secret).into_bytes();
        for part in [&now.date, self.region, self.service, "aws4_request"] {
            key = keyed(&key, part);
        }
        format!("https://{host}{path}?{query}&X-Amz-Signature={}", hex(&keyed(&key, &to_sign)))
    }
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Percent-encoding as AWS signs it: all but RFC 3986's unreserved characters.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's example key, in all of its documents.
    fn example(session: Option<&str>) -> Credentials {
        Credentials {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            session: session.map(str::to_owned),
        }
    }

    /// "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", Amazon S3 API Reference.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let request = Request {
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            action: None,
            service: "s3",
            region: "us-east-1",
            expires: "86400",
            body_hash: "UNSIGNED-PAYLOAD",
        };
        let url = request.presign(&example(None), &Moment::of(1_369_353_600));
        let published = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
            &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z\
            &X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
            &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(url, published);
    }

    /// What aws-msk-iam-sasl-signer-python 1.0.2 (botocore 1.44.8) makes at that moment; with a session token it puts the same
    /// parameters in another order, under the same signature.
    #[test]
    fn tokens_are_those_of_awss_own_signer() {
        let now = Moment::of(1_772_323_147);
        let theirs = "aHR0cHM6Ly9rYWZrYS5ldS1jZW50cmFsLTEuYW1hem9uYXdzLmNvbS8_QWN0aW9uPWthZmthLWNsdXN0ZXIlM0FDb25uZWN0JlgtQW16LUFs\
            Z29yaXRobT1BV1M0LUhNQUMtU0hBMjU2JlgtQW16LUNyZWRlbnRpYWw9QUtJQUlPU0ZPRE5ON0VYQU1QTEUlMkYyMDI2MDIyOCUyRmV1LWNlbnRyYWwt\
            MSUyRmthZmthLWNsdXN0ZXIlMkZhd3M0X3JlcXVlc3QmWC1BbXotRGF0ZT0yMDI2MDIyOFQyMzU5MDdaJlgtQW16LUV4cGlyZXM9OTAwJlgtQW16LVNp\
            Z25lZEhlYWRlcnM9aG9zdCZYLUFtei1TaWduYXR1cmU9Y2EzMjdlODVjOTZhNWJiNzgxZDY0ZDlkZDYzMzQxYjk1NWEwNmMwN2Q5N2RkZjRhNzI4ZGE0\
            OWNiNWY2YzU0MCZVc2VyLUFnZW50PWF3cy1tc2staWFtLXNhc2wtc2lnbmVyLXB5dGhvbiUyRjEuMC4y";
        let agent = "aws-msk-iam-sasl-signer-python/1.0.2";
        assert_eq!(msk_token(&example(None), "eu-central-1", &now, agent), theirs);
        let token = msk_token(&example(Some("IQoJb3JpZ2lu/+=EXAMPLE")), "eu-central-1", &now, agent);
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token).expect("base64")).expect("text");
        assert!(url.contains("&X-Amz-Security-Token=IQoJb3JpZ2lu%2F%2B%3DEXAMPLE&"), "{url}");
        let signature = "&X-Amz-Signature=a2bf83679f00d3a2a84fbfa472d8f839af53a4300d9e87c6e1f8fd7dd2c57b35&";
        assert!(url.contains(signature), "{url}");
    }

    #[test]
    fn moments_are_written_as_calendars_do() {
        for (seconds, time) in [
            (0, "19700101T000000Z"),
            (951_868_799, "20000229T235959Z"),
            (1_772_323_147, "20260228T235907Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(Moment::of(seconds).time, time);
        }
    }
}
