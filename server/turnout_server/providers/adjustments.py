"""What was changed in a request to suit the provider, told to the caller and never in silence."""

import re

from turnout.v1.chat_service_pb2 import Warning as WarningMessage

from turnout_server.core.failure import FailureKind, ProviderFailure

_Kind = WarningMessage.Kind
_INDEX = re.compile(r"\[\d+\]")


class Adjustments:
    """Collects warnings; with `strict`, a parameter dropped or clamped is a failure instead."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._fields: dict[tuple[_Kind.ValueType, str, str], list[str]] = {}

    def dropped(self, field: str, why: str) -> None:
        """The parameter is left out."""
        self._refuse_when_strict(field, why)
        self._note(WarningMessage.KIND_DROPPED, field, why)

    def clamped(self, field: str, why: str) -> None:
        """The parameter is moved into the range."""
        self._refuse_when_strict(field, why)
        self._note(WarningMessage.KIND_CLAMPED, field, why)

    def emulated(self, field: str, how: str) -> None:
        """The parameter takes effect by other means."""
        self._note(WarningMessage.KIND_EMULATED, field, how)

    def state_stripped(self, field: str) -> None:
        """A provider's opaque state is left out of the conversation."""
        why = "what another provider or model left in the conversation is not sent"
        self._note(WarningMessage.KIND_STATE_STRIPPED, field, why)

    def warnings(self) -> list[WarningMessage]:
        """One warning for each kind of change to each field; of a list's items, at the first."""
        return [
            WarningMessage(
                kind=kind,
                field=fields[0],
                message=text if len(fields) == 1 else f"{text} ({len(fields)} times)",
            )
            for (kind, _, text), fields in self._fields.items()
        ]

    def _refuse_when_strict(self, field: str, why: str) -> None:
        if self._strict:
            raise ProviderFailure(FailureKind.CAPABILITY, f"{field}: {why}", field=field)

    def _note(self, kind: _Kind.ValueType, field: str, text: str) -> None:
        self._fields.setdefault((kind, _INDEX.sub("", field), text), []).append(field)
