"""Declarations in a source file of ours, read without importing it: constants, parameters, arguments.

So a config is checked, and runs are planned, without torch. module: the file's dotted name, for messages.
"""

import ast
from typing import Any

from frugal.errors import FrugalError
from frugal.parameters import Parameter


def constant_in(body: list[ast.stmt], name: str, default: Any) -> Any:
    """The value of a constant among these statements, of a file or a class; the default where there is none."""
    named = [
        (n.targets[0] if isinstance(n, ast.Assign) else n.target, n.value)
        for n in body
        if isinstance(n, ast.Assign | ast.AnnAssign)
    ]
    found = [value for target, value in named if getattr(target, "id", "") == name]
    return ast.literal_eval(found[0]) if found and found[0] is not None else default


def class_in(tree: ast.Module, module: str) -> ast.ClassDef:
    """The one class of a strategy's file; raises FrugalError unless there is exactly one."""
    classes = [
        n for n in tree.body if isinstance(n, ast.ClassDef) and any(getattr(b, "id", "") == "Strategy" for b in n.bases)
    ]
    if len(classes) != 1:
        raise FrugalError(f"{module} must define exactly one class derived from Strategy, it has {len(classes)}")
    return classes[0]


def fields_in(tree: ast.Module, module: str) -> list[Parameter]:
    """The fields of that class, but for its constants."""
    body = class_in(tree, module).body
    fields = [n for n in body if isinstance(n, ast.AnnAssign) and "ClassVar" not in ast.unparse(n.annotation)]
    return [_parameter(f.target.id, f.annotation, f.value, module) for f in fields]


def keywords_in(tree: ast.Module, module: str, function: str) -> list[Parameter]:
    """The keyword-only arguments of a function; raises FrugalError where there is no such function, or one isn't annotated."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return [_parameter(a.arg, a.annotation, default, module) for a, default in pairs]
    raise FrugalError(f"{module} must define a function {function}")


def _parameter(name: str, annotation: ast.expr | None, default: ast.expr | None, module: str) -> Parameter:
    """default: None where there is none. Raises FrugalError for what can't be read without importing the file."""
    where = f"scripts/{module.replace('.', '/')}.py: the parameter {name}"
    try:
        value = default and ast.literal_eval(default)
    except ValueError as error:
        raise FrugalError(
            f"{where} has the default {ast.unparse(default)}, which is computed; write a number, a text, a list, True or None"
        ) from error
    if annotation is None:
        kind = "int" if value is None else type(value).__name__
        given = "" if default is None else f" = {ast.unparse(default)}"
        raise FrugalError(
            f"{where} has no annotation, by which values of the config are checked; write its type, as in {name}: {kind}{given}"
        )
    return Parameter(name, ast.unparse(annotation), default is None, value)


def takes(tree: ast.Module, function: str, argument: str) -> bool:
    """Whether a function of a file has an argument of that name, not by keyword only."""
    found = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function)
    return any(taken.arg == argument for node in found for taken in node.args.args)
