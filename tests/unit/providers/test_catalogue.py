import string
from urllib.parse import urlsplit

import pytest
from turnout.v1.model_service_pb2 import Capability

from turnout_server.core.target import Endpoint
from turnout_server.providers import catalogue
from turnout_server.providers.catalogue import LOCAL, CatalogueError, Row
from turnout_server.providers.registry import Registry, check_options

ROWS = list(catalogue.load().rows.values())
DESIGNED = {
    "anthropic",
    "openai",
    "azure",
    "gemini",
    "vertex",
    "bedrock",
    "mistral",
    "groq",
    "together",
    "fireworks",
    "deepseek",
    "xai",
    "cohere",
    "openrouter",
    "perplexity",
    "cerebras",
    "sambanova",
    "nvidia",
    "ollama",
    "vllm",
    "llama_cpp",
    "lm_studio",
    "huggingface",
    "databricks",
    "github",
    "cloudflare",
    "moonshot",
    "zai",
    "dashscope",
    "minimax",
    "voyage",
    "jina",
    "local",
    "openai_compatible",
}


def by_name(row: Row) -> str:
    return row.name


def test_every_provider_of_the_design_has_a_row() -> None:
    assert {row.name for row in ROWS} >= DESIGNED


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_row_says_only_what_its_wire_understands(row: Row) -> None:
    check_options(row.wire, row.options)


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_row_makes_an_address_once_its_placeholders_are_filled(row: Row) -> None:
    url = row.base_url.format(**dict.fromkeys(row.placeholders, "x"))
    if row.wire == "scripted":
        return
    if row.name == LOCAL or row.name.endswith("_compatible"):
        assert not url
        return
    parts = urlsplit(url)
    assert parts.scheme == ("http" if parts.hostname == "localhost" else "https")
    assert not parts.query


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_default_models_are_of_a_kind_that_the_row_can_carry(row: Row) -> None:
    assert not row.chat_model or Capability.CAPABILITY_CHAT in row.capabilities
    assert not row.embed_model or Capability.CAPABILITY_EMBEDDINGS in row.capabilities


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_key_variable_is_a_variable_of_one_row(row: Row) -> None:
    assert set(row.key_env) <= {*string.ascii_uppercase, *string.digits, "_"}
    assert not row.key_env or [one.key_env for one in ROWS].count(row.key_env) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x]\nwire = 'openai_chat'", "x: title is missing"),
        ("[x]\ntitel = 'X'\nwire = 'openai_chat'", "x: title is missing; is 'titel' meant?"),
        (
            "[x]\ntitle = 'X'\nwire = 'openai_chats'",
            "no wire is named 'openai_chats'; did you mean",
        ),
        ("[x]\ntitle = 'X'\nwire = 'openai_chat'\nstatus = 'ok'", "status is one of"),
        (
            "[x]\ntitle = 'X'\nwire = 'openai_chat'\nadds = ['embedings']",
            "did you mean 'embeddings'",
        ),
        ("[x]\ntitle = 'X'\nwire = 'openai_chat'\nlacks = ['prefill']", "lacks prefill, which"),
        ("[x]\ntitle = 1\nwire = 'openai_chat'", "title is text, not int"),
        ("x = 1", "a row is a table"),
    ],
)
def test_row_that_says_something_unknown_is_refused(text: str, message: str) -> None:
    with pytest.raises(CatalogueError) as refused:
        catalogue.parse(text)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"think_tag": True}, "no option 'think_tag'; did you mean 'think_tags'?"),
        ({"embed_batch": "many"}, "Expected `int`, got `str`; see option `embed_batch`"),
    ],
)
def test_option_that_the_wire_cannot_read_is_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(CatalogueError) as refused:
        check_options("openai_chat", options)
    assert message in str(refused.value)


async def test_registry_shares_a_client_until_the_endpoint_changes() -> None:
    registry = Registry()
    endpoint = Endpoint("a", "anthropic", "anthropic_messages", "https://host")
    moved = Endpoint("a", "anthropic", "anthropic_messages", "https://elsewhere")
    client = registry.provider(endpoint)
    assert registry.provider(endpoint) is client
    assert registry.provider(moved) is not client
    assert registry.retire(keep=[moved]) == [client]
    await client.aclose()
    await registry.aclose()
