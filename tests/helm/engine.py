"""Renders and judges with Helm's own engine and others' schemas; runs in .tools/helm.

Reads one JSON request a line from standard input and writes one answer a line: `{"ok": …}`, or
`{"refused": "why"}` where the values, the chart or an object is refused.
"""

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import helm_python
import kubernetes_validate
from helm_python.errors import HelmError

CUSTOM = {
    "networking.istio.io/v1": "cloudcoil.models.istio.networking.v1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}
"""Where the types of others' resources are; imported when one comes, since that takes seconds."""


def render(chart: str, values: dict[str, Any]) -> dict[str, str]:
    """The text of every template, by its path."""
    with helm_python.Chart.load(chart) as loaded:
        return loaded.render(values, name="release", namespace="llm")


def lint(chart: str, values: dict[str, Any], kube_version: str) -> list[str]:
    """What a strict `helm lint` finds amiss."""
    found = helm_python.lint(chart, values, strict=True, kube_version=kube_version)
    return list(found["errors"])


def validate(thing: dict[str, Any], kube_version: str) -> None:
    """Compare an object with its schema; nothing may be in it that the schema does not know."""
    module = CUSTOM.get(thing["apiVersion"])
    if module is None:
        kubernetes_validate.validate(thing, kube_version, strict=True)
        return
    model = getattr(importlib.import_module(module), thing["kind"]).model_validate(thing)
    known = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if known != thing:
        raise ValueError(f"of {thing} only {known} is known")


COMMANDS: dict[str, Callable[..., Any]] = {"render": render, "lint": lint, "validate": validate}
REFUSALS = (HelmError, kubernetes_validate.ValidationError, ValueError)


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        command = COMMANDS[request.pop("command")]
        try:
            answer = {"ok": command(**request)}
        except REFUSALS as refusal:
            answer = {"refused": str(refusal)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
