"""The chart, rendered by Helm's own engine in a process of its own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/turnout"
VALUE_SETS = sorted((Path(__file__).parent / "values").glob("*.yaml"))
KUBERNETES = ("1.27.0", "1.37.0")
"""The oldest that the chart supports, and the newest whose schemas are at hand."""

_PYTHON = ROOT / ".tools/helm/bin/python"
_MISSING = "these tests need Helm's engine: make test-helm installs it"

Values = dict[str, Any]
Object = dict[str, Any]


class Refused(Exception):
    """Helm, or a schema, says no; the text says why."""


class Rendered:
    """What one set of values becomes."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.notes = next(text for path, text in texts.items() if path.endswith("NOTES.txt"))
        manifests = [text for path, text in sorted(texts.items()) if path.endswith(".yaml")]
        self.objects: list[Object] = [
            thing for text in manifests for thing in yaml.safe_load_all(text) if thing
        ]

    def all(self, kind: str) -> list[Object]:
        return [thing for thing in self.objects if thing["kind"] == kind]

    def the(self, kind: str) -> Object:
        (thing,) = self.all(kind)
        return thing

    @property
    def pod(self) -> Object:
        return self.the("Deployment")["spec"]["template"]["spec"]

    @property
    def container(self) -> Object:
        (container,) = self.pod["containers"]
        return container

    @property
    def config_text(self) -> str:
        return self.the("ConfigMap")["data"]["turnout.yaml"]

    @property
    def config(self) -> Values:
        return yaml.safe_load(self.config_text)

    @property
    def checksum(self) -> str:
        metadata = self.the("Deployment")["spec"]["template"]["metadata"]
        return metadata["annotations"]["checksum/config"]


@dataclass(frozen=True)
class Chart:
    """Talks to the engine; every method raises Refused."""

    engine: subprocess.Popen[str]

    def render(self, values: Values | None = None) -> Rendered:
        return Rendered(self._ask("render", chart=str(CHART), values=values or {}))

    def lint(self, values: Values, kube_version: str) -> list[str]:
        return self._ask("lint", chart=str(CHART), values=values, kube_version=kube_version)

    def validate(self, thing: Object, kube_version: str) -> None:
        self._ask("validate", thing=thing, kube_version=kube_version)

    def _ask(self, command: str, **arguments: Any) -> Any:
        assert self.engine.stdin is not None
        assert self.engine.stdout is not None
        print(json.dumps({"command": command, **arguments}), file=self.engine.stdin, flush=True)
        line = self.engine.stdout.readline()
        assert line, "the engine has died; what it said stands above"
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["ok"]


@contextmanager
def open_chart() -> Iterator[Chart]:
    """The chart, for as long as the engine's process lives."""
    assert _PYTHON.exists(), _MISSING
    command = [str(_PYTHON), str(Path(__file__).with_name("engine.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        yield Chart(engine)
        engine.kill()  # it has nothing to lose, and takes seconds to tidy up
