"""Which evidence is newer, and a clock that steps."""
import shutil, time

from oracle import ends_well
from shapes import BATCHES
from worlds import Org

def revisions(run, index):
    """Newer and older files of the same calls in any order, and a ledger that is behind: the newest wins."""
    rng = run.chance(index)
    with Org(run, rng, key=index % 2 == 0) as world:
        world.put(40)
        world.finish()
        for _ in range(run.each):
            saved = world.folder / "saved.db"
            shutil.copyfile(world.ledger, saved)
            world.put(5)
            world.revise(12)
            world.sync().wait()
            world.age(8)
            if rng.random() < 0.5:
                # A backup comes back: it must not undo what the lost ledger delivered since.
                shutil.copyfile(saved, world.ledger)
                run.count("ledgers restored")
            world.sync().wait()
            run.count("rounds")
        run.count("calls revised", sum(1 for call in world.calls.values() if call.content))
        ends_well(world)


HOUR, DAY = 3600_000, 86_400_000


def clock(run, index):
    """The machine's clock steps while one or two processes run, on a machine that is not in UTC."""
    rng = run.chance(index)
    zone = rng.choice(["Pacific/Auckland", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Apia", "UTC"])
    with Org(run, rng, key=index % 2 == 0, patience=8) as world:
        now = int(time.time() * 1000)
        steps = [HOUR, -HOUR, DAY, -DAY, -now + 86_400_000, 4_102_444_800_000 - now, 300, -300]
        for _ in range(run.each):
            world.set_clock(0)
            world.put(30)
            world.revise(4)
            world.sim.fault({"kind": "slow_commit", "probability": 0.5, "delay_ms": 80}, {"kind": "lock_row", "probability": 0.02, "count": 4},
                            {"kind": "drop_after_commit", "count": 1, "path": BATCHES})
            some = [world.sync(env={"TZ": zone}) for _ in range(1 + index % 2)]
            time.sleep(rng.random() * 0.3)
            world.set_clock(rng.choice(steps))
            run.count("steps", int(not all(process.is_over() for process in some)))
            if rng.random() < 0.3:
                some[0].kill()
                run.count("killed besides")
            for process in some:
                process.wait()
            if rng.random() < 0.5:
                world.sync(env={"TZ": zone}).wait()
            world.sim.calm()
        world.set_clock(0)
        ends_well(world)


def clock_holds(run):
    run.needs("steps", run.total // 4)
