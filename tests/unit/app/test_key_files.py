"""The file of API keys, and the command that makes its lines."""

import json
from pathlib import Path

import pytest

from turnout_server.app.cli.main import main
from turnout_server.app.config.key_file import read_key_file
from turnout_server.app.config.problem import ConfigError
from turnout_server.app.settings import read_settings

HMAC = "a" * 64


def written(folder: Path, text: str) -> Path:
    file = folder / "keys.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("keys: {", "keys.yaml:1: "),
        ("keyz: []", "keys.yaml:1: keyz: unknown key; did you mean 'keys'?"),
        ("keys:\n- {id: a, tenant: t}", "keys.yaml:2: keys[0].hmac: is missing"),
        (f"keys:\n- {{id: a, hmac: {HMAC}, tenant: ''}}", "keys.yaml:2: keys[0].tenant: "),
        (f"keys:\n- {{id: a b, hmac: {HMAC}, tenant: t}}", "keys.yaml:2: keys[0].id: "),
        ("keys:\n- {id: a, hmac: 12ab, tenant: t}", "keys.yaml:2: keys[0].hmac: "),
        (
            f"keys:\n- {{id: a, hmac: {HMAC}, tenant: t, methods: [Chatt]}}",
            "did you mean 'Chat'?",
        ),
        (
            f"keys:\n- {{id: a, hmac: {HMAC}, tenant: t}}\n- {{id: a, hmac: {HMAC}, tenant: u}}",
            "keys.yaml:3: keys[1].id: stands here twice; keep one",
        ),
    ],
)
def test_a_broken_key_file_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_key_file(written(tmp_path, text))
    assert told in str(refused.value)


def test_a_missing_pepper_is_named_with_the_line_that_refers_to_it(tmp_path: Path) -> None:
    keys = written(tmp_path, "keys: []")
    file = tmp_path / "turnout.yaml"
    file.write_text(
        "providers: {groq: {}}\n"
        f"auth:\n  api_keys_file: {keys}\n  api_keys_pepper: {{env: PEPPER}}\n"
    )
    with pytest.raises(ConfigError) as refused:
        read_settings(file, {"GROQ_API_KEY": "x"})
    assert str(refused.value) == (
        f"{file}:4: auth.api_keys_pepper: environment variable PEPPER is not set; export PEPPER=…"
    )


async def test_a_new_keys_line_lets_that_key_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pepper").write_text("salt and\n")
    pepper = f"file:{tmp_path}/pepper"
    command = ["keys", "new", "--tenant", "acme", "--model", "chat", "--method", "Chat"]
    command += ["--max-output-tokens", "9", "--priority", "batch", "--act-for", "*"]
    assert main([*command, "--pepper", pepper]) == 0
    told = capsys.readouterr().out.splitlines()
    (key,) = (line.strip() for line in told if line.startswith("  turnout_"))
    (line,) = (line for line in told if line.startswith("  - "))
    keys = written(tmp_path, f"keys:\n{line}\n")
    file = tmp_path / "turnout.yaml"
    file.write_text(
        "providers: {groq: {}}\n"
        f"auth: {{api_keys_file: {keys}, api_keys_pepper: {{file: {tmp_path}/pepper}}}}\n"
    )
    settings = read_settings(file, {"GROQ_API_KEY": "x"})
    assert settings.files == {keys, file, tmp_path / "pepper"}
    assert settings.auth.api_keys is not None
    identity = await settings.auth.api_keys.identify(key)
    assert identity is not None
    assert (identity.tenant, identity.allowed_models) == ("acme", {"chat"})
    assert (identity.allowed_methods, identity.max_output_tokens) == ({"Chat"}, 9)
    assert (identity.priority.name, identity.may_act_for) == ("BATCH", {"*"})


def test_a_new_key_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TURNOUT_PEPPER", "pepper")
    assert main(["keys", "new", "--tenant", "acme", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["key"].startswith(f"turnout_{made['entry']['id']}.")
    assert set(made["entry"]) == {"id", "hmac", "tenant"}


@pytest.mark.parametrize(
    ("pepper", "told"),
    [
        ("env:NOWHERE", "NOWHERE is not set"),
        ("secret", "--pepper must be env:NAME or file:PATH"),
    ],
)
def test_without_a_pepper_there_is_no_key(
    pepper: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "new", "--tenant", "acme", "--pepper", pepper]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err
