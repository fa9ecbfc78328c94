"""The table of metrics in a terminal of 80 columns."""

from rich.console import Console

from phrase_models.metrics.evaluation import METRICS
from tasks import commands


def test_no_name_of_a_metric_breaks_in_80_columns(tmp_path, monkeypatch):
    names = [metric.name for metric in METRICS] + ["instrumentation_change_boundary_set"]
    value = {"value": 21.488, "low": 20.826, "high": 22.158}
    columns = {key: dict.fromkeys(names, value) for key in ("generated", "real", "held_out")}
    console = Console(width=80, record=True, file=(tmp_path / "out").open("w"))
    monkeypatch.setattr(commands, "console", console)
    commands.print_metrics(columns)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    for name in names:
        assert any(line.startswith(f"{name} ") and line.count("21.488") == 3 for line in lines)
