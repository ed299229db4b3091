"""docs/providers.md: every row of the catalogue, and what it claims."""

from collections import Counter
from collections.abc import Iterator

from turnout.v1.model_service_pb2 import Capability

from turnout_server.app.docs.markdown import code, page, table
from turnout_server.providers import catalogue
from turnout_server.providers.catalogue import LOCAL, Catalogue, Row

_INTRODUCTION = """\
A provider is a row of data over a wire, the protocol that it speaks. No hosted provider was called
for this table: what a row claims is tested against its wire's cases. **verified** means that the
wire was built and tested for this very API; **community** means that the row was written from the
provider's documentation.

Without a configuration, a provider is there when its key is in the environment and its address has
no `{placeholder}`; the aliases `chat` and `embed` then lead to the models named here. In a
[configuration](config.md), `providers: {groq: {}}` takes a row as it is, and
`{row: openai_compatible, base_url: …}` reaches any server of that kind. A new row is six lines in
`catalogue.toml`.
"""


def providers_page() -> str:
    """The page's text."""
    return page("Providers", _lines(catalogue.load()))


def _lines(known: Catalogue) -> Iterator[str]:
    rows = list(known.rows.values())
    yield _INTRODUCTION
    wires = Counter(row.wire for row in rows)
    yield f"{len(rows)} rows: " + ", ".join(f"{n} over `{wire}`" for wire, n in wires.items()) + "."
    yield ""
    yield from table(
        ["row", "provider", "status", "wire", "address", "key", "`chat` · `embed`"],
        map(_row, rows),
    )
    yield "## What can be asked of a provider"
    yield ""
    yield (
        "What its API can carry; a model may do less. What no target can do is refused with "
        "`UNSUPPORTED_CAPABILITY` before anyone is called."
    )
    yield ""
    names = [_name(one) for one in Capability.values() if one]
    yield from table(
        ["row", *(name.replace("_", " ") for name in names)],
        (_abilities(row) for row in rows),
    )


def _row(row: Row) -> tuple[str, ...]:
    address = row.base_url or ("its own process" if row.name == LOCAL else "to be configured")
    models = " · ".join(code(model) for model in (row.chat_model, row.embed_model) if model)
    return (
        code(row.name),
        row.title,
        row.status,
        code(row.wire),
        code(address) if row.base_url else address,
        code(row.key_env) or "none",
        models,
    )


def _abilities(row: Row) -> list[str]:
    can = [one in row.capabilities for one in Capability.values() if one]
    return [code(row.name), *("✓" if one else "" for one in can)]


def _name(capability: "Capability.ValueType") -> str:
    return Capability.Name(capability).removeprefix("CAPABILITY_").lower()
