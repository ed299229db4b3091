"""What holds for every set of values: Kubernetes takes it, the gateway takes it, nobody gets in."""

from pathlib import Path

import pytest
import yaml

from tests.helm.chart import KUBERNETES, Chart, Rendered, Values
from turnout_server.app.config.units import Seconds
from turnout_server.app.settings import read_settings

LAST_RECORDS_S = 3
LAST_SPANS_S = 3


@pytest.mark.parametrize("kube_version", KUBERNETES)
def test_lint_finds_nothing(chart: Chart, values: Values, kube_version: str) -> None:
    assert chart.lint(values, kube_version) == []


@pytest.mark.parametrize("kube_version", KUBERNETES)
def test_every_object_fits_its_schema(chart: Chart, rendered: Rendered, kube_version: str) -> None:
    for thing in rendered.objects:
        chart.validate(thing, kube_version)


def test_the_gateway_takes_the_rendered_configuration(rendered: Rendered, tmp_path: Path) -> None:
    file = tmp_path / "turnout.yaml"
    file.write_text(rendered.config_text, "utf-8")
    # The defaults name no provider: then the keys in the environment do.
    environ = {"OPENAI_API_KEY": "of no account"}

    settings = read_settings(file, environ, read_secrets=False)

    assert settings.config.server.listen == rendered.config["server"]["listen"]


def test_what_is_given_reaches_the_configuration_unchanged(
    rendered: Rendered, values: Values
) -> None:
    def within(given: object, got: object) -> bool:
        if isinstance(given, dict) and isinstance(got, dict):
            return all(key in got and within(given[key], got[key]) for key in given)
        return given == got

    assert within(values.get("config", {}), rendered.config)


def test_the_pod_has_no_rights(rendered: Rendered) -> None:
    pod, own = rendered.pod, rendered.container["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert rendered.the("ServiceAccount")["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}


def test_only_scratch_and_ledger_can_be_written(rendered: Rendered) -> None:
    mounts = rendered.container["volumeMounts"]
    writable = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}

    assert writable == {"/tmp", "/var/lib/turnout"}
    assert {mount["name"] for mount in mounts} == {
        volume["name"] for volume in rendered.pod["volumes"]
    }


def test_mounts_are_whole_folders_so_that_changes_are_seen(rendered: Rendered) -> None:
    assert all("subPath" not in mount for mount in rendered.container["volumeMounts"])


def test_memory_is_limited_and_cpu_is_not(rendered: Rendered) -> None:
    resources = rendered.container["resources"]

    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}


def test_secrets_are_named_and_never_made(rendered: Rendered) -> None:
    assert rendered.all("Secret") == []
    for variable in rendered.container.get("env", []):
        assert "valueFrom" in variable or variable["name"] in {"HTTPS_PROXY", "GRPC_VERBOSITY"}
    for source in rendered.container.get("envFrom", []):
        assert source.keys() == {"secretRef"}


def test_the_pod_may_take_as_long_to_end_as_the_gateway_does(rendered: Rendered) -> None:
    server = rendered.config["server"]
    longest_s = (
        Seconds.parse(server["lame_duck"])
        + Seconds.parse(server["drain_grace"])
        + LAST_RECORDS_S
        + LAST_SPANS_S
    )

    spare_s = rendered.pod["terminationGracePeriodSeconds"] - longest_s

    assert 3 <= spare_s < 6


def test_probes_ask_where_the_gateway_answers(rendered: Rendered) -> None:
    server, container = rendered.config["server"], rendered.container
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asks_grpc = {"port": ports["grpc"]}

    assert ports == {
        "grpc": int(server["listen"].rpartition(":")[2]),
        "metrics": int(server["metrics_listen"].rpartition(":")[2]),
    }
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    for probe in (container["startupProbe"], container["readinessProbe"]):
        if "tls" in server:
            assert probe["httpGet"] == {"path": "/readyz", "port": "metrics"}
        else:
            assert probe["grpc"] == asks_grpc


def test_a_stuck_process_has_ten_seconds_before_it_is_killed(rendered: Rendered) -> None:
    probe = rendered.container["livenessProbe"]

    assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) >= 10


def test_services_select_the_pods_and_name_the_protocol(rendered: Rendered) -> None:
    labels = rendered.the("Deployment")["spec"]["template"]["metadata"]["labels"]
    protocol = "https" if "tls" in rendered.config["server"] else "kubernetes.io/h2c"
    service, headless = rendered.all("Service")

    assert [port["name"] for port in service["spec"]["ports"]] == ["grpc"]
    assert headless["spec"]["clusterIP"] == "None"
    for one in (service, headless):
        assert one["spec"]["type"] == "ClusterIP"
        assert one["spec"]["selector"].items() <= labels.items()
        assert one["spec"]["ports"][0]["appProtocol"] == protocol
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= {"grpc", "metrics"}


def test_the_admin_port_is_on_the_loopback_and_nowhere_else(rendered: Rendered) -> None:
    admin = rendered.config["server"].get("admin_listen", "127.0.0.1:50052")
    port = admin.rpartition(":")[2]
    elsewhere = [thing for thing in rendered.objects if thing["kind"] != "ConfigMap"]

    assert admin.startswith("127.0.0.1:")
    assert port not in yaml.safe_dump_all(elsewhere)


def test_objects_have_names_of_their_own(rendered: Rendered) -> None:
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in rendered.objects]

    assert len(set(names)) == len(names)
