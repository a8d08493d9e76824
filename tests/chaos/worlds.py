"""Worlds: invented calls as files, a simulated system, a ledger, and the program between them.

A world knows each of its calls, its person and what the mapping makes of its newest revision; `oracle.py` compares."""
import datetime, gzip, inspect, json, os, pathlib, shutil, sqlite3, sys, tempfile

from program import HANGS_S, Failed, Process, Simulator, environment, fetch, until

# What nobody may find in a log: a card, a social security number, and the secrets of the environment.
CARD, NUMBER, TOKEN = "4000 0012 3456 7899", "978-65-4329", "canary-token-7f3a91c2"
CASES = ["contracts", "proposals", "order forms", "renewals", "price lists", "statements of work"]
PAINS = ["slow approvals", "lost versions", "no overview", "manual copies", "late signatures"]
UTC = datetime.timezone.utc


def rows(path, query, values):
    if not pathlib.Path(path).exists():
        return []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError as error:
        # A ledger whose maker was killed before it had a schema.
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()


READ = f"""
import json, pathlib, sqlite3, sys
{inspect.getsource(rows)}
print(json.dumps(rows(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))
"""


class Call:
    def __init__(self, name, start, email, who):
        self.name, self.start, self.email, self.who = name, start, email, who
        self.files, self.content = [], None


