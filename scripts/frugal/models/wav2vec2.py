"""Wav2Vec 2.0, which takes the wave itself, for classification or transcription.

Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations", NeurIPS 2020,
https://arxiv.org/abs/2006.11477. The pruning study removes neurons from the base network on Common Voice.

The net is `transformers`' own. It classifies recordings, or transcribes them by CTC (Graves et al., "Connectionist Temporal
Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks", ICML 2006,
https://doi.org/10.1145/1143844.1143891): then it gives logits for every frame, symbol 0 being the blank. SpecAugment and
layer drop are off, since both decide on the host, and the former draws from NumPy's global state. Waves come normalised
over the data set and padded with silence; no mask is given, as for the published base net.
"""

from typing import Annotated, Literal

from annotated_types import Ge, Lt
from torch import Tensor, nn

from frugal.data.hub import pretrained_net
from frugal.errors import FrugalError, needs_extra
from frugal.parameters import Hub

with needs_extra("audio", "Wav2Vec2 models"):
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC, Wav2Vec2ForSequenceClassification

KIND = "sound"
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)  # a frame every 320 samples, of 400
BASE = {"layers": 12, "heads": 12, "hidden": 768, "feed_forward": 3072, "channels": 512, "positions": 128}
NETS = {"classification": Wav2Vec2ForSequenceClassification, "transcription": Wav2Vec2ForCTC}


def build(
    shape: tuple[int],
    classes: int,
    task: str,
    *,
    pretrained: Literal["none"] | Hub = "none",
    revision: str = "main",
    layers: Annotated[int, Ge(1)] | None = None,
    heads: Annotated[int, Ge(1)] | None = None,
    hidden: Annotated[int, Ge(1)] | None = None,
    feed_forward: Annotated[int, Ge(1)] | None = None,
    channels: Annotated[int, Ge(1)] | None = None,
    positions: Annotated[int, Ge(1)] | None = None,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    freeze_features: bool = False,
) -> nn.Module:
    """A net for waves (b, T) -> logits (b, classes), or of each frame (b, frames, classes) for task "transcription".

    shape: (T,), at least 400
    pretrained: weights to start from, a folder or a name on the hub, or none for random ones; revision: of the hub's name;
    layers, heads, hidden, feed_forward: of the encoder; channels: of the seven convolutions before it; positions: frames
    that its convolution for positions spans; with random weights the base net's by default; dropout: throughout the
    encoder; freeze_features: leave the convolutions as they were trained; raises FrugalError for weights not to be had
    """
    sizes = {"layers": layers, "heads": heads, "hidden": hidden, "feed_forward": feed_forward}
    sizes |= {"channels": channels, "positions": positions}
    if shape[0] < 400:
        raise FrugalError(
            f"model wav2vec2 needs waves of 400 samples or more, the data set has {shape[0]}; raise `length`"
        )
    settings = {
        **dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), dropout),
        "final_dropout": dropout,
        "layerdrop": 0.0,
        "apply_spec_augment": False,
        **({"vocab_size": classes, "pad_token_id": 0} if task == "transcription" else {"num_labels": classes}),
    }
    if pretrained == "none":
        config = _config({name: BASE[name] if value is None else value for name, value in sizes.items()}, settings)
        net = NETS[task](config)
    else:
        if given := [name for name, value in sizes.items() if value is not None]:
            raise FrugalError(
                f"model wav2vec2: {given[0]} is the pretrained net's own; leave it out, or set `pretrained: none`"
            )
        head = ("lm_head.", "projector.", "classifier.", "wav2vec2.masked_spec_embed")
        net = pretrained_net(NETS[task], pretrained, revision, head, **settings)
    if freeze_features:
        net.freeze_feature_encoder()
    return Wav2Vec2(net)


def _config(sizes: dict[str, int], settings: dict) -> Wav2Vec2Config:
    if sizes["hidden"] % sizes["heads"]:
        raise FrugalError(
            f"model wav2vec2: hidden is {sizes['hidden']} and heads {sizes['heads']}; make hidden a multiple of heads"
        )
    return Wav2Vec2Config(
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["feed_forward"],
        conv_dim=(sizes["channels"],) * len(KERNELS),
        conv_kernel=KERNELS,
        conv_stride=STRIDES,
        num_conv_pos_embeddings=sizes["positions"],
        num_conv_pos_embedding_groups=next(n for n in (16, 8, 4, 2, 1) if sizes["hidden"] % n == 0),
        classifier_proj_size=min(256, sizes["hidden"]),
        **settings,
    )


class Wav2Vec2(nn.Module):
    """Waves alone go in, logits alone come out."""

    def __init__(self, net: Wav2Vec2ForCTC | Wav2Vec2ForSequenceClassification):
        super().__init__()
        self.net = net

    def forward(self, waves: Tensor) -> Tensor:
        """waves: (b, T) -> logits (b, classes) or (b, frames, classes)."""
        return self.net(waves).logits
