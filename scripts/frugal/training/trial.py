"""Trial of a net before its first step: two samples go through a copy of it, which must give logits of the data's classes.

A wrong net is then told in one line with its file, before anything is trained.
"""

import copy
import os
import random
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from frugal.errors import FrugalError, in_one_line
from frugal.imports import SCRIPTS, module_file
from frugal.measure.flops import device_of
from frugal.measure.memory import not_at_its_peak
from frugal.registry import module_name
from frugal.training.device import out_of_memory
from frugal.training.forward import laid_out

SAMPLES = 2
LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class WrongNet(FrugalError):
    """A net that fails on what it was built for, of which the cause is the error, or that gives anything but logits."""


@dataclass(frozen=True)
class Asked:
    """Of a net: its name in a config and its `use`, for messages; shape and type of a sample; classes and task of the data."""

    name: str
    use: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    classes: int
    task: str = "classification"


def built(make: Callable[[], nn.Module], asked: Asked) -> nn.Module:
    """The net that a function makes. Raises WrongNet with the place where it fails, and a lack of memory as it is.

    Lazy layers, which take their size from what comes in first, get it by a pass in evaluation mode, and draw their weights then.
    """
    with _telling_where(asked, "can't be built for"):
        model = make()
    if not isinstance(model, nn.Module):
        raise WrongNet(
            f"model {asked.name}: its build returns a {type(model).__name__}, it must return a torch.nn.Module; see its file "
            f"{file_of(asked.use)}"
        )
    if any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        was = model.training
        _logits(model.eval(), asked)
        model.train(was)
    return model


def try_out(model: nn.Module, asked: Asked) -> None:
    """Raise WrongNet unless samples give logits of the data's classes, in evaluation mode.

    The net, its statistics and all random states stay as they were: it is copied first. One that can't be copied isn't tried.
    """
    device = device_of(model)
    with same_draws(device), not_at_its_peak(device):
        try:
            twin = copy.deepcopy(model).eval()
        except Exception:  # of the net's own parts, so of any kind
            return
        logits = _logits(twin, asked)
        del twin  # before the peak is looked at
    found = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    frames = found[1:2] if asked.task == "transcription" else ()  # as many as it likes
    right = isinstance(found, tuple) and found == (SAMPLES, *frames, asked.classes)
    if not right:
        inner, each = (", frames", "frame") if asked.task == "transcription" else ("", "sample")
        raise WrongNet(
            f"model {asked.name} gives {found} for two samples, it must give ({SAMPLES}{inner}, {asked.classes}): a row of "
            f"logits per {each}; see its file {file_of(asked.use)}"
        )


@torch.no_grad()
def _logits(model: nn.Module, asked: Asked) -> Any:
    """What the net gives for two samples."""
    samples = torch.ones(SAMPLES, *asked.shape, dtype=asked.dtype, device=device_of(model))  # token 0 would be no text
    with _telling_where(asked, "fails on two"):
        return model(laid_out(samples))


@contextmanager
def _telling_where(asked: Asked, what: str) -> Iterator[None]:
    """Of an error of a net's own code, its place."""
    try:
        yield
    except FrugalError:
        raise
    except Exception as error:  # of the net's own code, so of any kind
        if out_of_memory(error):
            raise
        size = "x".join(map(str, asked.shape))
        raise WrongNet(
            f"model {asked.name} {what} samples of {size} ({in_one_line(error)}); see {place_of(error, asked.use)}"
        ) from error


@contextmanager
def same_draws(device: torch.device) -> Iterator[None]:
    """Whatever a block draws, from torch, NumPy or Python, the next draws are as if it hadn't."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  a net may draw from it
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def file_of(use: str) -> str:
    """The file of a model, as seen from here."""
    return _shown(module_file(module_name("model", use)))


def place_of(error: Exception, use: str) -> str:
    """File and line of the innermost frame of an error that is no library's; where there is none, the model's file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(Path(frame.filename))]
    return f"{_shown(Path(frames[-1].filename))}, line {frames[-1].lineno}" if frames else f"its file {file_of(use)}"


def _is_own(file: Path) -> bool:
    """Not this file, which calls the net. Installed as a library, ours lie among the others."""
    return file != Path(__file__) and (
        file.is_relative_to(SCRIPTS / "frugal")
        or (file.is_file() and not any(file.is_relative_to(library) for library in LIBRARIES))
    )


def _shown(file: Path) -> str:
    return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
