"""Pretrained weights: torchvision's, by name, or a file of your own; all but the head has to fit exactly.

No file is unpickled: a .pth is read with weights_only, which refuses everything but tensors and plain containers.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from frugal.data.download import download, verify
from frugal.errors import FrugalError, in_one_line, needs_extra

with needs_extra("vision", "pretrained weights"):
    from safetensors.torch import load_file

MIRROR = "https://download.pytorch.org/models"


@dataclass(frozen=True)
class Published:
    """A file of torchvision's: its name begins its own checksum."""

    name: str
    sha256: str


TORCHVISION = {  # by depth and name; accuracies on ImageNet-1k are the publisher's
    (18, "imagenet1k_v1"): Published(  # 69.758 %
        "resnet18-f37072fd.pth", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
    ),
    (50, "imagenet1k_v1"): Published(  # 76.130 %
        "resnet50-0676ba61.pth", "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"
    ),
    (50, "imagenet1k_v2"): Published(  # 80.858 %
        "resnet50-11ad3fa6.pth", "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca"
    ),
}


def published(file: Published, mirrors: list[str]) -> Path:
    """Where a published file lies, verified: `weights/` of FRUGAL_DATA, else torch's own cache, to which it is downloaded."""
    data = os.environ.get("FRUGAL_DATA")
    own = Path(data).expanduser() / "weights" if data else None
    if own and (own / file.name).is_file():
        verify(own / file.name, file.sha256)
        return own / file.name
    advice = f"{own.absolute()} or " if own else "weights/ of a folder named by FRUGAL_DATA, or "
    return download(file.name, mirrors, file.sha256, Path(torch.hub.get_dir()) / "checkpoints", advice=advice)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state_dict in a .pth or .safetensors file, on the CPU. Raises FrugalError for anything else."""
    try:
        tensors = path.suffix == ".safetensors"
        state = load_file(path) if tensors else torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FrugalError(
            f"the weights {path} can't be read: {error.strerror or error}; correct `pretrained`"
        ) from error
    except Exception as error:  # whatever a reader stumbles over in bytes that are something else
        raise FrugalError(
            f"{path} is no file of weights ({in_one_line(error)}); save one with torch.save(model.state_dict(), ...)"
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        found = (
            f"a dictionary of {', '.join(map(str, list(state)[:5]))}"
            if isinstance(state, dict)
            else f"a {type(state).__name__}"
        )
        raise FrugalError(f"{path} holds {found}, not a state_dict; save one with torch.save(model.state_dict(), ...)")
    return state


def load_weights(model: nn.Module, path: Path, head: str, how: str) -> None:
    """Give a model the weights of a file; what isn't the head has to fit exactly.

    head: name of the last layer; how: "fit" keeps the file's head where it has as many classes and leaves the model's
    fresh one otherwise, "new" always leaves it, "keep" insists on the file's. Raises FrugalError for what doesn't fit.
    """
    state, own = read_weights(path), model.state_dict()
    weight = f"{head}.weight"
    heads = [name for name in own if name.startswith(f"{head}.")]
    rows = len(state[weight]) if weight in state else None
    if how == "keep" and rows != len(own[weight]):
        found = "no head" if rows is None else f"a head of {rows} classes"
        raise FrugalError(
            f"{path} has {found} and the data set {len(own[weight])} classes; `head: keep` needs the same number, "
            "`head: fit` starts a new one"
        )
    if how == "new" or (how == "fit" and rows != len(own[weight])):
        state = {name: tensor for name, tensor in state.items() if name not in heads}
        state |= {name: own[name] for name in heads}
    missing, strange = sorted(own.keys() - state), sorted(state.keys() - own)
    wrong = [name for name in own if name in state and own[name].shape != state[name].shape]
    for names, what in ((missing, "lacks"), (strange, "has besides"), (wrong, "has in another shape")):
        if names:
            shapes = f" ({list(state[names[0]].shape)} for {list(own[names[0]].shape)})" if names is wrong else ""
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise FrugalError(
                f"the weights {path} are not this model's: it {what} {names[0]}{shapes}{more}; "
                "correct `pretrained` or the model's parameters"
            )
    model.load_state_dict(state)
