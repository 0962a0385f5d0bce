"""Every public function says what it does, what shape its arrays have, and that it can refuse."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[1] / "scripts"
PROTOCOLS = {"forward", "backward", "state_dict", "load_state_dict"}  # torch's own: shapes are those of the layer
ARRAY = re.compile(r"(Tensor|np\.ndarray)( \| None)?")
SHAPE = re.compile(r"\([\w. ]+,[^)]*\)|\b(scalar|single number|shape|one of each|0-d)\b")
REFUSES = re.compile(r"[Rr]aises? [\w ]*Error|[Rr]efuse")


def public_functions() -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Name as file:function, the function, and its docstring in one line with that of its class, which may speak for it."""
    for file in sorted(ROOM.rglob("*.py")):
        waiting = [(ast.parse(file.read_text()), "")]
        while waiting:
            parent, told = waiting.pop()
            for node in ast.iter_child_nodes(parent):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    waiting.append((node, ast.get_docstring(node) or ""))
                elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    yield (
                        f"{file.relative_to(ROOM)}:{node.name}",
                        node,
                        " ".join(f"{ast.get_docstring(node)} {told}".split()),
                    )


FUNCTIONS = list(public_functions())


def test_every_public_function_has_a_docstring():
    assert len(FUNCTIONS) > 500
    assert [name for name, node, _ in FUNCTIONS if not ast.get_docstring(node)] == []


def raises(node: ast.FunctionDef) -> bool:
    found = (one for one in ast.walk(node) if isinstance(one, ast.Raise) and one.exc is not None)
    return any("FrugalError" in ast.unparse(one.exc) for one in found)


def test_who_refuses_something_says_so():
    mains = {f"{file.name}:main" for file in ROOM.glob("*.py")}  # whose errors become one line on the way out
    silent = [name for name, node, told in FUNCTIONS if raises(node) and not REFUSES.search(told)]
    assert set(silent) - mains == set()


def takes_or_gives_arrays(node: ast.FunctionDef) -> bool:
    arguments = [*node.args.args, *node.args.kwonlyargs]
    annotations = [one.annotation for one in arguments if one.annotation] + ([node.returns] if node.returns else [])
    return any(ARRAY.fullmatch(ast.unparse(one)) for one in annotations)


def test_who_takes_or_gives_an_array_says_its_shape():
    checked = [
        (name, told) for name, node, told in FUNCTIONS if takes_or_gives_arrays(node) and node.name not in PROTOCOLS
    ]
    assert len(checked) > 100
    assert [name for name, told in checked if not SHAPE.search(told)] == []


@pytest.mark.parametrize(("said", "has_it"), [("(n,) bool", True), ("(samples, 3)", True), ("a mask (of all)", False)])
def test_what_counts_as_a_shape(said, has_it):
    assert bool(SHAPE.search(said)) == has_it
