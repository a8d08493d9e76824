"""Answers that are lost, sessions that end, batches that fail in part."""
import collections, itertools

from oracle import ends_well, judge, shortened
from program import Failed
from shapes import BATCHES
from worlds import Desk, Org

# How long after an answer was lost the next process comes, in minutes: beyond the half hour and the day for which remote systems
# that know a request again by its key remember it.
LATE = (31, 25 * 60)
LOST = ("drop_after_commit", "drop_before_commit")
# Outcomes that tell what became of a delivery; the others are those of a further fault.
KNOWN = ("delivered", "exists", "rejected")


def ambiguous(run, index):
    """Writes whose answers are lost, half of them done: each is resolved, soon or much later, and none is doubled."""
    rng = run.chance(index)
    upload = index % 3 == 2
    way = {"method": "POST"} if upload else {"path": BATCHES}
    # An answer that is late is not lost: whatever is unknown was made so by a fault.
    with Desk(run, rng, patience=40, timeout=20) if upload else Org(run, rng, key=index % 3 == 1, patience=40) as world:
        for _ in range(run.each):
            world.put(60)
            world.revise(6)
            kinds = ["drop_after_commit", "drop_before_commit", "truncate_body", "slow_commit"]
            kinds += ["status_after_commit"] if upload else ["unavailable_after_commit", "bad_gateway_after_commit", "server_error_after_commit"]
            # Each costs a pause that doubles: a few at a time.
            world.sim.fault(*({"kind": kind, "probability": 0.1 if upload else 0.6, "count": 4 if upload else 1, "delay_ms": 300, **way}
                              for kind in rng.sample(kinds, 3)))
            world.sync().wait()
            world.sim.calm()
        world.finish()
        judge(world)
        count_attempts(run, world)
        minutes = 0
        for late, lost in itertools.product(LATE, LOST):
            minutes += late
            long_after(run, world, {"kind": lost, "count": 1, **way}, late, minutes)
        ends_well(world)


def count_attempts(run, world):
    """How many attempts each unknown outcome took until it was known what had become of it."""
    rows = world.read("SELECT delivery_id, at, outcome FROM attempt ORDER BY delivery_id, id")
    outcomes, spoiled = collections.defaultdict(list), set()
    for delivery, at, outcome in rows:
        outcomes[delivery].append(outcome)
        if outcome not in KNOWN:
            spoiled.add(at)
    faults = sum(count for kind, count in world.sim.counters()["faults"].items() if kind != "slow_commit")
    if len(spoiled) > faults:
        raise Failed(f"{len(spoiled)} requests came to nothing that is known, and only {faults} were made to")
    run.count("calls with an unknown outcome", sum("unknown" in some for some in outcomes.values()))
    for some in outcomes.values():
        for place, outcome in enumerate(some):
            if outcome == "unknown":
                run.count("outcomes unknown")
                with run.lock:
                    run.attempts.append(attempts_after(some[place + 1:]))


def attempts_after(outcomes):
    """Attempts until it is known: those that a further fault met are not its own. A look-up that found the record leaves no
    row of its own, and is one."""
    own = [outcome for outcome in outcomes if outcome in KNOWN]
    until_known = own[:own.index("delivered") + 1] if "delivered" in own else own
    return max(1, len(until_known))


def long_after(run, world, fault, late, minutes):
    """A process dies between an answer that was lost and its book; the next one comes that much later by its clock."""
    world.put(12)
    world.sim.fault(fault)
    world.sync("crash=send/after:1").wait()
    world.sim.calm()
    left = world.read("SELECT count(*) FROM delivery WHERE intent_at IS NOT NULL AND destination = ?", world.destination)
    run.count(open_for(late, fault["kind"]), left[0][0])
    world.set_clock(minutes * 60_000)
    world.sync().wait()
    if world.read("SELECT 1 FROM delivery WHERE intent_at IS NOT NULL"):
        raise Failed(f"{late} minutes after its answer was lost ({fault['kind']}), an outcome is still open")


def open_for(late, kind):
    return f"outcomes open for {late} minutes, {kind}"


def ambiguous_holds(run):
    late = [open_for(late, kind) for late, kind in itertools.product(LATE, LOST)]
    run.needs("outcomes unknown", run.total, *(part for what in late for part in (what, run.worlds)))
    attempts = sorted(run.attempts)
    if not attempts:
        raise Failed("vacuous: no outcome was unknown")
    p50, p99 = (attempts[min(len(attempts) - 1, len(attempts) * part // 100)] for part in (50, 99))
    run.say(f"attempts until an unknown outcome was resolved: p50 {p50}, p99 {p99}, at most {attempts[-1]}")
    if p99 > 2:
        raise Failed(f"an unknown outcome takes {p99} attempts at p99, not 2 at most")


def expiry(run, index):
    """Sessions end in the middle of batches: one login for each, nothing doubled."""
    rng = run.chance(index)
    with Org(run, rng, key=index % 2 == 0) as world:
        for _ in range(run.each):
            world.put(40)
            world.revise(5)
            world.sim.fault({"kind": "expire_session", "probability": 0.3})
            world.sync().wait()
            world.sim.calm()
        counters = world.sim.counters()
        expired = counters["faults"].get("expire_session", 0)
        logins = sum(count for kind, count in counters["calls"].items() if kind.startswith("login"))
        run.count("sessions expired", expired)
        run.count("logins", logins)
        if logins > expired + run.each:
            raise Failed(f"{logins} logins for {expired} expiries in {run.each} runs")
        ends_well(world)


def expiry_holds(run):
    run.needs("sessions expired", run.total // 4)


def partial(run, index):
    """Batches of which some rows fail, for a while or for good: each row's outcome is its own."""
    rng = run.chance(index)
    with Org(run, rng, key=index % 2 == 0) as world:
        for _ in range(run.each):
            world.put(80)
            world.revise(8)
            refused = {"kind": "fail_row", "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "no", "probability": 0.1}
            world.sim.fault({"kind": "lock_row", "probability": 0.2, "count": 20}, {**refused, "count": rng.randrange(1, 12)})
            world.sync().wait()
            # Before a person's `retry`: what the ledger says of each is what the org holds.
            held = {task["CallObject"] for task in world.sim.door("state?object=Task")["Task"]}
            for name, state in world.read("SELECT source_id, state FROM delivery JOIN call USING (call_key) "
                                          "WHERE state = 'delivered' OR (state = 'dead' AND remote_id IS NULL)"):
                if (state == "delivered") != (name in held):
                    raise Failed(f"{name} is {state} in the ledger, and {'' if name in held else 'not '}in the org\n  {shortened(world.why(name))}")
        rows = world.read("SELECT outcome, count(*) FROM attempt GROUP BY outcome")
        for outcome, count in rows:
            run.count(f"rows {outcome}", count)
        ends_well(world)


def partial_holds(run):
    run.needs("rows rejected", run.total // 4, "rows retry", run.total)
