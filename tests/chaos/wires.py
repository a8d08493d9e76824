"""A network that lies, and a system that answers nothing but 429 or 503."""
import signal, time

from oracle import ends_well, figures
from program import Failed, until
from proxy import KINDS, Proxy
from shapes import standing
from worlds import Desk, Org, figure

def network(run, index):
    """Resets, halves, slices, stalls, endless and giant answers, nobody there: no hang, nothing lost, nothing doubled."""
    rng = run.chance(index)
    # An org is given two minutes for an answer, so those that take them are for the API, which is given two seconds.
    quick = [kind for kind in KINDS if kind not in ("stall", "never_ends")]
    with Desk(run, rng) if index % 2 else Org(run, rng, key=index % 4 == 0) as world:
        proxy = Proxy(world.sim.at, rng.random(), KINDS if index % 2 else quick, 0.35)
        world.server = proxy.url
        for _ in range(run.each):
            world.put(25)
            world.revise(4)
            process = world.sync()
            if rng.random() < 0.3:
                time.sleep(rng.random() * 0.2)
                proxy.refuse(0.3)
            began = time.monotonic()
            process.wait(90)
            run.count("runs")
            run.most("seconds of the longest run", round(time.monotonic() - began, 1))
        for kind, count in proxy.met.items():
            run.count(kind, count)
        run.most("MB taken of a giant answer", proxy.giant_bytes >> 20)
        if proxy.giant_bytes > 100 << 20:
            raise Failed(f"{proxy.giant_bytes >> 20} MB of an answer were read")
        proxy.calm()
        ends_well(world)
        proxy.close()


def network_holds(run):
    run.needs(*(part for kind in KINDS[:6] for part in (kind, 1)), "refused", 1)


def storms(run, index):
    """Nothing but 429 or 503 for a while, whatever Retry-After says: few requests, no dead letter, and all goes out after."""
    rng = run.chance(index)
    after = ["2", "DATE", "-5", "864000", "soon", None][index % 6]
    status = (429, 503)[index // 6 % 2]
    seconds = run.storm_s
    with Desk(run, rng) if index % 4 == 3 else Org(run, rng, key=index % 2 == 0) as world:
        proxy = Proxy(world.sim.at, rng.random())
        world.server = proxy.url
        world.put(15)
        world.finish()
        serving = isinstance(world, Org)
        process = world.serve() if serving else None
        if serving:
            until("it is ready", lambda: list(figure(process.url, "trunkline_destination_usable").values()) == [1.0])
        when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3))
        proxy.storm = status, [("retry-after", when if after == "DATE" else after)] if after else []
        world.put(15)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not serving:
                world.sync().wait()
            time.sleep(0.5)
        run.count("storms")
        run.count("requests in storms", proxy.stormed)
        run.most("requests in one storm", proxy.stormed)
        # Pauses double up to a minute: a handful in the first seconds, then one now and then.
        most = 14 + seconds if serving else 30 * (1 + seconds)
        if not proxy.stormed:
            raise Failed("vacuous: no request met the storm")
        if proxy.stormed > most:
            raise Failed(f"{proxy.stormed} requests in a storm of {seconds} s")
        proxy.calm()
        waits = world.read("SELECT max(next_at) FROM delivery WHERE state = 'due' AND next_at < 1 << 60")[0][0] or 0
        if waits / 1000 > time.time() + 3600 + 75:
            raise Failed("a pause of more than an hour was believed")
        dead = world.read("SELECT count(*) FROM delivery WHERE state = 'dead'")[0][0]
        if dead:
            raise Failed(f"{dead} dead letters of a storm")
        if serving and after != "864000":
            until("what waited is delivered", lambda: standing(world) == len(world.calls), 75, 0.1)
            figures(world, process)
        if serving:
            process.send(signal.SIGTERM)
            process.wait()
        ends_well(world)
        proxy.close()
