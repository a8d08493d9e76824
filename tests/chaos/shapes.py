"""What scenarios have in common: faults that are mixed, and how far a system or a ledger has come."""
from worlds import Desk

BATCHES = "/composite/sobjects"
# A commit whose answer is lost, an error after it, errors before it, a session that ends, locks, slow commits.
MIX = [
    {"kind": "slow_commit", "probability": 0.2, "delay_ms": 30},
    {"kind": "lock_row", "probability": 0.03},
    {"kind": "drop_after_commit", "probability": 0.25, "count": 4, "path": BATCHES},
    {"kind": "truncate_body", "probability": 0.1, "count": 2, "path": BATCHES},
    {"kind": "unavailable_after_commit", "probability": 0.05, "count": 4},
    {"kind": "unavailable_before_commit", "probability": 0.03, "count": 6},
    {"kind": "concurrent_limit", "probability": 0.02, "count": 2},
    {"kind": "expire_session", "probability": 0.03},
]
DESK_MIX = [
    {"kind": "slow_commit", "probability": 0.1, "delay_ms": 30, "method": "POST"},
    {"kind": "drop_after_commit", "probability": 0.02, "count": 4, "method": "POST"},
    {"kind": "status_after_commit", "status": 503, "probability": 0.02, "count": 3, "method": "POST"},
    {"kind": "status_before_commit", "status": 429, "retry_after_s": 0, "probability": 0.01, "count": 3},
    {"kind": "status_before_commit", "status": 503, "probability": 0.01, "count": 3},
]


def done(world):
    """Requests and writes that the system has met."""
    counters = world.sim.counters()
    if isinstance(world, Desk):
        operations = counters["operations"]
        return counters["requests"], operations.get("stored", 0)
    return counters["api_calls"], sum(counters["created"].values()) + sum(counters["updated"].values())


def standing(world):
    rows = world.read("SELECT count(*) FROM delivery WHERE state IN ('delivered', 'skipped') AND destination = ?", world.destination)
    return rows[0][0] if rows else 0
