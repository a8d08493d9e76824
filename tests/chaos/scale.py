"""What scripts/scale does to the program: large ledgers, replays, a long outage, large files. The oracle is the one of the
chaos: it knows what was written to the files, and looks into the org by the administrator's door."""
import collections, contextlib, datetime, gzip, json, os, sqlite3, time

import oracle
from program import Failed, fetch, until
from worlds import Org, figure

LONG_S = 1500
# What becomes of the mapping: the Subject of long calls alone.
LONGER = f"""[salesforce.task]
Subject = "Voice AI Call - {{{{ date }}}}{{% if call.duration_seconds >= {LONG_S} %}} (long){{% endif %}}"
"""
QUIET = {"TRUNKLINE_LOG": "trunkline=warn"}


class Run:
    """What a world wants of the run that it is in."""

    def __init__(self, binary, keep):
        self.binary, self.keep, self.off, self.counted = binary, keep, [], collections.Counter()

    def count(self, what, number=1):
        self.counted[what] += number


class Big(Org):
    """An org with days of calls, and a mapping that changes."""

    def __init__(self, run, rng, **words):
        super().__init__(run, rng, patience=20, **words)
        self.plain, self.is_longer = self.config.read_text(), False

    def put_on(self, day, count):
        usual, known = self.day, len(self.calls)
        self.day = day
        self.put(count)
        self.day = usual
        new = list(self.calls.values())[known:]
        for call in new:
            call.day = day
        return new

    def map_longer(self, is_longer):
        self.is_longer = is_longer
        self.config.write_text(self.plain + (LONGER if is_longer else ""))

    def start(self, *arguments, proof="", env=None):
        return super().start(*arguments, proof=proof, env={**QUIET, **(env or {})})

    def timed(self, *arguments, codes=(0,), seconds=900):
        began = time.monotonic()
        process = self.start(*arguments)
        code = process.wait(seconds)
        if code not in codes:
            raise Failed(f"`{' '.join(arguments)}` ends with {code}:\n{process.words()[-1500:]}")
        return time.monotonic() - began, process

    def sync_day(self, day, codes=(0,)):
        took, process = self.timed("sync", *self.source(), "--from", str(day), "--json", codes=codes)
        return took, process.json()

    def tasks(self):
        return {task["CallObject"]: task for task in self.sim.door("state?object=Task")["Task"]}

    def written(self):
        counters = self.sim.counters()
        return counters["created"].get("Task", 0), counters["updated"].get("Task", 0)

    def judge_org(self):
        """Each call that was to be there is there once, as its mapping says; answers how many."""
        usual = oracle.expected_task

        def expected(world, call):
            day, world.day = world.day, call.day
            wanted = usual(world, call)
            world.day = day
            if world.is_longer and call.content["seconds"] >= LONG_S:
                wanted["Subject"] += " (long)"
            return wanted

        oracle.expected_task = expected
        try:
            faults = oracle.of_org(self) + oracle.of_words(self)
        finally:
            oracle.expected_task = usual
        if faults:
            raise Failed(oracle.account(self, faults))
        return sum(self.is_expected(call) for call in self.calls.values())

    def states(self):
        return dict(self.read("SELECT state, count(*) FROM delivery GROUP BY 1"))


def p95(values):
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


# Dead letters -------------------------------------------------------------------------------------------------------

