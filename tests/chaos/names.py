"""Names that do not resolve, certificates that are not to be trusted, handshakes that stall."""
import contextlib, select, socket, ssl, threading, time

from oracle import ends_well
from program import ROOT, Failed
from resolver import HOST, Resolver
from worlds import Desk, Org

# Invented once for this: an authority that the program is told to trust, and what it signed.
FIXTURES = ROOT / "tests" / "fixtures" / "tls"
TRUST = {"SSL_CERT_FILE": str(FIXTURES / "authority.pem")}
SLOW = "none came about within 10 s"
# What goes wrong, and how the program has to tell it.
TROUBLES = {
    "no such name": "the name does not resolve",
    "expired": "its certificate has expired on 1 January 2021",
    "not-yet-valid": "its certificate is not valid before 1 January 2110",
    "other-host": "its certificate is for another host: check the address (it is for crm.example)",
    "self-signed": "its certificate is signed by nobody whom this machine trusts",
    "stalled": SLOW,
    # With a resolver of our own.
    "slow name": SLOW,
    "moved name": "its certificate is signed by nobody whom this machine trusts",
}
OF_RESOLVER = ["slow name", "moved name"]
PATIENCE_S = 3
# The patience, one connection that was begun at its end (10 s), and what a busy machine adds.
ENDS_S = 30
HANDSHAKE = 0x16


class Listener:
    """Stands before a simulated system with a certificate, or accepts and says nothing."""

    def __init__(self, port, certificate, host="localhost", at=("127.0.0.1", 0)):
        self.port, self.context = port, None
        if certificate != "stalled":
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(FIXTURES / f"{certificate}.pem", FIXTURES / "worthless-key.pem")
        # The first byte of each connection, and how many bytes came after a handshake.
        self.first, self.trusted_bytes = [], 0
        self.listener = socket.create_server(at, backlog=128)
        self.url = f"https://{host}:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.guard, args=(client,), daemon=True).start()

    def guard(self, client):
        # A client that turns away from the certificate is what most of these are for.
        with contextlib.suppress(OSError), client:
            client.settimeout(60)
            self.first.append(client.recv(1, socket.MSG_PEEK)[0])
            if self.context is None:
                while client.recv(65536):
                    pass
                return
            with self.context.wrap_socket(client, server_side=True) as safe, \
                    socket.create_connection(("127.0.0.1", self.port)) as server:
                self.carry(safe, server)

    def carry(self, client, server):
        while True:
            ready = [client] if client.pending() else select.select([client, server], [], [])[0]
            for one in ready:
                data = one.recv(65536)
                if not data:
                    return
                if one is client:
                    self.trusted_bytes += len(data)
                (server if one is client else client).sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def names(run, index):
    """Nobody there by that name, or nobody to trust: the run ends soon, says why, sends nothing, and loses nothing."""
    rng = run.chance(index)
    kinds = rng.sample([kind for kind in TROUBLES if kind not in OF_RESOLVER], len(TROUBLES) - len(OF_RESOLVER))
    with Desk(run, rng, patience=PATIENCE_S, timeout=20) if index % 2 else Org(run, rng, key=index % 4 == 0, patience=PATIENCE_S) as world:
        for number in range(run.each):
            world.put(6)
            meet(run, world, kinds[number % len(kinds)])
            # The address is mended: by the same name with a certificate that is in order, so it was the certificate.
            with Listener(world.sim.at, "good") as good:
                world.server = good.url
                process = world.sync(env=TRUST)
                if process.wait() != 0 or not good.trusted_bytes:
                    raise Failed(f"a sound certificate is not taken:\n{process.words()[-1500:]}")
                run.count("runs by a sound certificate")
        by_name(run, world)
        world.server = world.sim.url
        ends_well(world)


def by_name(run, world):
    """A name that takes long to resolve, but not too long; one that takes too long; and one that leads elsewhere meanwhile."""
    try:
        resolver = Resolver(world.folder)
    except PermissionError:
        run.count("worlds without a resolver")
        return
    # The certificate of `other-host` is for this name.
    with resolver, Listener(world.sim.at, "other-host", HOST) as good:
        world.enter = resolver.enter
        for trouble in OF_RESOLVER:
            world.put(6)
            resolver.delay_s, resolver.address, world.server = 1, "127.0.0.1", good.url
            process = world.sync(env=TRUST)
            if process.wait() != 0 or not resolver.asked:
                raise Failed(f"by a name that takes a second to resolve, {resolver.asked} questions:\n{process.words()[-1500:]}")
            run.count("runs by a name that takes a second")
            world.put(6)
            if trouble == "slow name":
                resolver.delay_s = 25
                meet(run, world, trouble)
                continue
            # The same name and port, at another address.
            resolver.delay_s, resolver.address = 0, "127.0.0.2"
            with Listener(world.sim.at, "self-signed", HOST, (resolver.address, good.listener.getsockname()[1])) as other:
                meet(run, world, trouble, other)
        world.enter = []


def meet(run, world, kind, there=None):
    """One run in this trouble, at a listener that is there already or at one of its own."""
    before, asked = settled(world), requests(world)
    with contextlib.ExitStack() as stack:
        listener = there
        if kind == "no such name":
            world.server = "https://nobody.invalid"
        elif kind not in OF_RESOLVER:
            listener = stack.enter_context(Listener(world.sim.at, kind))
            world.server = listener.url
        began = time.monotonic()
        process = world.sync(env=TRUST)
        code = process.wait(ENDS_S)
        run.most("seconds of the longest run in trouble", round(time.monotonic() - began, 1))
    words = process.words()
    told = [line for line in words.splitlines() if line.startswith("error TL0701: no connection to ")]
    # Where no resolver answers, no name is known to be missing.
    wanted = [TROUBLES[kind], SLOW] if kind == "no such name" else [TROUBLES[kind]]
    is_told = told and any(text in told[-1] for text in wanted)
    if code != 3 or not is_told or "nothing is lost" not in words or "  help: " not in words:
        raise Failed(f"{kind}: ends with {code}, and does not say `{TROUBLES[kind]}` and what to do:\n{words[-2000:]}")
    if listener:
        if not listener.first:
            raise Failed(f"vacuous: {kind}: no connection was tried")
        if set(listener.first) != {HANDSHAKE}:
            raise Failed(f"{kind}: a connection began in clear, with the bytes {set(listener.first)}")
        if listener.trusted_bytes:
            raise Failed(f"{kind}: {listener.trusted_bytes} bytes were sent to a host that is not to be trusted")
        run.count(f"connections, {kind}", len(listener.first))
    if requests(world) != asked or settled(world) != before:
        raise Failed(f"{kind}: something was sent, or settled, though nobody could be reached")
    run.count(f"runs, {kind}")


def requests(world):
    """All that has reached the system."""
    counters = world.sim.counters()
    return counters["requests"] if isinstance(world, Desk) else counters["calls"]


def settled(world):
    return sorted(world.read("SELECT state, count(*) FROM delivery WHERE state IN ('delivered', 'dead') GROUP BY state"))


def names_holds(run):
    run.needs("runs by a sound certificate", run.total, *(part for kind in TROUBLES if kind not in OF_RESOLVER for part in (f"runs, {kind}", run.worlds)))
    if run.figures["worlds without a resolver"] < run.worlds:
        run.needs(*(part for kind in OF_RESOLVER for part in (f"runs, {kind}", 1)))
