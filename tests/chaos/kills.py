"""`kill -9` at random moments."""
import time

from oracle import ends_well
from shapes import DESK_MIX, MIX, done
from worlds import Desk, Org

def kills(run, index):
    """`kill -9` at random moments of one or two processes, under faults, with and without the key field."""
    rng = run.chance(index)
    kind = ("key", "no key", "upload", "key")[index % 4]
    processes = 2 if index % 3 == 2 else 1
    with Desk(run, rng) if kind == "upload" else Org(run, rng, key=kind == "key", lead=index % 8 < 4) as world:
        world.put(run.size)
        began = time.monotonic()
        world.finish()
        usual = time.monotonic() - began
        world.sim.fault(*(DESK_MIX if kind == "upload" else MIX))
        for _ in range(run.each):
            world.put(run.size)
            world.revise(run.size // 20)
            world.age(run.size // 40)
            before = done(world)
            some = [world.sync() for _ in range(processes)]
            if rng.random() < 0.4:
                time.sleep(usual * rng.random())
            else:
                await_writes(world, before[1] + rng.randrange(1, max(2, run.size // 2)), some)
            for process in some:
                run.count("killed" if not process.is_over() else "ended before the kill")
                process.kill()
            asked, written = (after - then for after, then in zip(done(world), before))
            run.count("killed in the middle of writes" if written else "killed between" if asked else "killed before any request")
        for name, count in world.sim.counters()["faults"].items():
            run.count(f"fault {name}", count)
        ends_well(world)


def await_writes(world, many, processes):
    """Until so many writes have reached the system, or all has ended."""
    while done(world)[1] < many and not all(process.is_over() for process in processes):
        time.sleep(0.001)


def kills_holds(run):
    run.needs("killed", run.total // 2, "killed in the middle of writes", run.total // 5, "killed before any request", run.total // 20)
