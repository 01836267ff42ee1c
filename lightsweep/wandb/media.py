"""Media that scripts log, each as a file: images, videos, sounds, HTML, histograms, figures.

An array is converted when the value is made, so that the script may change it afterwards. numpy is imported when the
first value is made; images need neither Pillow nor matplotlib, unless the value is of theirs.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from lightsweep.errors import UsageError
from lightsweep.wandb.files import Part, existing_file

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".svg"}
_MOST_BOXES = 1000
_MOST_BINS = 512


class Media:
    """The base of all media."""

    kind = "file"

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the files of the value, the main one first."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        """Return what the index keeps beside the files."""
        caption = getattr(self, "_caption", None)
        return {} if caption is None else {"caption": str(caption)}


# --- images


class Image(Media):
    """An image.

    Args:
        data_or_path: An array or tensor (height, width), (height, width, channels) or, of torch, (channels, height,
            width) or a batch of those; an image of Pillow; a figure of matplotlib, or pyplot itself; a path; another
            ``Image``. Values of floats are taken from [0, 1], or from their own range if they exceed it.
        mode: Accepted and ignored: the channels say it.
        caption: A text to show with the image.
        grouping: Accepted and ignored.
        classes: Names of the classes of masks and boxes.
        boxes: Bounding boxes by name, as W&B takes them; kept in the index.
        masks: Masks by name, ``{"mask_data": array}``; each a PNG beside the image.
        file_type: Accepted and ignored: arrays become PNG.

    Raises:
        UsageError: The value has another shape or type, or there is no such file.
    """

    kind = "image"

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Any = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        file_type: str | None = None,
        normalize: bool = True,
    ) -> None:
        del mode, grouping, file_type
        self._caption = caption
        self._suffix = ".png"
        self._data: bytes | Path | None = None
        self._pixels: Any = None
        self._masks: list[tuple[str, Any]] = []
        self._boxes = boxes
        self._classes = classes
        if isinstance(data_or_path, Image):
            self.__dict__.update({**data_or_path.__dict__, "_caption": caption or data_or_path._caption})
        elif isinstance(data_or_path, (str, PathLike)):
            self._data = existing_file(data_or_path)
            self._suffix = self._data.suffix.lower() if self._data.suffix.lower() in _IMAGE_SUFFIXES else ".png"
            self._data = self._data.read_bytes()  # the script may write the next image to the same file
        elif (drawn := _drawn(data_or_path)) is not None:
            self._data = drawn
        else:
            self._pixels = _pixels(data_or_path, normalize)
        for name, mask in (masks or {}).items():
            pixels = mask.get("mask_data") if isinstance(mask, Mapping) else None
            if pixels is not None:
                self._masks.append((str(name), as_array(pixels).astype("uint8")))

    @property
    def image(self) -> Any:
        """The image, of Pillow."""
        from PIL import Image as Pillow

        return Pillow.open(io.BytesIO(self.content()))

    def content(self) -> bytes:
        """Return the file's bytes."""
        return self._data if isinstance(self._data, bytes) else png(self._pixels)

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the image, and its masks."""
        del stem
        masks = [(f"_mask_{number}.png", png(pixels)) for number, (_, pixels) in enumerate(self._masks)]
        return [(self._suffix, self.content()), *masks]

    def facts(self) -> Mapping[str, Any]:
        """Return caption, boxes, the names of masks and classes."""
        found = dict(super().facts())
        if self._boxes:
            found["boxes"] = {
                str(name): {**dict(group), "box_data": list(group.get("box_data", ()))[:_MOST_BOXES]}
                for name, group in self._boxes.items()
            }
        if self._masks:
            found["masks"] = [name for name, _ in self._masks]
        if self._classes is not None:
            found["classes"] = getattr(self._classes, "classes", self._classes)
        return found


def png(pixels: Any) -> bytes:
    """Return a PNG of an array of bytes (height, width) or (height, width, 1 to 4 channels)."""
    return b"\x89PNG\r\n\x1a\n" + b"".join([_header(pixels), _chunk(b"IDAT", _packed(pixels)), _chunk(b"IEND", b"")])


def apng(frames: Sequence[Any], fps: float) -> bytes:
    """Return an animated PNG of arrays as `png` takes them, all of one shape."""
    chunks = [_header(frames[0]), _chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    height, width = frames[0].shape[:2]
    delay = max(1, min(65535, round(1000 / fps)))
    number = 0
    for index, frame in enumerate(frames):
        chunks.append(_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, delay, 1000, 0, 0)))
        number += 1
        if index == 0:
            chunks.append(_chunk(b"IDAT", _packed(frame)))
        else:
            chunks.append(_chunk(b"fdAT", struct.pack(">I", number) + _packed(frame)))
            number += 1
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, _chunk(b"IEND", b"")])


def _header(pixels: Any) -> bytes:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    colours = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, colours, 0, 0, 0))


def _packed(pixels: Any) -> bytes:
    """Compress the rows, each behind the number of its filter: 2, the difference to the row above."""
    import numpy as np

    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((rows.shape[0], 1), 2, dtype=np.uint8), rows - above])
    return zlib.compress(filtered.tobytes(), 4)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _drawn(value: Any) -> bytes | None:
    """Return the PNG of a figure of matplotlib or an image of Pillow; ``None`` for any other value."""
    if callable(getattr(value, "get_figure", None)) and not callable(getattr(value, "savefig", None)):
        value = value.get_figure()
    buffer = io.BytesIO()
    if callable(getattr(value, "savefig", None)):  # a figure, or pyplot, which draws its current one
        value.savefig(buffer, format="png")
    elif is_of(value, "PIL"):
        plain = value if value.mode in ("1", "L", "LA", "RGB", "RGBA", "P") else value.convert("RGB")
        plain.save(buffer, format="PNG")
    else:
        return None
    return buffer.getvalue()


def _pixels(value: Any, normalize: bool = True) -> Any:
    """Return an array of bytes (height, width) or (height, width, channels)."""
    import numpy as np

    array = as_array(value)
    if is_of(value, "torch"):
        array = _grid(array) if array.ndim == 4 else array
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 and array.shape[0] in (1, 2, 3, 4) else array
    elif array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    elif array.ndim == 4:
        array = _grid(np.moveaxis(array, -1, 1))
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)) or not array.size:
        raise UsageError(
            "Image takes an array (height, width) or (height, width, 1 to 4 channels), "
            f"got one of shape {as_array(value).shape}"
        )
    return as_bytes(array, normalize)


def as_bytes(array: Any, normalize: bool = True) -> Any:
    """Return the values as bytes: floats from [0, 1], or from their own range if they exceed it; integers clipped."""
    import numpy as np

    if array.dtype == np.uint8:
        return array.copy()
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if np.issubdtype(array.dtype, np.floating) and normalize:
        finite = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
        low, high = float(finite.min()), float(finite.max())
        if low < 0.0 or high > 255.0:
            finite = (finite - low) / max(high - low, 1e-12)
        elif high > 1.0 + 1e-6:
            finite = finite / 255.0
        return np.clip(np.rint(finite * 255.0), 0, 255).astype(np.uint8)
    return np.clip(np.nan_to_num(array), 0, 255).astype(np.uint8)


def _grid(batch: Any) -> Any:
    """Put a batch (n, channels, height, width) into one image, in rows of eight with a line between."""
    import numpy as np

    count, channels, height, width = batch.shape
    columns = min(8, count)
    rows = -(-count // columns) if count else 0
    whole = np.zeros((channels, rows * (height + 2) + 2, columns * (width + 2) + 2), dtype=batch.dtype)
    for index in range(count):
        top, left = (index // columns) * (height + 2) + 2, (index % columns) * (width + 2) + 2
        whole[:, top : top + height, left : left + width] = batch[index]
    return whole


def as_array(value: Any) -> Any:
    """Return a numpy array of an array of any library; of torch also from a GPU, and of a type that numpy lacks."""
    import numpy as np

    if is_of(value, "torch"):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value
        return value.numpy()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"cannot make an array of {type(value).__name__}: {error}") from None
    if array.dtype.kind not in "biuf":
        raise UsageError(f"expected numbers, a figure or a path, got {type(value).__name__}")
    return array


def is_of(value: Any, library: str) -> bool:
    """Tell whether the class of a value, or one above it, is of ``library``."""
    return any(kind.__module__.partition(".")[0] == library for kind in type(value).__mro__)


# --- videos and sounds


class Video(Media):
    """A video: an animated PNG of an array (time, channels, height, width), or the file of a path.

    Args:
        data_or_path: The array, a batch of such arrays (the first is taken), a path, or an open file.
        caption: A text to show with it.
        fps: Frames a second, of an array.
        format: The suffix of an open file; arrays become animated PNG, as no other format can be written everywhere.
    """

    kind = "video"

    def __init__(
        self,
        data_or_path: Any,
        caption: str | None = None,
        fps: float | None = None,
        format: str | None = None,  # noqa: A002 - W&B's name
    ) -> None:
        self._caption = caption
        if isinstance(data_or_path, (str, PathLike)):
            path = existing_file(data_or_path)
            self._data, self._suffix = path.read_bytes(), path.suffix.lower() or ".mp4"
        elif callable(getattr(data_or_path, "read", None)):
            self._data, self._suffix = _read(data_or_path), f".{format or 'gif'}"
        else:
            array = as_array(data_or_path)
            array = array[0] if array.ndim == 5 else array
            if array.ndim != 4 or array.shape[1] not in (1, 3, 4) or not array.size:
                raise UsageError(f"Video takes (time, 1, 3 or 4 channels, height, width), got shape {array.shape}")
            pixels = as_bytes(array).transpose(0, 2, 3, 1)
            self._data, self._suffix = apng(list(pixels), fps or 4.0), ".apng"

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the file."""
        del stem
        return [(self._suffix, self._data)]


