"""Figures as files for papers, drawn by a Chromium or Chrome on this machine."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lightsweep.errors import InputError, LightsweepError
from lightsweep.report.gallery import Named

__all__ = ["write_images"]

_WIDTH = 900
_SLICE_WIDTH = 420
_SCALE = 2.0  # pixels of a PNG to a pixel of the layout


def write_images(
    named: Sequence[Named], directory: Path, format_: Literal["png", "svg"], *, width: int = _WIDTH
) -> list[Path]:
    """Write each figure that has something to show as ``<name>.<format>``; the paths.

    Args:
        named: The figures.
        directory: Made where it is not there; files in it of the same names are replaced.
        format_: ``png``, with two pixels to one of the layout, or ``svg``.
        width: In pixels of the layout; slices are narrower.

    Raises:
        InputError: kaleido, or a browser for it to draw with, is not installed.
        LightsweepError: The browser did not draw a figure.
    """
    if importlib.util.find_spec("kaleido") is None:
        raise InputError("images need kaleido; install it with `pip install 'lightsweep[images]'`")
    import kaleido
    from kaleido.errors import ChromeNotFoundError

    wanted = [one for one in named if not (one.figure.layout.meta or {}).get("empty")]
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{one.name}.{format_}" for one in wanted]
    with tempfile.TemporaryDirectory(dir=directory, prefix=".images-") as made:
        drafts = [Path(made) / path.name for path in paths]
        work = [
            {
                "fig": one.figure,
                "path": draft,
                "opts": {
                    "format": format_,
                    "width": _SLICE_WIDTH if one.name.startswith("slice-") else width,
                    "height": one.figure.layout.height,
                    "scale": _SCALE if format_ == "png" else 1.0,
                },
            }
            for one, draft in zip(wanted, drafts, strict=True)
        ]
        try:
            # Without MathJax, which would be fetched from the network.
            kaleido.write_fig_from_object_sync(work, kopts={"page_generator": kaleido.PageGenerator(mathjax=False)})
        except ChromeNotFoundError:
            raise InputError(
                "images are drawn by Chromium or Chrome, and neither is installed; the page needs none: "
                "leave out --format and open it in any browser"
            ) from None
        missing = [draft.name for draft in drafts if not draft.exists()]
        if missing:
            raise LightsweepError(f"the browser did not draw {', '.join(missing)}")
        for draft, path in zip(drafts, paths, strict=True):
            draft.replace(path)
    return paths
