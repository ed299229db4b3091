from pathlib import Path

import pytest
from turnout.v1.routing_pb2 import MidStreamPolicy

from turnout_server.app.config.document import read_yaml
from turnout_server.app.config.load import check
from turnout_server.app.routes import make_aliases
from turnout_server.app.settings import Settings, read_settings
from turnout_server.app.urls import find_url_problems, read_url
from turnout_server.app.zero_config import default_aliases, providers_at_hand
from turnout_server.core.target import Endpoint, ModelCard
from turnout_server.policy.routes import Hedge, Strategy
from turnout_server.providers import catalogue


def settings_of(text: str, tmp_path: Path, **environ: str) -> Settings:
    file = tmp_path / "turnout.yaml"
    file.write_text(text)
    return read_settings(file, environ)


def targets(settings: Settings, alias: str) -> list[str]:
    return [str(target) for target in settings.routes.aliases[alias].targets]


def test_without_a_key_only_local_is_there() -> None:
    found = providers_at_hand(catalogue.load(), {}, with_local=True)
    assert list(found) == ["local"]


def test_a_key_in_the_environment_brings_its_provider_before_local() -> None:
    environ = {"OPENAI_API_KEY": "x", "GROQ_API_KEY": "", "AZURE_OPENAI_API_KEY": "x"}
    found = providers_at_hand(catalogue.load(), environ, with_local=True)
    # An empty key is none, and Azure's address is not known from its key.
    assert list(found) == ["openai", "local"]


def test_chat_and_embed_chain_keyed_providers_first_and_local_last() -> None:
    settings = read_settings(None, {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "y"})
    assert targets(settings, "chat")[:2] == ["anthropic/claude-sonnet-5", "openai/gpt-5.5"]
    assert targets(settings, "embed")[0] == "openai/text-embedding-3-small"
    if "local" in settings.routes.endpoints:
        assert targets(settings, "chat")[-1] == "local/smollm2-135m-instruct"
        assert targets(settings, "embed")[-1] == "local/all-minilm-l6-v2"


def test_a_file_that_names_providers_has_no_others(tmp_path: Path) -> None:
    settings = settings_of(
        "providers: {openai: {}}", tmp_path, OPENAI_API_KEY="x", GROQ_API_KEY="y"
    )
    assert list(settings.routes.endpoints) == ["openai"]
    assert targets(settings, "chat") == ["openai/gpt-5.5"]


def test_local_is_last_wherever_a_file_names_it() -> None:
    document = read_yaml("providers: {local: {}, openai: {}}", "turnout.yaml")
    providers = check(document).config.providers
    assert providers is not None
    chain = default_aliases(providers, catalogue.load())["chat"].targets
    assert [one.target for one in chain][-1] == "local/smollm2-135m-instruct"


def test_an_endpoint_is_its_row_and_what_the_file_adds(tmp_path: Path) -> None:
    endpoint = settings_of(
        "providers:\n"
        "  west:\n"
        "    row: azure\n"
        "    variables: {resource: contoso}\n"
        "    keys: [{env: ONE}, {env: TWO}]\n"
        "    timeouts: {connect: 500ms}\n"
        "    options: {embed_batch: 16}\n",
        tmp_path,
        ONE="sk-canary",
        TWO="second",
    ).routes.endpoints["west"]
    assert endpoint.base_url == "https://contoso.openai.azure.com/openai/v1"
    assert [key.id for key in endpoint.keys] == ["env:ONE", "env:TWO"]
    assert endpoint.timeouts.connect_s == pytest.approx(0.5)
    assert endpoint.timeouts.total_s == pytest.approx(600)
    assert endpoint.options == {"auth": "api-key", "embed_batch": 16}
    assert "canary" not in repr(endpoint)


def test_key_files_and_the_file_itself_are_watched(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-1\n")
    settings = settings_of(f"providers: {{openai: {{keys: [{{file: {key}}}]}}}}", tmp_path)
    assert settings.files == {key, tmp_path / "turnout.yaml"}
    assert settings.routes.endpoints["openai"].keys[0].secret.reveal() == "sk-1"


def test_a_model_without_a_card_is_reachable_by_its_full_name(tmp_path: Path) -> None:
    settings = settings_of("providers: {openai: {}}", tmp_path, OPENAI_API_KEY="x")
    alias = settings.routes.find("openai/a-model-of-tomorrow")
    assert alias is not None
    assert alias.direct
    assert not alias.targets[0].card.known


def test_an_alias_says_all_that_the_file_says() -> None:
    text = (
        "models: {a: {targets: [{target: p/org/m, weight: 2}], strategy: weighted,"
        " mid_stream: continue, hedge: {enabled: true, after: 200ms, budget: 10%},"
        " retry: {max_attempts: 5}}}"
    )
    models = check(read_yaml(text, "turnout.yaml")).config.models
    assert models is not None
    endpoint = Endpoint("p", "openai", "openai_chat", "https://host/v1")
    alias = make_aliases(models, {"p": endpoint}, lambda _, model: ModelCard(model, frozenset()))[
        "a"
    ]
    assert (alias.targets[0].model, alias.targets[0].weight) == ("org/m", 2)
    assert alias.strategy is Strategy.WEIGHTED
    assert alias.mid_stream == MidStreamPolicy.MID_STREAM_POLICY_CONTINUE
    assert alias.hedge == Hedge(enabled=True, after_s=0.2, budget=0.1)
    assert alias.max_attempts == 5


def test_an_address_behind_a_reference_must_be_there() -> None:
    text = "cache: {url: {env: REDIS_URL}}\nlimits: {backend: redis}\n"
    loaded = check(read_yaml(text, "turnout.yaml"))
    problems = find_url_problems(loaded.config, loaded.document, {})
    assert [str(problem) for problem in problems] == [
        (
            "turnout.yaml:2: limits.backend: backend redis needs url: redis://host:6379/0,"
            " or {env: NAME}"
        ),
        "turnout.yaml:1: cache.url: environment variable REDIS_URL is not set; export REDIS_URL=…",
    ]


def test_an_address_behind_a_reference_must_be_one_of_redis() -> None:
    loaded = check(read_yaml("limits: {backend: redis, url: {env: REDIS_URL}}", "turnout.yaml"))
    environ = {"REDIS_URL": "https://user:canary@host"}
    assert [
        str(problem) for problem in find_url_problems(loaded.config, loaded.document, environ)
    ] == [
        (
            "turnout.yaml:1: limits.url: env:REDIS_URL leads to no address of Redis, which begins"
            " with redis://"
        )
    ]


def test_an_address_is_read_through_its_reference() -> None:
    url = check(read_yaml("cache: {url: {env: REDIS_URL}}", "turnout.yaml")).config.cache.url
    assert url is not None
    assert read_url(url, {"REDIS_URL": "redis://:pw@redis/0"}) == "redis://:pw@redis/0"
    assert read_url("sqlite:///x.db", {}) == "sqlite:///x.db"
