"""Transformer encoder to classify texts. In the sparsity study: 6 layers, 8 heads, 512 wide, 2048 in the feed-forward part.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762; its layers normalise after each
sum (post-norm). Here a layer normalises what goes into it and leaves the sum alone (pre-norm, Xiong et al., "On Layer
Normalization in the Transformer Architecture", ICML 2020, https://arxiv.org/abs/2002.04745), since post-norm needs a
warm-up of the learning rate and the source's recipe is a plain 1e-3.
"""

from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn import functional

from frugal.errors import FrugalError
from frugal.models.droppable import Droppable

KIND = "text"
WIDTHS = {
    "hidden": "heads",
    "feed_forward": 1,
}  # parameters that a narrower net shrinks, and what each stays a multiple of
BLOCKS = True  # that can be left out of a training step: see `droppable`
TOKEN_LAYERS = "layers"  # modules that take and give (b, tokens, hidden), in their order
PADDING = 0  # the token where a text has ended


def build(
    shape: tuple[int],
    classes: int,
    vocabulary: int,
    *,
    layers: Annotated[int, Ge(1)] = 6,
    heads: Annotated[int, Ge(1)] = 8,
    hidden: Annotated[int, Ge(1)] = 512,
    feed_forward: Annotated[int, Ge(1)] = 2048,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
) -> nn.Module:
    """A net for tokens (b, L) int64, 0 where a text has ended -> logits (b, classes). Raises FrugalError for uneven heads.

    shape: (L,); vocabulary: how many tokens there are; hidden: width, a multiple of `heads`; feed_forward: width inside a
    layer; dropout: of embeddings and of what each part of a layer adds
    """
    if hidden % heads:
        raise FrugalError(f"model transformer: hidden is {hidden} and heads {heads}; make hidden a multiple of heads")
    return Transformer(shape[0], classes, vocabulary, layers, heads, hidden, feed_forward, dropout)


class Transformer(nn.Module):
    """Token and learned position embeddings, layers, and a linear layer on the mean over the text's own tokens."""

    def __init__(
        self,
        length: int,
        classes: int,
        vocabulary: int,
        layers: int,
        heads: int,
        hidden: int,
        feed_forward: int,
        dropout: float,
    ):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, hidden, padding_idx=PADDING)
        self.positions = nn.Parameter(torch.empty(length, hidden))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(hidden, heads, feed_forward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, classes)
        for embedding in (self.tokens.weight, self.positions):
            nn.init.normal_(embedding, std=0.02)  # BERT's: PyTorch's own 1.0 would drown what the layers add
        with torch.no_grad():
            self.tokens.weight[PADDING] = 0

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (b, L), at least one of each row not padding -> logits (b, classes)."""
        real = tokens != PADDING
        hidden = self.dropout(self.tokens(tokens) + self.positions[: tokens.shape[1]])
        for layer in self.layers:
            hidden = layer(hidden, real[:, None, None, :])
        share = real / real.sum(1, keepdim=True)
        return self.head(torch.einsum("bl,blh->bh", share.to(hidden.dtype), self.norm(hidden)))


class Layer(nn.Module):
    """hidden += attention(norm(hidden)); hidden += feed-forward(norm(hidden))."""

    def __init__(self, hidden: int, heads: int, feed_forward: int, dropout: float):
        super().__init__()
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.feed_forward = nn.Sequential(nn.Linear(hidden, feed_forward), nn.GELU(), nn.Linear(feed_forward, hidden))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, seen: Tensor | None) -> Tensor:
        """hidden: (b, L, hidden); seen: (b, 1, 1, L) bool, which tokens are looked at, None for all."""
        hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), seen))
        return hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))


class Attention(nn.Module):
    """Multi-head attention of a text to itself. Its four projections are plain linear layers, for others to replace.

    num_heads, head_dim: called as in `transformers`, by which pruning knows that whole heads have to go
    """

    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.num_heads, self.head_dim = heads, hidden // heads
        self.query, self.key, self.value, self.out = (nn.Linear(hidden, hidden) for _ in range(4))

    def forward(self, hidden: Tensor, seen: Tensor | None) -> Tensor:
        """hidden: (b, L, hidden); seen: (b, 1, 1, L) bool or None for all -> (b, L, hidden)."""
        query, key, value = (
            project(hidden).unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2)  # (b, heads, L, head_dim)
            for project in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return self.out(mixed.transpose(1, 2).flatten(2))


def droppable(net: nn.Module) -> list[nn.Module]:
    """Make the layers of a net such that they can be left out, and return them from the front."""
    for layer in net.layers:
        layer.__class__ = DroppableLayer
    return list(net.layers)


class DroppableLayer(Droppable, Layer):
    """A layer whose two parts, attention and feed-forward, are left out together."""

    def forward(self, hidden: Tensor, seen: Tensor | None) -> Tensor:
        """hidden: (b, L, hidden); seen: (b, 1, 1, L) bool, which tokens are looked at, None for all."""
        if self.dropped:
            return hidden
        hidden = hidden + self.scaled(self.dropout(self.attention(self.attention_norm(hidden), seen)))
        return hidden + self.scaled(self.dropout(self.feed_forward(self.feed_forward_norm(hidden))))
