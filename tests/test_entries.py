"""Entries of a user's own lie in config/local, and what is wrong with one stops only who uses it."""

import shutil
import subprocess

import pytest
import yaml

from frugal import imports, registry
from frugal.errors import FrugalError
from frugal.plan import Plan
from workflow.conftest import ROOT

OVERRIDE = {"datasets": ["digits"], "seeds": 1, "strategies": ["full"], "budgets": [], "grouped": False}


@pytest.fixture
def config(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "config/local/studies").mkdir(parents=True)
    return tmp_path / "config"


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A place for nets that others don't see."""
    place = tmp_path / "frugal"
    (place / "data").mkdir(parents=True)
    shutil.copytree(registry.ROOM / "models", place / "models")
    for inside in ("strategies", "data/sources"):
        (place / inside).symlink_to(registry.ROOM / inside)
    monkeypatch.setattr(registry, "ROOM", place)
    return place / "models"


def plan(folder, model="cnn-tiny", **changes):
    known = yaml.safe_load((folder / "config.yaml").read_text())
    return Plan({**known, "studies": ["infobatch"], "override": {**OVERRIDE, "models": [model]}, **changes}, folder)


def test_entries_and_studies_of_ones_own_stand_beside_the_others(config):
    (config / "local/models.yaml").write_text("mine: {use: cnn, parameters: {channels: [4]}}\n")
    (config / "local/datasets.yaml").write_text("my-digits: {source: digits, shape: [1, 8, 8], classes: 10}\n")
    shutil.copy(config / "studies/infobatch.yaml", config / "local/studies/mine.yaml")
    override = {**OVERRIDE, "models": ["mine"], "datasets": ["my-digits"]}
    spec = plan(config, studies=["mine"], override=override).run("mine", "my-digits", "mine", "full", 0)
    assert (spec.dataset.name, spec.model.parameters["channels"]) == ("my-digits", [4])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("models.yaml", "cnn-tiny: {use: cnn, parameters: {channels: [4]}}"),
        ("datasets.yaml", "digits: {source: digits}"),
        ("studies/infobatch.yaml", "title: mine"),
    ],
)
def test_a_name_in_both_files_is_refused_naming_both(config, file, content):
    (config / "local" / file).write_text(content)
    with pytest.raises(FrugalError, match=rf"local/{file}: .* is also in \S*config/{file}; give yours another name"):
        plan(config)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def build(shape, classes, *, width: int = ", "half.py is not valid Python in line 1: .*; mend it"),
        ("import torch\n", "half.py is no model: it has no function build"),
        ("def build(shape, classes, *, width):\n    ...\n", "the parameter width has no annotation"),
        ("def build(shape, classes, *, other: int):\n    ...\n", "model half has no parameter 'width'"),
        (None, "unknown model 'half'; .* each is a file in scripts/frugal/models"),
    ],
)
def test_a_half_written_net_stops_only_who_uses_it(config, room, code, message):
    if code is not None:
        (room / "half.py").write_text(code)
    (config / "local/models.yaml").write_text("mine: {use: half, parameters: {width: 4}}\n")
    registry.parameters.cache_clear()
    assert plan(config).run("infobatch", "digits", "cnn-tiny", "full", 0)
    with pytest.raises(FrugalError, match=rf"local/models.yaml: mine: .*{message}") as error:
        plan(config, "mine")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("birds:\n", "birds must be a mapping of keys, it is NoneType"),
        ("birds: {sorce: imagefolder}\n", "birds: unknown key 'sorce'; did you mean source"),
        ("birds: {source: digits, validation: -3}\n", "birds: validation is -3; "),
        ("birds: {source: imagefolder, options: {folders: [birds], size: many}}\n", "birds: size is 'many'"),
        ("# birds: {source: digits}\n", None),
        ("", None),
    ],
)
def test_a_wrong_or_empty_entry_stops_only_who_uses_it(config, content, message):
    (config / "local/datasets.yaml").write_text(content)
    assert plan(config).run("infobatch", "digits", "cnn-tiny", "full", 0)
    if message:
        with pytest.raises(FrugalError, match=rf"local/datasets.yaml: {message}") as error:
            plan(config, override={**OVERRIDE, "datasets": ["birds"], "models": ["cnn-tiny"]})
        assert "\n" not in str(error.value)


def test_an_unknown_source_is_told_with_its_entry(config):
    (config / "local/datasets.yaml").write_text("clients: {source: csv}\n")
    with pytest.raises(
        FrugalError, match=r"local/datasets.yaml: clients: unknown source 'csv'; .*table.* each is a file"
    ):
        plan(config, override={**OVERRIDE, "datasets": ["clients"], "models": ["mlp"]})


def test_a_path_to_a_net_is_refused_with_how_to_link_it(config):
    (config / "local/models.yaml").write_text("mine: {use: /elsewhere/net.py}\n")
    with pytest.raises(FrugalError, match=r"is a path, .* `ln -s <its full path> scripts/frugal/models/local_net.py`"):
        plan(config, "mine")


def test_other_code_behind_a_link_is_another_run(tmp_path, monkeypatch):
    net, link = tmp_path / "net.py", tmp_path / "scripts/frugal/models/local_net.py"
    link.parent.mkdir(parents=True)
    link.symlink_to(net)
    monkeypatch.setattr(imports, "SCRIPTS", tmp_path / "scripts")
    found = []
    for width in (4, 8):
        net.write_text(f"def build(shape, classes, *, width: int = {width}): ...\n")
        imports.closure.cache_clear()
        found.append(imports.digest(imports.closure("frugal.models.local_net")))
    imports.closure.cache_clear()
    assert found[0] != found[1]


@pytest.mark.parametrize(
    "file",
    ["config/local/models.yaml", "scripts/frugal/models/local_net.py", "scripts/frugal/strategies/local_mine.py"],
)
def test_git_ignores_what_is_ones_own(file):
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout of git")
    assert subprocess.run(["git", "-C", ROOT, "check-ignore", "-q", file], check=False).returncode == 0
