"""The process ends itself at every named place."""
import collections, pathlib, signal

from oracle import fresh, judge
from program import Failed, until
from shapes import BATCHES, standing
from worlds import Desk, Org

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


class Rematched(Kind):
    """Nobody had the address of a call: it is matched again by the next sync of its day."""

    def act(self, world, proof):
        world.put_new_person()
        world.sync().wait()
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


PLACES = {"sync": Kind, "no key": NoKey, "held": Held, "looking again": Evidence, "matched again": Rematched, "quarantine": Bad, "upload": Upload,
          "two destinations": Enlisted, "serve": Served}


def places(run, index):
    """Every named place in turn ends the program when it is reached, in each kind of run that reaches it."""
    name, some = run.shares[index]
    rng, kind = run.chance(index), PLACES[name]()
    with kind.make(run, rng) as world:
        world.put(8)
        world.finish()
        reached_once = set()
        for at in some:
            # The first time that it is reached or a later one, where such a run reaches it more often.
            which = 1 if run.each == 1 or at in reached_once else rng.randrange(1, 4)
            if not ends(run, world, kind, at, which) and which > 1:
                reached_once.add(at)
                ends(run, world, kind, at, 1)
        fresh(world)


def ends(run, world, kind, at, which):
    """One run that is to end there; then the next ones, and the judge. Whether it did."""
    world.put(5)
    world.revise(2)
    has_ended = False
    for process in kind.act(world, f"crash={at}:{which}"):
        code = process.wait()
        if code == -signal.SIGABRT:
            run.count(f"at {at}")
            run.count("places where it was ended")
            has_ended = True
        elif process.child.returncode < 0:
            raise Failed(f"{at}: ended by signal {-code}\n{process.words()[-1500:]}")
        else:
            run.count("ended without reaching the place")
    world.finish()
    judge(world)
    return has_ended


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
