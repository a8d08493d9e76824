"""A network between the program and a simulated system that goes wrong by a seed: one fault a connection at most."""
import collections, contextlib, random, select, socket, struct, threading, time

KINDS = ["reset_at_once", "reset_after_request", "half_close", "slices", "delay", "stall", "never_ends", "giant"]
GIANT = 1 << 30


class Proxy:
    def __init__(self, port, seed, kinds=(), chance=0.0):
        self.port, self.kinds, self.chance = port, list(kinds), chance
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.met, self.giant_bytes, self.connections = collections.Counter(), 0, set()
        # What is answered to every request in place of the system: a status and headers.
        self.storm, self.stormed = None, 0
        self.listener, self.is_open = None, True
        self.open()

    def open(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.at = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.at}"
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def refuse(self, seconds):
        """Nobody listens for a while."""
        self.met["refused"] += 1
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        time.sleep(seconds)
        self.open(self.at)

    def calm(self):
        self.chance, self.storm = 0.0, None

    def close(self):
        self.is_open = False
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self, listener):
        while self.is_open:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                kind = self.random.choice(self.kinds) if self.kinds and self.random.random() < self.chance else None
                seed = self.random.random()
            threading.Thread(target=self.guard, args=(client, kind, random.Random(seed)), daemon=True).start()

    def guard(self, client, kind, chance):
        with contextlib.suppress(OSError), client:
            client.settimeout(30)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.storm:
                return self.answer_all(client)
            if kind:
                self.met[kind] += 1
            if kind == "reset_at_once":
                return reset(client)
            with socket.create_connection(("127.0.0.1", self.port)) as server:
                self.carry(client, server, kind, chance)

    def answer_all(self, client):
        """A system that is not itself: every request has the same answer, as long as the storm lasts."""
        while self.storm:
            if not read_request(client) or not (storm := self.storm):
                return
            self.stormed += 1
            status, headers = storm
            text = "".join(f"{name}: {value}\r\n" for name, value in headers)
            client.sendall(f"HTTP/1.1 {status} Storm\r\ncontent-length: 0\r\n{text}\r\n".encode())

    def carry(self, client, server, kind, chance):
        if kind == "delay":
            time.sleep(chance.uniform(0.05, 0.6))
        # A connection without a fault of its own is not for ever either, so that there are many.
        end = time.monotonic() + (chance.uniform(0.05, 0.6) if self.chance else 3600)
        first = True
        while self.is_open:
            ready, _, _ = select.select([client, server], [], [], 0.1)
            for one in ready:
                data = one.recv(65536)
                if not data:
                    return
                if one is client:
                    server.sendall(data)
                    continue
                if first and kind not in (None, "delay"):
                    return self.spoil(client, data, kind, chance)
                client.sendall(data)
                first = False
            if not ready and (time.monotonic() > end or self.storm):
                return

    def spoil(self, client, data, kind, chance):
        """The system has done what was asked; this becomes of its answer."""
        if kind == "reset_after_request":
            reset(client)
        elif kind == "half_close":
            client.sendall(data[:chance.randrange(len(data))])
            client.shutdown(socket.SHUT_WR)
            client.recv(1)
        elif kind == "slices":
            for place in range(min(len(data), 600)):
                client.sendall(data[place:place + 1])
            client.sendall(data[600:])
        elif kind == "stall":
            client.sendall(data[:chance.randrange(1, len(data))])
            client.recv(1)
        elif kind == "never_ends":
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            while True:
                client.sendall(b"1\r\n \r\n")
                time.sleep(0.05)
        elif kind == "giant":
            client.sendall(f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {GIANT}\r\n\r\n".encode())
            block, sent = b" " * 65536, 0
            try:
                while sent < GIANT:
                    client.sendall(block)
                    sent += len(block)
            finally:
                self.giant_bytes = max(self.giant_bytes, sent)


def read_request(client):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            return False
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        piece = client.recv(65536)
        if not piece:
            return False
        body += piece
    return True


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
