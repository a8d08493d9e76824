//! The SOAP `login()` call: the envelope that goes out and the few values that come back.
//!
//! Invariant: values are XML-escaped, and only local names are compared, because prefixes differ between answers.
//! Salesforce offers this call up to API 64.0 and retires it in Summer '27.

use std::collections::HashMap;

use quick_xml::escape::escape;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use secrecy::{ExposeSecret, SecretString};

/// The envelope; the security token is appended to the password.
pub fn login_envelope(username: &str, password: &SecretString, security_token: &SecretString, client: &str) -> String {
    let secret = format!("{}{}", password.expose_secret(), security_token.expose_secret());
    format!(
        concat!(
            r#"<?xml version="1.0" encoding="utf-8"?>"#,
            r#"<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:urn="urn:partner.soap.sforce.com">"#,
            "<env:Header><urn:CallOptions><urn:client>{client}</urn:client></urn:CallOptions></env:Header>",
            "<env:Body><urn:login><urn:username>{username}</urn:username><urn:password>{password}</urn:password>",
            "</urn:login></env:Body></env:Envelope>",
        ),
        client = escape(client),
        username = escape(username),
        password = escape(secret.as_str()),
    )
}

/// What a `login()` answer says.
pub enum LoginAnswer {
    Session {
        session_id: SecretString,
        server_url: String,
        password_expired: bool,
    },
    Fault {
        code: String,
        message: String,
    },
    /// Not a SOAP answer.
    Unreadable,
}

/// Reads a success or a fault; `body` may be anything.
pub fn read_login(body: &[u8]) -> LoginAnswer {
    let Some(mut texts) = leaf_texts(body) else { return LoginAnswer::Unreadable };
    let mut take = |name: &str| texts.remove(name).filter(|text| !text.is_empty());
    if let (Some(session_id), Some(server_url)) = (take("sessionId"), take("serverUrl")) {
        let password_expired = take("passwordExpired").is_some_and(|text| text == "true" || text == "1");
        return LoginAnswer::Session { session_id: SecretString::from(session_id), server_url, password_expired };
    }
    let fault_code = take("faultcode").map(|text| text.rsplit(':').next().unwrap_or_default().to_owned());
    match take("exceptionCode").or(fault_code) {
        Some(code) => {
            let message = take("exceptionMessage").or_else(|| take("faultstring")).unwrap_or_default();
            LoginAnswer::Fault { code, message }
        }
        None => LoginAnswer::Unreadable,
    }
}

/// The text directly inside each element, by local name; the first of several counts.
fn leaf_texts(body: &[u8]) -> Option<HashMap<String, String>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(String, String)> = Vec::new();
    let mut found = HashMap::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                open.push((String::from_utf8_lossy(start.local_name().as_ref()).into_owned(), String::new()));
            }
            Event::Text(piece) => append(&mut open, &piece.decode().ok()?),
            Event::CData(piece) => append(&mut open, &piece.decode().ok()?),
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref().ok()? {
                    Some(character) => character.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&reference.decode().ok()?)?.to_owned(),
                };
                append(&mut open, &resolved);
            }
            Event::End(_) => {
                let (name, content) = open.pop()?;
                found.entry(name).or_insert_with(|| content.trim().to_owned());
            }
            Event::Eof => return (!found.is_empty()).then_some(found),
            _ => {}
        }
    }
}

fn append(open: &mut [(String, String)], piece: &str) {
    if let Some((_, content)) = open.last_mut() {
        content.push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_cannot_break_out_of_the_envelope() {
        let envelope = login_envelope(
            "a<b@example.com",
            &SecretString::from("p&\"'</urn:password>"),
            &SecretString::from("TOKEN"),
            "Trunkline",
        );
        assert!(envelope.contains("<urn:username>a&lt;b@example.com</urn:username>"), "{envelope}");
        assert!(envelope.contains("p&amp;&quot;&apos;&lt;/urn:password&gt;TOKEN</urn:password>"), "{envelope}");
    }

    #[test]
    fn a_session_is_read_with_and_without_prefixes() {
        let check = |body: &str| match read_login(body.as_bytes()) {
            LoginAnswer::Session { session_id, server_url, password_expired } => {
                assert_eq!(session_id.expose_secret(), "00D!x&y");
                assert_eq!(server_url, "https://example-api.my.salesforce.com/services/Soap/u/64.0/00D");
                assert!(!password_expired);
            }
            _ => panic!("no session in {body}"),
        };
        check(
            r#"<soapenv:Envelope xmlns:soapenv="x" xmlns="urn:partner.soap.sforce.com"><soapenv:Body><loginResponse><result><passwordExpired>false</passwordExpired><serverUrl>https://example-api.my.salesforce.com/services/Soap/u/64.0/00D</serverUrl><sessionId>00D!x&amp;y</sessionId><userInfo><organizationId>00D</organizationId></userInfo></result></loginResponse></soapenv:Body></soapenv:Envelope>"#,
        );
        check(
            r#"<?xml version="1.0"?><e:Envelope><e:Body><p:loginResponse><p:result>
            <p:serverUrl>https://example-api.my.salesforce.com/services/Soap/u/64.0/00D</p:serverUrl>
            <p:sessionId>00D!x&#38;y</p:sessionId></p:result></p:loginResponse></e:Body></e:Envelope>"#,
        );
    }

    #[test]
    fn a_fault_gives_code_and_message() {
        let body = r#"<soapenv:Envelope xmlns:soapenv="x" xmlns:sf="y"><soapenv:Body><soapenv:Fault><faultcode>sf:INVALID_LOGIN</faultcode><faultstring>INVALID_LOGIN: Invalid username</faultstring><detail><sf:LoginFault><sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode><sf:exceptionMessage>Invalid username</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"#;
        assert!(matches!(read_login(body.as_bytes()),
            LoginAnswer::Fault { code, message } if code == "INVALID_LOGIN" && message == "Invalid username"));
        let bare =
            "<Envelope><Body><Fault><faultcode>sf:X</faultcode><faultstring>y</faultstring></Fault></Body></Envelope>";
        assert!(matches!(read_login(bare.as_bytes()),
            LoginAnswer::Fault { code, message } if code == "X" && message == "y"));
        for body in ["", "<html><body>Down</body></html>", "{}", "<a><b>"] {
            assert!(matches!(read_login(body.as_bytes()), LoginAnswer::Unreadable), "{body}");
        }
    }
}
