"""What a notebook shows: figures in four looks, tables as HTML, and paragraphs."""

import base64
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from frugal.atomic import write_bytes
from frugal.report.load import Comparison
from frugal.report.theme import Look, looks

Draw = Callable[[Comparison, Look], Figure]
PHONE = "(max-width: 640px)"
DARK = "(prefers-color-scheme: dark)"


def png(draw: Draw, compared: Comparison, look: Look) -> tuple[bytes, int]:
    """The figure as PNG with 256 colours (a third of the size, no visible difference), and its width in CSS pixels."""
    with look.applied():
        figure = draw(compared, look.of(compared.study))
        figure.canvas.draw()
        drawn = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
        plt.close(figure)
    # Five times faster than the default method, which takes longer than drawing; but it takes means, the paper's too.
    small, paper = (
        drawn.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE),
        drawn.getpixel((0, 0)),
    )
    palette, corner = small.getpalette(), 3 * small.getpixel((0, 0))
    palette[corner : corner + 3] = paper
    small.putpalette(palette)
    encoded = io.BytesIO()
    small.save(encoded, format="png")
    return encoded.getvalue(), round(figure.get_figwidth() * 96)


class Picture:
    """A figure that fits the page: light or dark, wide or narrow. Notebook viewers without HTML show the light, wide one."""

    def __init__(self, draw: Draw, compared: Comparison, caption: str = "", about: str = "") -> None:
        """Draw all four looks. caption: markdown-free text under the figure; about: what it shows, for who can't see it."""
        self.images = {look: png(draw, compared, look) for look in looks()}
        self.alternative = about or (
            f"{(draw.__doc__ or caption).splitlines()[0]} Data set {compared.dataset}, model {compared.model}."
        )
        self.caption = caption

    @property
    def plain(self) -> bytes:
        """The light, wide rendering as PNG."""
        return self.images[Look()][0]

    def html(self) -> str:
        """A <figure> that needs nothing but itself."""
        sources = []
        for look in (Look(True, True), Look(False, True), Look(True, False)):
            conditions = " and ".join(part for part, holds in ((PHONE, look.narrow), (DARK, look.dark)) if holds)
            sources.append(f'<source media="{conditions}" srcset="{_inline(self.images[look][0])}">')
        image, width = self.images[Look()]
        alternative = html.escape(self.alternative, quote=True)
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        shown = f'<img src="{_inline(image)}" alt="{alternative}" style="width:{width}px;max-width:100%;height:auto">'
        return f"<figure><picture>{''.join(sources)}{shown}</picture>{caption}</figure>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {
            "text/html": self.html(),
            "image/png": base64.b64encode(self.plain).decode(),
            "text/plain": self.alternative,
        }


def _inline(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def figure(draw: Draw, compared: Comparison, folder: str | Path, name: str, caption: str = "") -> Picture:
    """Draw a figure, save its light, wide rendering as <folder>/<data set>-<model>-<name>.png, and hand it to the notebook."""
    picture = Picture(draw, compared, caption)
    write_bytes(Path(folder) / f"{compared.name}-{name}.png", picture.plain)
    return picture


def table(rows: pd.DataFrame) -> str:
    """A table as HTML that scrolls sideways on a phone; cells are HTML already."""
    shown = rows.to_html(index=False, escape=False, border=0, na_rep="–", justify="unset")
    return f'<div class="scroll">{shown}</div>'
