//! Room for other processes: what nobody waits for goes in small steps, behind what others have in hand.
//!
//! Invariant: nobody waits for ever: who steps back goes on after a bounded time, however busy the others are.

use std::time::Duration;

use super::Engine;
use crate::store::{Company, Rearm, StoreError};

/// Deliveries made due in one transaction: nobody else who writes waits for long, however many there are.
const REARMED_AT_ONCE: usize = 200;
/// Room between two steps, in which whoever waits for the ledger gets it.
const ROOM: Duration = Duration::from_millis(10);
/// How often it is looked whether the others are done, before the next step is taken beside them.
const LOOKS_MAX: u32 = 100;

/// Makes deliveries due again, step by step; answers how many. What was made due stays so if it is stopped in between.
pub async fn rearm(engine: &Engine, destination: &str, which: &Rearm) -> Result<usize, StoreError> {
    let ids = engine.store.find_to_rearm(destination, which).await?;
    let mut count = 0;
    for some in ids.chunks(REARMED_AT_ONCE) {
        if engine.stop.is_asked() {
            break;
        }
        step_back(engine).await?;
        count += engine.store.rearm(some, which, engine.clock.now_ms()).await?;
    }
    Ok(count)
}

/// Where others share the ledger: leaves them room, and waits a while for what they have in hand.
pub(super) async fn step_back(engine: &Engine) -> Result<Company, StoreError> {
    let mut company = engine.store.company().await?;
    for _ in 0..LOOKS_MAX {
        if company == Company::Alone || engine.stop.is_asked() {
            break;
        }
        engine.clock.sleep(ROOM).await;
        company = engine.store.company().await?;
        if company != Company::Busy {
            break;
        }
    }
    Ok(company)
}
