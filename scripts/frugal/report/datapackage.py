"""Description of a study's tables as a data package, which other tools read: datapackage.json beside them.

P. Walsh and R. Pollock, "Data Package" and "Table Schema", 2017, https://specs.frictionlessdata.io. What columns mean is in
`frugal.report.columns`; types are those of the files as they are.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from frugal.report.columns import column
from frugal.report.run_columns import Column
from frugal.study import Study

ROWS = {
    **{
        "runs": "a row per run",
        "summary": "a row per strategy, data set and net",
        "history": "a row per run and epoch",
    },
    **{"budgets": "a row per budget that a strategy was trained for", "notes": "a row per note of a run"},
    **{"audit": "a row per reason to doubt the comparison", "iterations": "a row per run and step of the optimizer"},
    "trace": "a row per run and batch of candidates, of strategies that log them",
}


def datapackage(study: Study, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The content of datapackage.json. tables: by name; of those that are too long to be parsed, no rows are needed."""
    resources = [
        {
            "name": name,
            "path": f"{name}.csv",
            "profile": "tabular-data-resource",
            "description": ROWS[name],
            "encoding": "utf-8",
            "schema": {"fields": [_field(name, values) for _, values in table.items()], "missingValues": [""]},
        }
        for name, table in tables.items()
    ]
    about = {"name": f"{study.name}-{study.scale}".lower(), "title": study.title, "description": study.question}
    return {"profile": "tabular-data-package", **about, "resources": resources}


def _field(table: str, values: pd.Series) -> dict[str, str]:
    """Of Table Schema. Whole numbers with gaps are written with a point, so that they are declared as numbers."""
    name = str(values.name)
    known = column(table, name) or Column("any", "", "a column that a strategy of your own adds")
    kind = "number" if known.type == "integer" and pd.api.types.is_float_dtype(values) else known.type
    unit = {"unit": known.unit} if known.unit else {}
    return {"name": name, "type": kind, **unit, "description": known.meaning}
