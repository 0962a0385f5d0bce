"""Data card of a cache: what its manifest says, for people, in the form that Hugging Face's data sets have.

A YAML header and sections: https://huggingface.co/docs/hub/datasets-cards. Nothing in it is known to the card alone: it is
derived from the manifest, the labels beside it, the entry in config/datasets.yaml and the head of the source's file.
"""

import ast
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from frugal import registry
from frugal.errors import FrugalError
from frugal.imports import module_file

PARTS = ("train", "validation", "test")
TASKS = {
    "image": "image-classification",
    "text": "text-classification",
    "table": "tabular-classification",
    "sound": "audio-classification",
}
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
TOLD = {  # keys of a manifest that a section of its own tells
    *("schema", "dataset", "source", "kind", "task", "shape", "classes", "generated", "splits", "notes", "inferred"),
    *("files", "documents", "checksum", "request", "made_from"),
}
MANY = 50  # classes, above which a table has no row for each
LONG = 200  # letters of a fact


def card(manifest: Path, dataset: dict[str, Any]) -> str:
    """The content of README.md beside a cache's manifest. dataset: its entry in config/datasets.yaml, with its name.

    Raises FrugalError where the manifest or the labels can't be read.
    """
    try:
        about = json.loads(manifest.read_bytes())
        labels = {part: np.load(manifest.parent / f"{part}_labels.npy", mmap_mode="r") for part in PARTS}
    except (OSError, ValueError) as error:
        raise FrugalError(f"{manifest}: its cache can't be read ({error}); delete the file and run again") from error
    sections = {
        "Source": _source(about),
        "Splits": _splits(about, dataset, labels),
        "Samples": _samples(about),
        "Found out, since nobody said it": _listed(about.get("inferred", {}).items()),
        "Checks and remarks": _checks(about),
        "Files": _files(about),
        "To prepare it again": _again(manifest, dataset),
    }
    parts = [
        _header(about),
        f"# {about['dataset']}",
        *(f"## {name}\n\n{text}" for name, text in sections.items() if text),
    ]
    return "\n\n".join(parts) + "\n"


def _header(about: dict[str, Any]) -> str:
    """Of the hub's fields those that the manifest answers. No source declares a licence."""
    count = sum(about["splits"].values())
    task = "automatic-speech-recognition" if about.get("task") == "transcription" else TASKS[about.get("kind", "image")]
    size = next((name for most, name in SIZES if count < most), "n>10M")
    splits = "".join(f"\n  - name: {part}\n    num_examples: {number}" for part, number in about["splits"].items())
    name = json.dumps(about["dataset"], ensure_ascii=False)  # JSON is YAML
    return (
        f"---\npretty_name: {name}\nlicense: unknown\ntask_categories:\n- {task}\nsize_categories:\n- {size}\n"
        f"dataset_info:\n  splits:{splits}\n---"
    )


def _source(about: dict[str, Any]) -> str:
    file = module_file(registry.module_name("source", about["source"]))
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file else None
    made = "A program made these data; nobody collected them." if about["generated"] else ""
    licence = "Licence: its source declares none here; ask its publisher."
    return "\n\n".join(filter(None, [f"Read by the source `{about['source']}`:", told, made, licence]))


def _splits(about: dict[str, Any], dataset: dict[str, Any], labels: dict[str, np.ndarray]) -> str:
    validation = about["splits"]["validation"]
    lines = [
        f"Validation: {validation:,} samples split off the training set with seed {dataset['split_seed']}. "
        "Nothing is chosen by the test set."
    ]
    counts = [f"| {part} | {number:,} |" for part, number in about["splits"].items()]
    lines.append("\n".join(["| split | samples |", "|---|---|", *counts]))
    if about.get("task", "classification") == "classification":
        lines.append(_classes(about, labels))
    return "\n\n".join(lines)


def _classes(about: dict[str, Any], labels: dict[str, np.ndarray]) -> str:
    """Samples of each class in each split; of many classes the least and the most."""
    counts = {part: np.bincount(labels[part], minlength=about["classes"]) for part in PARTS}
    if about["classes"] > MANY:
        ends = [f"{part} {found.min():,} to {found.max():,}" for part, found in counts.items()]
        return f"{about['classes']:,} classes, of each class so many samples: {', '.join(ends)}."
    names = about.get("inferred", {}).get("class names", [])
    named = isinstance(names, list) and len(names) == about["classes"]
    rows = [
        f"| {_plain(names[number]) if named else number} | "
        + " | ".join(f"{counts[part][number]:,}" for part in PARTS)
        + " |"
        for number in range(about["classes"])
    ]
    return "\n".join([f"| class | {' | '.join(PARTS)} |", "|---|---|---|---|", *rows])


def _samples(about: dict[str, Any]) -> str:
    facts = {"kind": about.get("kind", "image"), "shape": about["shape"]}
    return _listed(
        (facts | {key: value for key, value in about.items() if key not in TOLD and value not in (None, True)}).items()
    )


def _checks(about: dict[str, Any]) -> str:
    notes = [f"- {_plain(note)}" for note in about["notes"]]
    return "\n".join(["Every array is held against its checksum when it is opened.", "", *notes]).strip()


def _files(about: dict[str, Any]) -> str:
    files = about["files"] | about.get("documents", {})
    rows = []
    for name, one in files.items():
        shape = "x".join(map(str, one.get("shape", [])))
        rows.append(f"| {name} | {shape} | {one.get('dtype', '')} | {one['bytes']:,} | `{one['sha256'][:12]}` |")
    total = sum(one["bytes"] for one in files.values())
    head = f"{total:,} bytes; fingerprint of the content `{about['checksum']}`."
    return "\n".join([head, "", "| file | shape | type | bytes | sha256 |", "|---|---|---|---|---|", *rows])


def _again(manifest: Path, dataset: dict[str, Any]) -> str:
    entry = json.dumps(
        {key: value for key, value in dataset.items() if value is not None}, indent=1, ensure_ascii=False
    )
    return "\n\n".join(
        [
            "The same entry, files and code give the same fingerprint. Remove `manifest.json` and ask for it, with the same "
            "`--config` as before:",
            f"```sh\nsnakemake --cores all {manifest}\n```",
            "The entry in config/datasets.yaml, with its defaults:",
            f"```json\n{entry}\n```",
        ]
    )


def _listed(facts: Iterable[tuple[str, Any]]) -> str:
    return "\n".join(f"- {_plain(name)}: {_shown(value)}" for name, value in facts)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _plain(text if len(text) <= LONG else f"{text[:LONG]} ... ({len(text):,} letters in manifest.json)")


def _plain(text: Any) -> str:
    """On one line, and no cell of a table, tag or link of Markdown."""
    for sign in "\\`*_[]<>|#":
        text = str(text).replace(sign, f"\\{sign}")
    return " ".join(text.split())
