//! SOAP `login()` of the partner API, which user-and-password clients use: one operation, and faults for all else.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;

use super::auth::{LoginRefusal, open_session};
use super::counters::count;
use super::org::Org;

/// The newest API version that has `login()`.
const VERSION_MAX: u32 = 64;
const VERSION_MIN: u32 = 31;

/// Answers a request to `/services/Soap/u/<version>` with a status and an XML body.
pub(super) fn login(org: &Org, version: &str, base_url: &str, body: &str) -> (u16, String) {
    let mut state = org.lock();
    count(&mut state.counters.calls, "login_soap");
    let refusal = match parse(body) {
        _ if !is_supported(version) => Fault::new("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL"),
        None => Fault::new("UNKNOWN_EXCEPTION", "only login() is simulated"),
        Some(_) if !state.settings.soap_login_enabled => {
            Fault::new("INVALID_OPERATION", "SOAP API login() is disabled by default in this org.")
        }
        Some((username, password)) if org.shared().credentials.match_password(&username, &password) => {
            match open_session(&mut state) {
                Ok(session) => {
                    let (org_id, user_id) = (state.org_id.clone(), state.user_id.clone());
                    return (200, success(&Login { version, base_url, session, org_id, user_id, username }));
                }
                Err(LoginRefusal::RateExceeded) => Fault::new("LOGIN_RATE_EXCEEDED", "login rate exceeded"),
                Err(LoginRefusal::Credentials) => Fault::invalid_login(),
            }
        }
        Some(_) => Fault::invalid_login(),
    };
    count(&mut state.counters.calls, "login_failed");
    (500, refusal.to_xml())
}

fn is_supported(version: &str) -> bool {
    let number = version.split('.').next().and_then(|number| number.parse::<u32>().ok());
    number.is_some_and(|number| (VERSION_MIN..=VERSION_MAX).contains(&number))
}

/// The username and password of a login request, `None` if it is another one.
fn parse(body: &str) -> Option<(String, String)> {
    let mut reader = Reader::from_str(body);
    let (mut username, mut password, mut is_login) = (None, None, false);
    let mut text = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                is_login |= start.local_name().as_ref() == b"login";
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.decode().ok()?),
            Event::CData(part) => text.push_str(&part.decode().ok()?),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => text.push(character),
                None => {
                    text.push_str(quick_xml::escape::resolve_predefined_entity(&reference.decode().ok()?)?);
                }
            },
            Event::End(end) => match end.local_name().as_ref() {
                b"username" => username = Some(std::mem::take(&mut text)),
                b"password" => password = Some(std::mem::take(&mut text)),
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    if is_login { Some((username?, password?)) } else { None }
}

struct Login<'a> {
    version: &'a str,
    base_url: &'a str,
    session: String,
    org_id: String,
    user_id: String,
    username: String,
}

fn success(login: &Login<'_>) -> String {
    let Login { version, base_url, session, org_id, user_id, username } = login;
    let short_org = org_id.get(..15).unwrap_or(org_id);
    let (base_url, username) = (escape(*base_url), escape(username.as_str()));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><loginResponse><result><metadataServerUrl>{base_url}/services/Soap/m/{version}/{short_org}</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>false</sandbox><serverUrl>{base_url}/services/Soap/u/{version}/{short_org}</serverUrl><sessionId>{session}</sessionId><userId>{user_id}</userId><userInfo><organizationId>{org_id}</organizationId><organizationName>Simulated Org</organizationName><sessionSecondsValid>7200</sessionSecondsValid><userEmail>{username}</userEmail><userFullName>Integration User</userFullName><userId>{user_id}</userId><userLanguage>en_US</userLanguage><userLocale>en_US</userLocale><userName>{username}</userName><userTimeZone>UTC</userTimeZone></userInfo></result></loginResponse></soapenv:Body></soapenv:Envelope>"#
    )
}

struct Fault {
    code: &'static str,
    message: &'static str,
}

impl Fault {
    fn new(code: &'static str, message: &'static str) -> Fault {
        Fault { code, message }
    }

    fn invalid_login() -> Fault {
        Fault::new("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    }

    fn to_xml(&self) -> String {
        let (code, message) = (self.code, escape(self.message));
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {message}</faultstring><detail><sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{message}</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"#
        )
    }
}
