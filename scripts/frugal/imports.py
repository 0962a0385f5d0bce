"""Imports of a step among our source files, found by reading them: all that its result can depend on, and nothing else."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

SCRIPTS = (
    Path(__file__).resolve().parents[1]
)  # of a checkout; of an installed library the folder that it is installed in
TRAINING = "frugal.training.job"  # what the figures of a run depend on starts here: a script only reads a command line
PREPARATION = "frugal.data.prepare"  # likewise of a data set


def module_file(module: str) -> Path | None:
    """The file of one of our modules ("frugal.data.dct"), or None where it isn't ours or isn't a module."""
    base = SCRIPTS.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _imported_modules(path: Path) -> tuple[str, ...]:
    names = set()
    for node in _statements(ast.parse(path.read_bytes()).body):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from frugal.data import dct` names a module, `from frugal.data.dct import fit` something inside one.
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(sorted(name for name in names if name and name.split(".")[0] == "frugal"))


def _statements(body: list[ast.AST]) -> Iterator[ast.AST]:
    """All of them, however deep. As ast.walk, which also visits every expression: ten times as many nodes."""
    for node in body:
        yield node
        for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _statements(getattr(node, inner, []))


@cache
def closure(*modules: str) -> tuple[Path, ...]:
    """Every file of ours that the named modules import, themselves included, sorted.

    modules: dotted names of a step, which for a script is its name ("render"), and of what it looks up by name at run time.
    Imports inside functions count; `__init__.py` of each package on the way counts, since Python runs it.
    Raises ModuleNotFoundError for a module that isn't there.
    """
    waiting, found = [], set()

    def add(module: str) -> None:
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            file = module_file(".".join(parts[:end]))
            if file is not None and file not in found:
                waiting.append(file)

    for module in modules:
        if module_file(module) is None:
            raise ModuleNotFoundError(f"there is no {module} in {SCRIPTS}", name=module)
        add(module)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for module in _imported_modules(path):
            add(module)
    return tuple(sorted(found))


def checksums(files: tuple[Path, ...]) -> dict[str, str]:
    """sha256 of each file, by its path relative to scripts/."""
    return {str(file.relative_to(SCRIPTS)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def digest(code: Iterable[Path], others: Iterable[str | Path] = ()) -> str:
    """One sha256 over the names and contents of source files and of other files."""
    return digest_of(
        {**checksums(tuple(code)), **{str(f): hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in others}}
    )


@cache
def digest_of_training(*modules: str) -> str:
    """That of all source files that a run can depend on. modules: those it looks up by name."""
    return digest(closure(TRAINING, *modules))


def digest_of(checksums: dict[str, str]) -> str:
    """One sha256 over checksums of files by name."""
    return hashlib.sha256(repr(sorted(checksums.items())).encode()).hexdigest()
