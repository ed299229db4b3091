"""Going on with a text that another target began: what to ask, and what to cut of the answer.

Pure. A prefill that ends in white space is refused by some providers, so it is sent without; and a
model may begin by repeating what it was given. Either way the caller must see no letter twice.
"""

from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat
from turnout.v1.content_pb2 import ROLE_ASSISTANT

MAX_OVERLAP_CHARS = 400
MIN_OVERLAP_CHARS = 6
"""A shorter repetition is more likely meant: "ha" after "ha" is laughter."""


def may_continue(request: ChatRequest) -> bool:
    """Whether a half answer to this request can be gone on with: never inside a format."""
    return request.response_format.kind in (
        ResponseFormat.KIND_UNSPECIFIED,
        ResponseFormat.KIND_TEXT,
    )


def continued(request: ChatRequest, text: str) -> ChatRequest:
    """The request that asks for the rest of an answer that began with `text`."""
    asked = ChatRequest()
    asked.CopyFrom(request)
    asked.messages.add(role=ROLE_ASSISTANT, text=text.rstrip())
    return asked


class Overlap:
    """Cuts from the beginning of a continuation what the caller has already.

    Text is held back only while it might still be part of a repetition: mostly not at all.
    """

    def __init__(self, text: str) -> None:
        self._tail = text[-MAX_OVERLAP_CHARS:]
        self._blank = text[len(text.rstrip()) :]
        self._held = ""
        self._decided = False

    def feed(self, text: str) -> str:
        """The part of `text` that is new; empty while nothing can be said yet."""
        if self._decided:
            return text
        self._held += text
        if self._may_grow():
            return ""
        return self.rest()

    def rest(self) -> str:
        """What is still held back, without what is repeated: call it when the stream ends."""
        held, self._held, self._decided = self._held, "", True
        for length in range(min(len(self._tail), len(held)), 0, -1):
            if self._counts(length) and held.startswith(self._tail[-length:]):
                return held[length:]
        return held

    def _may_grow(self) -> bool:
        """Whether a longer repetition than seen so far is still possible."""
        return any(
            self._counts(length) and self._tail[-length:].startswith(self._held)
            for length in range(len(self._held) + 1, len(self._tail) + 1)
        )

    def _counts(self, length: int) -> bool:
        return length >= MIN_OVERLAP_CHARS or length == len(self._blank)
