"""The report's importances in Optuna's dashboard, which else has others of the same search.

The dashboard goes by the trials that completed, a tenth of them as good ones; the report by stopped trials too and by
more good ones, since that named the right parameter more often in simulated searches (katib/report/importance.py).
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

ROUTE = re.compile(r"/api/studies/\d+/param_importances")


def with_ours(application: Application, folder: Path) -> Application:
    """Returns `application`, whose importances are those that a report of the search in `folder` shows.

    None where it shows none.
    """
    shares = _Shares(folder)

    def answer(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if not ROUTE.fullmatch(environment["PATH_INFO"]):
            return application(environment, start)
        body = json.dumps({"param_importances": [shares()]}).encode()
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


class _Shares:
    """The importances as the dashboard takes them, computed anew when a trial has another value."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._values: dict[str, float | None] | None = None
        self._found: list[dict[str, Any]] = []

    def __call__(self) -> list[dict[str, Any]]:
        from katib.backend.local.table import read_table
        from katib.report.importance import importances

        table = read_table(self._folder.parent, self._folder.name)
        values = {row.trial: row.value for row in table.rows}
        if values != self._values:
            self._values = values
            try:
                self._found = [
                    {"name": one.name, "importance": one.share, "distribution": one.distribution}
                    for one in importances(table)
                ]
            except ValueError:
                self._found = []
        return self._found
