"""Write every dashboard as JSON, and the alert rules: `python -m deploy.grafana.src.build [--check]`.

`--check` writes nothing and fails when a committed file differs from what the sources give.
"""

import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.src import alert_rules, liquidation_heatmap, market_overview, pipeline_health

OUTPUT = Path(__file__).parents[1] / "dashboards" / "liquidations"
RULES = Path(__file__).parents[1] / "provisioning" / "alerting" / "rules.yaml"
MODULES = (liquidation_heatmap, market_overview, pipeline_health)


def generate() -> dict[str, str]:
    """Return the JSON text of each dashboard by file name."""
    texts = {}
    for module in MODULES:
        board = json.loads(json.dumps(module.build().build(), cls=JSONEncoder))
        _complete(board)
        texts[module.__name__.rsplit(".", 1)[-1] + ".json"] = json.dumps(board, indent=2, sort_keys=True) + "\n"
    return texts


def _complete(board: dict[str, Any]) -> None:
    """Number the panels, and mend what the SDK does not know of the Grafana that they are for."""
    for number, panel in enumerate(board["panels"], start=1):
        panel["id"] = number
        if panel["type"] == "heatmap":
            # A true price axis (Grafana 12.4): rows become cells at their numeric price instead of equal bands.
            panel["options"]["rowsFrame"]["yBucketScale"] = {"type": "linear"}
        if panel["type"] == "table":
            # Footers are set field by field now; Grafana's own types have no such option any more.
            del panel["options"]["footer"]


def outputs() -> dict[Path, str]:
    """Return the text of every generated file."""
    return {OUTPUT / name: text for name, text in generate().items()} | {RULES: alert_rules.generate()}


def main() -> None:
    """Write or compare the files."""
    texts = outputs()
    if "--check" not in sys.argv[1:]:
        OUTPUT.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text)
        return
    stale = [path.name for path, text in texts.items() if not path.exists() or path.read_text() != text]
    if stale:
        sys.exit(f"Not what the sources give: {', '.join(stale)}; run `make dashboards`")


if __name__ == "__main__":
    main()
