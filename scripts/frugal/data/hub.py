"""Pretrained weights and tokenizers, from a folder or from the hub that `transformers` reads.

A name that is a folder here is read from there. Any other name is the hub's: it is taken from the local cache of
`transformers`, else downloaded into it; with HF_HUB_OFFLINE=1 nothing is ever asked of the network. What can't be had is an
error: nothing falls back on random weights.
"""

import logging
from pathlib import Path
from typing import Any

from frugal.errors import FrugalError, in_one_line, needs_extra


def pretrained_net(kind: type, name: str, revision: str, heads: tuple[str, ...] | None, **settings: Any) -> Any:
    """A net of `transformers` with the weights of a hub name or folder, and a fresh head.

    kind: its class; revision: of the hub's repository; heads: beginnings of the names of parameters that are the head's, None
    for all that lies outside of the net's body, and its pooler; settings: replace keys of its configuration. The head is also
    fresh where the weights have one of other classes. Raises FrugalError where weights can't be had, or lack what isn't the
    head.
    """
    loud = logging.getLogger("transformers.modeling_utils")
    level = loud.level
    loud.setLevel(logging.ERROR)  # the fresh head is no news
    try:
        net, told = kind.from_pretrained(
            name, revision=revision, output_loading_info=True, ignore_mismatched_sizes=True, **settings
        )
    except (
        Exception
    ) as error:  # whatever a reader stumbles over: no network, no such name, bytes that are something else
        raise FrugalError(_not_had("weights", name, "pretrained", error)) from error
    finally:
        loud.setLevel(level)
    body = f"{net.base_model_prefix}."

    def is_head(key: str) -> bool:
        return key.startswith(heads) if heads else not key.startswith(body) or key.startswith(f"{body}pooler.")

    for what, keys in (
        ("lack", told["missing_keys"]),
        ("have in another shape", [key for key, *_ in told["mismatched_keys"]]),
    ):
        if wrong := sorted(key for key in keys if not is_head(key)):
            raise FrugalError(
                f"the weights {name} are not a {type(net).__name__}'s: they {what} {wrong[0]}"
                + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else "")
                + "; correct `pretrained`"
            )
    return net


def check_tokens(net: Any, model: str, name: str, vocabulary: int, length: int) -> None:
    """Raise FrugalError where a net of `transformers` knows other tokens than a data set has, or shorter texts.

    model: as messages call it; name: of its weights; vocabulary: of the data set; length: tokens of its texts
    """
    if net.config.vocab_size != vocabulary:
        raise FrugalError(
            f"model {model}: {name} knows {net.config.vocab_size:,} tokens and the data set has {vocabulary:,}, which are "
            f"others; set `tokenizer: {name}` in the data set's options"
        )
    if (most := getattr(net.config, "max_position_embeddings", length)) < length:
        raise FrugalError(
            f"model {model}: {name} takes {most} tokens of a text at most, the data set has {length}; lower `length` in its "
            "options and `shape`"
        )


def pretrained_tokenizer(name: str) -> Any:
    """The `tokenizers.Tokenizer` in the tokenizer.json of a hub name or folder. Raises FrugalError where it can't be had."""
    with needs_extra("text", "pretrained tokenizers"):
        from tokenizers import Tokenizer

    try:
        if Path(name).is_dir():
            return Tokenizer.from_str((Path(name) / "tokenizer.json").read_text(encoding="utf-8"))
        return Tokenizer.from_pretrained(name)
    except Exception as error:
        raise FrugalError(_not_had("tokenizer", name, "tokenizer", error)) from error


def _not_had(what: str, name: str, option: str, error: Exception) -> str:
    if Path(name).is_dir():
        return f"the folder {name} has no {what} that can be read ({in_one_line(error)}); correct `{option}`"
    return (
        f"the {what} {name!r} can't be had: there is no such folder, and the hub neither has it in the local cache nor can be "
        f"asked for it ({in_one_line(error)}); correct `{option}`, give it a folder that holds it, or connect once"
    )
