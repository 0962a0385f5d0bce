"""Promises of the repository itself."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from frugal import registry
from frugal.imports import TRAINING, closure
from write_schemas import schemas

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib", "pysoundfile": "soundfile"}


def locked():
    """Versions by name, of requirements.lock."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    return {name.lower(): version for name, version in pins}


@pytest.mark.parametrize("name", ["train", "report"])
def test_conda_environments_have_the_versions_of_the_lock(name):
    lines = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())["dependencies"]
    pins = [line for line in lines if isinstance(line, str) and " =" in line and not line.startswith("python ")]
    pins += [line for part in lines if isinstance(part, dict) for line in part["pip"]]
    assert pins
    for pin in pins:
        package, version = re.split(r" ?==?", pin)
        assert locked()[CONDA_NAMES.get(package, package)] == version, pin


def test_the_lock_names_no_index_and_carries_hashes():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert text.count("--hash=sha256:") > text.count("==")


def test_schemas_on_disk_are_those_of_the_code():
    for name, schema in schemas().items():
        file = ROOT / f"workflow/schemas/{name}.schema.json"
        assert json.loads(file.read_text()) == schema, f"{file} is stale; run `make schemas`"


def test_no_script_hides_an_installed_package():
    """`python scripts/x.py` puts scripts/ first on the path: a script named like a package would be imported in its place."""
    taken = set(importlib.metadata.packages_distributions())
    ours = {file.stem for file in (ROOT / "scripts").glob("*.py")}
    assert ours & (taken | set(sys.stdlib_module_names)) == set()


def test_the_closure_of_a_run_holds_every_file_of_ours_it_loads():
    """Each strategy in a fork of a fresh interpreter: what a run imports must be among the inputs that Snakemake compares."""
    program = """
import json, os, sys
sys.path.insert(0, "scripts")
import train
from frugal import registry
sys.argv = ["train.py", "--spec", "{}", "--cache", "", "--out", ""]
try:
    train.main()
except Exception as error:
    assert "--spec" in str(error)  # all imports are done by then
for strategy in registry.names("strategy"):
    if os.fork():
        assert os.wait()[1] == 0
        continue
    registry.load("strategy", strategy), registry.load("model", "cnn")
    ours = (m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "frugal" and m.__file__)
    print(json.dumps([strategy, *ours]), flush=True)
    os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    found = {name: {Path(f).resolve() for f in files} for name, *files in map(json.loads, done.stdout.splitlines())}
    assert sorted(found) == registry.names("strategy")
    for strategy, loaded in found.items():
        names = registry.module_name("strategy", strategy), registry.module_name("model", "cnn")
        assert loaded <= set(closure(TRAINING, *names)), strategy
