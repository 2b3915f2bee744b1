"""The dashboard that ships asks for metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

from assistant.engine import figures
from assistant.service.metrics import Metrics

DASHBOARD = Path(__file__).parents[2] / "configs" / "grafana" / "deskmate.json"
_ENDINGS = ("_total", "_bucket", "_sum", "_count")


def known() -> set[str]:
    """Return the names of all families, those of engines included."""
    service = {
        line.split()[2] for line in Metrics().text().decode().splitlines() if line.startswith("# TYPE")
    }
    engine = {f"{figures.PREFIX}{name}" for name in (*figures._SCRAPED.values(), "canaries", "up")}
    return {name.removesuffix("_total") for name in service} | engine


def test_every_metric_of_the_dashboard_exists() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    named = {name for text in expressions for name in re.findall(r"deskmate_[a-z_]+", text)}
    assert len(panels) >= 10
    for name in named:
        plain = next((name.removesuffix(end) for end in _ENDINGS if name.endswith(end)), name)
        assert plain in known(), name
