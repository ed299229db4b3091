"""The image as it is described: there is no engine to build it with where these tests run."""

import re
import tomllib

import pytest

from tests.helm.chart import ROOT, Chart

TEXT = (ROOT / "deploy/Containerfile").read_text("utf-8")
LINES = [
    line
    for line in re.sub(r"\\\n", " ", TEXT).splitlines()
    if line.strip() and not line.startswith("#")
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def after(instruction: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in LINES if line.split()[0] == instruction]


def test_what_it_copies_is_in_the_repository_and_sent_to_the_builder() -> None:
    ignored = (ROOT / "deploy/Containerfile.dockerignore").read_text("utf-8").splitlines()
    sent = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert "*" in ignored
    for line in after("COPY"):
        *sources, _ = line.split()
        for source in sources:
            if line.startswith("--from"):
                continue
            assert (ROOT / source).exists()
            assert any(re.fullmatch(one.replace("*", ".*"), source) for one in sent)


def test_every_package_is_held_to_a_hash() -> None:
    (build,) = [line for line in after("RUN") if "requirements-server.lock" in line]
    commands = [step for run in after("RUN") for step in run.split("&&")]

    assert "--only-binary :all:" in build
    for command in commands:
        if " install" in command and "pip" in command:
            assert "--require-hashes" in command or "--no-deps /wheels/" in command
        if "uv build" in command:
            assert "--require-hashes" in command


def test_the_build_backend_is_among_what_the_lock_pins() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")

    for requirement in PROJECT["build-system"]["requires"]:
        name = re.split(r"[<>=]", requirement)[0]
        assert re.search(rf"^{name}==.*\\$", lock, re.MULTILINE)


@pytest.mark.parametrize("unwanted", ["xllamacpp", "gguf", "pytest"])
def test_no_models_and_no_tests_are_in_it(unwanted: str) -> None:
    lock = (ROOT / "requirements-server.lock").read_text("utf-8")

    assert not re.search(rf"^{unwanted}==", lock, re.MULTILINE)
    assert "[local]" not in TEXT
    assert "models" not in " ".join(LINES)


def test_it_runs_as_the_chart_runs_it(chart: Chart) -> None:
    rendered = chart.render()
    user = rendered.pod["securityContext"]
    ports = [str(port["containerPort"]) for port in rendered.container["ports"]]
    mounts = [mount["mountPath"] for mount in rendered.container["volumeMounts"]]

    assert after("USER") == [f"{user['runAsUser']}:{user['runAsGroup']}"]
    assert after("EXPOSE") == [" ".join(ports)]
    assert set(after("WORKDIR")) - {"/source"} <= set(mounts)
    assert after("ENTRYPOINT") == ['["turnout"]']
    assert "turnout" in PROJECT["project"]["scripts"]
