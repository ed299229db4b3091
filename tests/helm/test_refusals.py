"""Values that are refused, each with a message that says what to do."""

import json
import re

import pytest
import yaml

from tests.helm.chart import CHART, Chart, Refused, Values
from turnout_server.app.config.server import Server
from turnout_server.app.config.tree import Config

SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))

REFUSED = [
    # Unknown names, at any depth.
    ({"replicaCount": 3}, "at '': additional properties 'replicaCount' not allowed"),
    ({"image": {"tagg": "1"}}, "at '/image': additional properties 'tagg' not allowed"),
    ({"config": {"provider": {}}}, "at '/config': additional properties 'provider' not allowed"),
    ({"config": {"server": {"listn": "x"}}}, "'/config/server': additional properties 'listn'"),
    ({"networkPolicy": {"callers": [{"pods": {}}]}}, "callers/0': additional properties 'pods'"),
    # Wrong kinds of values.
    ({"image": {"digest": "sha256:12"}}, "at '/image/digest'"),
    ({"replicas": -1}, "at '/replicas': minimum: got -1, want 0"),
    ({"service": {"port": 70000}}, "at '/service/port': maximum: got 70,000, want 65,535"),
    ({"config": {"cache": {"mode": False}}}, "/config/cache/mode': got boolean, want string"),
    # Secrets where a ConfigMap or a manifest would show them.
    (
        {"config": {"providers": {"openai": {"keys": ["sk-1"]}}}},
        "at '/config/providers/openai/keys/0': got string, want object",
    ),
    ({"config": {"auth": {"api_keys_pepper": "p"}}}, "api_keys_pepper': got string, want object"),
    ({"config": {"cache": {"url": "redis://:pw@redis:6379"}}}, "at '/config/cache/url'"),
    ({"secrets": {"keys": [{"variable": "A", "value": "b"}]}}, "'value' not allowed"),
    ({"env": {"OPENAI_API_KEY": "sk-1"}}, "env.OPENAI_API_KEY looks like a secret"),
    # What would render and then not run.
    ({"config": {"server": {"listen": "127.0.0.1:50051"}}}, "use 0.0.0.0:PORT or [::]:PORT"),
    ({"config": {"server": {"metrics_listen": "unix:/m"}}}, "use 0.0.0.0:PORT or [::]:PORT"),
    ({"config": {"server": {"metrics_listen": "0.0.0.0:50051"}}}, "need different ports"),
    ({"config": {"server": {"admin_listen": "0.0.0.0:50052"}}}, "use 127.0.0.1:PORT"),
    ({"config": {"server": {"workers": 2}}}, "one process a pod; set replicas instead"),
    ({"config": {"server": {"drain_grace": "30"}}}, "'30' is no duration"),
    ({"config": {"server": {"drain_grace": "1w"}}}, "'1w' is no duration"),
    ({"env": {"TURNOUT_SERVER__LISTEN": "x"}}, "set it in config.server"),
    ({"persistence": {"enabled": True}}, "set replicas: 1 and autoscaling.enabled: false"),
    ({"autoscaling": {"enabled": True, "minReplicas": 11}}, "minReplicas is more than maxReplicas"),
    ({"autoscaling": {"enabled": True, "cpu": 0}}, "needs cpu or inFlight"),
    (
        {
            "istio": {"enabled": True},
            "config": {"server": {"tls": {"cert_file": "c", "key_file": "k"}}},
        },
        "the sidecar speaks TLS for the pod",
    ),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=lambda one: str(one)[:60])
def test_refused_with_a_message(chart: Chart, given: Values, message: str) -> None:
    with pytest.raises(Refused, match=re.escape(message)):
        chart.render(given)


def test_every_mistake_is_told_at_once(chart: Chart) -> None:
    with pytest.raises(Refused, match=r"(?s)config\.server\.listen.*config\.server\.workers"):
        chart.render({"config": {"server": {"listen": "localhost:1", "workers": 2}}})


def test_the_schema_knows_the_sections_of_the_gateway() -> None:
    config = SCHEMA["definitions"]["config"]["properties"]

    assert config.keys() == Config.model_fields.keys()
    assert config["server"]["properties"].keys() == Server.model_fields.keys()


def test_the_defaults_name_every_value_of_the_schema() -> None:
    def missing(schema: Values, values: Values, path: str) -> list[str]:
        found = []
        for key, below in schema.get("properties", {}).items():
            if key not in values:
                found.append(f"{path}.{key}")
            elif isinstance(values[key], dict):
                found += missing(below, values[key], f"{path}.{key}")
        return found

    defaults = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    optional = {".global", ".resources.claims"}

    assert set(missing(SCHEMA, defaults, "")) <= optional
