"""Rows of a table as numbers: numeric columns filled in by their median and standardised, categorical ones one-hot.

By scikit-learn's encoders, fitted on the training split alone. A category that split never saw becomes zeros in all
of its column's places; how many there were stands in the manifest.
"""

from typing import Any

import numpy as np

from frugal.data.rows import VALUES, ComputedRows, pieces
from frugal.errors import FrugalError, needs_extra

with needs_extra("data", "tables"):
    import pandas as pd
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler


class Columns:
    """An encoder (see `frugal.data.arrays`) from cells to features. numeric: names of those columns, in order; categorical:
    the names that occur in each of the others, sorted.

    Cells come as (n, numeric + categorical) float64: numbers, and places in those names; NaN for none.
    """

    def __init__(self, numeric: list[str], categorical: dict[str, list[str]]):
        self.numeric, self.categorical = numeric, categorical
        self.facts: dict[str, Any] = {}
        self.documents: dict[str, bytes] = {}
        self.notes: list[str] = []

    def fit(self, inputs: np.ndarray) -> None:
        """Learn medians, means, deviations and categories. inputs: (n, columns) cells.

        Raises FrugalError for a column without a value among them, of which scikit-learn would keep no feature.
        """
        frame = self._frame(inputs)
        if empty := [name for name in frame if frame[name].isna().all()]:
            raise FrugalError(
                f"no row of the training split has a value in column {', '.join(empty)}, those with one are in validation and "
                "test, so nothing can be learnt of it; name it in `drop` and take its features off `shape`, or choose another "
                "`test_seed` or `split_seed`"
            )
        # No ColumnTransformer: its `fit` transforms too, and holds all features twice in 64 bits on the way.
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        pipelines = (
            (self.numeric, make_pipeline(SimpleImputer(strategy="median"), StandardScaler())),
            (list(self.categorical), make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot)),
        )
        self.pipelines = [(columns, pipeline.fit(frame[columns])) for columns, pipeline in pipelines if columns]
        self.seen = dict(zip(self.categorical, one_hot.categories_ if self.categorical else (), strict=True))
        one_each = [f"{name}_{self.categorical[name][int(place)]}" for name in self.seen for place in self.seen[name]]
        self.facts = {"features": [*self.numeric, *one_each]}

    def encode(self, inputs: np.ndarray, split: str) -> np.ndarray | ComputedRows:
        """(n, columns) cells -> (n, features) float32; says in notes what was missing or never seen before.

        Many rows are computed when they are asked for: a column of a thousand names is a thousand features.
        Raises FrugalError for a number too far from those of the training split.
        """
        frame = self._frame(inputs)
        missing = {name: int(count) for name, count in frame.isna().sum().items() if count}
        if missing:
            told = ", ".join(f"{name} {count}" for name, count in missing.items())
            self.notes.append(f"{split}: missing and filled in from the training split: {told}")
        for name, names in self.categorical.items():
            unseen = frame[name].dropna()[lambda cells, name=name: ~cells.isin(self.seen[name])]
            if len(unseen):
                told = ", ".join(names[int(place)] for place in np.unique(unseen)[:5])
                self.notes.append(f"{split}: {len(unseen)} rows have a {name} the training split has not: {told}")
        width = len(self.facts["features"])
        if len(inputs) * width <= VALUES:
            features = self._features(inputs)
        else:
            features = ComputedRows(inputs, self._features, (width,), np.float32)
        first = 0
        for piece in pieces(features):
            self._check_finite(piece, inputs, split, first)
            first += len(piece)
        return features

    def _features(self, inputs: np.ndarray) -> np.ndarray:
        """(n, columns) cells -> (n, features) float32"""
        frame = self._frame(inputs)
        features, filled = np.empty((len(frame), len(self.facts["features"])), np.float32), 0
        with np.errstate(over="ignore"):
            for columns, pipeline in self.pipelines:
                part = pipeline.transform(frame[columns])
                features[:, filled : filled + part.shape[1]] = part
                filled += part.shape[1]
        return features

    def _check_finite(self, features: np.ndarray, inputs: np.ndarray, split: str, first: int) -> None:
        finite = np.isfinite(features)
        if not finite.all():  # numeric columns come first and are one feature each
            row, column = np.argwhere(~finite)[0].tolist()
            row += first
            raise FrugalError(
                f"{self.numeric[column]} of row {row} (from 0) of the {split} split is {inputs[row, column]}, so many standard "
                "deviations from the training split's mean that 32 bits can't hold them; correct it, or list it in `missing` "
                "if it stands for no value"
            )

    def _frame(self, inputs: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(inputs, columns=[*self.numeric, *self.categorical])
