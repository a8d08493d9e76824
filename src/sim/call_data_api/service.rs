//! The API's paths: payloads in, look-ups out, recordings.
//!
//! The order of checks is the usual one: path, token, method, body.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::settings::{LookUp, PostAnswer, Settings};
use super::{lookup, page, payload};
use crate::sim::harness::{Answer, Context, Remote, Request};

const FRONT_PAGE: &str =
    "<!doctype html>\n<html><head><title>Dashboard</title></head><body><div id=\"root\"></div></body></html>\n";

/// A payload as it was taken.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) at: Timestamp,
    pub(super) payload: Value,
}

/// The simulated API.
#[derive(Debug, Default)]
pub struct CallDataApi {
    calls: Vec<Stored>,
    uploads: Vec<Value>,
    serial: u64,
}

type Asked<'a> = Context<'a, Settings>;

/// An error in the API's form.
pub(super) fn refused(status: u16, error: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "success": false, "error": error, "message": message }))
}

fn bad(message: impl Into<String>) -> Answer {
    refused(400, "Validation error", &message.into())
}

impl CallDataApi {
    fn next_id(&mut self) -> String {
        self.serial += 1;
        format!("{:024x}", 0x65f0_0000_0000_0000_u64 + self.serial)
    }

    fn post(&mut self, context: &mut Asked<'_>, request: &Request) -> Answer {
        if let Some((name, _)) = request.query().first() {
            return bad(format!("{name}: is not a known parameter"));
        }
        let sent = match request.json() {
            Ok(sent) => sent,
            Err((415, message)) => return refused(415, "Unsupported media type", &message),
            Err((_, message)) => return bad(message),
        };
        if let Err(wrong) = payload::check(&sent, context.settings) {
            context.count("refused");
            return bad(wrong.to_string());
        }
        let settings = context.settings;
        if settings.post_answer == PostAnswer::SuccessFalse && !settings.success_false_stores {
            context.count("denied");
            return accepted(settings, &Value::Null);
        }
        let call_id = sent["callDetails"]["callId"].clone();
        let known = self.calls.iter().find(|call| call.payload["callDetails"]["callId"] == call_id);
        let id = match known.filter(|_| settings.deduplicate) {
            Some(known) => {
                context.count("deduplicated");
                known.id.clone()
            }
            None => {
                context.count("stored");
                let id = self.next_id();
                self.calls.push(Stored { id: id.clone(), at: context.now, payload: sent });
                id
            }
        };
        accepted(settings, &json!({ "_id": id, "callId": call_id }))
    }

    fn look_up(&mut self, context: &mut Asked<'_>, request: &Request) -> Answer {
        context.count("look_up");
        match context.settings.look_up {
            LookUp::Offered => {
                let found = lookup::answer(&self.calls, context.settings, context.now, request);
                found.unwrap_or_else(bad)
            }
            LookUp::NotFound => not_found(),
            LookUp::MethodNotAllowed => method_not_allowed("POST"),
            LookUp::HtmlPage => Answer::html(200, FRONT_PAGE),
        }
    }

    fn upload(&mut self, context: &mut Asked<'_>, request: &Request) -> Answer {
        let file = match request.file("file") {
            Ok(file) => file,
            Err(message) => return bad(message),
        };
        if file.content_type != "audio/ogg" {
            return bad(format!("file: expected audio/ogg, got `{}`", file.content_type));
        }
        if file.bytes.is_empty() {
            return bad("file: is empty");
        }
        context.count("upload");
        let id = self.next_id();
        let relative = format!("/uploads/{id}.ogg");
        let data = json!({
            "filename": format!("{id}.ogg"), "originalName": file.name, "size": file.bytes.len(),
            "url": format!("{}{relative}", request.base_url()), "relativeUrl": relative,
        });
        self.uploads.push(data.clone());
        Answer::json(200, &json!({ "success": true, "data": data }))
    }
}

fn accepted(settings: &Settings, data: &Value) -> Answer {
    let status = settings.post_status;
    match settings.post_answer {
        PostAnswer::Envelope => Answer::json(status, &json!({ "success": true, "data": data })),
        PostAnswer::Empty => Answer::empty(status),
        PostAnswer::Text => Answer::text(status, "OK"),
        PostAnswer::SuccessFalse => Answer::json(status, &json!({ "success": false })),
    }
}

fn not_found() -> Answer {
    refused(404, "Not found", "there is no such path")
}

fn method_not_allowed(allowed: &str) -> Answer {
    refused(405, "Method not allowed", "not by this method").header("allow", allowed)
}

impl Remote for CallDataApi {
    type Settings = Settings;

    fn serve(&mut self, context: &mut Asked<'_>, request: &Request) -> Answer {
        let segments = request.segments();
        let ["apis", "api", "public", door @ ("call-data" | "upload")] = segments.as_slice() else {
            return not_found();
        };
        if context.settings.token.as_deref().is_some_and(|token| request.credential("Bearer") != Some(token)) {
            return refused(401, "Unauthorized", "the bearer token is missing or wrong");
        }
        match (*door, request.method.as_str()) {
            ("call-data", "POST") => self.post(context, request),
            ("call-data", "GET") => self.look_up(context, request),
            ("upload", "POST") => self.upload(context, request),
            ("upload", _) => method_not_allowed("POST"),
            _ => method_not_allowed("GET, POST"),
        }
    }

    fn refusal(status: u16, message: &str) -> Answer {
        let error = match status {
            400 => "Validation error",
            401 => "Unauthorized",
            403 => "Forbidden",
            408 => "Request timeout",
            413 => "Payload too large",
            429 => "Too many requests",
            503 => "Service unavailable",
            _ => "Internal server error",
        };
        refused(status, error, message)
    }

    fn records(&self, table: &str) -> Option<Vec<Value>> {
        match table {
            "calls" => Some(self.calls.iter().map(|call| call.payload.clone()).collect()),
            "uploads" => Some(self.uploads.clone()),
            _ => None,
        }
    }

    /// Stands for what another client has sent: any object is taken.
    fn insert(&mut self, table: &str, record: Value) -> Result<String, String> {
        if table != "calls" || !record.is_object() {
            return Err("only objects can be put in, and only into calls".to_owned());
        }
        let id = self.next_id();
        self.calls.push(Stored { id: id.clone(), at: Timestamp::UNIX_EPOCH, payload: record });
        Ok(id)
    }

    fn clear(&mut self) {
        self.calls.clear();
        self.uploads.clear();
    }

    fn page(&self) -> Option<String> {
        Some(page::render(self.calls.iter().map(|call| &call.payload)))
    }
}
