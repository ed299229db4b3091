from pathlib import Path

import pytest

from turnout_server.providers.keys import MissingSecret, SecretRef, read_key


def test_key_from_a_variable_loses_the_space_around_it() -> None:
    key = read_key(SecretRef(env="A_KEY"), {"A_KEY": " sk-1\n"})
    assert (key.id, key.secret.reveal()) == ("env:A_KEY", "sk-1")


def test_file_is_read_again_after_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-old\n")
    before = read_key(SecretRef(file=str(file)), {})
    file.write_text("sk-new\n")
    after = read_key(SecretRef(file=str(file)), {})
    assert before.id == after.id
    assert (before.secret.reveal(), after.secret.reveal()) == ("sk-old", "sk-new")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"sk-canary one", "signs that no key has"),
        (b"sk-canary\r\nx: y", "signs that no key has"),
        (b"\xff\xfe", "is not text"),
    ],
)
def test_unusable_file_is_told_without_its_content(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(MissingSecret, match=message) as missing:
        read_key(SecretRef(file=str(file)), {})
    assert "canary" not in str(missing.value)


def test_missing_and_empty_variables_are_told_apart() -> None:
    with pytest.raises(MissingSecret, match=r"A_KEY is not set; export A_KEY=…"):
        read_key(SecretRef(env="A_KEY"), {})
    with pytest.raises(MissingSecret, match="A_KEY is empty"):
        read_key(SecretRef(env="A_KEY"), {"A_KEY": ""})
