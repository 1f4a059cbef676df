"""A web server that receives exports, honours idempotency keys, and fails at random.

Belongs here: the server and what it acts on. Does not: what a test expects.
"""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What happens to a request, and whether the receiver has acted on it.
FAULTS = ("ok", "slow", "500", "500 after", "503", "close", "close after", "hang", "hang after", "429")


class Receiver:
    """Acts on each row key once. hang: seconds in which it does not answer. seed: of the faults; None for none."""

    def __init__(self, seed: int | None, hang: float) -> None:
        self._random = random.Random(seed) if seed is not None else None
        self._lock = threading.Lock()
        self.hang = hang
        self.url = ""
        self.status: int | None = None
        # Rows acted on, by key, in order; bodies by the key of their batch; every request.
        self.acted: dict[str, dict[str, Any]] = {}
        self.bodies: dict[str, list[bytes]] = {}
        self.faults: list[str] = []
        self.paths: set[str] = set()

    def decide(self) -> str:
        """Choose what happens to a request."""
        with self._lock:
            fault = self._random.choice(FAULTS) if self._random else "ok"
            self.faults.append(fault)
            return fault

    def accept(self, key: str, body: bytes) -> None:
        """Act on the rows of a batch whose keys are new."""
        content = json.loads(body)
        assert content["idempotency_key"] == key
        with self._lock:
            self.bodies.setdefault(key, []).append(body)
            for row in content["rows"]:
                self.acted.setdefault(row["idempotency_key"], row)

    def state(self) -> dict[str, dict[str, Any]]:
        """The rows by customer after all operations in order."""
        found: dict[str, dict[str, Any]] = {}
        for row in self.acted.values():
            kept = {n: v for n, v in row.items() if n not in ("idempotency_key", "operation", "customer_id")}
            if row["operation"] == "remove":
                found.pop(row["customer_id"], None)
            else:
                found[row["customer_id"]] = kept
        return found


@contextmanager
def receiving(seed: int | None = None, hang: float = 1.0) -> Iterator[Receiver]:
    """Serve on a free port of this machine."""
    receiver = Receiver(seed, hang)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            key = self.headers["Idempotency-Key"]
            receiver.paths.add(self.path)
            fault = receiver.decide()
            if fault in ("ok", "slow", "500 after", "close after", "hang after") and not receiver.status:
                receiver.accept(key, body)
            if fault == "slow":
                time.sleep(receiver.hang / 10)
            if fault.startswith("hang"):
                time.sleep(receiver.hang)
            if fault.startswith(("close", "hang")):
                self.close_connection = True
                return
            self.send_response(receiver.status or {"ok": 200, "slow": 204}.get(fault) or int(fault[:3]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
