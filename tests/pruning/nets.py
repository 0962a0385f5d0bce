"""The four architectures in miniature, with random weights, and a training step on random data."""

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, Wav2Vec2Config, Wav2Vec2ForCTC

from frugal.models import resnet
from frugal.pruning.groups import call

BERT = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 12,
    "num_labels": 3,
}
WAV2VEC2 = {
    "vocab_size": 12,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "conv_dim": (8, 8, 8),
    "conv_kernel": (5, 3, 3),
    "conv_stride": (3, 2, 2),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_prob": 0.0,
    "layerdrop": 0.0,
}
NAMES = ("resnet", "mlp", "bert", "wav2vec2")


def make(name: str, **config: object) -> tuple[nn.Module, torch.Tensor]:
    """A fresh model, always the same, and two samples."""
    torch.manual_seed(0)
    if name == "resnet":
        model, inputs = resnet.build((3, 8, 8), 3, depth=8, width=8), torch.randn(2, 3, 8, 8)
        model = model.to(memory_format=torch.channels_last)
    elif name == "mlp":
        widths = [6, 16, 12, 8, 3]
        layers = [part for a, b in zip(widths, widths[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU())]
        model, inputs = nn.Sequential(*layers[:-1]), torch.randn(2, 6)
    elif name == "bert":
        model, inputs = BertForSequenceClassification(BertConfig(**BERT | config)), torch.randint(50, (2, 8))
    else:
        model, inputs = Wav2Vec2ForCTC(Wav2Vec2Config(**WAV2VEC2 | config)), torch.randn(2, 400)
    return model.train(), inputs


def optimizer_of(model: nn.Module, kind: str) -> torch.optim.Optimizer:
    """As runs have it: fused."""
    if kind == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=1e-4, fused=True)


def backward(model: nn.Module, inputs: torch.Tensor) -> None:
    """Gradients of a loss that every output has a part in."""
    logits = call(model, inputs).flatten(0, -2)
    labels = torch.arange(len(logits)) % logits.shape[1]
    model.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(logits, labels).backward()


def step(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor) -> None:
    """One training step; dropout draws from torch's generator."""
    backward(model, inputs)
    optimizer.step()
