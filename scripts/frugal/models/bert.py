"""BERT with a linear layer on its pooled first token, for the classification of texts.

Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", NAACL 2019,
https://arxiv.org/abs/1810.04805. The pruning study removes neurons from BERT-base on IMDB.

The net is `transformers`' own. Its weights are random, or someone's: the tokens must then be those it was trained with,
which the data set's option `tokenizer` says.
"""

from typing import Annotated, Literal

from annotated_types import Ge, Lt
from torch import Tensor, nn

from frugal.data.hub import check_tokens, pretrained_net
from frugal.errors import FrugalError, needs_extra
from frugal.parameters import Hub

with needs_extra("text", "BERT models"):
    from transformers import BertConfig, BertForSequenceClassification

KIND = "text"
TOKEN_LAYERS = "net.bert.encoder.layer"  # modules that take and give (b, tokens, hidden), in their order
PADDING = 0  # the token where a text has ended
BASE = {"layers": 12, "heads": 12, "hidden": 768, "feed_forward": 3072}


def build(
    shape: tuple[int],
    classes: int,
    vocabulary: int,
    *,
    pretrained: Literal["none"] | Hub = "none",
    revision: str = "main",
    layers: Annotated[int, Ge(1)] | None = None,
    heads: Annotated[int, Ge(1)] | None = None,
    hidden: Annotated[int, Ge(1)] | None = None,
    feed_forward: Annotated[int, Ge(1)] | None = None,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
) -> nn.Module:
    """A net for tokens (b, L) int64, 0 where a text has ended -> logits (b, classes). Raises FrugalError without its weights.

    shape: (L,); vocabulary: how many tokens there are
    pretrained: weights to start from, a folder or a name on the hub, or none for random ones; revision: of the hub's name;
    layers, heads, hidden, feed_forward: with random weights, BERT-base's by default; dropout: of attention, of what each
    part of a layer adds, and of what the last layer reads
    """
    sizes = {"layers": layers, "heads": heads, "hidden": hidden, "feed_forward": feed_forward}
    dropouts = {
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "classifier_dropout": dropout,
        "num_labels": classes,
    }
    if pretrained == "none":
        sizes = {name: BASE[name] if value is None else value for name, value in sizes.items()}
        if sizes["hidden"] % sizes["heads"]:
            raise FrugalError(
                f"model bert: hidden is {sizes['hidden']} and heads {sizes['heads']}; make hidden a multiple of heads"
            )
        config = BertConfig(
            vocab_size=vocabulary,
            hidden_size=sizes["hidden"],
            num_hidden_layers=sizes["layers"],
            num_attention_heads=sizes["heads"],
            intermediate_size=sizes["feed_forward"],
            max_position_embeddings=shape[0],
            pad_token_id=PADDING,
            **dropouts,
        )
        return Bert(BertForSequenceClassification(config))
    if given := [name for name, value in sizes.items() if value is not None]:
        raise FrugalError(
            f"model bert: {given[0]} is the pretrained net's own; leave it out, or set `pretrained: none`"
        )
    net = pretrained_net(
        BertForSequenceClassification, pretrained, revision, ("classifier.", "bert.pooler."), **dropouts
    )
    check_tokens(net, "bert", pretrained, vocabulary, shape[0])
    return Bert(net)


class Bert(nn.Module):
    """Tokens alone go in, logits alone come out; padding is not looked at."""

    def __init__(self, net: BertForSequenceClassification):
        super().__init__()
        self.net = net

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (b, L), at least one of each row not padding -> logits (b, classes)."""
        seen = (tokens != PADDING)[:, None, None, :]  # as attention wants it: made from (b, L) it would ask the device
        return self.net(input_ids=tokens, attention_mask=seen).logits
