"""Any net for the classification of texts or images that transformers has: `distilbert`, `vit`, or a name on the hub.

Wolf et al., "Transformers: State-of-the-Art Natural Language Processing", EMNLP 2020, https://arxiv.org/abs/1910.03771. It is
AutoModelForSequenceClassification for texts and AutoModelForImageClassification for images. The number of classes, of input
channels or of tokens is the data set's. With pretrained weights texts need their tokens: the data set's option `tokenizer`.
"""

import difflib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frugal import registry
from frugal.data.hub import check_tokens, pretrained_net
from frugal.errors import FrugalError, in_one_line, needs_extra
from frugal.libraries import check_name, is_kind
from frugal.models.fitting import check_channels, made, tried
from frugal.parameters import Hub, Options

with needs_extra("text", "nets of transformers"):
    from transformers import AutoConfig, AutoModelForImageClassification, AutoModelForSequenceClassification

KIND = ("text", "image")
ONE_SIZE = "unknown"  # of the many that aren't listed
DEPTH = "num_hidden_layers"
# What is known of a net by the beginning of its name, after the owner's on the hub; a test tries them. Layers take and give
# (b, tokens, hidden), and of texts a mask (b, 1, 1, tokens).
FAMILIES = {
    "bert": {"TOKEN_LAYERS": "net.bert.encoder.layer"},
    "distilbert": {"TOKEN_LAYERS": "net.distilbert.transformer.layer", "DEPTH": "n_layers"},
    "electra": {"TOKEN_LAYERS": "net.electra.encoder.layer"},
    "roberta": {"TOKEN_LAYERS": "net.roberta.encoder.layer"},
    "convnext": {"ONE_SIZE": False, "LEAST_SIZE": 32},
    "resnet": {"ONE_SIZE": False},
    "vit": {"ONE_SIZE": True, "TOKEN_LAYERS": "net.vit.layers"},
}
PADDING = 0  # the token where a text has ended
DECIDED = ("num_labels", "vocab_size", "num_channels", "pad_token_id")  # by the data set


def build(
    shape: tuple[int, ...],
    classes: int,
    vocabulary: int | None,
    *,
    name: str,
    pretrained: bool | Hub = False,
    revision: str = "main",
    options: Options | None = None,
) -> nn.Module:
    """A net for tokens (b, L) int64, 0 where a text has ended, or images (b, C, H, W) -> logits (b, classes).

    Raises FrugalError for a net, options or weights that there aren't.

    shape: (L,) or (C, H, W); vocabulary: how many tokens there are, None for images
    name: a kind of net, or a name on the hub; pretrained: true for the weights of that name on the hub, or a folder that
    `save_pretrained` wrote; revision: of the hub's name; options: keys of the net's configuration, such as {hidden_size: 32}
    """
    kind, who = "image" if vocabulary is None else "text", f"{name} of transformers"
    auto = AutoModelForImageClassification if kind == "image" else AutoModelForSequenceClassification
    if pretrained is False:
        net = _random(auto, kind, name, revision, shape, classes, vocabulary, options)
    else:
        if pretrained is True and is_kind("transformers", kind, name):
            raise FrugalError(
                f"model {who}: that is a kind of net, without weights; set `name` to one on the hub, such as "
                "distilbert-base-uncased, or `pretrained` to a folder"
            )
        if isinstance(pretrained, str) and not Path(pretrained).is_dir():
            raise FrugalError(
                f"model {who}: pretrained is {pretrained!r}, which is no folder; give one that save_pretrained wrote, true for "
                "the weights of `name` on the hub, or false"
            )
        place = name if pretrained is True else pretrained
        net = made(
            pretrained_net,
            who,
            options,
            DECIDED,
            kind=auto,
            name=place,
            revision=revision,
            heads=None,
            num_labels=classes,
        )
        if kind == "text":
            check_tokens(net, who, place, vocabulary, shape[0])
        else:
            check_channels(shape[0], getattr(net.config, "num_channels", shape[0]), who)
    if kind == "image":
        _check_tiled(net.config, shape, who)
        return tried(Images(net), torch.zeros(1, *shape), classes, who)
    masked = "TOKEN_LAYERS" in registry.family("transformers", {"name": net.config.model_type})
    return tried(Texts(net, masked), torch.ones(1, *shape, dtype=torch.int64), classes, who)


def _random(
    auto: type,
    kind: str,
    name: str,
    revision: str,
    shape: tuple[int, ...],
    classes: int,
    vocabulary: int | None,
    options: dict[str, Any] | None,
) -> nn.Module:
    """A net with random weights, as its configuration says; raises FrugalError for keys that the configuration hasn't got."""
    check_name("transformers", kind, name, "model transformers")
    who = f"{name} of transformers"

    def configured(**given: Any) -> Any:
        if is_kind("transformers", kind, name):
            return AutoConfig.for_model(name, **given)
        return AutoConfig.from_pretrained(name, revision=revision, **given)

    try:
        config = configured()
    except Exception as error:  # whatever a reader stumbles over
        raise FrugalError(
            f"model {who}: its configuration can't be had ({in_one_line(error)}); connect once, or "
            "name a kind of net, with `options`"
        ) from error
    known = sorted({*config.to_dict(), *config.attribute_map})
    for key in options or {}:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise FrugalError(
                f"model {who}: its configuration has no {key!r}"
                + (f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}")
            )
    given: dict[str, Any] = {"num_labels": classes}
    if kind == "image":
        given |= {"num_channels": shape[0], "image_size": shape[1] if shape[1] == shape[2] else list(shape[1:])}
    else:
        places = getattr(config, "max_position_embeddings", None)
        given |= {"vocab_size": vocabulary, "pad_token_id": PADDING}
        given |= {"max_position_embeddings": max(places, shape[0] + 1)} if isinstance(places, int) else {}
    given = {key: value for key, value in given.items() if key == "num_labels" or key in known}
    given = {key: value for key, value in given.items() if key in DECIDED or key not in (options or {})}

    def net(**all_of_it: Any) -> nn.Module:
        return auto.from_config(configured(**{config.attribute_map.get(key, key): all_of_it[key] for key in all_of_it}))

    return made(net, who, options, DECIDED, **given)


def _check_tiled(config: Any, shape: tuple[int, ...], who: str) -> None:
    """Raise FrugalError where patches would leave the border of the images out, which the library does without a word."""
    patch = getattr(config, "patch_size", None)
    if isinstance(patch, int) and any(side % patch for side in shape[1:]):
        raise FrugalError(
            f"model {who}: patches of {patch}x{patch} pixels don't tile images of {shape[1]}x{shape[2]}; set patch_size in "
            "`options` to a divisor of both sides"
        )


class Images(nn.Module):
    """Images alone go in, logits alone come out."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """images: (b, C, H, W) -> logits (b, classes)."""
        return self.net(pixel_values=images).logits


class Texts(nn.Module):
    """Tokens alone go in, logits alone come out; padding is not looked at.

    net: of transformers; wide: whether the mask is given as attention wants it, since one made from (b, L) would ask the device
    """

    def __init__(self, net: nn.Module, wide: bool):
        super().__init__()
        self.net, self.wide = net, wide

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (b, L), at least one of each row not padding -> logits (b, classes)."""
        seen = tokens != PADDING
        return self.net(input_ids=tokens, attention_mask=seen[:, None, None, :] if self.wide else seen.long()).logits
