"""Rows of a table as numbers: numeric columns filled in by their median and standardised, categorical ones one-hot.

By scikit-learn's ColumnTransformer, fitted on the training split alone. A category that split never saw becomes zeros in all
of its column's places; how many there were stands in the manifest.
"""

from typing import Any

import numpy as np

from frugal.errors import FrugalError, needs_extra

with needs_extra("data", "tables"):
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler


class Columns:
    """An encoder (see `frugal.data.arrays`) from cells to features. numeric, categorical: names of the columns, in order.

    Cells come as objects (n, numeric + categorical): floats or texts, and NaN for none.
    """

    def __init__(self, numeric: list[str], categorical: list[str]):
        self.numeric, self.categorical = numeric, categorical
        self.facts: dict[str, Any] = {}
        self.documents: dict[str, bytes] = {}
        self.notes: list[str] = []

    def fit(self, inputs: np.ndarray) -> None:
        """Learn medians, means, deviations and categories. inputs: (n, columns) cells.

        Raises FrugalError for a column without a value among them, of which scikit-learn would keep no feature.
        """
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        self.transformer = ColumnTransformer(
            [
                ("numeric", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), self.numeric),
                ("categorical", make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot), self.categorical),
            ]
        )
        frame = self._frame(inputs)
        if empty := [name for name in frame if frame[name].isna().all()]:
            raise FrugalError(
                f"no row of the training split has a value in column {', '.join(empty)}, those with one are in validation and "
                "test, so nothing can be learnt of it; name it in `drop` and take its features off `shape`, or choose another "
                "`test_seed` or `split_seed`"
            )
        self.transformer.fit(frame)
        self.seen = {name: set(frame[name].dropna()) for name in self.categorical}
        names = [name.partition("__")[2] for name in self.transformer.get_feature_names_out()]
        self.facts = {"features": names}

    def encode(self, inputs: np.ndarray, split: str) -> np.ndarray:
        """(n, columns) cells -> (n, features) float32; says in notes what was missing or never seen before.

        Raises FrugalError for a number too far from those of the training split.
        """
        frame = self._frame(inputs)
        missing = {name: int(count) for name, count in frame.isna().sum().items() if count}
        if missing:
            told = ", ".join(f"{name} {count}" for name, count in missing.items())
            self.notes.append(f"{split}: missing and filled in from the training split: {told}")
        for name in self.categorical:
            unseen = frame[name].dropna()[lambda cells, name=name: ~cells.isin(self.seen[name])]
            if len(unseen):
                told = ", ".join(sorted(set(unseen))[:5])
                self.notes.append(f"{split}: {len(unseen)} rows have a {name} the training split has not: {told}")
        with np.errstate(over="ignore"):
            features = self.transformer.transform(frame).astype(np.float32)
        self._check_finite(features, inputs, split)
        return features

    def _check_finite(self, features: np.ndarray, inputs: np.ndarray, split: str) -> None:
        finite = np.isfinite(features)
        if not finite.all():  # numeric columns come first and are one feature each
            row, column = np.argwhere(~finite)[0].tolist()
            raise FrugalError(
                f"{self.numeric[column]} of row {row} (from 0) of the {split} split is {inputs[row, column]}, so many standard "
                "deviations from the training split's mean that 32 bits can't hold them; correct it, or list it in `missing` "
                "if it stands for no value"
            )

    def _frame(self, inputs: np.ndarray) -> pd.DataFrame:
        frame = pd.DataFrame(inputs, columns=[*self.numeric, *self.categorical])
        return frame.astype(dict.fromkeys(self.numeric, float) | dict.fromkeys(self.categorical, object))
