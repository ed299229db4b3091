"""What single values do."""

import re

import pytest
import yaml

from tests.helm.chart import CHART, Chart, Object, Values

CONFIG: Values = {"server": {}, "providers": {"openai": {}}}
DIGEST = f"sha256:{'ab' * 32}"


def peers(rules: list[Object], side: str) -> dict[int | str, list[Object]]:
    """Who is let through, by the port."""
    return {port["port"]: rule[side] for rule in rules for port in rule["ports"]}


def test_a_digest_wins_over_a_tag(chart: Chart) -> None:
    def image(**given: str) -> str:
        return chart.render({"image": given}).container["image"]

    assert image() == "turnout-server:0.1.0"
    assert image(tag="0.2.0") == "turnout-server:0.2.0"
    assert image(tag="0.2.0", digest=DIGEST) == f"turnout-server@{DIGEST}"


def test_a_changed_configuration_replaces_the_pods(chart: Chart) -> None:
    before = chart.render({"config": CONFIG})
    after = chart.render({"config": {"providers": {"anthropic": {}}}})

    assert before.checksum != after.checksum


@pytest.mark.parametrize(
    ("changed", "replaced"),
    [
        ({"providers": {"anthropic": {}}}, False),
        ({"models": {"smart": {"targets": ["openai/gpt-5.5"]}}}, False),
        ({"auth": {"tenants": {"default": {"models": ["smart"]}}}}, False),
        ({"limits": {"tenants": {"default": {"rpm": 5}}}}, False),
        ({"limits": {"backend": "redis"}}, True),
        ({"server": {"drain_grace": "40s"}}, True),
        ({"cache": {"mode": "off"}}, True),
        ({"batching": {"window": "1ms"}}, True),
        ({"telemetry": {"log_level": "debug"}}, True),
    ],
    ids=str,
)
def test_at_will_only_what_is_read_at_the_start_replaces_them(
    chart: Chart, changed: Values, *, replaced: bool
) -> None:
    def checksum(config: Values) -> str:
        return chart.render({"config": config, "configRollout": "startup"}).checksum

    assert (checksum(CONFIG) != checksum(CONFIG | changed)) is replaced


def test_rolling_takes_no_pod_away_before_another_is_ready(chart: Chart) -> None:
    strategy = chart.render().the("Deployment")["spec"]["strategy"]

    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_kept_ledger_has_one_pod_at_a_time_and_outlives_the_release(chart: Chart) -> None:
    kept = chart.render({"replicas": 1, "persistence": {"enabled": True, "size": "20Gi"}})
    claim = kept.the("PersistentVolumeClaim")

    assert kept.the("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert {"claimName": claim["metadata"]["name"]} in [
        volume.get("persistentVolumeClaim") for volume in kept.pod["volumes"]
    ]
    assert kept.all("PodDisruptionBudget") == []


def test_a_claim_of_ones_own_is_used(chart: Chart) -> None:
    kept = chart.render({"replicas": 1, "persistence": {"enabled": True, "existingClaim": "mine"}})

    assert kept.all("PersistentVolumeClaim") == []
    assert {"claimName": "mine"} in [
        volume.get("persistentVolumeClaim") for volume in kept.pod["volumes"]
    ]


def test_only_labelled_pods_may_call_and_only_the_internet_is_called(chart: Chart) -> None:
    policy = chart.render().the("NetworkPolicy")["spec"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert peers(policy["ingress"], "from") == {
        "grpc": [{"podSelector": {"matchLabels": {"turnout-caller": "true"}}}]
    }
    egress = peers(policy["egress"], "to")
    assert egress.keys() == {53, 443}
    assert egress[443][0]["ipBlock"]["cidr"] == "0.0.0.0/0"
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(egress[443][0]["ipBlock"]["except"])


def test_redis_collector_and_mesh_are_let_through_where_they_are_named(chart: Chart) -> None:
    redis, otlp = {"podSelector": {"matchLabels": {"app": "redis"}}}, {"namespaceSelector": {}}
    given = {"redis": {"to": [redis], "port": 6380}, "otlp": {"to": [otlp]}, "callers": []}
    policy = chart.render({"networkPolicy": given, "istio": {"enabled": True}})
    egress = peers(policy.the("NetworkPolicy")["spec"]["egress"], "to")

    assert egress[6380] == [redis]
    assert egress[4317] == [otlp]
    assert 15012 in egress
    assert not policy.the("NetworkPolicy")["spec"]["ingress"]


def test_an_autoscaler_owns_the_number_of_pods(chart: Chart) -> None:
    scaled = chart.render({"autoscaling": {"enabled": True, "inFlight": 150}})
    spec = scaled.the("HorizontalPodAutoscaler")["spec"]
    metrics = {metric["type"]: metric for metric in spec["metrics"]}

    assert "replicas" not in scaled.the("Deployment")["spec"]
    # Of the gateway alone: a sidecar's CPU says nothing of it.
    assert metrics["ContainerResource"]["containerResource"]["container"] == "turnout"
    assert metrics["Pods"]["pods"]["metric"] == {"name": "turnout_calls_in_flight"}


def test_the_mesh_ends_no_stream_and_repeats_no_call(chart: Chart) -> None:
    meshed = chart.render({"istio": {"enabled": True}})
    (route,) = meshed.the("VirtualService")["spec"]["http"]
    outliers = meshed.the("DestinationRule")["spec"]["trafficPolicy"]["outlierDetection"]
    metadata = meshed.the("Deployment")["spec"]["template"]["metadata"]

    assert route["timeout"] == "0s"
    assert route["retries"] == {"attempts": 0}
    assert outliers["consecutiveGatewayErrors"] == outliers["consecutive5xxErrors"] == 0
    assert "terminationDrainDuration: 45s" in metadata["annotations"]["proxy.istio.io/config"]
    assert meshed.pod["terminationGracePeriodSeconds"] == 45


def test_prometheus_finds_the_metrics_port(chart: Chart) -> None:
    watched = chart.render({"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}})
    monitor = watched.the("ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (found,) = [
        one for one in watched.all("Service") if wanted <= one["metadata"]["labels"].items()
    ]

    assert monitor["metadata"]["labels"]["release"] == "p"
    assert monitor["spec"]["endpoints"][0]["port"] in [
        port["name"] for port in found["spec"]["ports"]
    ]


def test_the_notes_warn_of_what_will_not_work(chart: Chart) -> None:
    bare = chart.render().notes
    whole = chart.render(
        {
            "config": {"auth": {"jwt": {"jwks": "https://x/y"}}, "usage": {"url": "off"}},
            "secrets": {"env": ["keys"]},
        }
    ).notes

    assert "no provider" in bare
    assert "everybody who reaches the port may call" in bare
    assert "WARNING" not in whole
    assert "ledger" not in whole


def test_a_long_name_leaves_room_for_what_is_appended(chart: Chart) -> None:
    named = chart.render({"fullnameOverride": "n" * 70})

    assert all(len(thing["metadata"]["name"]) <= 63 for thing in named.objects)


def test_the_readme_says_values_that_render(chart: Chart) -> None:
    text = (CHART / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```yaml\n# values\.yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1

    rendered = chart.render(yaml.safe_load(blocks[0]))

    assert "WARNING: no provider" not in rendered.notes
    assert rendered.config["models"].keys() == {"smart"}
