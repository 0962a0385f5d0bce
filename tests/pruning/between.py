"""Small nets with something between two layers that a trace of layers doesn't see, or sees in part."""

import torch
from torch import nn
from torch.nn import functional as F

WIDTH = 8


class Apply(nn.Module):
    """A function without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Carried(nn.Module):
    """x and a parameter on its channels, together."""

    def __init__(self, values, together):
        super().__init__()
        self.values, self.together = nn.Parameter(values), together

    def forward(self, x):
        return self.together(x, self.values)


def shuffle(x):
    b, c, *rest = x.shape
    return x.view(b, 2, c // 2, *rest).transpose(1, 2).reshape(b, c, *rest)


def gate_of_channels(x):
    return x * torch.sigmoid(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1).sum(1, keepdim=True))


def halves(x):
    one, other = x.chunk(2, 1)
    return torch.cat([other, one], 1)


def gated_halves(x):
    one, other = x.split(x.shape[1] // 2, 1)
    return torch.cat([one * other.sigmoid(), one], 1)


MIXING = {
    "shuffle": Apply(shuffle),
    "ChannelShuffle": nn.ChannelShuffle(2),
    "softmax": nn.Softmax(1),
    "rms": Apply(lambda x: x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()),
    "layer_norm": Apply(lambda x: F.layer_norm(x, x.shape[1:])),
    "local response": nn.LocalResponseNorm(3, alpha=1.0),
    "mean gate": Apply(lambda x: x * x.mean(1, keepdim=True).sigmoid()),
    "mean and max gate": Apply(gate_of_channels),
    "flip": Apply(lambda x: x.flip(1)),
    "roll": Apply(lambda x: x.roll(1, 1)),
    "chunk": Apply(halves),
    "split": Apply(gated_halves),
    "GroupNorm": nn.GroupNorm(2, WIDTH),
    "GroupNorm without affine": nn.GroupNorm(2, WIDTH, affine=False),
    "LayerNorm without affine": nn.LayerNorm([WIDTH, 6, 6], elementwise_affine=False),
    "RMSNorm": nn.Sequential(Apply(lambda x: x.movedim(1, -1)), nn.RMSNorm(WIDTH), Apply(lambda x: x.movedim(-1, 1))),
    "a matrix": Carried(torch.randn(WIDTH, WIDTH), lambda x, values: torch.einsum("bchw,cd->bdhw", x, values)),
    "places": Carried(torch.randn(1, WIDTH, 6, 6), torch.add),
}

APART = {
    "BatchNorm": nn.BatchNorm2d(WIDTH),
    "BatchNorm without affine": nn.BatchNorm2d(WIDTH, affine=False),
    "BatchNorm of the batch alone": nn.BatchNorm2d(WIDTH, affine=False, track_running_stats=False),
    "InstanceNorm": nn.InstanceNorm2d(WIDTH),
    "scale": Carried(torch.full((WIDTH, 1, 1), 1e-6), torch.mul),
    "offset": Carried(torch.zeros(1, WIDTH, 1, 1), torch.add),
    "sigmoid": nn.Sigmoid(),
    "normalize": Apply(lambda x: F.normalize(x, dim=1)),  # of channels that are zero it takes no notice
    "depthwise": nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH),
}


def net(between):
    """A convolution, what lies between, a convolution and a linear layer; and two samples."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, WIDTH, 3), nn.Conv2d(WIDTH, 6, 3)
    head = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)]
    return nn.Sequential(first, between, second, *head), torch.ones(2, 3, 8, 8)


class Tokens(nn.Module):
    """A small vision transformer: class token, positions, LayerScale; gated: a feed-forward layer with GLU."""

    def __init__(self, norm=nn.LayerNorm, gated=False, width=12):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 5, width))
        self.norms = nn.ModuleList(norm(width) for _ in range(2))
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.up, self.down = nn.Linear(width, 20), nn.Linear(10 if gated else 20, width)
        self.activation = nn.GLU() if gated else nn.GELU()
        self.scale = nn.Parameter(torch.full((width,), 1e-6))
        self.inner = nn.Parameter(torch.ones(10 if gated else 20))
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        y = self.norms[0](x)
        x = x + self.attention(y, y, y)[0]
        x = x + self.scale * self.down(self.inner * self.activation(self.up(self.norms[1](x))))
        return self.head(x[:, 0])