class Audio(Media):
    """A sound: a WAV of an array (samples) or (samples, channels), or the file of a path.

    Args:
        data_or_path: The array, of floats in [-1, 1] or of integers; or the path.
        sample_rate: Samples a second; needed for an array.
        caption: A text to show with it.
    """

    kind = "audio"

    def __init__(self, data_or_path: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        self._caption = caption
        if isinstance(data_or_path, (str, PathLike)):
            path = existing_file(data_or_path)
            self._data, self._suffix = path.read_bytes(), path.suffix.lower() or ".wav"
            return
        if sample_rate is None:
            raise UsageError("Audio of an array needs sample_rate, such as sample_rate=16000")
        self._data, self._suffix = wav(as_array(data_or_path), int(sample_rate)), ".wav"

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the file."""
        del stem
        return [(self._suffix, self._data)]


def wav(array: Any, rate: int) -> bytes:
    """Return a WAV of 16 bits."""
    import wave

    import numpy as np

    if array.ndim not in (1, 2) or not array.size:
        raise UsageError(f"Audio takes (samples) or (samples, channels), got shape {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        array = np.clip(np.nan_to_num(array), -1.0, 1.0) * 32767
    elif array.dtype == np.int32:
        array = array >> 16
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if array.ndim == 1 else array.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.clip(array, -32768, 32767).astype("<i2").tobytes())
    return buffer.getvalue()


# --- texts and numbers


class Html(Media):
    """A page: a text, a path that ends in ``.html``, or an open file. The report names the file, and never runs it."""

    kind = "html"

    def __init__(self, data: Any, inject: bool = True, data_is_not_path: bool = False) -> None:
        del inject
        if callable(getattr(data, "read", None)):
            self._data = _read(data)
        elif isinstance(data, PathLike) or (
            isinstance(data, str) and not data_is_not_path and data.endswith(".html") and Path(data).is_file()
        ):
            self._data = existing_file(data).read_bytes()
        else:
            self._data = str(data).encode()

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the file."""
        del stem
        return [(".html", self._data)]


class Histogram(Media):
    """A histogram, kept as JSON with ``counts`` and ``edges``.

    Args:
        sequence: Numbers: a list, an array or a tensor of any shape. Those that are not finite are left out.
        np_histogram: Counts and edges, as ``numpy.histogram`` returns them, instead.
        num_bins: Number of bins, at most 512.

    Attributes:
        histogram: The counts.
        bins: The edges.
    """

    kind = "histogram"

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        import numpy as np

        if np_histogram is not None:
            counts, edges = np_histogram
            if len(counts) + 1 != len(edges):
                raise UsageError(f"{len(counts)} counts need {len(counts) + 1} edges, got {len(edges)}")
        elif sequence is None:
            raise UsageError("Histogram takes a sequence of numbers, or np_histogram=(counts, edges)")
        else:
            values = as_array(sequence).astype(float).ravel()
            counts, edges = np.histogram(values[np.isfinite(values)], bins=max(1, min(int(num_bins), _MOST_BINS)))
        self.histogram = [float(count) for count in counts]
        self.bins = [float(edge) for edge in edges]

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the file."""
        del stem
        return [(".json", json.dumps({"counts": self.histogram, "edges": self.bins}).encode())]


class Plotly(Media):
    """A figure of plotly, kept as JSON; a figure of matplotlib is kept as an image."""

    kind = "plotly"

    def __init__(self, val: Any) -> None:
        self._drawn = _drawn(val)
        if self._drawn is not None:
            self.kind = "image"
        elif callable(getattr(val, "to_json", None)):
            self._text = str(val.to_json())
        elif isinstance(val, Mapping):
            self._text = json.dumps(val, default=str)
        else:
            raise UsageError(f"Plotly takes a figure of plotly or matplotlib, got {type(val).__name__}")

    @classmethod
    def make_plot_media(cls, val: Any) -> Media:
        """Return the media of a figure."""
        return cls(val)

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the file."""
        del stem
        return [(".json", self._text.encode())] if self._drawn is None else [(".png", self._drawn)]


def _read(file: Any) -> bytes:
    data = file.read()
    return data if isinstance(data, bytes) else str(data).encode()
