"""Processes that are stopped: beyond their lease, or by a supervisor."""
import signal, time

from oracle import ends_well
from program import Background, Failed, until
from shapes import BATCHES
from worlds import Org

LEASE_MS = 800
STOPS = ["intend/before", "intend/before", "settle/before", "send/after", "intend/within", "match/before", "claim/after",
         "map/after", "look-up/after", "prepare/after"]


def pauses(run, index):
    """A process is stopped beyond its lease, another takes over, and the first wakes up: it changes nothing any more."""
    rng = run.chance(index)
    key = index % 2 == 0
    with Org(run, rng, key=key, settle=4 if not key else 1, patience=30) as world:
        for number in range(run.each):
            world.put(12)
            if not key and number % 2 == 0:
                zombie(run, world)
                continue
            world.revise(3)
            at = rng.choice(STOPS if not key else STOPS + ["send/before"])
            first = world.sync(f"lease={LEASE_MS} stop={at}:1")
            until("it stops or ends", lambda: first.is_stopped() or first.is_over(), 60, 0.005)
            if first.is_over():
                run.count("ended without reaching the place")
                continue
            time.sleep(LEASE_MS / 1000 + 0.1)
            world.revise(2)
            second = world.sync()
            second.wait()
            wake(run, first)
        ends_well(world)


def zombie(run, world):
    """The worst that a process can wake up to: what it holds has just been sent by another, and is not there yet."""
    first = world.sync(f"lease={LEASE_MS} stop=intend/before:1")
    until("it stops", lambda: first.is_stopped() or first.is_over(), 60, 0.005)
    time.sleep(LEASE_MS / 1000 + 0.1)
    world.sim.fault({"kind": "slow_commit", "delay_ms": 1500, "method": "POST", "path": BATCHES})
    second = world.sync("lease=20000")
    until("it has sent", lambda: world.read("SELECT 1 FROM delivery WHERE state = 'leased' AND intent_at IS NOT NULL") or second.is_over())
    time.sleep(0.2)
    wake(run, first)
    second.wait()
    world.sim.calm()


def wake(run, process):
    run.count("pauses")
    process.send(signal.SIGCONT)
    process.wait()
    refused = process.words().count("the lease was lost")
    run.count("zombies that wrote", int(refused > 0))
    run.count("writes refused", refused)


def pauses_holds(run):
    run.needs("pauses", run.total // 2, "zombies that wrote", run.total // 4)


def terminate(run, index):
    """SIGTERM, also twice, to a process that serves under load: it ends soon, and nothing is lost, doubled or kept."""
    rng = run.chance(index)
    with Org(run, rng, key=index % 2 == 0) as world:
        world.sim.door("settings", {"latency_ms": 20}, "PUT")
        world.sim.fault({"kind": "slow_commit", "probability": 0.3, "delay_ms": 400})

        def feed():
            world.put(10)
            time.sleep(0.02)

        for number in range(run.each):
            process = world.serve()
            with Background(feed):
                time.sleep(rng.uniform(0.2, 1.6))
                is_busy = bool(world.read("SELECT 1 FROM delivery WHERE state = 'leased' LIMIT 1"))
            began, twice = time.monotonic(), number % 3 == 2
            process.send(signal.SIGTERM)
            if twice:
                time.sleep(rng.random() * 0.2)
                process.send(signal.SIGTERM)
            code = process.wait(32)
            run.count("SIGTERMs" if not twice else "SIGTERMs twice")
            run.count("with a lease in hand", int(is_busy))
            run.most("seconds until it had ended", round(time.monotonic() - began, 1))
            if code not in ((0, 130) if twice else (0,)):
                raise Failed(f"serve ended with {code}:\n{process.words()[-1500:]}")
            kept = world.read("SELECT count(*) FROM delivery WHERE state = 'leased'")
            if code == 0 and kept and kept[0][0]:
                raise Failed(f"{kept[0][0]} leases are kept by a process that ended in order")
        ends_well(world)


def terminate_holds(run):
    run.needs("with a lease in hand", run.total // 3)
