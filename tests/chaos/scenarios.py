"""What is done to the program. Each scenario is a function of a run and the number of a world in it; what it draws, it
draws from the seed and that number, so that one world can be repeated alone."""
import collections, os, pathlib, resource, shutil, signal, sqlite3, sys, time

from oracle import figures, fresh, judge, shortened
from program import Background, Failed, Process, Room, until
from proxy import KINDS, Proxy
from worlds import Desk, Org, figure

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


# R1: kills at random moments ----------------------------------------------------------------------------------------

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
        world.finish()
        judge(world)
        fresh(world)


def await_writes(world, many, processes):
    """Until so many writes have reached the system, or all has ended."""
    while done(world)[1] < many and not all(process.is_over() for process in processes):
        time.sleep(0.001)


def done(world):
    """Requests and writes that the system has met."""
    counters = world.sim.counters()
    if isinstance(world, Desk):
        operations = counters["operations"]
        return counters["requests"], operations.get("stored", 0)
    return counters["api_calls"], sum(counters["created"].values()) + sum(counters["updated"].values())


def kills_holds(run):
    run.needs("killed", run.total // 2, "killed in the middle of writes", run.total // 5, "killed before any request", run.total // 20)


# R1: kills at every named place -------------------------------------------------------------------------------------

class Kind:
    """A world, and a run in it that reaches certain places. `proof` arms each process of the run."""

    def make(self, run, rng):
        return Org(run, rng, key=True)

    def act(self, world, proof):
        return [world.sync(proof)]


class NoKey(Kind):
    def make(self, run, rng):
        return Org(run, rng, key=False, lead=True)

    def act(self, world, proof):
        # The answer to a Lead that is made is lost: nobody makes that person again before it is certain.
        world.sim.fault({"kind": "drop_after_commit", "count": 1, "path": "/sobjects/Lead"})
        world.put(3)
        for _ in range(2):
            world.put_new_person()
        return [world.sync(proof)]


class Held(Kind):
    """A field is hidden, so that the destination is held; then it is not."""

    def act(self, world, proof):
        world.sim.door("settings", {"hidden_fields": ["Task.CallType"]}, "PUT")
        world.put(2)
        process = world.sync(proof)
        process.wait()
        world.sim.door("settings", {"hidden_fields": []}, "PUT")
        return [process] if process.child.returncode < 0 else [world.sync(proof)]


class Evidence(Kind):
    """A ledger of yesterday meets files of today: it looks at the source again before it changes a record."""

    def act(self, world, proof):
        world.revise(3)
        # An update is left over by a run that could not write; the next reads no file, and so looks again.
        world.sim.fault({"kind": "unavailable_before_commit", "path": BATCHES})
        short = world.sync(proof="crash=send/after:1")
        short.wait()
        world.sim.calm()
        return [world.sync(proof)]


class Bad(Kind):
    """A file that cannot be read goes to quarantine, and is gone when it is looked at again."""

    def act(self, world, proof):
        path = world.place(f"bad-{world.processes}.json")
        path.write_text("{")
        world.sync().wait()
        path.unlink()
        return [world.start("retry", "--quarantine", *world.source(), proof=proof)]


class Upload(Kind):
    def make(self, run, rng):
        return Desk(run, rng)

    def act(self, world, proof):
        return [world.sync(proof)]


class Enlisted(Kind):
    """Calls that were read for another destination are for this one too."""

    def make(self, run, rng):
        world = Desk(run, rng)
        values = 'campaign_id = "64b0c0ffee0000000000000a", voice_agent_id = "64b0c0ffee0000000000000b", client_id = "64b0c0ffee0000000000000c"'
        with world.config.open("a") as config:
            config.write(f'[rest.second]\npreset = "call_data_api"\nbase_url = "http://127.0.0.1:9"\nvalues = {{ {values} }}\n')
        return world

    def act(self, world, proof):
        # Nobody answers at the other one: the calls are read, and due there only.
        second = world.sync(arguments=["--to", "second"], proof="crash=prepare/before:1")
        second.wait()
        return [world.sync(proof)]


class Served(Kind):
    def act(self, world, proof):
        process = world.serve(proof)
        calls = len(world.calls)
        if not process.is_over():
            world.put(3)
            until("it has delivered or died", lambda: process.is_over() or standing(world) >= calls + 3, 30)
        process.send(signal.SIGTERM)
        return [process]


def standing(world):
    rows = world.read("SELECT count(*) FROM delivery WHERE state IN ('delivered', 'skipped') AND destination = ?", world.destination)
    return rows[0][0] if rows else 0


PLACES = {"sync": Kind, "no key": NoKey, "held": Held, "looking again": Evidence, "quarantine": Bad, "upload": Upload,
          "two destinations": Enlisted, "serve": Served}


def places(run, index):
    """Every named place in turn ends the program when it is reached, in each kind of run that reaches it."""
    name, some = run.shares[index]
    rng, kind = run.chance(index), PLACES[name]()
    with kind.make(run, rng) as world:
        world.put(8)
        world.finish()
        for at in some:
            world.put(5)
            world.revise(2)
            for process in kind.act(world, f"crash={at}:{1 if run.each == 1 else rng.randrange(1, 4)}"):
                code = process.wait()
                if code == -signal.SIGABRT:
                    run.count(f"at {at}")
                    run.count("places where it was ended")
                elif process.child.returncode < 0:
                    raise Failed(f"{at}: ended by signal {-code}\n{process.words()[-1500:]}")
                else:
                    run.count("ended without reaching the place")
            world.finish()
            judge(world)
        fresh(world)


def places_before(run):
    """Which kind of run reaches which place; shares them out."""
    listed = pathlib.Path(run.scratch) / "places"
    reached = collections.defaultdict(list)
    for name, kind in PLACES.items():
        kind = kind()
        with kind.make(run, run.chance(name)) as world:
            # The first life of a ledger, and a second one that finds work left over.
            trace = f"trace={world.folder}/trace"
            for proof in (f"places={listed} {trace}", trace):
                world.put(6)
                world.revise(2)
                for process in kind.act(world, proof):
                    process.wait()
            world.finish()
            judge(world)
            for place in sorted(world.trace()):
                reached[place].append(name)
    run.places = listed.read_text().split()
    unknown, missing = reached.keys() - set(run.places), set(run.places) - reached.keys()
    if unknown:
        raise Failed(f"not in the table of src/proof/places.rs: {sorted(unknown)}")
    if missing:
        raise Failed(f"no run reaches {sorted(missing)}")
    shares = collections.defaultdict(list)
    for place in run.places:
        # On a commit each place once, where fewest others are; at night in each kind of run, and often.
        names = reached[place] if run.each > 1 else [min(reached[place], key=lambda name: (name == "serve", len(shares[name])))]
        for name in names:
            shares[name] += [place] * max(1, run.each // len(names) + (run.each % len(names) > 0))
    run.shares = [(name, some[at:at + 12]) for name, some in shares.items() for at in range(0, len(some), 12)]
    run.say(f"{len(run.places)} places, {sum(len(some) for _, some in run.shares)} kills in {len(run.shares)} worlds")
    return len(run.shares)


def places_holds(run):
    never = [place for place in run.places if not run.figures[f"at {place}"]]
    least = min(run.figures[f"at {place}"] for place in run.places)
    for place in run.places:
        run.figures.pop(f"at {place}", 0)
    run.say(f"each of {len(run.places)} places ended the program at least {least} times" if not never else "")
    if never:
        raise Failed(f"vacuous: no process was ended at {never}")


# R14: pauses beyond the lease ---------------------------------------------------------------------------------------

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
        world.finish()
        judge(world)
        fresh(world)


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


# R15: a full disk ---------------------------------------------------------------------------------------------------

FULL = ("disk is full", "disk I/O error", "No space left", "File too large")


def disk(run, index):
    """The ledger's disk is full at a seeded write; nothing is lost, and it goes on once there is room."""
    rng = run.chance(index)
    with Org(run, rng, key=index % 2 == 0) as world:
        room = small_disk(run, world)
        world.put(20)
        world.finish()
        for number in range(run.each):
            world.put(15)
            world.revise(3)
            bytes_free = rng.randrange(0, 150) * 4096
            room.fill(bytes_free)
            if number % 5 == 4:
                serve_on_full_disk(run, world, room)
            else:
                process = world.sync()
                code = process.wait()
                count_full(run, process, code)
            room.free()
        world.finish()
        judge(world)
        fresh(world)
        answer = room.check()
        if answer != "ok":
            raise Failed(f"integrity_check of the ledger: {answer}")


def count_full(run, process, code):
    is_full = any(text in process.words() for text in FULL)
    run.count("disk full" if is_full else "there was room enough")
    if is_full and code == 0:
        raise Failed(f"the disk was full, and the run says that all is done:\n{process.words()[-1500:]}\n{process.answer()}")


def serve_on_full_disk(run, world, room):
    """A supervisor starts it anew, as systemd does; it delivers within 30 s of there being room."""
    process = world.serve()
    end = time.monotonic() + 3
    while time.monotonic() < end and not process.is_over():
        time.sleep(0.05)
    run.count("disk full" if process.is_over() else "there was room enough")
    room.free()
    began = time.monotonic()
    while standing(world) < len(world.calls):
        if process.is_over():
            if process.child.returncode == 0:
                raise Failed(f"serve ended with 0 on a full disk:\n{process.words()[-800:]}")
            process = world.serve()
        if time.monotonic() - began > 30:
            raise Failed(f"30 s after there was room, not all is delivered:\n{process.words()[-1500:]}")
        time.sleep(0.05)
    run.most("seconds until serve had delivered after there was room", round(time.monotonic() - began, 1))
    figures(world, process)
    process.send(signal.SIGTERM)
    process.wait()


class Filled:
    """A tmpfs that another file fills."""

    def __init__(self, world):
        folder = world.folder / "disk"
        folder.mkdir()
        self.room = world.room = Room(folder, 24)

    def fill(self, bytes_free):
        self.room.leave(bytes_free)

    def free(self):
        self.room.clear()

    def check(self):
        script = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone()[0])"
        return self.room.run(sys.executable, "-c", script, f"{self.room.folder}/calls.db").strip()


class Limited:
    """Where nobody may mount: no file of the process may grow beyond a size."""

    def __init__(self, world):
        self.world = world

    def fill(self, bytes_free):
        sizes = [path.stat().st_size for path in self.world.folder.glob("calls.db*")]
        most = max(sizes, default=0) + bytes_free

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

        self.world.before = limit

    def free(self):
        self.world.before = None

    def check(self):
        return sqlite3.connect(self.world.ledger).execute("PRAGMA integrity_check").fetchone()[0]


def small_disk(run, world):
    try:
        if not all(map(shutil.which, ("unshare", "nsenter", "fallocate"))):
            raise OSError("unshare, nsenter or fallocate is missing")
        disk = Filled(world)
        run.count("worlds with a small tmpfs")
        return disk
    except OSError as error:
        run.say(f"no tmpfs of its own ({error}): files are limited in size instead")
        run.count("worlds with limited files")
        return Limited(world)


def disk_holds(run):
    run.needs("disk full", run.total // 3)


# R29, R7: the network -----------------------------------------------------------------------------------------------

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
        world.finish()
        judge(world)
        fresh(world)
        proxy.close()


def network_holds(run):
    run.needs(*(part for kind in KINDS[:6] for part in (kind, 1)), "refused", 1)


# R26: terminate -----------------------------------------------------------------------------------------------------

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
        world.finish()
        judge(world)
        fresh(world)


def terminate_holds(run):
    run.needs("with a lease in hand", run.total // 3)


# R6: storms ---------------------------------------------------------------------------------------------------------

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
        world.finish()
        judge(world)
        fresh(world)
        proxy.close()


# R5, R8, R9: answers that are lost, sessions that end, batches that fail in part ---------------------------------------

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
        world.finish()
        judge(world)
        fresh(world)
        lost = world.read("SELECT count(*), count(DISTINCT delivery_id) FROM attempt WHERE outcome = 'unknown'")[0]
        run.count("outcomes unknown", lost[0])
        run.count("calls with an unknown outcome", lost[1])


def ambiguous_holds(run):
    run.needs("outcomes unknown", run.total)


def expiry(run, index):
    """Sessions end in the middle of batches: one login for each, nothing doubled."""
    rng = run.chance(index)
    with Org(run, rng, key=index % 2 == 0) as world:
        logins = -1
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
        world.finish()
        judge(world)
        fresh(world)


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
        world.finish()
        judge(world)
        fresh(world)


def partial_holds(run):
    run.needs("rows rejected", run.total // 4, "rows retry", run.total)


# I4: which evidence is newer ----------------------------------------------------------------------------------------

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
        world.finish()
        judge(world)
        fresh(world)


# R13: the clock -----------------------------------------------------------------------------------------------------

HOUR, DAY = 3600_000, 86_400_000


def clock(run, index):
    """The machine's clock steps while one or two processes run, on a machine that is not in UTC."""
    rng = run.chance(index)
    zone = rng.choice(["Pacific/Auckland", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Apia", "UTC"])
    with Org(run, rng, key=index % 2 == 0, patience=8) as world:
        offset = world.folder / "clock"

        def step(ms):
            waiting = world.folder / "clock.new"
            waiting.write_text(str(ms))
            waiting.rename(offset)

        now = int(time.time() * 1000)
        steps = [HOUR, -HOUR, DAY, -DAY, -now + 86_400_000, 4_102_444_800_000 - now, 300, -300]
        for _ in range(run.each):
            step(0)
            world.put(30)
            world.revise(4)
            world.sim.fault({"kind": "slow_commit", "probability": 0.5, "delay_ms": 80}, {"kind": "lock_row", "probability": 0.02, "count": 4},
                            {"kind": "drop_after_commit", "count": 1, "path": BATCHES})
            some = [world.sync(f"clock={offset}", env={"TZ": zone}) for _ in range(1 + index % 2)]
            time.sleep(rng.random() * 0.3)
            step(rng.choice(steps))
            run.count("steps", int(not all(process.is_over() for process in some)))
            if rng.random() < 0.3:
                some[0].kill()
                run.count("killed besides")
            for process in some:
                process.wait()
            if rng.random() < 0.5:
                world.sync(f"clock={offset}", env={"TZ": zone}).wait()
            world.sim.calm()
        step(0)
        world.finish()
        judge(world)
        fresh(world)


def clock_holds(run):
    run.needs("steps", run.total // 4)