class World:
    serial = 0

    def __init__(self, run, rng, words, config):
        self.run, self.rng = run, rng
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="trunkline-chaos-"))
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        self.sim = Simulator(run.binary, words, self.folder)
        self.calls, self.processes, self.changes, self.room, self.before = {}, 0, 0, None, None
        # What every program is started by.
        self.enter = []
        # What every process is told besides, once the clock was set.
        self.proof = []
        self.server = self.sim.url
        self.config = self.folder / "trunkline.toml"
        self.config.write_text(config)
        self.now = datetime.datetime.now(UTC).replace(microsecond=0)
        self.day = self.now.date() - datetime.timedelta(days=1)

    def close(self):
        self.sim.close()
        if self.room:
            self.room.close()
        if not self.run.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def ledger(self):
        return (self.room.folder if self.room else self.folder) / "calls.db"

    def start(self, *arguments, proof="", env=None):
        """Starts the program; `proof` is what the places and protections are told."""
        self.processes += 1
        told = " ".join(part for part in (proof, *self.proof, *self.run.off) if part)
        values = {"TRUNKLINE_PROOF": told, "TRUNKLINE_LOG": "trunkline=debug", **self.secrets(), **(env or {})}
        command = [self.run.binary, *arguments, "--config", self.config, "--store", self.ledger]
        command = [*(self.room.enter if self.room else self.enter), *command]
        return Process(command, environment(**values), self.folder, self.logs / f"{self.processes:05}.log", self.before)

    def set_clock(self, ms):
        """From now on the program's clock is off by so many milliseconds, in running processes too."""
        waiting, path = self.folder / "clock.new", self.folder / "clock"
        waiting.write_text(str(ms))
        waiting.rename(path)
        self.proof = [f"clock={path}"]

    def read(self, query, *values):
        """Rows of the ledger, past the program."""
        if self.room:
            words = [str(self.ledger), query, json.dumps(values)]
            return json.loads(self.room.run(sys.executable, "-c", READ, *words))
        return rows(self.ledger, query, values)

    def dead(self):
        """Dead letters wait for a person."""
        rows = self.read("SELECT count(*) FROM delivery WHERE state = 'dead' AND destination = ?", self.destination)
        return rows[0][0] if rows else 0

    def trace(self):
        path = self.folder / "trace"
        return set(path.read_text().split()) if path.exists() else set()

    def write(self, path, document, packed=False):
        """Puts a file there at once, with a time of its own: a later one is newer."""
        self.changes += 1
        self.stamp(path, document, self.changes, packed)

    def stamp(self, path, document, second, packed=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        data = json.dumps(document).encode()
        waiting = self.folder / f"waiting-{path.name}"
        waiting.write_bytes(gzip.compress(data, 1) if packed else data)
        at = (self.now - datetime.timedelta(days=2)).timestamp() + second
        os.utime(waiting, (at, at))
        waiting.rename(path)

    def serve(self, proof="", env=None):
        process = self.start("serve", *self.source(), "--listen", "127.0.0.1:0", proof=proof, env=env)
        until("it listens or ends", lambda: process.answer().endswith("\n") or process.is_over())
        process.url = process.answer().strip().rsplit(" ", 1)[-1]
        return process

    def patience_s(self):
        """How long a run may take: after a hundred deaths many calls go on in small groups, alone in hand."""
        return HANGS_S + len(self.calls) / 40

    def why(self, name):
        process = self.start("why", name, "--json")
        process.wait()
        return process.answer().strip()


class Org(World):
    """Session exports and a Salesforce org."""
    destination = "salesforce"

    def __init__(self, run, rng, key=True, lead=False, settle=1, patience=20, more=""):
        rule = 'no_match = "create_lead"' if lead else ""
        config = f"[delivery]\nsettle_s = {settle}\npatience_s = {patience}\n[salesforce]\n{rule}\n" \
                 f"[serve]\npoll_s = 1\nhold_retry_s = 1\nschedule = []\n{more}"
        words = ["salesforce", "--seed", str(rng.randrange(1 << 30)), *([] if key else ["--no-key-field"])]
        super().__init__(run, rng, words, config)
        self.key, self.lead = key, lead
        people = [{"LastName": f"Caller {n}", "Email": f"contact{n}@example.com"} for n in range(60)]
        leads = [{"LastName": f"Lead {n}", "Company": "Example", "Email": f"lead{n}@example.com"} for n in range(15)]
        self.people = self.sim.door("records/Contact", people)["ids"] + self.sim.door("records/Lead", leads)["ids"]

    def secrets(self):
        return {"SF_LOGIN_URL": self.server, "SF_CLIENT_ID": "sim-client", "SF_CLIENT_SECRET": "sim-secret"}

    def source(self):
        return "--source", f"file://{self.folder}/sessions/"

    def place(self, name):
        day = f"year={self.day.year:04}/month={self.day.month:02}/day={self.day.day:02}"
        return self.folder / "sessions" / day / name

    def put(self, count):
        """Writes new calls."""
        for _ in range(count):
            number, draw = len(self.calls), self.rng.random()
            if draw < 0.75:
                who = self.rng.randrange(60)
                email = f"contact{who}@example.com"
            elif draw < 0.87:
                who = 60 + self.rng.randrange(15)
                email = f"lead{who - 60}@example.com"
            elif draw < 0.94:
                who, email = "nobody", f"new{number // 40}@example.com"
            else:
                who, email = "none", ""
            start = datetime.datetime.combine(self.day, datetime.time()) + datetime.timedelta(seconds=self.rng.randrange(80_000))
            call = Call(f"call_{number:06}_{self.rng.randrange(1 << 24):06x}", start, email, who)
            self.calls[call.name] = call
            self.say(call)

    def put_new_person(self):
        """A call of somebody whom nobody knows, and whom no call had before."""
        number = len(self.calls)
        start = datetime.datetime.combine(self.day, datetime.time(12))
        call = Call(f"call_{number:06}_{self.rng.randrange(1 << 24):06x}", start, f"fresh{number}@example.com", "nobody")
        self.calls[call.name] = call
        self.say(call)

    def say(self, call):
        """The newest that there is of a call, in its own file."""
        call.content = self.content()
        name = call.files[0] if call.files else f"{call.name}.json{'.gz' if self.rng.random() < 0.3 else ''}"
        call.files = [name]
        self.write(self.place(name), self.document(call, call.content), name.endswith(".gz"))

    def content(self):
        return {"seconds": self.rng.randrange(5, 3000), "case": self.rng.choice(CASES), "size": self.rng.randrange(2, 300),
                "pains": self.rng.sample(PAINS, self.rng.randrange(1, 4)), "booked": self.rng.random() < 0.3}

    def revise(self, count):
        """Some calls are exported again, with other content."""
        for call in self.some(count):
            self.say(call)

    def age(self, count):
        """An older file of a call arrives late: it says nothing that the newer does not."""
        for call in self.some(count):
            self.stamp(self.place(f"{call.name}.older.json"), self.document(call, self.content()), -self.changes)

    def some(self, count):
        return self.rng.sample(list(self.calls.values()), min(count, len(self.calls)))

    def document(self, call, content):
        end = call.start + datetime.timedelta(seconds=content["seconds"])
        # What is empty would be no news: a call keeps what an older file had.
        meeting, papers = {"tool": "book_sales_meeting", "preferred_date": str(self.day)}, {"tool": "send_documentation"}
        said = f"My card is {CARD} and my number is {NUMBER}, thank you. " + "It takes a while. " * self.rng.randrange(1, 60)
        return {"session_id": call.name, "user_email": call.email, "start_time": call.start.isoformat(),
                "end_time": end.isoformat(), "duration_seconds": content["seconds"], "tool_calls": [meeting if content["booked"] else papers],
                "discovered_signals": {"use_case": content["case"], "team_size": content["size"],
                                       "pain_points": content["pains"]},
                "transcript": [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": said}]}

    def is_expected(self, call):
        return isinstance(call.who, int) or (call.who == "nobody" and self.lead)

    def sync(self, proof="", env=None, arguments=()):
        return self.start("sync", *self.source(), "--from", str(self.day), *arguments, proof=proof, env=env)

    def finish(self):
        """Faults end; the program has as many runs as it needs, and a person's `retry` for dead letters."""
        self.sim.calm()
        for attempt in range(6):
            process = self.sync(arguments=["--json"])
            code = process.wait(self.patience_s())
            if code == 0 and process.json()["delivery"]["waiting"] == 0 and not self.dead():
                return
            if code not in (0, 1, 3):
                raise Failed(f"a sync after the faults ends with {code}:\n{process.words()[-1500:]}")
            if attempt >= 1:
                self.run.count("runs of `retry`")
                self.start("retry", *self.source()).wait(self.patience_s())
        raise Failed(f"no sync comes to an end:\n{process.answer()[:1500]}\n{process.words()[-1500:]}")


class Desk(World):
    """Transcripts with their leads and a call-data API."""
    destination = "call_data_api"

    def __init__(self, run, rng, settle=1, patience=20, timeout=2, more=""):
        config = f"[delivery]\nsettle_s = {settle}\npatience_s = {patience}\n[call_data_api]\ntimeout_s = {timeout}\n" \
                 f"[serve]\npoll_s = 1\nhold_retry_s = 1\nschedule = []\n{more}"
        words = ["call-data-api", "--seed", str(rng.randrange(1 << 30)), "--token", TOKEN]
        super().__init__(run, rng, words, config)
        for name in ("conversations", "leads"):
            (self.folder / name).mkdir()

    def secrets(self):
        ids = {f"CRM_{name}_ID": f"64b0c0ffee0000000000000{last}" for name, last in (("CAMPAIGN", "a"), ("VOICE_AGENT", "b"), ("CLIENT", "c"))}
        return {"CRM_BASE_URL": self.server, "CRM_API_TOKEN": TOKEN, **ids}

    def put(self, count):
        for _ in range(count):
            number = len(self.calls)
            start = datetime.datetime.combine(self.day, datetime.time(), UTC) + datetime.timedelta(seconds=self.rng.randrange(80_000))
            call = Call(f"talk_{number:06}_{self.rng.randrange(1 << 24):06x}", start, None, f"+1555010{number % 10_000:04}")
            seconds = self.rng.randrange(5, 900)
            said = [f"Hello, this is call {number}.", f"My card is {CARD}, my number {NUMBER}.", self.rng.choice(CASES)]
            lead = f"Person {number}" if self.rng.random() < 0.3 else None
            call.content = {"said": said, "lead": lead, "seconds": seconds}
            self.calls[call.name] = call
            if lead:
                at = (start + datetime.timedelta(seconds=3)).replace(tzinfo=None).isoformat()
                self.write(self.folder / "leads" / f"lead_{call.name}.json", {
                    "name": lead, "email": f"p{number}@example.com", "timestamp": at, "phone": call.who,
                    "campaign_metadata": {"sessionId": call.name}})
            items = [{"id": f"i{n}", "type": "message", "role": "assistant" if n % 2 == 0 else "user", "content": [text]}
                     for n, text in enumerate(said)]
            end = start + datetime.timedelta(seconds=seconds)
            self.write(self.folder / "conversations" / f"transcript_{call.name}.json", {
                "session_id": call.name, "start_time": start.isoformat(), "end_time": end.isoformat(),
                "duration_seconds": seconds, "items": items, "total_items": len(items),
                "metadata": {"participant_attributes": {"sip.phoneNumber": call.who}}}, packed=False)

    def revise(self, count):
        """The API takes no change of a call."""

    age = revise

    def is_expected(self, _):
        return True

    def sync(self, proof="", env=None, arguments=()):
        return self.start("upload", "--dir", "conversations", "--leads", "leads", *arguments, proof=proof, env=env)

    def finish(self):
        self.sim.calm()
        for attempt in range(6):
            process = self.sync(arguments=["--json"])
            code = process.wait(self.patience_s())
            if code == 0 and not self.dead():
                return
            if code not in (0, 1, 3):
                raise Failed(f"an upload after the faults ends with {code}:\n{process.words()[-1500:]}")
            if attempt >= 1:
                self.run.count("runs of `retry`")
                self.start("retry").wait(self.patience_s())
        raise Failed(f"no upload comes to an end:\n{process.answer()[:1500]}\n{process.words()[-1500:]}")


def figure(url, name):
    """The sum of a figure over its labels."""
    lines = [line for line in fetch(f"{url}/metrics").splitlines() if line.startswith(name)]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}
