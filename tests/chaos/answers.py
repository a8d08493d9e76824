"""R5, R8, R9: answers that are lost, sessions that end, batches that fail in part."""
from oracle import ends_well, shortened
from program import Failed
from shapes import BATCHES
from worlds import Desk, Org

def ambiguous(run, index):
    """Writes whose answers are lost, half of them done: each is resolved, none is doubled."""
    rng = run.chance(index)
    upload = index % 3 == 2
    with Desk(run, rng, patience=40) if upload else Org(run, rng, key=index % 3 == 1, patience=40) as world:
        for _ in range(run.each):
            world.put(60)
            world.revise(6)
            way = {"method": "POST"} if upload else {"path": BATCHES}
            kinds = ["drop_after_commit", "drop_before_commit", "truncate_body", "slow_commit"]
            kinds += ["status_after_commit"] if upload else ["unavailable_after_commit", "bad_gateway_after_commit", "server_error_after_commit"]
            # Each costs a pause that doubles: a few at a time.
            world.sim.fault(*({"kind": kind, "probability": 0.1 if upload else 0.6, "count": 4 if upload else 1, "delay_ms": 300, **way}
                              for kind in rng.sample(kinds, 3)))
            world.sync().wait()
            world.sim.calm()
        ends_well(world)
        lost = world.read("SELECT count(*), count(DISTINCT delivery_id) FROM attempt WHERE outcome = 'unknown'")[0]
        run.count("outcomes unknown", lost[0])
        run.count("calls with an unknown outcome", lost[1])


def ambiguous_holds(run):
    run.needs("outcomes unknown", run.total)


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
