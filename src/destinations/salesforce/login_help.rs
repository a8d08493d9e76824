//! What a person can do about each way in which Salesforce refuses a login.
//!
//! Invariant: the first row whose part occurs in the error's code or description gives the help.

pub const PASSWORD_EXPIRED: &str =
    "Set a new password for the integration user (or `Password never expires` in its profile) and store it here.";
pub const NOT_SALESFORCE: &str = "Check the login URL: it must be the org's own host, reached directly over https.";
pub const LOGIN_RATE: &str = "Salesforce blocks a user for an hour after 3,600 logins; look for another program that logs \
                              in with this user for every request.";
pub const PRIVATE_KEY: &str =
    "Give an unencrypted RSA private key in PEM form, and its certificate to the app in Salesforce.";

const ROWS: &[(&str, &str)] = &[
    (
        "approved this consumer",
        "Pre-authorise the integration user: in the app's policies set `Admin approved users are pre-authorized` and add \
         the user's profile or permission set.",
    ),
    (
        "audience",
        "Set the JWT audience: https://test.salesforce.com for a sandbox, https://login.salesforce.com for production, or \
         the site's own URL.",
    ),
    (
        "expired access/refresh token",
        "The refresh token was revoked or has expired: authorise the app again and store the new refresh token.",
    ),
    ("not supported on this domain", "Use the My Domain host as login URL: client credentials work on no other."),
    (
        "no client credentials user",
        "Choose a run-as user in the app's client-credentials policy (Setup > External Client App Manager).",
    ),
    (
        "not installed in this org",
        "Install the external client app in this org, or create it there and use its consumer key.",
    ),
    (
        "client identifier invalid",
        "Check the consumer key and the login URL; a newly created app may need some minutes before it is known.",
    ),
    (
        "invalid_client_id",
        "Check the consumer key and the login URL; a newly created app may need some minutes before it is known.",
    ),
    ("invalid client credentials", "Check the consumer key and the consumer secret."),
    ("invalid_client", "Check the consumer key and the consumer secret."),
    ("invalid assertion", "Check that the app in Salesforce holds the certificate of this private key."),
    ("invalid_assertion", "Check that the app in Salesforce holds the certificate of this private key."),
    ("inactive", "Activate the integration user, or log in as another."),
    ("user is inactive", "Activate the integration user, or log in as another."),
    ("invalid_operation_with_expired_password", PASSWORD_EXPIRED),
    ("password", PASSWORD_HELP),
    (
        "login_must_use_security_token",
        "Add the integration user's security token, or add this machine's address to the org's trusted IP ranges.",
    ),
    ("invalid_login", PASSWORD_HELP),
    ("unsupported_api_version", SOAP_GONE),
    ("soap", SOAP_GONE),
    ("api_disabled", SOAP_GONE),
    ("restricted", "Widen the login hours or login IP ranges of the integration user's profile."),
    ("authentication failure", AUTHENTICATION),
    ("invalid_grant", AUTHENTICATION),
    ("unsupported_grant_type", "Enable this OAuth flow in the app's settings, or use another way to log in."),
];

const PASSWORD_HELP: &str = "Check user name, password and security token (a new password brings a new token), that the \
                             user is not locked out, and that the login URL is right: test.salesforce.com for a sandbox.";
const SOAP_GONE: &str = "This org has no SOAP login: enable it in Setup where it can still be had, or better move to the \
                         JWT or client-credentials login; Salesforce retires SOAP login in Summer '27.";
const AUTHENTICATION: &str = "Check the app, its certificate or secret, and that the integration user is active and \
                              allowed to use the app.";
const OTHERWISE: &str = "Look at the integration user's Login History in Setup; it names the reason.";

/// The help for an error's code and description.
pub fn find(code: &str, message: &str) -> &'static str {
    let text = format!("{code} {message}").to_lowercase();
    ROWS.iter().find(|(part, _)| text.contains(part)).map_or(OTHERWISE, |(_, help)| help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_refusal_has_help_of_its_own() {
        let check = |code: &str, message: &str, expected: &str| {
            assert!(find(code, message).contains(expected), "{code} {message}: {}", find(code, message));
        };
        check("invalid_grant", "authentication failure", "certificate or secret");
        check("invalid_grant", "user hasn't approved this consumer", "Pre-authorise");
        check("invalid_grant", "audience is invalid", "https://test.salesforce.com");
        check("invalid_grant", "expired access/refresh token", "refresh token");
        check("invalid_grant", "request not supported on this domain", "My Domain");
        check("invalid_grant", "no client credentials user enabled", "run-as user");
        check("invalid_client_id", "client identifier invalid", "some minutes");
        check("invalid_client", "invalid client credentials", "consumer secret");
        check("x", "External client app is not installed in this org", "Install");
        check("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.", "security token");
        check("LOGIN_MUST_USE_SECURITY_TOKEN", "", "security token");
        check("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "", "new password");
        check("UNSUPPORTED_API_VERSION", "", "SOAP login");
        check("INVALID_OPERATION", "SOAP API login() is disabled by default in this org.", "SOAP login");
        check("whatever", "", "Login History");
    }
}
