"""Files that cannot be understood, and files and calls that kill whoever touches them, among many that are in order."""
import collections, gzip, json, time

from oracle import ends_well
from program import Failed
from worlds import Org

# Words that end the process which converts a file, or maps a call, that has them.
KILLS = "poison=convert:nightshade poison=map:hemlock"
# As docs/delivery.md promises for one guilty one with up to 2,000 in hand.
DEATHS_MOST = 5


def broken(rng, document):
    """A file that is no session, of one shape of many."""
    text = json.dumps(document).encode()
    shapes = {
        "cut": lambda: (text[: rng.randrange(1, len(text) - 1)], ""),
        "gzip, cut": lambda: (gzip.compress(text)[:-rng.randrange(1, 20)], ".gz"),
        "empty": lambda: (b"", ""),
        "noise": lambda: (rng.randbytes(rng.randrange(1, 4000)), rng.choice(["", ".gz"])),
        "nested 100,000 deep": lambda: (b"[" * 100_000 + b"]" * 100_000, ""),
        "a list": lambda: (b"[" + text + b"]", ""),
        "no session id": lambda: (json.dumps({**document, "session_id": None}).encode(), ""),
    }
    shape = rng.choice(list(shapes))
    return (shape, *shapes[shape]())


def poison(run, index):
    """One file in a hundred is none, and now and then one kills: each has its reason, and the others are delivered."""
    rng = run.chance(index)
    with Org(run, rng, key=index % 2 == 0) as world:
        bad = {}
        for _ in range(run.each):
            world.put(run.size)
            for _ in range(max(1, run.size // 100)):
                shape, data, suffix = broken(rng, world.document(world.some(1)[0], world.content()))
                name = f"bad_{len(bad):05}.json{suffix}"
                world.place(name).write_bytes(data)
                bad[name] = shape
                run.count(f"file: {shape}")
            began = time.monotonic()
            process = world.sync(arguments=["--json"])
            if process.wait() not in (1, 3):
                raise Failed(f"files are in quarantine, and the run says that all is well:\n{process.answer()[:1500]}")
            run.most("seconds of the longest run", round(time.monotonic() - began, 1))
            told(world, bad)
        deadly(run, world, rng)
        # A person looks at them, and takes them away.
        for name in bad:
            world.place(name).unlink()
        world.start("retry", "--quarantine", *world.source()).wait()
        ends_well(world)


def quarantined(world):
    process = world.start("quarantine", "--json", "--limit", "1000000")
    process.wait()
    return {row["url"].rsplit("/", 1)[1]: row for row in process.json()}


def told(world, bad):
    """Each bad file is in quarantine with a reason, nothing else is, and all others are delivered already."""
    found = quarantined(world)
    without = [name for name in bad if not found.get(name, {}).get("problem", {}).get("code")]
    if without or found.keys() != bad.keys():
        odd = collections.Counter(bad.get(name, "in order") for name in found.keys() ^ bad.keys())
        raise Failed(f"{len(found)} files in quarantine, not {len(bad)}: {dict(odd)}; without a reason: {without[:5]}")
    waits = world.read("SELECT count(*) FROM delivery WHERE state IN ('due', 'leased', 'dead')")[0][0]
    if waits:
        raise Failed(f"{waits} calls wait because of {len(bad)} files that are none")


def deadly(run, world, rng):
    """A file and a call that kill: found after a known number of deaths, and nothing else is put aside."""
    for word, deaths in (("nightshade", "deaths of a file"), ("hemlock", "deaths of a call")):
        world.put(run.size)
        # The word is looked for in the file as it stands, and in a call that is mapped because somebody has its address.
        fit = [call for call in world.calls.values() if world.is_expected(call) and call.files[0].endswith(".json")]
        victim = rng.choice(fit)
        victim.content = {**world.content(), "case": word}
        world.write(world.place(victim.files[0]), world.document(victim, victim.content))
        died = 0
        while (process := world.sync(proof=KILLS, arguments=["--json"])).wait() < 0:
            died += 1
            if died > DEATHS_MOST:
                raise Failed(f"after {died} deaths it is not found: {victim.name}, {word}")
        if died < 3:
            raise Failed(f"vacuous: {died} processes died of {word}")
        run.most(deaths, died)
        others = world.read("SELECT count(*) FROM delivery JOIN call USING (call_key) WHERE state IN ('due', 'leased', 'dead') "
                            "AND source_id <> ?", victim.name)[0][0]
        if others:
            raise Failed(f"{others} neighbours of {victim.name} ({word}) wait")
        # The defect is mended.
        again = ["--quarantine"] if word == "nightshade" else [victim.name]
        world.start("retry", *again, *world.source()).wait()


def poison_holds(run):
    run.needs("worlds", run.worlds)
