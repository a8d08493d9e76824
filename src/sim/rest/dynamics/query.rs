//! OData queries of the simulated organisation: one record, or those that a filter of comparisons finds.
//!
//! The grammar is what such clients send: `name eq 'text'`, joined by `and` or `or` (not both), quotes doubled.

use serde_json::{Value, json};

use super::super::harness::{Answer, Request};
use super::super::table::{Record, Table};
use super::{fields_of, not_found, refused};

const TOP_MAX: usize = 5_000;

/// The name of a set's primary key.
pub(super) fn id_of(set: &str) -> &'static str {
    match set {
        "contacts" => "contactid",
        "leads" => "leadid",
        "accounts" => "accountid",
        "opportunities" => "opportunityid",
        "systemusers" => "systemuserid",
        _ => "activityid",
    }
}

/// A record with the columns that were asked for; all where none was.
pub(super) fn shown(record: &Record, id_name: &str, wanted: &[&str]) -> Value {
    let mut fields = fields_of(record, id_name);
    if !wanted.is_empty() {
        for name in wanted {
            fields.entry(*name).or_insert(Value::Null);
        }
        fields.retain(|name, _| name == id_name || name.starts_with('@') || wanted.contains(&name.as_str()));
    }
    Value::Object(fields)
}

fn bad(message: &str) -> Answer {
    refused(400, "0x80060888", message)
}

/// Answers a GET of one record or of many.
pub(super) fn answer(table: &Table, set: &str, id: Option<&str>, request: &Request) -> Result<Answer, Answer> {
    if let Some(name) = request.parameter_beyond(&["$select", "$filter", "$top", "$orderby", "$count"]) {
        return Err(bad(&format!("{name}: is not a known query option")));
    }
    let id_name = id_of(set);
    let wanted: Vec<&str> = request.parameter("$select").unwrap_or_default().split(',').map(str::trim).collect();
    let wanted: Vec<&str> = wanted.into_iter().filter(|name| !name.is_empty()).collect();
    if let Some(id) = id {
        let record = table.get(&id.to_lowercase()).ok_or_else(|| not_found(&format!("{set} With Id = {id}")))?;
        return Ok(Answer::json(200, &shown(record, id_name, &wanted)).header("odata-version", "4.0"));
    }
    let top = match request.parameter("$top") {
        None => TOP_MAX,
        Some(text) => text.parse().map_err(|_| bad(&format!("$top: `{text}` is no number")))?,
    };
    let filter = match request.parameter("$filter") {
        None => None,
        Some(text) => Some(Filter::read(text).map_err(|why| bad(&format!("$filter: {why}")))?),
    };
    let fits = |record: &&Record| {
        let fields = Value::Object(fields_of(record, id_name));
        filter.as_ref().is_none_or(|filter| filter.fits(&fields))
    };
    let found: Vec<Value> = table.live().filter(fits).take(top).map(|record| shown(record, id_name, &wanted)).collect();
    let context = format!("{}/api/data/v9.2/$metadata#{set}", request.base_url());
    let body = json!({ "@odata.context": context, "value": found });
    Ok(Answer::json(200, &body).header("odata-version", "4.0"))
}

#[derive(Debug, PartialEq)]
struct Filter {
    is_any: bool,
    comparisons: Vec<(String, Value)>,
}

impl Filter {
    fn read(text: &str) -> Result<Filter, String> {
        let mut rest = text.trim();
        let mut filter = Filter { is_any: false, comparisons: Vec::new() };
        loop {
            let (name, after) =
                rest.split_once(" eq ").ok_or_else(|| format!("expected `name eq value` at `{rest}`"))?;
            let name = name.trim();
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(format!("`{name}` is no name of a column"));
            }
            let (value, after) = literal(after.trim_start())?;
            filter.comparisons.push((name.to_owned(), value));
            let after = after.trim_start();
            let is_any = after.starts_with("or ");
            if after.is_empty() {
                return Ok(filter);
            }
            if filter.comparisons.len() > 1 && is_any != filter.is_any {
                return Err("`and` and `or` are not mixed here".to_owned());
            }
            filter.is_any = is_any;
            rest = after
                .strip_prefix("or ")
                .or_else(|| after.strip_prefix("and "))
                .ok_or_else(|| format!("`{after}` is left over"))?;
        }
    }

    fn fits(&self, fields: &Value) -> bool {
        let mut each = self.comparisons.iter().map(|(name, wanted)| match (&fields[name], wanted) {
            // The collation of the service's database knows no letter case.
            (Value::String(stored), Value::String(wanted)) => stored.to_lowercase() == wanted.to_lowercase(),
            (stored, wanted) => stored == wanted,
        });
        if self.is_any { each.any(|fits| fits) } else { each.all(|fits| fits) }
    }
}

/// A text in quotes, a GUID, a number, true, false or null; and what stands behind it.
fn literal(text: &str) -> Result<(Value, &str), String> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
        let value = serde_json::from_str(word).ok().filter(|value: &Value| !value.is_string());
        let value = value.or_else(|| super::is_guid(word).then(|| json!(word)));
        return value.map(|value| (value, rest)).ok_or_else(|| format!("`{word}` is no value; texts need quotes"));
    };
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('\'').ok_or("a quote is not closed")?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Ok((json!(value), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_with_doubled_quotes_and_mixed_ones_are_refused() {
        let filter = Filter::read("emailaddress1 eq 'o''hara@example.com' or emailaddress1 eq 'b@example.com'");
        let pair = |value: &str| ("emailaddress1".to_owned(), json!(value));
        let comparisons = vec![pair("o'hara@example.com"), pair("b@example.com")];
        assert_eq!(filter, Ok(Filter { is_any: true, comparisons }));
        for bad in ["", "a eq b", "a eq 'b", "a eq 'b' x", "a eq 'b' and c eq 'd' or e eq 'f'", "a' eq 'b'", "a ne 'b'"]
        {
            assert!(Filter::read(bad).is_err(), "{bad}");
        }
    }
}
