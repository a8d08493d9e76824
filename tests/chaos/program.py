"""The real program and the simulated systems, as processes; nothing here knows what a call is."""
import contextlib, json, os, pathlib, resource, signal, subprocess, threading, time, urllib.error, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Nothing that the program does may take longer than this; the longest patience of a scenario is far below.
HANGS_S = 150


class Failed(Exception):
    """A promise is broken, or a scenario never reached what it is for."""


def until(what, is_so, seconds=60, pause=0.02):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s in vain until {what}")
        time.sleep(pause)


ALIVE, ENDING = set(), threading.Event()


def end_all():
    """Ends every process of every world, and lets none begin."""
    ENDING.set()
    for process in list(ALIVE):
        process.child.kill()


def go_on():
    """After a scenario that was to fail: others may begin processes."""
    ENDING.clear()


class Process:
    """One run of the program. What it says goes to a file, because a full pipe would stop it."""

    def __init__(self, command, env, folder, log, before=None):
        self.log, self.out = log, log.with_suffix(".out")
        self.command, self.began = [str(part) for part in command], time.monotonic()

        def prepare():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if before:
                before()

        if ENDING.is_set():
            raise Failed("the run was ended")
        with open(log, "wb") as err, open(self.out, "wb") as out:
            self.child = subprocess.Popen(self.command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=err, preexec_fn=prepare)
        ALIVE.add(self)
        if ENDING.is_set():
            self.child.kill()

    def wait(self, seconds=HANGS_S):
        try:
            code = self.child.wait(seconds)
            ALIVE.discard(self)
            return code
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"`{' '.join(self.command[1:])}` hangs: no end within {seconds} s\n{self.words()[-1500:]}") from None

    def is_over(self):
        if self.child.poll() is None:
            return False
        ALIVE.discard(self)
        return True

    def send(self, number):
        if not self.is_over():
            self.child.send_signal(number)

    def kill(self):
        self.send(signal.SIGKILL)
        self.child.wait()
        ALIVE.discard(self)

    def is_stopped(self):
        with contextlib.suppress(OSError):
            stat = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text()
            return stat.rsplit(")", 1)[1].split()[0] == "T"
        return False

    def words(self):
        return self.log.read_text(errors="replace")

    def answer(self):
        return self.out.read_text(errors="replace")

    def json(self):
        try:
            return json.loads(self.answer())
        except ValueError:
            raise Failed(f"`{' '.join(self.command[1:])}` answers no JSON: {self.answer()[:300]}\n{self.words()[-600:]}") from None


def fetch(url, body=None, method=None, seconds=30):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        text = answer.read()
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text.decode(errors="replace")


class Simulator:
    """A simulated system in a process of its own, and its administrator's door."""

    def __init__(self, binary, words, folder):
        self.process = Process([binary, "sim", *words, "--port", "0"], {}, folder, folder / "simulator.log")
        until("the simulator listens", lambda: self.process.answer().endswith("\n"), pause=0.005)
        self.url = self.process.answer().splitlines()[0]
        self.at = int(self.url.rsplit(":", 1)[1])

    def door(self, path, body=None, method=None):
        return fetch(f"{self.url}/sim/{path}", body, method)

    def fault(self, *faults):
        self.door("faults", list(faults))

    def calm(self):
        self.door("faults", method="DELETE")

    def counters(self):
        return self.door("counters")

    def close(self):
        self.process.kill()


class Room:
    """A small disk of its own: a tmpfs in a namespace of its own, which needs no right that a user lacks."""

    def __init__(self, folder, megabytes):
        self.folder = folder
        script = f"mount -t tmpfs -o size={megabytes}m tmpfs '{folder}' && echo there && exec sleep 86400"
        self.holder = subprocess.Popen(["unshare", "-Urm", "sh", "-c", script], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "there\n":
            raise OSError(self.holder.stderr.read())
        self.enter = ["nsenter", "-t", str(self.holder.pid), "-U", "-m", "--preserve-credentials"]

    def run(self, *command):
        return subprocess.run([*self.enter, *command], check=True, capture_output=True, text=True).stdout

    def leave(self, bytes_free):
        """Fills the disk until so many bytes are left."""
        self.clear()
        free, block = (int(word) for word in self.run("stat", "-f", "-c", "%a %S", self.folder).split())
        size = max(0, free * block - bytes_free)
        if size:
            self.run("fallocate", "-l", str(size), f"{self.folder}/filler")

    def clear(self):
        self.run("rm", "-f", f"{self.folder}/filler")

    def close(self):
        self.holder.kill()
        self.holder.wait()


def build():
    command = ["cargo", "build", "--release", "--features", "proof", "--locked", "--bin", "trunkline", "--target-dir", "target/proof"]
    subprocess.run(command, cwd=ROOT, check=True)
    return ROOT / "target" / "proof" / "release" / "trunkline"


class Background:
    """Does something again and again until it is left."""

    def __init__(self, work):
        self.ended = threading.Event()
        self.error = None

        def loop():
            try:
                while not self.ended.is_set():
                    work()
            except Exception as error:  # told by whoever waits for it
                self.error = error

        self.thread = threading.Thread(target=loop, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        if self.error:
            raise self.error


def environment(**values):
    # No variable of this machine reaches the program, but where its temporary files go.
    kept = {name: os.environ[name] for name in ("TMPDIR",) if name in os.environ}
    return {**kept, **values}
