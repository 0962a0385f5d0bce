"""YAML file read strictly: UTF-8, a mapping, and no key twice, of which YAML's own readers silently take the last; and a value
written as a command line has it.
"""

import math
from pathlib import Path
from typing import Any, ClassVar

from frugal.errors import FrugalError, in_one_line, needs_extra

with needs_extra("workflow", "YAML files"):
    import yaml

Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same content, several times faster


class GivenTwice(Exception):
    """A key of one mapping is there twice. lines: where, from 1."""

    def __init__(self, key: Any, lines: tuple[int, int]):
        super().__init__(key, lines)
        self.key, self.lines = key, lines


class Loader(Base):
    """YAML's safe loader, but for keys that are given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The mapping of a node. Raises GivenTwice."""
        lines: dict[tuple[str, str], int] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                key, line = (key_node.tag, key_node.value), key_node.start_mark.line + 1
                if key in lines:
                    raise GivenTwice(key_node.value, (lines[key], line))
                lines[key] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, *, may_be_empty: bool = False) -> dict[str, Any]:
    """A YAML or JSON file as a mapping; raises FrugalError naming file and line where it isn't one, or gives a key twice.

    may_be_empty: whether one that holds nothing, or comments only, is an empty mapping
    """
    text = _text(path)
    try:
        content = yaml.load(text, Loader)  # noqa: S506  derived from the safe one
    except GivenTwice as error:
        first, second = error.lines
        lines = f"line {first}" if first == second else f"lines {first} and {second}"
        raise FrugalError(f"{path}: the key {error.key!r} is given twice, in {lines}; keep one of them") from None
    except yaml.MarkedYAMLError as error:
        raise FrugalError(f"{path}: not valid YAML: {_told(error, text)}") from error
    except yaml.YAMLError as error:
        raise FrugalError(f"{path}: not valid YAML: {in_one_line(error, kind=False)}") from error
    if content is None and may_be_empty:
        return {}
    if not isinstance(content, dict):
        is_now = "it is empty" if content is None else f"it holds a {type(content).__name__}"
        raise FrugalError(f"{path}: must hold a mapping, lines of `key: value`; {is_now}")
    return content


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FrugalError(f"{path} is missing; run from the repository's top folder") from None
    except OSError as error:
        raise FrugalError(f"{path} can't be read ({error.strerror}); mend that and run again") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FrugalError(
            f"{path}: line {line} has the byte 0x{data[error.start]:02x}, which is not UTF-8; save the file as UTF-8"
        ) from None
    return text.replace("\t", " ") if path.suffix == ".json" else text


def _told(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return in_one_line(error, kind=False)
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    tab = "\t" in line[: mark.column + 1]
    return f"line {mark.line + 1}: " + (
        "a tab, where only spaces indent" if tab else str(error.problem or error.context)
    )


class _Plain(yaml.SafeDumper):
    yaml_implicit_resolvers: ClassVar[dict] = {}  # a 4 needs no quotes: Snakemake takes every scalar for text


def as_yaml(value: Any) -> str:
    """A value in one line, as a command line has it."""
    text = yaml.dump(_texts(value), Dumper=_Plain, default_flow_style=True, sort_keys=False, width=math.inf)
    return text.removesuffix("\n").removesuffix("\n...")


def _texts(value: Any) -> Any:
    """The same with every scalar as the text that YAML has for it: Snakemake's `--config` reads them so."""
    if isinstance(value, dict):
        return {str(key): _texts(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_texts(one) for one in value]
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
