"""What the upstream saw of one request: the evidence of a test."""

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.fault.upstream.http import HttpConnection, RawRequest
from tests.fault.upstream.script import Script

WireName = Literal["openai_chat", "openai_embeddings", "anthropic_messages"]
Outcome = Literal["playing", "finished", "cut", "client_gone"]


@dataclass(slots=True, kw_only=True)
class RecordedRequest:
    """One request, what it was answered with, and how it ended.

    Times are those of `time.monotonic`: uvloop's own clock stands still within an iteration.

    `outcome`: `finished` = the script was played to its end, `cut` = the script closed the
    connection, `client_gone` = the client closed it while the script was playing.
    """

    number: int
    raw: RawRequest = field(repr=False)
    body: Any = field(repr=False)
    wire: WireName
    script: Script
    connection: HttpConnection = field(repr=False)
    received_at_s: float
    head_sent_at_s: float | None = None
    ended_at_s: float | None = None
    frames_sent: int = 0
    outcome: Outcome = "playing"

    @property
    def headers(self) -> dict[str, str]:
        """Headers by lower-case name; of a repeated one, the last."""
        return dict(self.raw.headers)

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.body.get("model", ""))

    @property
    def is_streamed(self) -> bool:
        """Whether an event stream was asked for."""
        return bool(self.body.get("stream", False))

    @property
    def prefill(self) -> str:
        """The text of a last message that is the assistant's, which the answer must continue."""
        messages = self.body.get("messages") or [{}]
        if messages[-1].get("role") != "assistant":
            return ""
        content = messages[-1].get("content") or ""
        if isinstance(content, str):
            return content
        return "".join(part.get("text", "") for part in content)

    @property
    def client_closed_at_s(self) -> float | None:
        """When the client closed this request's connection; None if it is open or we did."""
        return self.connection.client_closed_at_s
