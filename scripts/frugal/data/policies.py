"""RandAugment and TrivialAugment of a batch, image by image, as torchvision has them.

Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space", NeurIPS 2020,
https://arxiv.org/abs/1909.13719.
Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", ICCV 2021,
https://arxiv.org/abs/2103.10158.

They are made for images of 8 bits, and draw from torch's global generator. So a batch is brought back to 8 bits, and that
generator is seeded for each image by the run's seed, the step and the sample, and left as it was: a resumed run draws the same,
as do several ranks.
"""

import numpy as np
import torch
from torch import Tensor

from frugal.errors import needs_extra
from frugal.recipe import Augment


class Policy:
    """The transform that a recipe names, for normalised images.

    wanted: of the recipe, with a policy; mean, std: (C,) of the normalisation, in steps of 8 bits
    """

    def __init__(self, wanted: Augment, mean: list[float], std: list[float], device: torch.device):
        with needs_extra("vision", f"recipe.augment.policy: {wanted.policy}"):
            from torchvision.transforms import v2
        self.transform = (
            v2.TrivialAugmentWide()
            if wanted.policy == "trivialaugment"
            else v2.RandAugment(wanted.operations, wanted.magnitude)
        )
        self.mean, self.std = (torch.tensor(one, device=device).view(1, -1, 1, 1) for one in (mean, std))

    def __call__(self, images: Tensor, indices: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """images: normalised, (b, C, H, W) float32; indices: (b,) of the samples; seeds: of the run and the step.

        Returns the same shape, normalised, each image changed by draws of its own.
        """
        whole = torch.addcmul(self.mean, images, self.std).round_().clamp_(0, 255).to(torch.uint8)
        changed = []
        with torch.random.fork_rng([]):
            for image, sample in zip(whole, indices.tolist(), strict=True):
                state = np.random.SeedSequence([*seeds, sample]).generate_state(1, np.uint64)
                torch.default_generator.manual_seed(int(state[0]))  # of the CPU alone; torch.manual_seed is of GPUs too
                changed.append(self.transform(image))
        return torch.addcmul(-self.mean / self.std, torch.stack(changed).to(torch.float32), 1 / self.std)
