"""Which layers of a run were sparse, which stayed dense, and what each computed with: read from the notes of its manifest."""

import pandas as pd

from frugal.report.load import Comparison
from frugal.report.sentences import code


def stayed_dense(compared: Comparison) -> str:
    """Which layers were sparse and which stayed dense and why, from the manifests. Markdown."""
    notes = compared.notes[compared.notes["note"].str.startswith(("sparse: ", "narrow: "))]
    lines = []
    for note, rows in notes.drop_duplicates(["strategy", "note"]).groupby("note", sort=False):
        kind, _, rest = note.partition(": ")
        layers = rest.replace("; dense:", ". **Dense:**") if kind == "sparse" else rest
        lines.append(f"- {code(list(rows['strategy']))}: {'sparse ' if kind == 'sparse' else ''}{layers}")
    return "\n".join(lines) or "No manifest tells of sparse layers."


def kernels(compared: Comparison) -> pd.DataFrame:
    """A row per sparse layer, a column per strategy: the kernel chosen by measurement, over the seeds. Cells are HTML."""
    found = compared.notes["note"].str.extract(r"^(?P<layer>\S+): kernel (?P<kernel>[\w-]+), ")
    rows = compared.notes[["strategy"]].join(found).dropna()
    if rows.empty:
        return pd.DataFrame({"layer": ["no layer chose a kernel"]})
    told = rows.groupby(["layer", "strategy"], sort=False)["kernel"].agg(lambda names: ", ".join(dict.fromkeys(names)))
    table = told.unstack("strategy")
    table = table[[name for name in compared.study.strategies if name in table]].rename_axis(columns=None)
    return table.map(lambda name: f"<code>{name}</code>").reset_index()
