"""What a caller is told when a call fails.

GatewayError            one failed call: reason, public sentence, hidden detail
  raised by             rpc (invalid, unauthenticated), dispatch (everything upstream), policy
  becomes a status in   rpc.status, and nowhere else
"""

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.v1.errors_pb2 import AttemptFailure, ErrorReason
from turnout.v1.usage_pb2 import Usage


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: `field` is the path in the request, such as `messages[2].role`."""

    field: str
    description: str


class GatewayError(Exception):
    """A call that fails. Callers see `public`; logs see `detail` too."""

    def __init__(
        self,
        reason: ErrorReason.ValueType,
        public: str,
        *,
        detail: str = "",
        retry_after_s: float | None = None,
        violations: Sequence[Violation] = (),
        attempts: Sequence[AttemptFailure] = (),
        output_started: bool = False,
        usage: Usage | None = None,
        resource: str = "",
        named_directly: bool = False,
    ) -> None:
        super().__init__(public)
        self.reason = reason
        self.public = public
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.violations = tuple(violations)
        self.attempts = tuple(attempts)
        self.output_started = output_started
        self.usage = usage
        self.resource = resource
        self.named_directly = named_directly

    def __str__(self) -> str:
        name = ErrorReason.Name(self.reason).removeprefix("ERROR_REASON_")
        return f"{name}: {self.public}" + (f" [{self.detail}]" if self.detail else "")