FILL = """
CREATE TEMP TABLE one AS SELECT row_number() OVER (ORDER BY d.id) - 1 AS n, d.id AS delivery, d.call_key AS call_key,
  r.id AS raw FROM delivery d JOIN raw r ON r.call_key = d.call_key WHERE d.state = 'dead' LIMIT 1000;
CREATE TEMP TABLE clone (n INTEGER PRIMARY KEY, of INTEGER, call_key TEXT, back INTEGER);
INSERT INTO clone WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :count)
  SELECT n, n % (SELECT count(*) FROM one), 'sessions-' || lower(hex(randomblob(20))), 1 + n % :days FROM counted;
CREATE UNIQUE INDEX temp.one_by_n ON one (n);
"""
DAY_MS = 86_400_000
# Of each table: what a clone has of its own; all else is its original's.
OWN = {
    # Without checksums, which are bound to the key: the content digest proves a clone.
    "call": {"call_key": "k.call_key", "head_sum": "NULL", "tail_sum": "NULL", "source_id": "'clone_' || k.n", "started_at": f"t.started_at - k.back * {DAY_MS}",
             "day": "date(t.day, '-' || k.back || ' days')"},
    "call_body": {"call_key": "k.call_key"},
    "revision": {"call_key": "k.call_key", "raw_url": "t.raw_url || '.' || k.n"},
    "raw": {"id": "NULL", "url": "t.url || '.' || k.n", "call_key": "k.call_key", "day": "date(t.day, '-' || k.back || ' days')"},
    "delivery": {"id": "NULL", "call_key": "k.call_key", "remote_sum": "NULL", "person_sum": "NULL", "order_at": f"t.order_at - k.back * {DAY_MS}",
                 "since": "t.since - k.back * 1000", "updated_at": "t.updated_at - k.back * 1000"},
}


def fill(path, count, days):
    """Puts so many further dead letters into a ledger whose program has ended: each with all the rows of a real one."""
    ledger = sqlite3.connect(path, isolation_level=None)
    ledger.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA journal_mode = WAL;")
    before = ledger.execute("SELECT count(*) FROM delivery WHERE state = 'dead'").fetchone()[0]
    ledger.execute("BEGIN")
    for statement in FILL.split(";\n"):
        if statement.strip():
            ledger.execute(statement, {"count": count, "days": days} if ":count" in statement else {})
    for table, own in OWN.items():
        names = [row[1] for row in ledger.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(own.get(name, f"t.{name}") for name in names)
        on = {"raw": "t.id = o.raw", "delivery": "t.id = o.delivery"}.get(table, "t.call_key = o.call_key")
        ledger.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM clone k JOIN one o ON o.n = k.of "
                       f"JOIN {table} t ON {on}")
    ledger.execute("""INSERT INTO attempt (delivery_id, at, took_ms, operation, batch_rows, revision, outcome, code, what)
        SELECT d.id, a.at, a.took_ms, a.operation, a.batch_rows, a.revision, a.outcome, a.code, a.what
        FROM clone k JOIN one o ON o.n = k.of JOIN delivery d ON d.call_key = k.call_key JOIN attempt a ON a.delivery_id = o.delivery""")
    ledger.execute("COMMIT")
    after = ledger.execute("SELECT count(*) FROM delivery WHERE state = 'dead'").fetchone()[0]
    ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.close()
    if after - before != count:
        raise Failed(f"{after - before} dead letters were filled in, not {count}")


