"""`providers`: what a name of a provider means here."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from turnout_server.app.config.section import Count, Reference, Section, Url, refusal
from turnout_server.app.config.units import Seconds

_CREDENTIAL_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie")


def _without_credentials(headers: dict[str, str]) -> dict[str, str]:
    for name in headers:
        if name.lower() in _CREDENTIAL_HEADERS:
            raise refusal(f"'{name}' carries a secret; use keys: [{{env: NAME}}]")
    return headers


class TimeoutsConfig(Section):
    """How long each phase of one attempt may take."""

    connect: Seconds = Seconds.parse("2s")
    """Until the connection stands."""

    first_output: Seconds = Seconds.parse("30s")
    """Until the first output; keep-alives do not count."""

    stall: Seconds = Seconds.parse("30s")
    """Between one output and the next; keep-alives do not count."""

    total: Seconds = Seconds.parse("600s")
    """Until the answer is whole."""


class UpstreamLimitsConfig(Section):
    """What the provider grants us."""

    rpm: Count | None = None
    """Requests a minute."""

    tpm: Count | None = None
    """Tokens a minute."""

    concurrency: Count | None = None
    """Requests at once."""


class ProviderConfig(Section):
    """One provider: a row of the catalogue, with what is particular to this installation."""

    row: str | None = None
    """The row of the [catalogue](providers.md); the provider's own name by default."""

    base_url: Url | None = None
    """Address instead of the row's."""

    variables: dict[str, str] = Field(default_factory=dict)
    """What fills the `{placeholders}` of the row's address."""

    keys: list[Reference] | None = None
    """Credentials, used in turn; the row's environment variable by default, `[]` for none."""

    headers: Annotated[dict[str, str], AfterValidator(_without_credentials)] = Field(
        default_factory=dict
    )
    """Sent with every request, beside the row's; none of them a credential."""

    limits: UpstreamLimitsConfig = UpstreamLimitsConfig()
    """What the provider grants us."""

    timeouts: TimeoutsConfig = TimeoutsConfig()
    """How long each phase of one attempt may take."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the row's wire, over the row's own."""
