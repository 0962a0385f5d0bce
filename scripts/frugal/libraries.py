"""Nets of libraries by name: which there are, read from the library's own source, so that planning imports nothing heavy.

`use: torchvision`, `timm` and `transformers` build any of them; their files in `frugal/models` say what is known of each family.
"""

import ast
import difflib
import importlib.util
import re
from functools import cache
from pathlib import Path

from frugal.errors import FrugalError

BUILT = ("torchvision", "timm", "transformers")  # libraries, and the files in `frugal/models` that build their nets
REGISTERED = re.compile(r"^@register_model(?:\(.*\))?\n(?:@.*\n|[ )].*\n)*def (\w+)", re.MULTILINE)
MAPPINGS = {
    "text": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "image": "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
}


@cache
def names(library: str, kind: str) -> tuple[str, ...] | None:
    """The nets for a kind of data ("image", "text") that a library has, None where it isn't installed.

    Of torchvision and timm the functions that are registered; of transformers the kinds of net ("distilbert") that can classify.
    """
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "models"
    if library == "transformers":
        return _mapped(folder / "auto" / "modeling_auto.py", MAPPINGS[kind])
    texts = (file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py")))
    return tuple(name for text in texts for name in REGISTERED.findall(text))


def _mapped(file: Path, mapping: str) -> tuple[str, ...]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == mapping:
            return tuple(name for name, _ in ast.literal_eval(node.value.args[0]))
    raise FrugalError(
        f"{file} has no {mapping}: this release of transformers is another than `use: transformers` knows"
    )


def is_kind(library: str, kind: str, name: str) -> bool:
    """Whether a name is a net of the library itself, rather than one of a hub; also where the library isn't installed."""
    there = names(library, kind)
    return there is None or name in there


def check_name(library: str, kind: str, name: str, where: str) -> None:
    """Raise FrugalError for a net that the library hasn't got, in one line with the nearest; where: begins that line.

    A name on the hub (`distilbert-base-uncased`, `owner/name`, timm's `hf-hub:owner/name`) is only known there, and passes.
    """
    on_hub = name.startswith("hf-hub:") if library == "timm" else "/" in name or "-" in name
    bare = name.partition(".")[0] if library == "timm" else name  # the tag after the point says which weights
    there = names(library, kind)
    if (on_hub and library != "torchvision") or there is None or bare in there:
        return
    near = difflib.get_close_matches(bare, there, n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    if library == "transformers" and any(name in (names(library, other) or ()) for other in MAPPINGS.keys() - {kind}):
        guess = "it is for other data; "
    raise FrugalError(
        f"{where}: {library} has no net {name!r} for {kind}s; {guess}it has {len(there)}, such as "
        f"{', '.join(there[:: max(1, len(there) // 4)][:4])}"
    )
