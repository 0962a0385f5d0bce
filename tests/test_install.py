"""The library as `pip install` leaves it: built, installed into an environment of its own, and used from an empty folder."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest

from frugal import __version__

ROOT = Path(__file__).parents[1]

TRAINING = """
import numpy as np
import torch
from pathlib import Path

from frugal.data.cache import open_cache, write_cache
from frugal.spec import RunSpec
from frugal.training.job import Job, train

torch.set_num_threads(1)
generator = np.random.default_rng(0)
labels = np.arange(160) % 2
images = generator.integers(0, 100, (160, 1, 8, 8), dtype=np.uint8)
images[labels == 1, :, :4] += 100  # one class is brighter above
parts = {"train": slice(0, 96), "validation": slice(96, 128), "test": slice(128, 160)}
arrays = {f"{name}_{what}": of[part] for name, part in parts.items() for what, of in (("images", images), ("labels", labels))}
cache = write_cache(Path("cache"), arrays, {
    "dataset": "mine", "source": "arrays", "shape": [1, 8, 8], "classes": 2, "generated": True, "dct": None, "notes": [],
    "mean": [float(images.mean())], "std": [float(images.std())], "splits": {"train": 96, "validation": 32, "test": 32},
})
run = RunSpec.model_validate({
    "study": "mine", "scale": "mine", "seed": 0,
    "dataset": {"name": "mine", "source": "arrays", "shape": (1, 8, 8), "classes": 2, "validation": 32},
    "model": {"name": "cnn", "use": "cnn", "parameters": {"channels": [4, 8]}},
    "recipe": {"epochs": 2, "batch_size": 16, "learning_rate": 0.05},
    "strategy": {"name": "infobatch", "use": "infobatch", "parameters": {}},
})
train(Job(run, cache, Path("record"), device="cpu"))

# In a loop of one's own.
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from frugal import Frugal, InfoBatch

data = TensorDataset(torch.from_numpy(images[:96]).float().div(255).flatten(1), torch.from_numpy(labels[:96]))
model = torch.nn.Linear(64, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
training = Frugal(InfoBatch(), model, optimizer, samples=96, epochs=3, batch_size=16)
loader = DataLoader(data, batch_sampler=training.sampler)
for epoch in range(3):
    for inputs, classes in loader:
        optimizer.zero_grad()
        training.weigh(cross_entropy(model(inputs), classes, reduction="none")).backward()
        training.step()
print([row["samples"] for row in training.history])
"""


def core() -> set[str]:
    """Distributions that the library always requires, and those that they require in turn."""
    waiting, seen = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"], set()
    while waiting:
        name = re.match(r"[\w.-]+", waiting.pop())[0].lower().replace("_", "-")
        if name not in seen:
            with suppress(PackageNotFoundError):  # of another platform
                waiting += [one for one in requires(name) or [] if "extra ==" not in one]
                seen.add(name)
    return seen


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment that has the wheel, and of the locked packages those that it requires."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "scripts", source / "scripts", ignore=ignored)  # a build leaves things beside what it builds
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source]
    subprocess.run(wheel, check=True, capture_output=True)
    venv.create(folder / "venv", symlinks=True)
    interpreter = folder / "venv/bin/python"
    [built] = folder.glob("frugal-*.whl")
    assert built.name == f"frugal-{__version__}-py3-none-any.whl"
    install = ["--python", interpreter, "install", "--no-deps", "--no-index", built]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    [packages] = (folder / "venv").glob("lib/python*/site-packages")
    for name in core():
        held = distribution(name)
        for top in {file.parts[0] for file in held.files} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(held.locate_file(top)).absolute())
    return interpreter


def run(python, folder, program):
    """The finished process, which knows nothing of the checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FRUGAL"))}
    command = [python, "-c", program]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_an_installed_library_trains_with_its_core_dependencies_alone(python, tmp_path):
    # A repository around it that isn't ours: the environment of somebody's project.
    subprocess.run(["git", "init", "--quiet", python.parents[1]], check=True)
    done = run(python, tmp_path, TRAINING)
    assert done.returncode == 0, done.stderr
    first, *others = json.loads(done.stdout)
    assert first == 96 > max(others), "visited in an own loop"
    metrics = json.loads((tmp_path / "record/metrics.json").read_text())
    assert metrics["epochs"] == 2
    assert metrics["test_accuracy"] > 0.9
    manifest = json.loads((tmp_path / "record/manifest.json").read_text())
    assert manifest["git"] == {"commit": None, "dirty": None}
    assert manifest["versions"]["frugal"] == __version__
    code = {Path(name) for name in manifest["code"]}
    assert {Path("frugal/training/job.py"), Path("frugal/strategies/infobatch.py")} <= code
    assert Path("frugal/strategies/seta.py") not in code


def test_who_cites_the_library_names_its_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_wheel_holds_the_library_and_nothing_else(python, tmp_path):
    program = """
import importlib.metadata
files = [str(file) for file in importlib.metadata.files("frugal")]
print(*sorted({file.split("/")[0] for file in files}), "frugal/report/templates/report/index.html.j2" in files)
import frugal.imports
print(frugal.imports.SCRIPTS.name, len(frugal.imports.closure("frugal.training.job")) > 30)
"""
    told = run(python, tmp_path, program).stdout.splitlines()
    assert told == [f"frugal frugal-{__version__}.dist-info True", "site-packages True"]


MISSING = {
    "frugal.data.sources.imagefolder": "image files need simplejpeg: pip install 'frugal[vision]'",
    "frugal.data.sources.table": "Parquet and Arrow files need pyarrow: pip install 'frugal[data]'",
    "frugal.data.sources.spoken_digits": "recordings need soundfile: pip install 'frugal[audio]'",
    "frugal.loops.huggingface": "callbacks for the Trainer of transformers need transformers: pip install 'frugal[text]'",
    "frugal.loops.lightning": "the callback for Lightning needs it: pip install lightning",
    "frugal.models.bert": "BERT models need transformers: pip install 'frugal[text]'",
    "frugal.strategies.dynamic_pruning": "strategies that remove neurons need torch_pruning: pip install 'frugal[pruning]'",
    "frugal.plan": "YAML files need yaml: pip install 'frugal[workflow]'",
}


def test_what_an_extra_brings_is_asked_for_in_one_line(python, tmp_path):
    program = f"""
import importlib, json
from frugal import report
from frugal.errors import FrugalError

def told(ask):
    try:
        return ask()
    except FrugalError as error:
        return str(error)

lines = {{module: told(lambda: importlib.import_module(module)) for module in {list(MISSING)!r}}}
print(json.dumps([lines, told(lambda: report.runs)]))
"""
    done = run(python, tmp_path, program)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [MISSING, "reports need pandas: pip install 'frugal[report]'"]


def test_the_package_itself_needs_torch_and_numpy_at_most(tmp_path):
    program = f"""
import sys
from importlib.metadata import packages_distributions

class Absent:
    names = {{*packages_distributions()}} - {{*sys.stdlib_module_names, "torch", "numpy"}}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {str(ROOT / "scripts")!r})
import frugal
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
