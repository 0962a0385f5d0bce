"""Frequency curriculum: low frequencies first, as small images; higher ones are added as the training goes on.

Wang et al., "EfficientTrain++: Generalized Curriculum Learning for Efficient Visual Backbone Training", IEEE TPAMI 2024,
https://arxiv.org/abs/2405.08768. Nets learn what low frequencies show first, so early epochs do without the others: of
the N x N coefficients X of an image, stage i keeps the lowest k_i x k_i and shows them as an image of k_i x k_i pixels,

    x_i = T_(k_i)^-1( (k_i / N) X[:k_i, :k_i] ),    k_1 < k_2 < ... <= N,    k_i while progress < s_i

where T_k is the transform of k x k pixels and the factor k_i / N keeps the brightness. Every epoch sees every sample.

Differences to the source: its T is the discrete Fourier transform of a whole image, ours the cosine transform of the store,
of which only the lowest coefficients are read. It searches for the stages on ImageNet, here the study names them. It also makes
augmentation stronger as the training goes on, which is left out here. Ours is `ahead`: hard samples get the next k first.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Lt

from frugal.parameters import Stages
from frugal.strategies.base import Strategy
from frugal.strategies.stages import Curriculum


@dataclass
class FrequencyCurriculum(Curriculum, Strategy):
    """See each image as k x k pixels made of its lowest k x k DCT coefficients; k rises in stages.

    stages: pairs of k and the share of the training up to which it holds; both ascend, and the last share is 1. The last k is
        also what the net is tested with. The default is for images of 32 pixels per side, and leaves out about 43 % of the
        FLOPs of a convolutional net.
    ahead: share of the samples, those with the highest last losses, seen at the next stage's k already; unseen ones come first,
        and in the first epoch nobody is ahead
    """

    decides = ("fidelity",)
    reads = "coefficients"
    spectral = True
    needs: ClassVar[dict[str, Any]] = {
        "images": "it reads DCT coefficients",
        "sizes": "frequency_curriculum trains on images of k x k pixels",
    }

    stages: Stages = ((16, 0.4), (24, 0.7), (32, 1))
    ahead: Annotated[float, Ge(0), Lt(1)] = 0.0
