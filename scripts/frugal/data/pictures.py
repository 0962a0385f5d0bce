"""One image file -> a square of fixed size: the shorter side resized, the centre cut out, in RGB.

Every image of a cache has the same shape because it is memory-mapped: sample i lies at i times the size of one. The centred
square is cut out first and then resampled (bilinear, antialiased), which leaves out the work that would be cropped away;
it is what torchvision's Resize and CenterCrop show, to within a pixel at the border.

As torchvision's ImageFolder does, this ignores EXIF orientation and colour profiles and drops transparency.
"""

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
CONVERTED = {  # PIL's modes that become RGB, and what to call them
    **dict.fromkeys(("1", "L", "LA", "La"), "grey-scale"),
    **dict.fromkeys(("P", "PA"), "palette"),
    **dict.fromkeys(("RGBA", "RGBa", "RGBX"), "transparent"),
    **dict.fromkeys(("CMYK", "YCbCr", "LAB"), "CMYK or other colours"),
}
MOST_PIXELS = 178_956_970  # the size at which Pillow suspects a decompression bomb


class Damaged(Exception):
    """Why a file is no image we can use, in one line."""


def picture(content: bytes, resize: int, size: int) -> tuple[np.ndarray, str | None]:
    """An image file's bytes -> (3, size, size) uint8 RGB, and what it was converted from, None for RGB.

    resize: pixels of the shorter side, of which the middle `size` are kept. Raises Damaged.
    """
    try:
        with Image.open(BytesIO(content)) as image:
            if image.mode != "RGB" and image.mode not in CONVERTED:
                raise Damaged(f"images of mode {image.mode} have no 8-bit colours")
            if image.width * image.height > MOST_PIXELS:
                raise Damaged(f"{image.width} x {image.height} pixels are more than this reads")
            kind = CONVERTED.get(image.mode)
            square = _square(image, resize, size)
    except Damaged:
        raise
    except Exception as error:  # decoders raise whatever they stumble over
        raise Damaged(" ".join(f"{type(error).__name__}: {error}".split())[:200]) from error
    return square.transpose(2, 0, 1), kind


def _square(image: Image.Image, resize: int, size: int) -> np.ndarray:
    """The centre of an image that was opened and not read, (size, size, 3) uint8."""
    # A JPEG of twice the size and more decodes at 1/2, 1/4 or 1/8: never below `resize`.
    image.draft(None, (resize, resize))
    width, height = image.size
    side = max(1, round(min(width, height) * size / resize))
    left, top = (width - side) // 2, (height - side) // 2
    square = image.convert("RGB") if image.mode != "RGB" else image
    square = square if (width, height) == (side, side) else square.crop((left, top, left + side, top + side))
    pixels = np.frombuffer(bytearray(square.tobytes()), np.uint8).reshape(side, side, 3)
    if side == size:
        return pixels
    # torch resamples bytes about four times faster than Pillow, to the same result.
    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resampled = functional.interpolate(batch, size=(size, size), mode="bilinear", antialias=True)
    return resampled[0].permute(1, 2, 0).numpy()
