"""Progressive resizing, the control of the frequency curriculum: the same sizes at the same times, by interpolation.

Howard's "progressive resizing", fast.ai's entry to DAWNBench in 2018; Tan and Le, "EfficientNetV2: Smaller Models and Faster
Training", ICML 2021, https://arxiv.org/abs/2104.00298, which describes it and adds regularization that grows with the
images. Here nothing grows but the images: with equal stages it differs from `frequency_curriculum` in how a small image is
made, and in that every image is read whole:

    x_i = W_i x W_i^T,    W_i of (k_i, N): bilinear interpolation with a filter against aliasing, see `frugal.data.shrinking`
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Lt

from frugal.parameters import Stages
from frugal.strategies.base import Strategy
from frugal.strategies.stages import Curriculum


@dataclass
class InterpolatedCurriculum(Curriculum, Strategy):
    """See each image shrunk to k x k pixels; k rises in stages.

    stages: pairs of k and the share of the training up to which it holds; both ascend, and the last share is 1. The last k is
        also what the net is tested with. The default is for images of 32 pixels per side.
    ahead: share of the samples, those with the highest last losses, seen at the next stage's k already; unseen ones come first,
        and in the first epoch nobody is ahead
    """

    decides = ("fidelity",)
    spectral = True
    needs: ClassVar[dict[str, Any]] = {
        "images": "it makes images smaller",
        "sizes": "interpolated_curriculum trains on images of k x k pixels",
    }

    stages: Stages = ((16, 0.4), (24, 0.7), (32, 1))
    ahead: Annotated[float, Ge(0), Lt(1)] = 0.0
