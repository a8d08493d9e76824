//! A network whose answers a test writes: login, versions and describe work by themselves.

use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use crate::net::{Transport, TransportError};

/// One request as it was sent, body unpacked.
#[derive(Clone)]
pub struct Seen {
    pub method: String,
    pub uri: String,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn path(&self) -> String {
        url::Url::parse(&self.uri).unwrap().path().to_owned()
    }

    /// The statement of a query, decoded.
    pub fn query(&self) -> Option<String> {
        let url = url::Url::parse(&self.uri).unwrap();
        url.query_pairs().find(|(name, _)| name == "q").map(|(_, value)| value.into_owned())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub type Answer = Result<Response<Bytes>, TransportError>;
type Script = Box<dyn FnMut(&Seen) -> Option<Answer> + Send>;

/// Answers by the script first, then as an org that is ready.
pub struct Net {
    script: Mutex<Script>,
    seen: Mutex<Vec<Seen>>,
}

impl Net {
    pub fn new(script: impl FnMut(&Seen) -> Option<Answer> + Send + 'static) -> std::sync::Arc<Net> {
        std::sync::Arc::new(Net { script: Mutex::new(Box::new(script)), seen: Mutex::new(Vec::new()) })
    }

    /// All requests whose path contains `part`.
    pub fn seen(&self, part: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path().contains(part)).cloned().collect()
    }
}

#[async_trait]
impl Transport for Net {
    async fn send(&self, request: Request<Bytes>, _: Duration) -> Answer {
        let (parts, body) = request.into_parts();
        let mut text = String::new();
        if parts.headers.contains_key("content-encoding") {
            flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(body.to_vec()).unwrap();
        }
        let seen =
            Seen { method: parts.method.to_string(), uri: parts.uri.to_string(), headers: parts.headers, body: text };
        self.seen.lock().unwrap().push(seen.clone());
        let scripted = (self.script.lock().unwrap())(&seen);
        // Lets other tasks run while this request is under way, as a network would.
        tokio::task::yield_now().await;
        scripted.unwrap_or_else(|| ready_org(&seen))
    }
}

/// An answer with a JSON body.
pub fn reply(status: u16, body: Value) -> Option<Answer> {
    reply_text(status, &body.to_string())
}

pub fn reply_text(status: u16, body: &str) -> Option<Answer> {
    Some(Ok(Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap()))
}

fn ready_org(seen: &Seen) -> Answer {
    let path = seen.path();
    let answer = if path.ends_with("/oauth2/token") {
        reply(200, json!({"access_token": "token-1", "instance_url": "https://example.my.salesforce.com", "id": "x"}))
    } else if path == "/services/data/" {
        reply(200, json!([{"version": "66.0", "url": "/services/data/v66.0"}]))
    } else if path.ends_with("/describe") {
        reply(200, task_describe())
    } else if path.contains("/query") {
        reply(200, json!({"totalSize": 0, "done": true, "records": []}))
    } else if path.ends_with("/composite/sobjects") {
        let rows = seen.json()["records"].as_array().unwrap().len();
        let row = |index| json!({"id": format!("00T{index:012}AAA"), "success": true, "errors": []});
        reply(200, (0..rows).map(row).collect())
    } else {
        reply(404, json!([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]))
    };
    answer.unwrap()
}

/// A describe of Task with the fields that the defaults need.
pub fn task_describe() -> Value {
    let field = |name: &str, kind: &str, length: usize| {
        json!({"name": name, "type": kind, "length": length, "digits": 0, "createable": true, "updateable": true,
               "filterable": name != "Description", "unique": false, "externalId": false,
               "restrictedPicklist": false, "picklistValues": []})
    };
    let mut duration = field("CallDurationInSeconds", "int", 0);
    duration["digits"] = json!(8);
    let mut subtype = field("TaskSubtype", "picklist", 40);
    subtype["updateable"] = json!(false);
    subtype["restrictedPicklist"] = json!(true);
    subtype["picklistValues"] = json!([{"active": true, "value": "Task"}, {"active": true, "value": "Call"}]);
    let mut call_type = field("CallType", "picklist", 40);
    call_type["restrictedPicklist"] = json!(true);
    call_type["picklistValues"] = json!([{"active": true, "value": "Inbound"}, {"active": true, "value": "Outbound"},
               {"active": false, "value": "Internal"}]);
    let mut key = field("Call_Key__c", "string", 100);
    key["unique"] = json!(true);
    key["externalId"] = json!(true);
    json!({"name": "Task", "createable": true, "updateable": true, "fields": [
        field("WhoId", "reference", 18), field("WhatId", "reference", 18), field("Subject", "combobox", 255),
        field("Description", "textarea", 32000), field("ActivityDate", "date", 0), field("Status", "picklist", 255),
        field("CallObject", "string", 255), duration, subtype, call_type, key,
    ]})
}
