"""One image file -> a square of fixed size: the shorter side resized, the centre cut out, in RGB.

Every image of a cache has the same shape because it is memory-mapped: sample i lies at i times the size of one. The centred
square is cut out first and then resampled (bilinear, antialiased), which leaves out the work that would be cropped away;
it is what torchvision's Resize and CenterCrop show, to within a pixel at the border.

JPEGs are decoded by libjpeg-turbo through simplejpeg, which leaves out Pillow's copies and takes two thirds of its time; all
other files, and JPEGs for print (CMYK), by Pillow. As torchvision's ImageFolder does, this ignores EXIF orientation and colour
profiles and drops transparency.
"""

import threading
from io import BytesIO

import numpy as np
import simplejpeg
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
JPEG = b"\xff\xd8"
MOST_PIXELS = 178_956_970  # the size at which Pillow suspects a decompression bomb


class Damaged(Exception):
    """Why a file is no image we can use, in one line."""


def picture(content: bytes, resize: int, size: int) -> tuple[np.ndarray, str | None]:
    """An image file's bytes -> (3, size, size) uint8 RGB, and what it was converted from, None for RGB.

    resize: pixels of the shorter side, of which the middle `size` are kept. Raises Damaged.
    """
    try:
        if content[:2] == JPEG and (seen := simplejpeg.decode_jpeg_header(content))[2] in ("YCbCr", "RGB", "Gray"):
            _check_size(*seen[:2])
            # One of twice the size and more decodes at 1/2, 1/4 or 1/8: never below `resize`.
            # Where colours are averaged when the picture shrinks, they need not be interpolated before: 50 dB apart.
            plain = min(seen[:2]) >= 1.25 * resize
            scaled = {"min_height": resize, "min_width": resize, "min_factor": 2, "fastupsample": plain}
            pixels = simplejpeg.decode_jpeg(content, buffer=_room(3 * seen[0] * seen[1]), **scaled)
            return _square(pixels, resize, size), "grey-scale" if seen[2] == "Gray" else None
        with Image.open(BytesIO(content)) as image:
            if image.mode != "RGB" and image.mode not in CONVERTED:
                raise Damaged(f"images of mode {image.mode} have no 8-bit colours")
            _check_size(image.width, image.height)
            kind = CONVERTED.get(image.mode)
            image.draft(None, (resize, resize))
            return _square(np.array(image.convert("RGB")), resize, size), kind
    except Damaged:
        raise
    except Exception as error:  # decoders raise whatever they stumble over
        raise Damaged(" ".join(f"{type(error).__name__}: {error}".split())[:200]) from error


_threads = threading.local()


def _room(count: int) -> np.ndarray:
    """Bytes to decode into, (at least count,), the same ones each time: fresh memory costs as much as a tenth of decoding."""
    if getattr(_threads, "room", None) is None or len(_threads.room) < count:
        _threads.room = np.empty(count, np.uint8)
    return _threads.room


def _check_size(height: int, width: int) -> None:
    if width * height > MOST_PIXELS:
        raise Damaged(f"{width} x {height} pixels are more than this reads")


def _square(pixels: np.ndarray, resize: int, size: int) -> np.ndarray:
    """The centre of a picture (h, w, 3) uint8 as (3, size, size) uint8."""
    height, width = pixels.shape[:2]
    side = max(1, round(min(width, height) * size / resize))
    left, top = (width - side) // 2, (height - side) // 2
    square = torch.from_numpy(pixels)[top : top + side, left : left + side]
    if side == size:
        return square.permute(2, 0, 1).numpy().copy()
    # torch resamples bytes about four times faster than Pillow, to the same result.
    batch = square.permute(2, 0, 1)[None]
    return functional.interpolate(batch, size=(size, size), mode="bilinear", antialias=True)[0].numpy()
