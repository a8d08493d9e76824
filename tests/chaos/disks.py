"""A full disk."""
import resource, shutil, signal, sqlite3, sys, time

from oracle import ends_well, figures
from program import Failed, Room
from shapes import standing
from worlds import Org

FULL = ("disk is full", "disk I/O error", "No space left", "File too large")


def disk(run, index):
    """The ledger's disk is full at a seeded write; nothing is lost, and it goes on once there is room."""
    rng = run.chance(index)
    with Org(run, rng, key=index % 2 == 0) as world:
        room = small_disk(run, world)
        world.put(20)
        world.finish()
        for number in range(run.each):
            bytes_free = rng.randrange(0, 150) * 4096
            if number % 5 == 4 and isinstance(room, Filled):
                serve_on_full_disk(run, world, room, bytes_free)
                continue
            world.put(15)
            world.revise(3)
            room.fill(bytes_free)
            process = world.sync()
            code = process.wait()
            count_full(run, process, code)
            room.free()
        ends_well(world)
        answer = room.check()
        if answer != "ok":
            raise Failed(f"integrity_check of the ledger: {answer}")


def count_full(run, process, code):
    is_full = any(text in process.words() for text in FULL)
    run.count("disk full" if is_full else "there was room enough")
    if is_full and code == 0:
        raise Failed(f"the disk was full, and the run says that all is done:\n{process.words()[-1500:]}\n{process.answer()}")


def serve_on_full_disk(run, world, room, bytes_free):
    """It rides that out: it tells, ends not, and delivers within 30 s of there being room."""
    process = world.serve()
    deadline(process, "all is delivered that was there", lambda: standing(world) == len(world.calls))
    room.fill(bytes_free)
    world.put(15)
    world.revise(3)
    has_met = lambda: "disk is full" in process.words()
    deadline(process, "the disk is full or all is delivered", lambda: has_met() or standing(world) == len(world.calls))
    run.count("disk full" if has_met() else "there was room enough")
    run.count("full disks that serve rode out", int(has_met()))
    room.free()
    began = time.monotonic()
    deadline(process, "all is delivered once there is room", lambda: standing(world) == len(world.calls))
    run.most("seconds until serve had delivered after there was room", round(time.monotonic() - began, 1))
    figures(world, process)
    process.send(signal.SIGTERM)
    if process.wait() != 0:
        raise Failed(f"serve did not end well after a full disk:\n{process.words()[-1500:]}")


def deadline(process, what, is_so):
    end = time.monotonic() + 30
    while not is_so():
        if process.is_over():
            raise Failed(f"serve ended before {what}:\n{process.words()[-1500:]}")
        if time.monotonic() > end:
            raise Failed(f"30 s, and not: {what}\n{process.words()[-1500:]}")
        time.sleep(0.05)


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
