//! A scripted HTTP server for answers that no simulator gives.
//!
//! Invariant: it answers every request, and remembers each one's method and target.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;

type Answer = dyn Fn(&str) -> Response + Send + Sync;

struct Script {
    answer: Box<Answer>,
    requests: Mutex<Vec<String>>,
}

pub struct Stub {
    /// E.g. `http://127.0.0.1:41234`.
    pub endpoint: String,
    script: Arc<Script>,
    server: JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Stub {
    /// Serves what `answer` gives for a request, told as `GET /path?query`.
    pub async fn start<R: IntoResponse>(answer: impl Fn(&str) -> R + Send + Sync + 'static) -> Stub {
        let script = Arc::new(Script {
            answer: Box::new(move |request| answer(request).into_response()),
            requests: Mutex::default(),
        });
        let app = Router::new().fallback(serve).with_state(script.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Stub { endpoint, script, server }
    }

    /// Every request so far, as `GET /path?query`.
    pub fn requests(&self) -> Vec<String> {
        self.script.requests.lock().expect("no test panics while it holds this").clone()
    }
}

async fn serve(State(script): State<Arc<Script>>, request: Request) -> Response {
    let told = format!("{} {}", request.method(), request.uri());
    script.requests.lock().expect("no test panics while it holds this").push(told.clone());
    (script.answer)(&told)
}
