"""Who may import whom, and from where: rooms in tiers, no circles, nothing undeclared."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from frugal import registry
from frugal.imports import PREPARATION, SCRIPTS, TRAINING, closure
from frugal.report import MODULES as NOTEBOOK

ROOT = SCRIPTS.parent
# From the top down: a room imports rooms of tiers below its own, and no other. `core` are the files of scripts/frugal itself.
TIERS = [
    {"scripts"},
    {"bench", "faults", "gpu"},
    {"loops"},
    {"training", "report"},
    {"strategies", "models"},
    {"data", "sparse", "pruning"},
    {"measure"},
    {"core"},
]
NEVER = {
    "report": {"strategies", "models", "data", "sparse", "pruning", "measure"}
}  # tables and pages know records alone

# Who is meant by an import of another name than the distribution's.
DISTRIBUTIONS = {
    "IPython": "ipython",
    "PIL": "pillow",
    "annotated_types": "annotated-types",
    "huggingface_hub": "huggingface-hub",
    "sklearn": "scikit-learn",
    "snakemake_interface_executor_plugins": "snakemake-interface-executor-plugins",
    "torch_pruning": "torch-pruning",
    "vl_convert": "vl-convert-python",
    "yaml": "pyyaml",
}
NOT_IMPORTED = {  # declared for another reason
    "accelerate": "the Trainer of transformers imports it",
    "jupyter": "a notebook is opened in it by hand, and its kernel, ipykernel, runs it",
    "pytest-xdist": "the option -n of the tests",
    "ruff": "make lint",
    "snakefmt": "make lint",
    "setuptools": "builds the library",
    "snakemake-executor-plugin-cluster-generic": "loaded by Snakemake: --executor cluster-generic",
    "snakemake-executor-plugin-slurm": "loaded by Snakemake: --executor slurm",
    "snakemake-storage-plugin-fs": "loaded by Snakemake: --default-storage-provider fs",
    "zeus-apple-silicon": "loaded by zeus",
}
UNGUARDED = {  # rooms whose files import what an extra brings without saying so each
    "report": "frugal/report/__init__.py says it for all of them",
    "bench": "run by scripts/bench.py, in a checkout, whose environment has every extra",
    "faults": "likewise by scripts/faults.py",
    "gpu": "likewise by scripts/gpu.py",
    "scripts": "run in a checkout",
}
NOTED = {
    "lightning": "who uses its callback has it; where it is missing, the error names it",
    "zeus": "a run without it says in its record that no energy was measured",
}


def module_of(file: Path) -> str:
    parts = file.relative_to(SCRIPTS).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for file in sorted(SCRIPTS.rglob("*.py"))}


def room_of(module: str) -> str:
    parts = module.split(".")
    if parts[0] != "frugal":
        return "scripts"
    return parts[1] if (SCRIPTS / "frugal" / "".join(parts[1:2])).is_dir() and len(parts) > 1 else "core"


@cache
def imports_of(file: Path) -> list[tuple[str, str | None]]:
    """(dotted name, extra that is named around it) of each import, in functions and under TYPE_CHECKING too."""
    found = []

    def walk(node: ast.AST, extra: str | None) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, extra) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            found.extend((f"{node.module}.{alias.name}", extra) for alias in node.names)
        calls = [item.context_expr for item in node.items] if isinstance(node, ast.With) else []
        for call in calls:
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "needs_extra":
                extra = call.args[0].value
        for child in ast.iter_child_nodes(node):
            walk(child, extra)

    walk(ast.parse(file.read_text()), None)
    return found


def ours(name: str) -> str | None:
    """The module of ours that an import names, itself or something inside it."""
    return next((one for one in (name, name.rpartition(".")[0]) if one in FILES), None)


ARROWS = {module: {ours(name) for name, _ in imports_of(file)} - {None, module} for module, file in FILES.items()}


def test_imports_run_downwards():
    tier = {room: number for number, rooms in enumerate(TIERS) for room in rooms}
    assert {room_of(module) for module in FILES} == set(tier)
    upwards = [
        f"{module} imports {other}"
        for module, others in ARROWS.items()
        for other in others
        if (own := room_of(module)) != (room := room_of(other))
        and (tier[room] <= tier[own] or room in NEVER.get(own, ()))
    ]
    assert upwards == []


def test_no_library_imports_a_script_and_no_module_imports_itself_by_others():
    assert [
        module for module in FILES if room_of(module) == "scripts" and any(module in o for o in ARROWS.values())
    ] == []
    list(TopologicalSorter(ARROWS).static_order())  # raises CycleError, which names the circle


def third_party(files) -> set[str]:
    names = {name.split(".")[0] for file in files for name, _ in imports_of(file)}
    return names - set(sys.stdlib_module_names) - {"frugal"} - {module.split(".")[0] for module in FILES}


def test_a_figure_is_drawn_and_a_run_planned_without_torch():
    """Importing it takes seconds, and a cluster's head node may not have it."""
    pages = closure("tabulate_runs", "render", "index", "compare", *NOTEBOOK)
    plans = closure("frugal.plan", "frugal.due", "frugal.failed", "frugal.status", "frugal.unfit", "write_schemas")
    assert "torch" not in third_party(pages) | third_party(plans)


