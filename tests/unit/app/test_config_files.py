"""Every file of tests/config: the good load, the bad give exactly the message beside them."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from turnout_server.app.config.document import Document, read_yaml
from turnout_server.app.config.problem import ConfigError
from turnout_server.app.config.schema import json_schema
from turnout_server.app.settings import read_settings

FILES = Path(__file__).parents[2] / "config"
GOOD = sorted((FILES / "good").glob("*.yaml"))
BAD = sorted((FILES / "bad").glob("*.yaml"))
ENVIRON = {"OPENAI_API_KEY": "sk-one", "ANTHROPIC_API_KEY": "sk-two"}


def by_stem(file: Path) -> str:
    return file.stem


@pytest.mark.parametrize("file", GOOD, ids=by_stem)
def test_good_file_loads(file: Path) -> None:
    assert read_settings(file, ENVIRON).routes.endpoints


@pytest.mark.parametrize("file", GOOD, ids=by_stem)
def test_good_file_fits_the_schema(file: Path) -> None:
    validator = Draft202012Validator(json.loads(json_schema()))
    assert list(validator.iter_errors(read_yaml(file.read_text(), file.name).data)) == []


@pytest.mark.parametrize("file", BAD, ids=by_stem)
def test_bad_file_gives_its_message(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    with pytest.raises(ConfigError) as refused:
        read_settings(Path(file.name), ENVIRON)
    assert str(refused.value) == file.with_suffix(".txt").read_text().rstrip()
    assert "canary" not in str(refused.value)


def test_every_message_has_its_file() -> None:
    assert {file.stem for file in (FILES / "bad").glob("*.txt")} == {file.stem for file in BAD}


def test_missing_file_is_one_clear_line() -> None:
    with pytest.raises(ConfigError) as refused:
        read_settings(Path("nowhere.yaml"), ENVIRON)
    assert str(refused.value) == (
        "nowhere.yaml: cannot be read: No such file or directory; check the path given to --config"
    )


def test_missing_certificate_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "turnout.yaml"
    file.write_text(
        "server:\n  tls:\n    cert_file: /nowhere/c.pem\n    key_file: /nowhere/k.pem\n"
    )
    with pytest.raises(ConfigError) as refused:
        read_settings(file, ENVIRON)
    problems = [str(problem) for problem in refused.value.problems]
    assert f"{file}:3: server.tls.cert_file: no such file: /nowhere/c.pem" in problems
    assert f"{file}:4: server.tls.key_file: no such file: /nowhere/k.pem" in problems


def test_without_secrets_neither_keys_nor_certificates_are_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "turnout.yaml"
    file.write_text("providers: {groq: {}}\n")
    assert read_settings(file, {}, read_secrets=False).routes.endpoints["groq"].keys == ()


def test_a_document_without_origins_names_itself() -> None:
    assert Document("defaults", {}).where(("server", "listen")) == "defaults"
