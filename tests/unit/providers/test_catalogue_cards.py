import pytest
from turnout.v1.model_service_pb2 import Capability

from turnout_server.core.clock import Clock
from turnout_server.core.target import Endpoint, ModelCard, Price
from turnout_server.providers import cards, catalogue
from turnout_server.providers.catalogue import CatalogueError
from turnout_server.providers.prices import NOT_LISTED, find_listing

ROWS = catalogue.load()
CARDS = cards.load(ROWS)


def card(row: str, model: str) -> ModelCard:
    return CARDS.card_of(Endpoint(row, row, ROWS.rows[row].wire, ""), model)


def test_known_model_has_window_output_and_price() -> None:
    known = card("anthropic", "claude-sonnet-4-5-20250929")
    assert known.known
    assert (known.context_window, known.max_output_tokens) == (200_000, 64_000)
    assert known.price == Price(3_000_000, 15_000_000, 300_000, 3_750_000)


def test_unknown_model_may_do_all_that_its_row_can_and_has_no_price() -> None:
    unknown = card("openai", "a-model-of-tomorrow")
    assert unknown == ModelCard(
        "a-model-of-tomorrow", ROWS.rows["openai"].capabilities, known=False
    )


def test_model_is_not_offered_what_its_row_cannot_carry() -> None:
    assert Capability.CAPABILITY_DOCUMENTS in card("openai", "gpt-4o").capabilities
    assert Capability.CAPABILITY_DOCUMENTS not in card("bedrock", "gpt-4o").capabilities


def test_family_is_found_behind_the_vendor_of_the_name() -> None:
    assert card("groq", "openai/gpt-oss-120b").known
    assert card("openrouter", "anthropic/claude-sonnet-5").max_output_tokens == 64_000


def test_beginning_of_an_answer_only_where_the_model_accepts_one() -> None:
    assert Capability.CAPABILITY_PREFILL in card("anthropic", "claude-haiku-4-5").capabilities
    assert Capability.CAPABILITY_PREFILL not in card("anthropic", "claude-opus-4-6").capabilities


def test_price_is_unknown_where_tokens_are_not_all_that_is_paid_for() -> None:
    assert card("perplexity", "sonar").price is None
    assert card("ollama", "llama3.2").price is None


def test_embedded_models_are_known_to_cost_nothing() -> None:
    assert card("local", "smollm2-135m-instruct").price == Price(0, 0)
    assert card("local", "all-minilm-l6-v2").embedding_dimensions == (384,)


@pytest.mark.parametrize(
    "row", [r for r in ROWS.rows.values() if r.chat_model], ids=lambda r: r.name
)
def test_default_chat_model_can_stream_a_chat(row: catalogue.Row) -> None:
    wanted = {Capability.CAPABILITY_CHAT, Capability.CAPABILITY_STREAMING}
    assert wanted <= card(row.name, row.chat_model).capabilities


@pytest.mark.parametrize(
    "row", [r for r in ROWS.rows.values() if r.embed_model], ids=lambda r: r.name
)
def test_default_embedding_model_can_embed(row: catalogue.Row) -> None:
    assert card(row.name, row.embed_model).capabilities == {Capability.CAPABILITY_EMBEDDINGS}


def test_price_of_the_day_counts_and_the_dearest_of_the_hours() -> None:
    before = find_listing("mistral", "mistral-medium-latest", Clock(wall=lambda: 1_780_000_000))
    after = find_listing("mistral", "mistral-medium-latest", Clock(wall=lambda: 1_790_000_000))
    assert before.price is not None
    assert after.price is not None
    assert before.price.input < after.price.input
    assert find_listing("deepseek", "deepseek-chat").price == Price(270_000, 1_100_000, 70_000)


def test_nothing_is_listed_for_an_unknown_provider() -> None:
    assert find_listing("", "gpt-5.5") is NOT_LISTED
    assert find_listing("nobody", "gpt-5.5") is NOT_LISTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[model]]\nmatch = ['x']\ncapabilites = []", "did you mean 'capabilities'"),
        ("[[model]]\nmatch = ['x']", "match and capabilities must be named"),
        ("[[model]]\nmatch = ['x']\ncapabilities = ['fly']", "no capability is named 'fly'"),
        ("[[model]]\nmatch = ['x']\ncapabilities = []\nprice = {input = 1.0}", "both be named"),
        ("[[models]]\nmatch = ['x']", "only [[model]] stands here"),
    ],
)
def test_family_that_says_something_unknown_is_refused(text: str, message: str) -> None:
    with pytest.raises(CatalogueError) as refused:
        cards.parse(text)
    assert message in str(refused.value)
