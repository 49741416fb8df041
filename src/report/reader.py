"""Reads run directories of bench: `Run("runs/x").metrics()` is a data frame.

Format @FORMAT@, made by `bench schema python`. Everything but data frames works without pandas.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Mapping, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from typing import Literal, Union

    import pandas
    from typing_extensions import NotRequired, TypeAlias

FORMAT = @FORMAT@
Number = TypeVar("Number")

@TYPES@

class MetricRow(TypedDict):
    """One statistic of one metric in one cell."""

    cell: str
    phase: str | None
    metric: str
    statistic: str
    """`value` of a figure; `mean`, `std`, `min`, `max`, `p50` … of a distribution."""
    unit: str
    value: float | None
    low: float | None
    """Lower end of the 95 % interval, where there is one."""
    high: float | None
    n: int
    state: NumberState | None


class Run:
    """A run directory that is complete or still grows."""

    def __init__(self, path: str | Path) -> None:
        """Raises `OSError` without a `summary.json`, `ValueError` if it has another format."""
        self.path = Path(path)
        read = json.loads((self.path / "summary.json").read_text(encoding="utf-8"))
        if read.get("format") != FORMAT:
            raise ValueError(
                f"{self.path} has format {read.get('format')}, this reader knows {FORMAT}: "
                "`bench report` writes the summary again, `bench schema python` the reader"
            )
        self.summary = cast(Summary, read)

    def metric_rows(self) -> Iterator[MetricRow]:
        """One row for each cell, metric and statistic."""
        for cell in self.summary["cells"]:
            for metric, source, figure in self._told(cell.get("figures", {})):
                low, high = figure.get("interval") or (None, None)
                value, state = figure.get("value"), figure.get("state")
                is_exact = self.summary["metrics"][source.split("/")[0]].get("exact", False)
                if state is None and value is not None and figure.get("bound", is_exact):
                    state = "ok"
                yield self._row(cell, metric, "value", figure, value, low, high, state)
            for metric, _, found in self._told(cell.get("distributions", {})):
                mean, state = found.get("mean"), found.get("mean_state")
                if state is None and found.get("mean_bound"):
                    state = "ok"
                yield self._row(cell, metric, "mean", found, mean, None, None, state)
                spread = {"std": found.get("std"), "min": found.get("min"), "max": found.get("max")}
                for statistic, value in spread.items():
                    yield self._row(cell, metric, statistic, found, value, None, None, None)
                told = {at["p"]: at for at in found.get("percentiles", [])}
                for p in [floor["p"] for floor in self.summary["percentiles"]]:
                    value, low, high, state = None, None, None, None
                    if p in told:
                        at = told[p]
                        low, high = at.get("interval") or (None, None)
                        value, state = at.get("value"), at.get("state")
                        if state is None and at.get("bound"):
                            state = "ok"
                    yield self._row(cell, metric, f"p{p:g}", found, value, low, high, state)

    def _told(self, numbers: Mapping[str, Number | None]) -> Iterator[tuple[str, str, Number]]:
        """Metrics of a cell, those included that are the same as others, with who says the number."""
        for metric, number in numbers.items():
            if number is not None:
                yield metric, metric, number
        for metric, head in self.summary["metrics"].items():
            other = head.get("same_as")
            number = None if other is None or metric in numbers else numbers.get(other)
            if other is not None and number is not None:
                yield metric, other, number

    def _row(
        self,
        cell: CellSummary,
        metric: str,
        statistic: str,
        of: Figure | Distribution,
        value: float | None,
        low: float | None,
        high: float | None,
        state: NumberState | None,
    ) -> MetricRow:
        return {
            "cell": cell["name"],
            "phase": cell.get("phase"),
            "metric": metric,
            "statistic": statistic,
            "unit": self.summary["metrics"][metric.split("/")[0]]["unit"],
            "value": value,
            "low": low,
            "high": high,
            "n": of["n"],
            "state": state,
        }

    def cell_rows(self) -> Iterator[dict[str, Any]]:
        """One row for each cell: what was swept, its state, and its metrics as `ttft.p50`."""
        values: dict[tuple[str, str | None], dict[str, Any]] = {}
        for row in self.metric_rows():
            name = row["metric"] if row["statistic"] == "value" else f"{row['metric']}.{row['statistic']}"
            values.setdefault((row["cell"], row["phase"]), {})[name] = row["value"]
        for cell in self.summary["cells"]:
            head = {"cell": cell["name"], "id": cell["id"], "phase": cell.get("phase"), **cell.get("keys", {})}
            head["status"] = cell["validity"]["status"]
            yield {**head, **values.get((cell["name"], cell.get("phase")), {})}

    def request_rows(self) -> Iterator[dict[str, str]]:
        """The lines of `requests.csv` as they stand there, one per request."""
        with (self.path / "requests.csv").open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)

    def metrics(self) -> pandas.DataFrame:
        """`metric_rows` as a data frame."""
        import pandas

        return pandas.DataFrame([dict(row) for row in self.metric_rows()])

    def cells(self) -> pandas.DataFrame:
        """`cell_rows` as a data frame."""
        import pandas

        return pandas.DataFrame(list(self.cell_rows()))

    def requests(self) -> pandas.DataFrame:
        """`requests.csv` as a data frame with typed columns."""
        import pandas

        return pandas.read_csv(self.path / "requests.csv")
