"""A library's net fitted to a data set: its input channels, its classes, errors in one line, and a trial with one sample."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frugal.errors import FrugalError, in_one_line
from frugal.models.pretrained import load_weights

COLOURS = 3  # channels that published weights for images know


def made(
    make: Callable[..., Any], who: str, options: dict[str, Any] | None, decided: Iterable[str], **given: Any
) -> Any:
    """What a library's function makes of its options and what is given by us.

    who: the net, for messages; decided: options that the data set decides. Raises FrugalError for one of these, and for what
    the library refuses.
    """
    for name in decided:
        if name in (options or {}):
            raise FrugalError(f"model {who}: the data set decides {name}; leave it out of `options`")
    try:
        return make(**given, **(options or {}))
    except FrugalError:
        raise
    except Exception as error:  # of the library's code, so of any kind
        raise FrugalError(f"model {who} can't be built so ({in_one_line(error)}); correct `options`") from error


def fetched(make: Callable[..., Any], who: str, *args: Any, **given: Any) -> Any:
    """What a library's function makes with weights that it downloads. Raises FrugalError where they can't be had."""
    try:
        return made(make, who, *args, **given)
    except FrugalError as error:
        if error.__cause__ is None:
            raise
        raise FrugalError(
            f"the weights of {who} can't be had: they are neither in the library's cache nor can be downloaded, or don't fit "
            f"({in_one_line(error.__cause__)}); connect once, give `pretrained` the path of a file, or set it to false"
        ) from error.__cause__


def check_channels(channels: int, known: int, who: str) -> None:
    """Raise FrugalError where pretrained weights know images of another number of channels than the data set's."""
    if channels != known:
        raise FrugalError(
            f"model {who}: its weights know images of {known} channels, the data set's have {channels}; set `channels: {known}` "
            "in the data set's options where its source has them, or `pretrained: false`"
        )


def with_channels(net: nn.Module, channels: int) -> nn.Module:
    """A net for images in colour, whose first convolution takes so many channels instead, in place.

    Its initial weights are drawn anew with the standard deviation that they had.
    """
    if channels == COLOURS:
        return net
    name, first = next((name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d))
    shape = (first.out_channels, channels // first.groups, *first.kernel_size)
    first.weight = nn.Parameter(torch.randn(shape, device=first.weight.device) * first.weight.detach().std())
    first.in_channels = channels
    return net


def head_of(net: nn.Module) -> str:
    """The name of a net's last layer that gives a number for each class."""
    return [name for name, layer in net.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]


def with_head(net: nn.Module, classes: int) -> nn.Module:
    """A net whose last layer is a fresh one where it has another number of classes, in place."""
    name = head_of(net)
    old = net.get_submodule(name)
    if old.weight.shape[0] == classes:
        return net
    place = {"device": old.weight.device, "bias": old.bias is not None}
    if isinstance(old, nn.Linear):
        fresh = nn.Linear(old.in_features, classes, **place)
    else:
        fresh = nn.Conv2d(old.in_channels, classes, old.kernel_size, old.stride, old.padding, **place)
    net.set_submodule(name, fresh)
    return net


def with_file(net: nn.Module, path: str, channels: int, who: str) -> nn.Module:
    """A net with the weights of a .pth or .safetensors file, and a fresh last layer where that is of other classes."""
    check_channels(channels, COLOURS, who)
    load_weights(net, Path(path), head_of(net), "fit")
    return net


def tried(net: nn.Module, sample: Tensor, classes: int, who: str) -> nn.Module:
    """The net, after one sample (1, ...) went through it in evaluation. Raises FrugalError unless that gave (1, classes)."""
    was, where = net.training, next(net.parameters()).device
    smaller = "a shorter `length`" if sample.dim() == 2 else "larger images"
    size = "x".join(map(str, sample.shape[1:]))
    try:
        with torch.no_grad():
            logits = net.eval()(sample.to(where))
    except Exception as error:  # of the library's code, so of any kind
        raise FrugalError(
            f"model {who} can't take samples of {size} ({in_one_line(error)}); choose {smaller}, other `options` or another net"
        ) from error
    finally:
        net.train(was)
    if not isinstance(logits, Tensor) or logits.shape != (1, classes):
        found = f"a tensor of {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise FrugalError(f"model {who} gives {found} for a sample of {size}, not {classes} logits; choose another net")
    return net
