//! Why no connection came about, in words for whoever has to mend it: the name, the certificate, or nobody there.
//!
//! Owns the reading of what the TLS library and the resolver say; a text that it does not know is passed on as it is.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::CONNECT_TIMEOUT;

/// The text of the innermost error, as a sentence that says what to do where that is known.
pub(super) fn told(cause: &str) -> String {
    let is = |text: &str| cause.contains(text);
    if is("failed to lookup address information") {
        let why = cause.rsplit(": ").next().unwrap_or(cause);
        return format!("the name does not resolve ({why}); check its spelling, and this machine's DNS");
    }
    if is("invalid peer certificate") {
        return format!("its certificate {}", of_certificate(cause));
    }
    // The only thing with a time of its own before there is a connection.
    if is("operation timed out") {
        return format!("none came about within {} s", CONNECT_TIMEOUT.as_secs());
    }
    cause.to_owned()
}

fn of_certificate(cause: &str) -> String {
    const CLOCK: &str = "or this machine's clock is wrong";
    let is = |text: &str| cause.contains(text);
    if is("certificate expired") {
        let on = day_after(cause, "not valid after ").map_or_else(String::new, |day| format!(" on {day}"));
        return format!("has expired{on}: whoever runs it has to renew it, {CLOCK}");
    }
    if is("certificate not valid yet") {
        let from = day_after(cause, "not valid before ").map_or_else(String::new, |day| format!(" before {day}"));
        return format!("is not valid{from}: whoever runs it has to replace it, {CLOCK}");
    }
    if is("certificate not valid for name") {
        return format!("is for another host: check the address{}", other_names(cause));
    }
    if is("UnknownIssuer") {
        return "is signed by nobody whom this machine trusts: check the address, or install the authority that signed it \
                among the system's CA certificates"
            .to_owned();
    }
    let (_, why) = cause.split_once("invalid peer certificate: ").unwrap_or(("", cause));
    format!("cannot be trusted ({why}): whoever runs it has to replace it")
}

/// The day of the point in time, in seconds since 1970, that follows these words.
fn day_after(cause: &str, words: &str) -> Option<String> {
    let (_, rest) = cause.split_once(words)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    let at = Timestamp::from_second(digits.parse().ok()?).ok()?;
    // Not in digits alone, which would be masked as what may be a phone number.
    Some(at.to_zoned(TimeZone::UTC).strftime("%-d %B %Y").to_string())
}

/// Which names it is for, as far as they are told.
fn other_names(cause: &str) -> String {
    let (_, names) = cause.split_once("only valid for ").unwrap_or_default();
    let names: Vec<&str> = names.split('"').skip(1).step_by(2).collect();
    if names.is_empty() { String::new() } else { format!(" (it is for {})", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_connection_is_told_with_what_to_do() {
        let check = |cause: &str, expected: &str| assert_eq!(told(cause), expected, "{cause}");
        check(
            "failed to lookup address information: Name or service not known",
            "the name does not resolve (Name or service not known); check its spelling, and this machine's DNS",
        );
        let expired = "invalid peer certificate: certificate expired: verification time 1795253536 (UNIX), but certificate is \
                       not valid after 1609459200 (185794336 seconds ago)";
        check(
            expired,
            "its certificate has expired on 1 January 2021: whoever runs it has to renew it, or this machine's clock is wrong",
        );
        check(
            "invalid peer certificate: certificate expired",
            "its certificate has expired: whoever runs it has to renew it, or this machine's clock is wrong",
        );
        let early = "invalid peer certificate: certificate not valid yet: verification time 1 (UNIX), but certificate is not \
                     valid before 4417977600 (2622724060 seconds in future)";
        check(
            early,
            "its certificate is not valid before 1 January 2110: whoever runs it has to replace it, or this machine's clock is wrong",
        );
        let other = "invalid peer certificate: certificate not valid for name \"localhost\"; certificate is only valid for \
                     DnsName(\"crm.example\") or DnsName(\"www.crm.example\")";
        check(other, "its certificate is for another host: check the address (it is for crm.example, www.crm.example)");
        let nobody = told("invalid peer certificate: UnknownIssuer");
        assert!(nobody.starts_with("its certificate is signed by nobody whom this machine trusts: "), "{nobody}");
        check(
            "invalid peer certificate: Revoked",
            "its certificate cannot be trusted (Revoked): whoever runs it has to replace it",
        );
        check("operation timed out", "none came about within 10 s");
        check("Connection refused (os error 111)", "Connection refused (os error 111)");
    }
}
