"""Pictures decoded from image files to squares of a fixed size: the shorter side resized, the centre cut out, in RGB.

Every image of a cache has the same shape because it is memory-mapped: sample i lies at i times the size of one. The centred
square is cut out first and then resampled (bilinear, antialiased), which leaves out the work that would be cropped away;
it is what torchvision's Resize and CenterCrop show, to within a pixel at the border.

JPEGs are decoded by libjpeg-turbo through simplejpeg, which leaves out Pillow's copies and takes two thirds of its time; all
other files, and JPEGs for print (CMYK), by Pillow. Pictures are turned as their EXIF orientation says, as viewers do; of a JPEG
it is read from the bytes, since opening a file with Pillow for it takes longer than decoding a small one. As torchvision's
ImageFolder does, this ignores colour profiles and drops transparency.

Of 16 bits per colour the higher 8 are kept, as Pillow does for colours. Floating-point pixels are 0 to 1; others have no
range that is known, and guessed from each picture it would differ between pictures: they are refused, as are 32-bit integers.
"""

import re
import struct
import threading
import warnings
from io import BytesIO

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from frugal.errors import needs_extra

with needs_extra("vision", "image files"):
    import simplejpeg
    from PIL import Image, ImageOps, UnidentifiedImageError

ORIENTATION, SHORT, LONG = 0x0112, 3, 4
START_OF_SCAN = 0xDA
WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))

SUFFIXES = (  # torchvision's, and other names of the same formats
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),
    *(".jpe", ".jfif", ".pbm", ".pnm", ".gif"),
)
CONVERTED = {  # PIL's modes that become RGB, and what to call them
    **dict.fromkeys(("1", "L", "LA", "La"), "grey-scale"),
    **dict.fromkeys(("P", "PA"), "palette"),
    **dict.fromkeys(("RGBA", "RGBa", "RGBX"), "transparent"),
    **dict.fromkeys(("CMYK", "YCbCr", "LAB"), "CMYK or other colours"),
}
JPEG = b"\xff\xd8"
BITS_PER_SAMPLE = 258  # a tag of TIFF
MOST_PIXELS = 178_956_970  # the size at which Pillow suspects a decompression bomb


class Damaged(Exception):
    """Why a file is no image we can use, in one line."""


# What is said of pictures that are not taken as they are: "3 images were turned ..."
RGB_NOW = "were {} and are RGB now"
TURNED = "were turned as their EXIF orientation says"
DEEP = "have 16 bits per colour, of which the higher 8 are kept"
DARK = "have 16 bits per pixel and no value above 4,095, so that they are nearly black"
FLOAT = "have floating-point pixels, 0 to 1, which are 0 to 255 now"
SEVERAL = "hold several pictures, pages or frames, of which the first is taken"


def picture(content: bytes, resize: int, size: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """An image file's bytes -> (3, size, size) uint8 RGB, and what was done to it, none for RGB taken as it is.

    resize: pixels of the shorter side, of which the middle `size` are kept. Raises Damaged.
    """
    try:
        if content[:2] == JPEG and (seen := simplejpeg.decode_jpeg_header(content))[2] in ("YCbCr", "RGB", "Gray"):
            _check_size(*seen[:2])
            # One of twice the size and more decodes at 1/2, 1/4 or 1/8: never below `resize`.
            # Where colours are averaged when the picture shrinks, they need not be interpolated before: 50 dB apart.
            plain = min(seen[:2]) >= 1.25 * resize
            scaled = {"min_height": resize, "min_width": resize, "min_factor": 2, "fastupsample": plain}
            pixels = simplejpeg.decode_jpeg(content, buffer=_buffer(3 * seen[0] * seen[1]), **scaled)
            remarks = (RGB_NOW.format("grey-scale"),) if seen[2] == "Gray" else ()
            if (orientation := orientation_of_jpeg(content)) != 1:
                pixels, remarks = turned(torch.from_numpy(pixels), orientation).numpy(), (*remarks, TURNED)
            return _square(pixels, resize, size), remarks
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(BytesIO(content)) as image,
        ):  # what is wrong is an error
            pixels, remarks = _with_pillow(image, resize)
            return _square(pixels, resize, size), remarks
    except Damaged:
        raise
    except UnidentifiedImageError as error:  # its text holds an address of memory
        raise Damaged("no image of a known format") from error
    except Exception as error:  # decoders raise whatever they stumble over
        why = re.sub(r"<([\w.]+)[^<>]* at 0x[0-9a-f]+>", r"\1", f"{type(error).__name__}: {error}")
        raise Damaged(" ".join(why.split())[:200]) from error


