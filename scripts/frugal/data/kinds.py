"""The four kinds of data, and what the cache holds of each.

image   uint8 (n, C, H, W) pixels
text    int16, or int32 for more than 32,767 tokens, (n, L): tokens of a text, 0 where it has ended
table   float32 (n, d): encoded columns
sound   int16 (n, T): samples of a wave, 0 where it has ended
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kind:
    """name: of its arrays in the cache, "train_tokens"; dtypes: of the numbers in them; axes: of one sample, for messages"""

    array: str
    dtypes: tuple[str, ...]
    axes: tuple[str, ...]

    def allows(self, dtype: np.dtype) -> bool:
        """Whether an array of this kind may hold such numbers."""
        return str(dtype) in self.dtypes


KINDS = {
    "image": Kind("images", ("uint8",), ("channels", "height", "width")),
    "text": Kind("tokens", ("int16", "int32"), ("tokens",)),
    "table": Kind("features", ("float32",), ("features",)),
    "sound": Kind("waves", ("int16",), ("samples",)),
}
