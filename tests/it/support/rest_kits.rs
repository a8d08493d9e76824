//! The five ready configurations as the contract tests meet them: how each is set, seeded and read back.

use serde_json::{Value, json};
use trunkline::sim::call_data_api::{self, CallDataApi};
use trunkline::sim::harness::{Api, Fault, Remote};
use trunkline::sim::rest::dynamics::{self, Dynamics};
use trunkline::sim::rest::hubspot::{self, CustomProperty, HubSpot};
use trunkline::sim::rest::pipedrive::Pipedrive;
use trunkline::sim::rest::zoho::{self, Zoho};

use super::rest_world::RestWorld;

pub const CAMPAIGN: &str = "64b0c0ffee0000000000abcd";

/// One ready configuration and the system that it is for.
pub trait Kit {
    type Remote: Remote;
    const NAME: &'static str;
    /// Where the simulator keeps calls.
    const TABLE: &'static str;
    /// How a call is made.
    const METHOD: &'static str;
    const PATH: &'static str;

    fn settings() -> <Self::Remote as Remote>::Settings {
        Default::default()
    }

    fn config(url: &str, more: &str) -> String;

    /// Puts a person in and returns the id.
    fn person(api: &Api<Self::Remote>, email: &str) -> String;

    /// What tells one call from another.
    fn identity(record: &Value) -> String;

    async fn world() -> RestWorld<Self::Remote> {
        Self::world_with("").await
    }

    /// With these lines in the destination's own table.
    async fn world_with(more: &str) -> RestWorld<Self::Remote> {
        RestWorld::start(Self::settings(), |url| Self::config(url, more)).await
    }

    fn calls(world: &RestWorld<Self::Remote>) -> Vec<Value> {
        world.api().records(Self::TABLE)
    }

    /// The identities, sorted: one of each is what is promised.
    fn identities(world: &RestWorld<Self::Remote>) -> Vec<String> {
        let mut all: Vec<String> = Self::calls(world).iter().map(Self::identity).collect();
        all.sort();
        all
    }

    /// Meets a request that makes a call.
    fn on_create(fault: Fault) -> Fault {
        fault.on_method(Self::METHOD).on_path(Self::PATH)
    }
}

pub struct ForHubSpot;

impl Kit for ForHubSpot {
    type Remote = HubSpot;
    const NAME: &'static str = "hubspot";
    const TABLE: &'static str = "records";
    const METHOD: &'static str = "POST";
    const PATH: &'static str = "/objects/calls";

    fn settings() -> hubspot::Settings {
        let key = CustomProperty { name: "trunkline_call_key".to_owned(), is_unique: true };
        hubspot::Settings { custom_properties: vec![key], ..hubspot::Settings::default() }
    }

    fn config(url: &str, more: &str) -> String {
        format!("[rest.hubspot]\npreset = \"hubspot\"\nbase_url = \"{url}\"\n{more}\nauth.token = \"pat-sim\"\n")
    }

    fn person(api: &Api<HubSpot>, email: &str) -> String {
        api.insert("contacts", json!({ "email": email }))
    }

    fn identity(record: &Value) -> String {
        record["trunkline_call_key"].to_string()
    }
}

pub struct ForPipedrive;

impl Kit for ForPipedrive {
    type Remote = Pipedrive;
    const NAME: &'static str = "pipedrive";
    const TABLE: &'static str = "callLogs";
    const METHOD: &'static str = "POST";
    const PATH: &'static str = "/callLogs";

    fn config(url: &str, more: &str) -> String {
        format!(
            "[rest.pipedrive]\npreset = \"pipedrive\"\nbase_url = \"{url}\"\n{more}\nauth.token = \"sim-token\"\n\
             values.own_phone = \"+15550100900\"\n"
        )
    }

    fn person(api: &Api<Pipedrive>, email: &str) -> String {
        api.insert("persons", json!({ "name": "Caller", "email": [email] }))
    }

    fn identity(record: &Value) -> String {
        let note = record["note"].as_str().unwrap_or_default();
        note.lines().find(|line| line.starts_with("Call ")).unwrap_or_default().to_owned()
    }
}

pub struct ForZoho;

impl Kit for ForZoho {
    type Remote = Zoho;
    const NAME: &'static str = "zoho";
    const TABLE: &'static str = "Calls";
    const METHOD: &'static str = "POST";
    const PATH: &'static str = "/Calls";

    fn settings() -> zoho::Settings {
        zoho::Settings { unique_field: Some("Trunkline_Call_Key".to_owned()), ..zoho::Settings::default() }
    }

    fn config(url: &str, more: &str) -> String {
        format!(
            "[rest.zoho]\npreset = \"zoho\"\nbase_url = \"{url}\"\n{more}\n[rest.zoho.auth]\n\
             token_url = \"{url}/oauth/v2/token\"\nclient_id = \"sim-client\"\nclient_secret = \"sim-secret\"\n\
             refresh_token = \"sim-refresh\"\n"
        )
    }

    fn person(api: &Api<Zoho>, email: &str) -> String {
        api.insert("Contacts", json!({ "Email": email, "Last_Name": "Caller" }))
    }

    fn identity(record: &Value) -> String {
        record["Trunkline_Call_Key"].to_string()
    }
}

pub struct ForDynamics;

impl Kit for ForDynamics {
    type Remote = Dynamics;
    const NAME: &'static str = "dynamics";
    const TABLE: &'static str = "phonecalls";
    const METHOD: &'static str = "PATCH";
    const PATH: &'static str = "/phonecalls(";

    fn settings() -> dynamics::Settings {
        dynamics::Settings::default()
    }

    fn config(url: &str, more: &str) -> String {
        format!(
            "[rest.dynamics]\npreset = \"dynamics\"\nbase_url = \"{url}\"\n{more}\nvalues.tenant = \"sim-tenant\"\n\
             [rest.dynamics.auth]\ntoken_url = \"{url}/{{values.tenant}}/oauth2/v2.0/token\"\n\
             client_id = \"sim-client\"\nclient_secret = \"sim-secret\"\n"
        )
    }

    fn person(api: &Api<Dynamics>, email: &str) -> String {
        api.insert("contacts", json!({ "emailaddress1": email }))
    }

    fn identity(record: &Value) -> String {
        record["activityid"].to_string()
    }
}

pub struct ForCallData;

impl Kit for ForCallData {
    type Remote = CallDataApi;
    const NAME: &'static str = "call_data_api";
    const TABLE: &'static str = "calls";
    const METHOD: &'static str = "POST";
    const PATH: &'static str = "/call-data";

    fn settings() -> call_data_api::Settings {
        call_data_api::Settings::default()
    }

    fn config(url: &str, more: &str) -> String {
        format!(
            "[call_data_api]\nbase_url = \"{url}\"\nauto_upload = true\ncampaign_id = \"{CAMPAIGN}\"\n\
             voice_agent_id = \"64b0c0ffee0000000000beef\"\nclient_id = \"64b0c0ffee0000000000f00d\"\n{more}\n"
        )
    }

    fn person(_: &Api<CallDataApi>, _: &str) -> String {
        String::new()
    }

    fn identity(record: &Value) -> String {
        record["callDetails"]["callId"].to_string()
    }
}
