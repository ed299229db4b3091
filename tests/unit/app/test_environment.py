from pathlib import Path

import pytest

from turnout_server.app.config.load import load
from turnout_server.app.config.problem import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "turnout.yaml"
    file.write_text("server: {listen: '127.0.0.1:1'}\nproviders:\n  vllm-a: {row: vllm}\n")
    return file


def test_variable_overrides_the_file(file: Path) -> None:
    config = load(file, {"TURNOUT_SERVER__LISTEN": "[::1]:50051"}).config
    assert config.server.listen == "[::1]:50051"


def test_variable_is_read_as_yaml(file: Path) -> None:
    variables = {
        "TURNOUT_SERVER__MAX_IN_FLIGHT": "7",
        "TURNOUT_PROVIDERS__OPENAI__KEYS": "[{env: OTHER}]",
    }
    config = load(file, variables).config
    assert config.server.max_in_flight == 7
    assert config.providers is not None
    keys = config.providers["openai"].keys
    assert keys is not None
    assert keys[0].env == "OTHER"


def test_variable_finds_a_name_that_it_cannot_spell(file: Path) -> None:
    config = load(file, {"TURNOUT_PROVIDERS__VLLM_A__BASE_URL": "http://b/v1"}).config
    assert config.providers is not None
    assert config.providers["vllm-a"].base_url == "http://b/v1"


def test_file_is_not_needed() -> None:
    assert load(None, {"TURNOUT_SERVER__LISTEN": "0.0.0.0:1"}).config.server.listen == "0.0.0.0:1"


def test_unknown_key_names_the_variable(file: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(file, {"TURNOUT_SERVER__LISEN": "0.0.0.0:1"})
    assert str(refused.value) == (
        "TURNOUT_SERVER__LISEN: server.lisen: unknown key; did you mean 'listen'?"
    )


def test_one_underscore_too_few_is_noticed() -> None:
    with pytest.raises(ConfigError, match="is TURNOUT_SERVER__LISTEN meant"):
        load(None, {"TURNOUT_SERVER_LISTEN": "0.0.0.0:1"})


def test_nothing_can_stand_below_a_value(file: Path) -> None:
    with pytest.raises(ConfigError, match="'listen' is no mapping"):
        load(file, {"TURNOUT_SERVER__LISTEN__PORT": "1"})


def test_variables_of_others_are_left_alone() -> None:
    theirs = {
        "TURNOUT_PORT": "tcp://10.0.0.1:50051",
        "TURNOUT_SERVICE_HOST": "10.0.0.1",
        "TURNOUT_MODELS_DIR": "/models",
        "HOME": "/home/me",
    }
    assert load(None, theirs).config == load(None, {}).config
