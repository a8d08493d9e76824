//! `trunkline serve`: delivers calls as they end, until it is asked to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use futures_util::future::join;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::context::reading;
use super::figures::Figures;
use super::progress::Lines;
use super::{Context, Exit, Failure, Output};
use crate::config::Settings;
use crate::engine::{Pace, Reading, Route, Serving};
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, Problem};
use crate::proof::{self, Step};
use crate::server::Server;
use crate::sources::ObjectSource;
use crate::sources::conversations::Conversations;
use crate::store::StoreError;

#[derive(Args)]
pub struct Arguments {
    /// Where the session exports are: s3://bucket/prefix/ or file:///folder/.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
    /// Where to answer health checks and figures; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
}

pub async fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let settings = context.settings(arguments.source)?;
    let routes = context.routes(&settings)?;
    let readings = readings(context, &settings, &routes)?;
    let listener = listen(arguments.listen.unwrap_or(settings.serve.listen)).await?;
    let store = context.open_store(&settings.store_path)?;
    context.stop_on_signals();

    let serve = &settings.serve;
    let pace = Pace {
        poll: serve.poll,
        hold_retry: serve.hold_retry,
        zone: settings.time_zone.clone(),
        catch_up: serve.catch_up,
    };
    let watched: Vec<String> = readings.iter().map(|reading| reading.source.address().to_owned()).collect();
    let engine = context.engine(Arc::clone(&store), Arc::new(Lines::default()));
    let serving = Arc::new(Serving::begin(engine, readings, routes, serve.schedules.clone(), pace).await?);
    let health = Figures::new(Arc::clone(&serving), store, Arc::clone(&context.clock));
    let server = Server::start(listener, Arc::new(health))?;
    if context.global.json {
        output.line(json!({ "listen": server.address.to_string() }).to_string())?;
    } else {
        output.line(format!("listening on http://{}", server.address))?;
    }
    output.say(format!("watching {}", watched.join(", ")));

    let loops = tokio::spawn(serving.run());
    match end(context, &settings, server, loops).await {
        Some(result) => result?,
        None => {
            let seconds = serve.drain.as_secs();
            output.say(format!("stopped after {seconds} s with work in hand; the next start takes it over"));
            return Ok(Exit::Person);
        }
    }
    output.say("stopped: what was in hand is finished or given back");
    Ok(Exit::Done)
}

/// Waits for the loops to end; once a stop is asked for, as long as `drain_s` at most: `None` if they did not.
async fn end(
    context: &Context,
    settings: &Settings,
    server: Server,
    mut loops: JoinHandle<Result<(), StoreError>>,
) -> Option<Result<(), StoreError>> {
    let ended = tokio::select! {
        ended = &mut loops => Some(ended),
        () = context.stop.asked() => None,
    };
    proof::reached("drain", Step::Before);
    let drained = async {
        if ended.is_some() {
            return ended;
        }
        tokio::select! {
            ended = &mut loops => Some(ended),
            () = context.clock.sleep(settings.serve.drain) => None,
        }
    };
    let ((), ended) = join(server.close(), drained).await;
    proof::reached("drain", Step::After);
    if ended.is_none() {
        loops.abort();
    }
    match ended? {
        Ok(result) => Some(result),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Everything that is watched.
fn readings(context: &Context, settings: &Settings, routes: &[Route]) -> Result<Vec<Reading>, Failure> {
    let mut readings = Vec::new();
    if settings.source.is_some() {
        readings.push(reading(settings, context.source(settings)?, routes));
    }
    if let Some(conversations) = &settings.serve.conversations {
        let source: Arc<dyn ObjectSource> = Arc::new(Conversations::open(conversations.clone())?);
        readings.push(reading(settings, source, routes));
    }
    if readings.is_empty() {
        return Err(Problem::new(
            CONFIG_CONTRADICTION,
            "no source is set",
            "set source.address in trunkline.toml (or --source) for session exports, or [serve.conversations] with `dir` for \
             transcripts",
        )
        .into());
    }
    Ok(readings)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let what = format!("{address} cannot be listened on: {error}");
        let help = "end the other program that uses it, or name another with --listen or serve.listen; port 0 takes a free one";
        Problem::new(CONFIG_BAD_VALUE, what, help).into()
    })
}
