"""Page, alerts and dashboard name what there is, and the page all of it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from twilio_frames.frames import CallEndReason
from twilio_frames.metrics import METRICS, PREFIX, Kind, Metric
from twilio_frames.protocol.violations import BreakKind
from twilio_frames.server.metrics import TURNED_AWAY

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text("utf-8")
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTS = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "phone-bots.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
PROMTOOL = shutil.which("promtool") or ""

NAMES = {metric.full_name: metric for metric in METRICS}
_WANTED = re.compile(r'(\w+)(?:=~?|!=)"([^"]*)"')
VALUES = {
    "end_reason": {reason.value for reason in CallEndReason},
    "got": set(TURNED_AWAY),
    "what": {kind.value for kind in BreakKind},
    "kind": {"a signature of Twilio's missing or wrong"},
}
"""What labels may hold, but for those that others name."""


def known(expression: str) -> Iterator[tuple[Metric, str]]:
    """The metrics that an expression names, with the part of a histogram."""
    for name in re.findall(rf"\b{PREFIX}\w+", expression):
        whole, _, part = name.rpartition("_")
        assert name in NAMES or whole in NAMES, f"{name} is no metric"
        yield (NAMES[name], "") if name in NAMES else (NAMES[whole], part)


def check(expression: str) -> None:
    labels = {"le", "instance", "job"}
    for metric, part in known(expression):
        parts = ("bucket", "count", "sum") if metric.kind is Kind.HISTOGRAM else ("",)
        assert part in parts, f"{metric.name}, of which there is no {part or 'value'}"
        labels |= set(metric.labels)
    by = {name for each in re.findall(r"by \(([^)]*)\)", expression) for name in each.split(", ")}
    wanted = dict(_WANTED.findall(expression))
    assert by | wanted.keys() <= labels, expression
    for label, values in wanted.items():
        assert label not in VALUES or set(values.split("|")) <= VALUES[label], expression


def test_page_documents_each_metric():
    rows = [[cell.strip() for cell in row.split("|")] for row in PAGE.splitlines()]
    kinds = set(Kind)
    told = {row[1].strip("`"): tuple(row[2:5]) for row in rows if len(row) > 5 and row[2] in kinds}

    assert set(told) == {metric.name for metric in METRICS}
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert told[metric.name] == (metric.kind.value, labels, metric.told), metric.name


def test_dashboard_shows_each_metric():
    expressions = [target["expr"] for panel in PANELS for target in panel["targets"]]
    for expression in expressions:
        check(expression)

    shown = {metric.name for expression in expressions for metric, _ in known(expression)}
    assert shown == {metric.name for metric in METRICS}


def test_dashboard_is_one():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    places = [tuple(panel["gridPos"][side] for side in "xy") for panel in DASHBOARD["panels"]]

    assert len(set(ids)) == len(ids)
    assert len(set(places)) == len(places)
    for panel in PANELS:
        assert panel["description"].endswith(".")
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${source}"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alert_is_of_what_there_is(rule: dict[str, Any]):
    check(rule["expr"])

    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")


@pytest.mark.skipif(not PROMTOOL, reason="Prometheus's promtool is not installed")
def test_alerts_come_when_they_should(tmp_path: Path):
    for name in ("alerts.yml", "prometheus.yml"):
        shutil.copy(PROMETHEUS / name, tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_test.yml"), tmp_path)
    (tmp_path / "dial-key").write_text("a key")
    recorded = [
        {"record": f"panel:{panel['id']}", "expr": target["expr"].replace("$__rate_interval", "5m")}
        for panel in PANELS
        for target in panel["targets"]
    ]
    groups = {"groups": [{"name": "panels", "rules": recorded}]}
    (tmp_path / "panels.yml").write_text(json.dumps(groups))

    for command in (
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "panels.yml"),
        ("test", "rules", "alerts_test.yml"),
    ):
        done = subprocess.run(
            [PROMTOOL, *command], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