def dead_letters(run, rng, total, redriven):
    """Listings in a ledger of so many dead letters; then some of them are made due again."""
    with Big(run, rng) as world:
        rule = {"object": "Task", "field": "Subject", "contains": "Voice AI Call", "message": "closed for stocktaking"}
        world.sim.door("settings", {"validation_rules": [rule]}, "PUT")
        # So many calls that as many of them as wanted have a person, and are refused.
        world.put_on(world.day, redriven * 100 // 88)
        world.sync_day(world.day, codes=(1,))
        real = world.states()["dead"]
        days = max(1, min(100, (total - real) // 10_000))
        fill(world.ledger, total - real, days)
        size = os.path.getsize(world.ledger) / 2**20
        rows = []

        def look(what, *arguments, finds, target="<= 300 ms"):
            times = []
            for _ in range(20):
                took, process = world.timed(*arguments)
                times.append(took)
            if finds not in process.answer():
                raise Failed(f"`{' '.join(arguments)}` does not find {finds}: {process.answer()[:500]}")
            rows.append((what, f"{p95(times) * 1000:.0f} ms", target))

        some = f"clone_{(total - real) // 2}"
        listing = ("deliveries", "--limit", "100", "--json")
        look(f"{total:,} dead letters ({size:,.0f} MB of ledger): `deliveries --state dead --limit 100 --json`, p95 of 20",
             *listing, "--state", "dead", finds='"dead"')
        look("the same with `--reason TL0601`", *listing, "--state", "dead", "--reason", "TL0601", finds="TL0601")
        look("the same with a reason that none has", *listing, "--state", "dead", "--reason", "TL0602", finds="[")
        look("`deliveries --limit 100 --json`, all states", *listing, finds="clone_")
        look("search by session: `why SESSION --json`", "why", some, "--json", finds=some)
        today = world.now.date()
        busy = world.read("SELECT count(*) FROM call WHERE day > ?", str(today - datetime.timedelta(days=7)))[0][0]
        look(f"`report --json` (7 days, {busy:,} calls)", "report", "--json", finds=f'"{world.day}"')
        rows += metrics(world, total)
        rows.append(redrive(world, real, total))
        return rows


def metrics(world, total):
    """The page tells how many dead letters there are and how old the oldest is."""
    process = world.serve()
    times = []
    for _ in range(20):
        began = time.monotonic()
        page = fetch(f"{process.url}/metrics")
        times.append(time.monotonic() - began)
    told = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if not line.startswith("#")}
    dead = told['trunkline_deliveries{destination="salesforce",state="dead"}']
    age_s = told['trunkline_oldest_dead_letter_age_seconds{destination="salesforce"}']
    since_ms = world.read("SELECT min(since) FROM delivery WHERE state = 'dead'")[0][0]
    if dead != total or abs(time.time() - since_ms / 1000 - age_s) > 5:
        raise Failed(f"/metrics tells {dead} dead letters, the oldest {age_s} s old; there are {total}, since {since_ms}")
    process.send(15)
    process.wait()
    return [("`GET /metrics`: how many dead letters, and the age of the oldest, p95 of 20", f"{p95(times) * 1000:.0f} ms", "<= 300 ms")]


def redrive(world, real, total):
    world.sim.door("settings", {"validation_rules": [], "latency_ms": 20, "concurrent_requests_max": 5}, "PUT")
    took, process = world.timed("retry", "--reason", "TL0601", "--from", str(world.day), "--to", str(world.day), "--json")
    delivered = process.json()["delivery"]["delivered"]
    judged, states = world.judge_org(), world.states()
    refused = world.read("SELECT count(*) FROM attempt WHERE outcome NOT IN ('rejected', 'delivered')")[0][0]
    if delivered != judged or judged != real or refused or states.get("dead", 0) != total - real:
        raise Failed(f"{delivered} were delivered of {real}, {refused} attempts met something else; {states}")
    what = f"{real:,} of them made due and delivered by `retry --reason TL0601 --from DAY --to DAY`, 0 doubled, never above 5 requests in flight"
    return what, f"{took:.0f} s, {real / took:,.0f}/s", "0 doubled"


# Replay -------------------------------------------------------------------------------------------------------------

def replay(run, rng, count, live_s):
    """A delivered day again: with a lost ledger, with another mapping, and while new calls come."""
    with Big(run, rng) as world:
        day = world.day = world.now.date() - datetime.timedelta(days=3)
        world.put_on(day, count)
        first_s, _ = world.sync_day(day)
        judged = world.judge_org()
        before, written = world.tasks(), world.written()
        for path in world.folder.glob("calls.db*"):
            path.unlink()
        again_s, _ = world.sync_day(day)
        if world.tasks() != before or world.written() != written:
            raise Failed(f"after the loss of the ledger the org has other Tasks: {written}, now {world.written()}")
        rows = [(f"{judged:,} delivered calls, ledger lost, synced again (first sync {first_s:.0f} s)",
                 f"{again_s:.0f} s, 0 new, 0 changed", "0 new, 0 changed")]
        rows.append(replayed(world, day, before, "replayed with the same mapping", is_longer=False))
        rows.append(replayed(world, day, before, "replayed after a change of the mapping", is_longer=True))
        return rows + live(world, day, live_s)


def replayed(world, day, before, what, is_longer):
    world.map_longer(is_longer)
    made, updated = world.written()
    took, process = world.timed("replay", "--from", str(day), "--to", str(day), *world.source(), "--json")
    world.judge_org()
    after = world.tasks()
    made, updated = world.written()[0] - made, world.written()[1] - updated
    long = {name for name, call in world.calls.items() if name in before and call.content["seconds"] >= LONG_S}
    wanted = long if is_longer else set()
    changed = {name for name, task in after.items() if task != before.get(name)}
    if made or changed != wanted or updated != len(wanted):
        raise Failed(f"{what}: {made} made, {updated} updated, {len(changed ^ wanted)} changed wrongly; {process.answer()[:500]}")
    return f"the same, {what}", f"{took:.0f} s, 0 new, {updated:,} updated", f"0 new, {len(wanted):,} updated"


def live(world, day, seconds):
    """New calls come to a process that serves, first alone, then beside replays that change the mapping to and fro."""
    today = world.now.date()
    process = world.serve()
    until("it is ready", lambda: "ok" in str(ready(process)), pause=0.2)
    alone, _ = stream(world, today, seconds, lambda: None)
    is_longer = [world.is_longer]
    running = []

    def again():
        if not running or running[-1].is_over():
            is_longer[0] = not is_longer[0]
            world.map_longer(is_longer[0])
            running.append(world.start("replay", "--from", str(day), "--to", str(day), *world.source(), "--json"))

    beside, put = stream(world, today, seconds, again)
    for one in running:
        if one.wait(900):
            raise Failed(f"a replay beside a serving process fails: {one.words()[-800:]}")
    process.send(15)
    process.wait()
    # What was delivered by the process that serves has the mapping of its start: a last replay makes all alike.
    world.timed("replay", "--from", str(day), "--to", str(today), *world.source())
    judged = world.judge_org()
    rows = [("live calls alone, from the commit of the call to its record: p50 / p99", shown(alone), ""),
            (f"the same beside {len(running)} replay{'' if len(running) == 1 else 's'} of that day", shown(beside), "p99 <= +20 %")]
    print(f"  {put} live calls a part, {judged:,} judged", flush=True)
    return rows


def ready(process):
    with contextlib.suppress(OSError):
        return "ok" if fetch(f"{process.url}/readyz") is not None else ""


def shown(times):
    return f"{share(times, 0.5) * 1000:.0f} / {share(times, 0.99) * 1000:.0f} ms"


def stream(world, today, seconds, work):
    """Some calls each 100 ms; how long each took from its commit."""
    names, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        work()
        names += [call.name for call in world.put_on(today, 3) if world.is_expected(call)]
        time.sleep(0.1)
    marks = ",".join("?" * len(names))
    sql = f"""SELECT d.delivered_at - c.first_seen FROM delivery d JOIN call c USING (call_key)
              WHERE d.delivered_at IS NOT NULL AND d.state = 'delivered' AND c.source_id IN ({marks})"""
    until("all live calls are delivered", lambda: len(world.read(sql, *names)) == len(names), seconds=300, pause=0.5)
    return [took / 1000 for (took,) in world.read(sql, *names)], len(names)


# Outage -------------------------------------------------------------------------------------------------------------

def outage(run, rng, waiting, latency_ms, order):
    """The org answers nothing while calls gather; then it does, and fresh calls come."""
    more = f'[delivery]\norder = "{order}"\n'
    with Big(run, rng) as world:
        text = world.config.read_text().replace("[delivery]\n", more)
        world.config.write_text(text)
        world.sim.fault({"kind": "unavailable_before_commit"})
        world.sim.door("settings", {"latency_ms": latency_ms}, "PUT")
        yesterday, today = world.now.date() - datetime.timedelta(days=1), world.now.date()
        # Before it is served: a process that looks each second lists what there is of the day each time.
        world.put_on(yesterday, waiting)
        served = time.time()
        process = world.serve()
        count = lambda state: world.read("SELECT count(*) FROM delivery WHERE state = ?", state)[0][0]
        until("all wait", lambda: count("due") + count("leased") == waiting, seconds=1800, pause=1)
        gathered = time.time() - served
        age = figure(process.url, 'trunkline_oldest_waiting_age_seconds{destination="salesforce"}')
        usable = figure(process.url, 'trunkline_destination_usable{destination="salesforce"}')
        if not all(age.values()) or any(usable.values()):
            raise Failed(f"in the outage /metrics tells {age} {usable}")
        world.sim.calm()
        calmed = time.time()
        until("the first is delivered", lambda: count("delivered") > 0, seconds=120, pause=0.05)
        began = time.time()
        fresh = [call.name for call in world.put_on(today, 200) if world.is_expected(call)]
        until("all are settled", lambda: count("due") + count("leased") == 0 and sum(world.states().values()) == waiting + 200,
              seconds=1800, pause=0.5)
        ended = time.time()
        process.send(15)
        process.wait()
        judged = world.judge_org()
        marks = ",".join("?" * len(fresh))
        waited = [row[0] / 1000 for row in world.read(
            f"SELECT d.delivered_at - c.first_seen FROM delivery d JOIN call c USING (call_key) WHERE c.source_id IN ({marks})", *fresh)]
        in_order(world, waiting, order, str(yesterday))
        return [(f"{waiting:,} calls wait in an outage, `{order}`, org that answers in {latency_ms} ms: read while the org is out", f"{gathered:.0f} s, {waiting / gathered:,.0f}/s", ""),
                ("the same: first record after the org is back", f"{began - calmed:.1f} s", ""),
                ("the same: drained, all records judged", f"{ended - began:.0f} s, {judged / (ended - began):,.0f}/s", ">= 150/s"),
                ("the same: how long calls waited that came meanwhile, p50 / p99", shown(waited), "")]


def in_order(world, waiting, order, day):
    """The first tenth that was delivered is the first tenth by the time of the calls, but for those in flight together."""
    rows = world.read("""SELECT d.order_at FROM delivery d JOIN call c USING (call_key) WHERE d.state = 'delivered' AND c.day = ?
                         ORDER BY d.delivered_at, d.id""", day)
    times = [at for (at,) in rows]
    tenth = len(times) // 10
    ranked = sorted(times, reverse=order == "newest_first")
    bound = ranked[min(len(ranked) - 1, tenth + 1200)]
    late = [at for at in times[:tenth] if (at < bound if order == "newest_first" else at > bound)]
    if late:
        raise Failed(f"{len(late)} of the first {tenth} delivered calls are out of order `{order}`")


# Soak ---------------------------------------------------------------------------------------------------------------

def soak(run, rng, seconds, per_second):
    """A process serves a steady stream; what it holds of the machine is looked at each second."""
    with Big(run, rng) as world:
        today = world.now.date()
        # A folder that is not there is no source.
        names = [call.name for call in world.put_on(today, 10)]
        process = world.serve()
        until("it is ready", lambda: "ok" in str(ready(process)), pause=0.2)
        began, samples = time.monotonic(), []
        while (gone := time.monotonic() - began) < seconds:
            behind = max(0, int(gone * per_second) - len(names))
            names += [call.name for call in world.put_on(today, behind)]
            if gone >= len(samples):
                samples.append((gone, *held(process.child.pid, world.ledger)))
            time.sleep(0.05)
        settled = lambda: world.read("SELECT count(*) FROM delivery WHERE state IN ('delivered', 'skipped')")[0][0]
        until("all are settled", lambda: settled() == len(names), seconds=300, pause=0.5)
        waited = world.read("""SELECT c.first_seen, d.delivered_at - c.first_seen FROM delivery d JOIN call c USING (call_key)
                               WHERE d.state = 'delivered' ORDER BY c.first_seen""")
        process.send(15)
        if process.wait():
            raise Failed(f"a process that served for {seconds} s fails: {process.words()[-800:]}")
        judged = world.judge_org()
        # What is taken once, caches and pools, is there after the first third.
        late = [sample for sample in samples if sample[0] > seconds / 3]
        half = len(waited) // 2
        first, second = ([took / 1000 for _, took in part] for part in (waited[:half], waited[half:]))
        fds, threads, wal = (sorted(sample[at] for sample in late) for at in (2, 3, 4))
        return [(f"{len(names):,} calls at {len(names) / seconds:.0f} a second for {seconds} s, {judged:,} records judged: resident memory, most",
                 f"{max(sample[1] for sample in samples) / 1024:.0f} MB", "< 150 MB"),
                ("the same: slope of resident memory after the first third", f"{slope(late) * 3600 / 1024:+.1f} MB/h", "< 1 MB/h over 72 h"),
                ("the same: open files, threads, least and most", f"{fds[0]} to {fds[-1]}, {threads[0]} to {threads[-1]}", "flat"),
                ("the same: write-ahead log, most", f"{wal[-1] / 2**20:.1f} MB", "<= 64 MB"),
                ("the same: from commit to record, p99 in the first and the second half",
                 f"{share(first, 0.99) * 1000:.0f}, {share(second, 0.99) * 1000:.0f} ms", "<= +10 %")]


def held(pid, ledger):
    """Resident memory in KB, open files, threads, bytes of the write-ahead log."""
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status").read().splitlines())
    log = f"{ledger}-wal"
    return (int(status["VmRSS"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]),
            os.path.getsize(log) if os.path.exists(log) else 0)


def slope(samples):
    """KB a second, by least squares."""
    mean_at, mean_kb = (sum(sample[at] for sample in samples) / len(samples) for at in (0, 1))
    over = sum((sample[0] - mean_at) ** 2 for sample in samples)
    return sum((sample[0] - mean_at) * (sample[1] - mean_kb) for sample in samples) / over


# Memory -------------------------------------------------------------------------------------------------------------

def memory(run, rng, files):
    cases = [(f"{files} files of 60 MB, many turns", "turns", files), ("one line of 100 MB", "line", 1), ("a gzip bomb of 1 GB", "bomb", 1)]
    return [weigh(run, rng, *case) for case in cases]


def weigh(run, rng, what, kind, count):
    with Big(run, rng) as world:
        world.put_on(world.day, 20)
        for number in range(count):
            large(world.place(f"{kind}_{number}.json.gz"), f"{kind}_{number}", kind, str(world.day))
        process = world.sync(env=QUIET)
        peak_kb = 0
        while not process.is_over():
            with contextlib.suppress(OSError, ValueError, StopIteration):
                lines = open(f"/proc/{process.child.pid}/status").read().splitlines()
                peak_kb = max(peak_kb, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]))
            time.sleep(0.01)
        is_whole = kind == "turns"
        quarantined = world.read("SELECT count(*) FROM raw WHERE state = 'quarantined'")[0][0]
        if quarantined != (0 if is_whole else count):
            raise Failed(f"{what}: {quarantined} files are in quarantine")
        if is_whole:
            tasks = world.tasks()
            for number in range(count):
                if tasks.pop(f"{kind}_{number}", None) is None:
                    raise Failed(f"{what}: no Task of file {number}")
        elif any(name.startswith(kind) for name in world.tasks()):
            raise Failed(f"{what}: a Task was made of it")
        return f"peak memory: {what}, and 20 calls beside it", f"{peak_kb / 1024:.0f} MB", "< 150 MB"


def large(path, name, kind, day):
    head = json.dumps({"session_id": name, "user_email": "contact1@example.com", "start_time": f"{day}T09:00:00"})[:-1]
    with gzip.open(path, "wb", compresslevel=1) as file:
        if kind == "bomb":
            for _ in range(1024):
                file.write(bytes(2**20))
            return
        file.write(head.encode())
        if kind == "line":
            file.write(b', "note": "' + b"x" * (100 * 2**20) + b'"}')
            return
        turn = json.dumps({"role": "user", "content": " ".join(f"word{n * 7919 % 65536:04x}" for n in range(64))}).encode()
        file.write(b', "transcript": [')
        for number in range(60 * 2**20 // (len(turn) + 1) - 100):
            file.write(turn + b",")
        file.write(turn + b"]}")