def test_a_step_depends_on_no_room_that_it_has_no_business_in():
    def rooms(*modules: str) -> set[str]:
        return {room_of(module_of(file)) for file in closure(*modules)}

    sources = [registry.module_name("source", name) for name in registry.names("source")]
    assert rooms(TRAINING, "train").isdisjoint({"report", "bench"})
    planning = {"frugal.plan", "frugal.resolve", "frugal.fit_checks", "frugal.config_checks", "frugal.study_config"}
    assert planning <= FILES.keys()
    assert planning.isdisjoint(map(module_of, closure(TRAINING, "train")))
    assert rooms(PREPARATION, "prepare", *sources).isdisjoint({"report", "training", "strategies", "measure", "bench"})
    assert rooms("tabulate_runs", "render", "index", *NOTEBOOK) == {"scripts", "report", "core"}


# Third parties.


@cache
def declared() -> dict[str, set[str]]:
    """Names of distributions by extra, "" for what the library always needs, "dev" for the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {"": project["project"]["dependencies"], "dev": project["dependency-groups"]["dev"]}
    groups |= project["project"]["optional-dependencies"]
    return {
        extra: {re.match(r"[\w.-]+", line)[0].lower() for line in lines} - {"frugal"} for extra, lines in groups.items()
    }


def with_others(extra: str) -> set[str]:
    """What an extra brings, those that it names included."""
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    named = [re.match(r"frugal\[([\w,-]+)\]", line) for line in lines]
    others = [one for match in named if match for one in match[1].split(",")]
    return set().union(declared()[extra], *map(with_others, others))


def distribution(name: str) -> str:
    top = name.split(".")[0]
    return DISTRIBUTIONS.get(top, top).lower()


def foreign(file: Path) -> list[tuple[str, str | None]]:
    """(distribution, extra named around it) of each import of somebody else's."""
    return [
        (distribution(name), extra)
        for name, extra in imports_of(file)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "frugal"} and ours(name) is None
    ]


def test_every_import_of_the_library_is_declared_where_it_is_needed():
    wrong = []
    for module, file in FILES.items():
        for name, extra in foreign(file):
            if name in declared()[""] or name in NOTED:
                fine = extra is None
            elif extra is None:
                fine = room_of(module) in UNGUARDED and name in with_others("all")
            else:
                fine = name in with_others(extra)
            if not fine:
                wrong.append(f"{module}: {name}" + (f" under {extra!r}" if extra else ""))
    assert wrong == []


def test_reports_need_nothing_beyond_their_extra():
    known = declared()[""] | with_others("report")
    wanted = {name for module, file in FILES.items() if room_of(module) == "report" for name, _ in foreign(file)}
    assert wanted - known == set()


def used_elsewhere() -> set[str]:
    """Distributions that tests, notebooks and rules import; a notebook and a rule by the words of their lines."""
    names = {name for file in (ROOT / "tests").rglob("*.py") for name, _ in foreign(file)}
    texts = [file.read_text() for place in ("workflow", "notebooks") for file in (ROOT / place).rglob("*.*")]
    words = re.compile(r'(?:^|")(?:import (\w+)(?: as \w+)?(?:\\n|"|$)|from (\w+)[\w.]* import )', re.MULTILINE)
    names |= {distribution(one or other) for text in texts for one, other in words.findall(text)}
    local = {file.stem for file in (ROOT / "tests").rglob("*.py")} | {
        file.parent.name for file in (ROOT / "tests").rglob("*.py")
    }
    return names - local - set(sys.stdlib_module_names) - {"frugal"} - set(FILES)


def test_every_import_of_a_test_is_declared():
    everything = set().union(*declared().values())
    assert used_elsewhere() - everything == set()


def test_every_declared_dependency_is_imported():
    used = {name for file in FILES.values() for name, _ in foreign(file)} | used_elsewhere()
    everything = set().union(*declared().values())
    assert everything - used == set(NOT_IMPORTED)


def test_the_lock_holds_every_extra():
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert set().union(*declared().values()) - locked == set()
    assert set(with_others("all")) >= set().union(*declared().values()) - declared()[""] - declared()["dev"]


@pytest.mark.parametrize(
    ("environment", "steps"),
    [
        ("train", [TRAINING, "train", PREPARATION, "prepare"]),
        ("report", ["tabulate_runs", "render", "index", *NOTEBOOK]),
    ],
)
def test_conda_environments_have_what_their_steps_import(environment, steps):
    if environment == "train":
        steps = steps + [registry.module_name(kind, name) for kind in registry.KINDS for name in registry.names(kind)]
    names = {"pytorch": "torch", "matplotlib-base": "matplotlib", "pysoundfile": "soundfile"}
    pinned = re.findall(r"^ +- ([\w-]+) ?==?", (ROOT / f"envs/{environment}.yaml").read_text(), re.MULTILINE)
    there = {names.get(name, name) for name in pinned}
    wanted = {distribution(name) for name in third_party(closure(*steps))}
    assert all(wanted_by_another(there, name) for name in wanted - there), wanted - there


def wanted_by_another(there: set[str], name: str) -> bool:
    """Whether one of these distributions requires it without any extra, or another that does."""
    seen, waiting = set(), list(there)
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            lines = importlib.metadata.requires(one) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in lines if "extra ==" not in line]
    return name in seen
