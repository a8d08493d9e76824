//! Which resource a method and path name, before anything is done: the one place that knows the URL space.
//!
//! Resource names are accepted in any letter case and with a trailing slash.

use super::problem::Problem;

/// A resource of one API version and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Resources,
    Limits,
    Query { is_all: bool },
    QueryMore { locator: String },
    DescribeGlobal,
    ObjectInformation { object: String },
    Describe { object: String },
    Create { object: String },
    Retrieve { object: String, id: String },
    Update { object: String, id: String },
    Delete { object: String, id: String },
    RetrieveByKey { object: String, field: String, value: String },
    Upsert { object: String, field: String, value: String },
    DeleteByKey { object: String, field: String, value: String },
    CollectionCreate,
    CollectionUpdate,
    CollectionDelete,
    CollectionRetrieve { object: String },
    CollectionUpsert { object: String, field: String },
    Composite,
    Batch,
}

impl Route {
    /// The name under which the counters have it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Route::Resources => "resources",
            Route::Limits => "limits",
            Route::Query { is_all: false } => "query",
            Route::Query { is_all: true } => "query_all",
            Route::QueryMore { .. } => "query_more",
            Route::DescribeGlobal => "describe_global",
            Route::ObjectInformation { .. } => "object_information",
            Route::Describe { .. } => "describe",
            Route::Create { .. } => "create",
            Route::Retrieve { .. } => "retrieve",
            Route::Update { .. } => "update",
            Route::Delete { .. } => "delete",
            Route::RetrieveByKey { .. } => "retrieve_by_key",
            Route::Upsert { .. } => "upsert",
            Route::DeleteByKey { .. } => "delete_by_key",
            Route::CollectionCreate => "collection_create",
            Route::CollectionUpdate => "collection_update",
            Route::CollectionDelete => "collection_delete",
            Route::CollectionRetrieve { .. } => "collection_retrieve",
            Route::CollectionUpsert { .. } => "collection_upsert",
            Route::Composite => "composite",
            Route::Batch => "batch",
        }
    }

    /// Resolves the path segments after the version.
    pub(super) fn parse(method: &str, segments: &[String]) -> Result<Route, Problem> {
        let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let words: Vec<&str> = lower.iter().map(String::as_str).collect();
        let owned = |index: usize| segments.get(index).cloned().unwrap_or_default();
        let wrong = |allowed: &str| Err(Problem::method_not_allowed(method, allowed));
        let get = |route: Route| if matches!(method, "GET" | "HEAD") { Ok(route) } else { wrong("HEAD,GET") };
        match words.as_slice() {
            [] => get(Route::Resources),
            ["limits"] => get(Route::Limits),
            ["query"] => get(Route::Query { is_all: false }),
            ["queryall"] => get(Route::Query { is_all: true }),
            ["query" | "queryall", _] => get(Route::QueryMore { locator: owned(1) }),
            ["sobjects"] => get(Route::DescribeGlobal),
            ["sobjects", _] => match method {
                "GET" | "HEAD" => Ok(Route::ObjectInformation { object: owned(1) }),
                "POST" => Ok(Route::Create { object: owned(1) }),
                _ => wrong("HEAD,GET,POST"),
            },
            ["sobjects", _, "describe"] => get(Route::Describe { object: owned(1) }),
            ["sobjects", _, "id"] if method == "POST" => Ok(Route::Create { object: owned(1) }),
            ["sobjects", _, _] => {
                let (object, id) = (owned(1), owned(2));
                match method {
                    "GET" | "HEAD" => Ok(Route::Retrieve { object, id }),
                    "PATCH" => Ok(Route::Update { object, id }),
                    "DELETE" => Ok(Route::Delete { object, id }),
                    _ => wrong("HEAD,GET,PATCH,DELETE"),
                }
            }
            ["sobjects", _, _, ..] => Route::parse_key(method, segments),
            ["composite"] if method == "POST" => Ok(Route::Composite),
            ["composite", "batch"] if method == "POST" => Ok(Route::Batch),
            ["composite", "sobjects"] => match method {
                "POST" => Ok(Route::CollectionCreate),
                "PATCH" => Ok(Route::CollectionUpdate),
                "DELETE" => Ok(Route::CollectionDelete),
                _ => wrong("POST,PATCH,DELETE"),
            },
            ["composite", "sobjects", _] => match method {
                "GET" | "POST" => Ok(Route::CollectionRetrieve { object: owned(2) }),
                _ => wrong("GET,POST"),
            },
            ["composite", "sobjects", _, _] => match method {
                "PATCH" => Ok(Route::CollectionUpsert { object: owned(2), field: owned(3) }),
                _ => wrong("PATCH"),
            },
            _ => Err(Problem::not_found()),
        }
    }

    /// `/sobjects/<object>/<field>/<value>`; a slash in the value splits it, and a format ending hides the record.
    fn parse_key(method: &str, segments: &[String]) -> Result<Route, Problem> {
        let [_, object, field, value] = segments else { return Err(Problem::not_found()) };
        if [".json", ".xml", ".inc"].iter().any(|ending| value.ends_with(ending)) {
            return Err(Problem::not_found());
        }
        let (object, field, value) = (object.clone(), field.clone(), value.clone());
        match method {
            "GET" | "HEAD" => Ok(Route::RetrieveByKey { object, field, value }),
            "PATCH" => Ok(Route::Upsert { object, field, value }),
            "DELETE" => Ok(Route::DeleteByKey { object, field, value }),
            _ => Err(Problem::method_not_allowed(method, "HEAD,GET,PATCH,DELETE")),
        }
    }
}
