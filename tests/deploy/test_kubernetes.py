"""What runs workers on Kubernetes says the same as the server does, and holds together."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.proxies import DEPLOY, KUBERNETES, needs
from twilio_frames.cli.init import project_files
from twilio_frames.server import ServerSettings

Manifest = dict[str, Any]

BASE: list[Manifest] = [
    each
    for name in ("bots", "proxy", "redis")
    for each in yaml.safe_load_all((KUBERNETES / f"{name}.yaml").read_text("utf-8"))
]
SCALED, TRUSTED = yaml.safe_load_all((DEPLOY / "kubernetes/keda/scaling.yaml").read_text("utf-8"))
CUSTOM: Manifest = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))
GIVEN: dict[str, str] = dict(
    literal.split("=", 1) for literal in CUSTOM["configMapGenerator"][0]["literals"]
)


def named(kind: str, name: str) -> Manifest:
    (found,) = [e for e in BASE if (e["kind"], e["metadata"]["name"]) == (kind, name)]
    return found


BOT = named("StatefulSet", "bot")
POD: Manifest = BOT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def test_pods_are_named_as_their_calls_streams_lead_to_them():
    environment = {each["name"]: each for each in CONTAINER["env"]}
    source = environment["TWILIO_FRAMES_WORKER"]["valueFrom"]["fieldRef"]["fieldPath"]
    own = environment["TWILIO_FRAMES_WORKER_URL"]["value"]
    headless = named("Service", BOT["spec"]["serviceName"])

    assert source == "metadata.name"
    assert own == "http://$(TWILIO_FRAMES_WORKER).bots:8000"
    assert headless["spec"]["clusterIP"] == "None"
    # One that is about to end is reached by its calls as well.
    assert headless["spec"]["publishNotReadyAddresses"] is True


def test_probes_tell_a_worker_that_ends_from_one_that_is_dead():
    paths = {
        name: CONTAINER[name]["httpGet"]["path"]
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert paths == {
        "startupProbe": "/healthz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/healthz",
    }
    (port,) = CONTAINER["ports"]
    assert f"EXPOSE {port['containerPort']}" in _project()["Dockerfile"]


def test_calls_may_end_before_a_pod_is_killed():
    drain = float(GIVEN["TWILIO_FRAMES_DRAIN_SECONDS"])
    (_, waits) = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]

    assert POD["terminationGracePeriodSeconds"] > drain + float(waits) + 10
    # A call that does not end by itself is handed over in this time.
    assert drain > ServerSettings().fleet.hand_over_secs


def test_settings_are_the_servers():
    settings = ServerSettings.from_environment(GIVEN, auth_token="x" * 32)

    assert settings.fleet.register == "redis://redis:6379/0"
    assert settings.public_url is not None
    assert named("Service", "redis")["spec"]["ports"][0]["port"] == 6379


def test_workers_are_added_before_they_are_full():
    (trigger,) = SCALED["spec"]["triggers"]
    most = int(GIVEN["TWILIO_FRAMES_MAX_CALLS"])

    assert 0.5 * most <= float(trigger["metadata"]["targetValue"]) < most
    assert SCALED["spec"]["minReplicaCount"] >= 2


def test_figure_is_read_as_the_server_tells_it():
    """By the fields of KEDA's metrics-api scaler."""
    (trigger,) = SCALED["spec"]["triggers"]
    metadata = trigger["metadata"]
    (secret,) = TRUSTED["spec"]["secretTargetRef"]

    assert trigger["type"] == "metrics-api"
    assert trigger["metricType"] in ("AverageValue", "Value")
    assert metadata.keys() <= {"url", "valueLocation", "targetValue", "authMode", "format"}
    assert all(isinstance(value, str) for value in metadata.values())
    assert metadata["valueLocation"] == "demand"
    assert metadata["authMode"] == "bearer"
    assert trigger["authenticationRef"] == {"name": TRUSTED["metadata"]["name"]}
    assert secret == {"parameter": "token", "name": "bot", "key": "TWILIO_FRAMES_DIAL_KEY"}
    target = SCALED["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("StatefulSet", "bot")
    # It would take workers away while the register is gone.
    assert "fallback" not in SCALED["spec"]


def test_nothing_runs_as_root_or_sees_the_cluster():
    for one in BASE:
        if one["kind"] not in ("StatefulSet", "Deployment"):
            continue
        pod = one["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"].keys() == {"memory"}
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_selectors_find_what_they_are_for():
    labels = [e["spec"]["template"]["metadata"]["labels"] for e in BASE if "template" in e["spec"]]
    for one in BASE:
        spec = one["spec"]
        selector = spec.get("selector") or spec["podSelector"]
        assert selector.get("matchLabels", selector) in labels, one["metadata"]


def test_both_nginx_lead_in_the_same_way():
    def rest(path: Path) -> str:
        text = path.read_text("utf-8")
        text = re.sub(r"    # Where nothing in front.*?\n\n", "\n", text, flags=re.S)
        return text[text.index("map $http_upgrade") :]

    alone, clustered = DEPLOY / "nginx" / "phone.conf", KUBERNETES / "phone.conf.template"
    assert rest(alone) == rest(clustered)
    # The longest call that there may be.
    assert "proxy_read_timeout 4h;" in rest(alone)


@needs("kubectl")
def test_it_can_be_built():
    assert _built("base")
    scaled = _built("keda")
    kinds = {each["kind"]: each for each in scaled}

    assert kinds["StatefulSet"]["spec"].keys().isdisjoint({"replicas"})
    (trigger,) = kinds["ScaledObject"]["spec"]["triggers"]
    assert trigger["metadata"]["url"] == "http://bot.phone.svc.cluster.local:8000/fleet"
    (image,) = {e["image"] for e in kinds["StatefulSet"]["spec"]["template"]["spec"]["containers"]}
    assert image == "registry.example.com/my-bot:1"


def _built(folder: str) -> list[Manifest]:
    built = subprocess.run(
        ["kubectl", "kustomize", str(DEPLOY / "kubernetes" / folder)],
        capture_output=True,
        check=True,
        text=True,
    )
    return list(yaml.safe_load_all(built.stdout))


def test_each_is_what_kubernetes_takes():
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is missing")
    version = validator.latest_version()
    for one in _built("base") if shutil.which("kubectl") else BASE:
        validator.validate(json.loads(json.dumps(one)), version, strict=True)


def _project() -> dict[str, str]:
    return project_files("bot", {"stt": "local", "llm": "local", "tts": "local"})
