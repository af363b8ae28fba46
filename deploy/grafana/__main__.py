"""`python -m deploy.grafana` writes the dashboards; with `--check` it says if they are others."""

import json
import sys
from pathlib import Path
from typing import Any

from deploy.grafana.dashboard_list import DASHBOARDS
from deploy.grafana.panels import Dashboard, Panel

FOLDER = Path(__file__).parent / "dashboards"
METRICS = {"type": "prometheus", "uid": "prometheus"}
LOGS = {"type": "loki", "uid": "loki"}
SCHEMA_VERSION = 41
WIDTH, HEIGHT = 24, 8


def main(arguments: list[str]) -> int:
    """Write or compare the files."""
    wanted = {FOLDER / f"{board.uid}.json": render(board) for board in DASHBOARDS}
    if arguments == ["--check"]:
        present = {path: path.read_text() for path in FOLDER.glob("*.json")}
        for path in sorted(wanted.keys() | present.keys()):
            if wanted.get(path) != present.get(path):
                print(f"{path.name} is not what deploy.grafana writes", file=sys.stderr)
        return int(wanted != present)
    for path, text in wanted.items():
        path.write_text(text)
    return 0


def render(board: Dashboard) -> str:
    """Write a dashboard as Grafana reads it."""
    content = {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["payments"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "links": [
            {"type": "dashboards", "tags": ["payments"], "title": "Payments", "keepTime": True}
        ],
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": _place(board),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _place(board: Dashboard) -> list[dict[str, Any]]:
    """Lay the panels out row by row."""
    placed: list[dict[str, Any]] = []
    y = 0
    for row in board.rows:
        placed.append({
            "id": len(placed) + 1, "type": "row", "title": row.title, "collapsed": False,
            "panels": [], "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
        })  # fmt: skip
        y += 1
        width = WIDTH // len(row.panels)
        for place, panel in enumerate(row.panels):
            grid = {"x": place * width, "y": y, "w": width, "h": HEIGHT}
            placed.append(_panel(panel, len(placed) + 1) | {"gridPos": grid})
        y += HEIGHT
    return placed


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    source = LOGS if panel.kind == "logs" else METRICS
    targets: list[dict[str, Any]] = []
    for place, (legend, expr) in enumerate(panel.series.items()):
        target: dict[str, Any] = {
            "refId": chr(ord("A") + place),
            "expr": expr,
            "datasource": source,
        }
        if panel.kind != "logs":
            target |= {"legendFormat": legend, "exemplar": panel.exemplars,
                       "instant": panel.kind == "stat"}  # fmt: skip
        targets.append(target)
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    drawn = {"drawStyle": "line", "fillOpacity": 8, "showPoints": "never",
             "thresholdsStyle": {"mode": "off" if panel.limit is None else "line"}}  # fmt: skip
    thresholds = {"mode": "absolute", "steps": steps}
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": thresholds}
    if panel.kind == "timeseries":
        defaults |= {"custom": drawn}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel.kind),
    }


def _options(kind: str) -> dict[str, Any]:
    match kind:
        case "stat":
            return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"}
        case "logs":
            return {"showTime": True, "sortOrder": "Descending", "wrapLogMessage": True}
        case _:
            return {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["max"]},
                    "tooltip": {"mode": "multi", "sort": "desc"}}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