def _with_pillow(image: Image.Image, resize: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The first picture of an opened file, (h, w, 3) uint8 and turned, and what was done to it."""
    _check_size(image.width, image.height)
    remarks = [SEVERAL] if getattr(image, "is_animated", False) else []
    tags = getattr(image, "tag_v2", {})  # of TIFF files, which Pillow turns by itself
    orientation, bits = tags.get(ORIENTATION), tags.get(BITS_PER_SAMPLE, (16,))[0]
    deep = any(";16" in str(tile.args) for tile in image.tile)
    image.draft(None, (resize, resize))
    image.load()
    if orientation is None:
        orientation = image.getexif().get(ORIENTATION, 1)
        upright = ImageOps.exif_transpose(image)
    else:
        upright = image
    if orientation in range(2, 9):
        remarks.append(TURNED)
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PPM", "PNG")):
        values = np.asarray(upright)
        remarks.append(DARK if bits == 16 and values.max() < 4096 else DEEP)
        grey = (np.clip(values, 0, 65535) >> bits - 8).astype(np.uint8)
    elif mode == "F":
        values = np.asarray(upright)
        if not (values.min() >= 0 and values.max() <= 1):  # a NaN is neither
            raise Damaged(
                f"floating-point pixels of {values.min():g} to {values.max():g}, 0 to 1 are read; scale them or save 8 bits"
            )
        remarks.append(FLOAT)
        grey = np.rint(values * 255).astype(np.uint8)
    elif mode == "RGB" or mode in CONVERTED:
        if mode in CONVERTED:
            remarks.append(RGB_NOW.format(CONVERTED[mode]))
        if deep:
            remarks.append(DEEP)
        return np.array(upright.convert("RGB")), tuple(remarks)
    else:
        raise Damaged(f"pixels of mode {mode} have no range that is known; save 8 or 16 bits")
    return np.repeat(grey[..., None], 3, 2), (*remarks, RGB_NOW.format("grey-scale"))


_threads = threading.local()


def _buffer(count: int) -> np.ndarray:
    """Bytes to decode into, (at least count,), the same ones each time: fresh memory costs as much as a tenth of decoding."""
    if getattr(_threads, "buffer", None) is None or len(_threads.buffer) < count:
        _threads.buffer = np.empty(count, np.uint8)
    return _threads.buffer


def _check_size(height: int, width: int) -> None:
    if not width * height:
        raise Damaged(f"{width} x {height} pixels are none")
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


def orientation_of_jpeg(content: bytes) -> int:
    """1 to 8, 1 for the right way up; also where a JPEG file does not say, or its EXIF can't be read."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:  # a filling byte, or a segment of two bytes
            at += 1 if marker == 0xFF else 2
            continue
        if marker == START_OF_SCAN:
            break
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == 0xE1 and content[at + 4 : at + 10] == b"Exif\0\0":
            return _orientation(content[at + 10 : at + 2 + length])
        at += 2 + length
    return 1


def _orientation(tiff: bytes) -> int:
    """The entry of the first directory of what is a TIFF file without a picture."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for at in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", tiff, at)
            if tag == ORIENTATION and kind in (SHORT, LONG):
                (value,) = struct.unpack_from(f"{order}{'H' if kind == SHORT else 'I'}", tiff, at + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # cut off, or of no known order
        pass
    return 1


def turned(pixels: Tensor, orientation: int) -> Tensor:
    """A picture (h, w, 3) the right way up: (h, w, 3), or (w, h, 3) for orientations 5 to 8."""
    if orientation >= 5:
        pixels = pixels.transpose(0, 1)
    # Rows, columns or both run backwards, after rows and columns were exchanged.
    axes = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation)
    return torch.flip(pixels, axes) if axes else pixels
