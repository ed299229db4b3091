"""What the scripted server saw: kept by request id, asked for over HTTP."""

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SETTLE_S = 5.0
"""How long an answer waits for the calls asked about to end."""
APPEAR_S = 0.3
"""How long it waits for one that is not known: not all are seen by a real gateway's observers."""


@dataclass(slots=True)
class SeenCall:
    """One RPC as the server saw it. Times are milliseconds of one monotonic clock."""

    method: str
    case: str
    request_id: str
    attempt: int
    metadata: dict[str, str]
    has_deadline: bool
    started_ms: float
    request_size_bytes: int = 0
    unanswered_items_at_most: int = 0
    ended_ms: float | None = None
    outcome: str = "open"
    upstreams_open: int = 0
    """Streams to a provider that the call still holds; the scripted server has none."""


@dataclass(slots=True)
class Report:
    """All calls seen. Written by the server's event loop, read by the HTTP threads."""

    _calls: dict[str, list[SeenCall]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def begin(
        self, method: str, case: str, metadata: dict[str, str], *, has_deadline: bool
    ) -> SeenCall:
        """Note a call; calls with one request id are the attempts of one."""
        request_id = metadata.get("x-request-id", "")
        with self._changed:
            earlier = self._calls.setdefault(request_id, [])
            call = SeenCall(
                method=method,
                case=case,
                request_id=request_id,
                attempt=len(earlier),
                metadata=metadata,
                has_deadline=has_deadline,
                started_ms=time.monotonic() * 1000,
            )
            earlier.append(call)
            self._changed.notify_all()
        return call

    def end(self, call: SeenCall, outcome: str) -> None:
        """Note how a call ended: `ok`, `failed` or `cancelled`."""
        with self._changed:
            call.ended_ms = time.monotonic() * 1000
            call.outcome = outcome
            self._changed.notify_all()

    def settled(self, request_id: str) -> list[SeenCall]:
        """The calls of this id, once all have ended or SETTLE_S have passed."""
        with self._changed:
            if not self._changed.wait_for(lambda: request_id in self._calls, APPEAR_S):
                return []
            calls = self._calls[request_id]
            self._changed.wait_for(
                lambda: all(call.ended_ms is not None for call in calls), SETTLE_S
            )
            return list(calls)


def serve(report: Report) -> ThreadingHTTPServer:
    """Answer `GET /calls?request_id=…` on a free port of 127.0.0.1, from a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if asked.path != "/calls":
                self.send_error(404)
                return
            request_id = parse_qs(asked.query).get("request_id", [""])[0]
            calls = [asdict(call) for call in report.settled(request_id)]
            body = json.dumps({"calls": calls}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests' output is their own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def url_of(server: ThreadingHTTPServer) -> str:
    """Where a report is asked for."""
    return f"http://127.0.0.1:{server.server_address[1]}"
