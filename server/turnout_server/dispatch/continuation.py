"""Going on with a text that another target began: what to ask, and what to cut of the answer.

Pure. A prefill that ends in white space is refused by some providers, so it is sent without; and a
model may begin by repeating what it was given. Either way the caller must see no letter twice.
"""

from collections.abc import Iterator

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, ResponseFormat
from turnout.v1.content_pb2 import ROLE_ASSISTANT, Message, Part

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


class Delivered:
    """What the caller has been sent of an answer, so that another target can go on with it.

    The continuation's first text belongs to the part that broke off: its parts are numbered anew.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._pieces: list[str] = []
        self._only_text = may_continue(request)
        self._part_index = 0
        self._overlap: Overlap | None = None
        self._shift: int | None = 0

    @property
    def may_go_on(self) -> bool:
        """Whether another target can take over here: some text was sent, and nothing else."""
        return self._only_text and bool("".join(self._pieces).strip())

    def go_on(self) -> ChatRequest:
        """What to ask for the rest; the events that are fed from now on answer that."""
        text = "".join(self._pieces)
        self._overlap = Overlap(text)
        self._shift = None
        return continued(self._request, text)

    def feed(self, event: ChatResponse, kind: str) -> Iterator[ChatResponse]:
        """What of one event the caller is to be sent, in the numbers of its own parts."""
        if self._shift is None:
            self._shift = self._part_index - event.part_index + (kind != "text_delta")
        event.part_index += self._shift
        if kind != "text_delta":
            yield from self.rest()
            self._only_text = False
        else:
            if self._overlap is not None:
                event.text_delta = self._overlap.feed(event.text_delta)
            if not event.text_delta:
                return
            self._pieces.append(event.text_delta)
        self._part_index = event.part_index
        yield event

    def rest(self) -> Iterator[ChatResponse]:
        """The text that is still held back; to be sent before whatever else comes."""
        text = self._overlap.rest() if self._overlap is not None else ""
        if text:
            self._pieces.append(text)
            yield ChatResponse(text_delta=text, part_index=self._part_index)

    def complete(self, message: Message) -> None:
        """Make the message of a continuation that of the whole answer."""
        if self._overlap is None:
            return
        others = [part for part in message.parts if part.WhichOneof("content") != "text"]
        whole = Message(role=message.role, parts=[Part(text="".join(self._pieces)), *others])
        message.CopyFrom(whole)


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
