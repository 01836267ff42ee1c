"""Record ``lightsweep demo`` as a moving picture, docs/pictures/terminal.svg: ``python website/terminal.py``.

The program runs in a terminal of its own. An emulator turns what it writes into screens, and some of them become the
frames of an SVG, which browsers play without a script.
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from html import escape
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pictures" / "terminal.svg"
COLUMNS, ROWS = 100, 30
FRAMES, SECONDS, LAST = 30, 14.0, 5.0
"""The most frames, the time of all of them, and that of the last one."""

WIDTH, HEIGHT, MARGIN = 8.4, 18, 16  # of a character, of a line, around all
COLOURS = {
    "default": "#d7dae0", "black": "#5c6370", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b",
    "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#d7dae0",
    "brightblack": "#7f848e", "brightgreen": "#b5e890", "brightred": "#ff7b85", "brightbrown": "#f5d08b",
}  # fmt: skip

Run = tuple[int, str, str, bool]
"""Equal characters of a line in their style: the first column, the text, the colour, whether bold."""
Line = tuple[Run, ...]


def main() -> None:
    """Record, and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        screens = recorded([sys.executable, "-m", "lightsweep", "demo"], folder)
    PICTURE.write_text(svg(chosen(screens)), encoding="utf-8")
    print(f"wrote {PICTURE.relative_to(ROOT)}, {PICTURE.stat().st_size:,} bytes")


def recorded(command: list[str], folder: str) -> list[list[Line]]:
    """Run a command in a terminal, and return its screens: four a second, each different from the last."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(b"\x1b[32m$\x1b[0m \x1b[1mlightsweep demo\x1b[0m\r\n")
    outside, inside = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "LIGHTSWEEP_STORAGE")}
    size = {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, cwd=folder, env={**kept, **size}, stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    screens, due = [lines(screen, folder)], time.monotonic()
    while True:
        if select.select([outside], [], [], 0.05)[0]:
            try:
                stream.feed(os.read(outside, 65536))
            except OSError:  # the program has ended
                break
        if time.monotonic() >= due:
            due = time.monotonic() + 0.25
            if (now := lines(screen, folder)) != screens[-1]:
                screens.append(now)
    os.close(outside)
    if process.wait():
        sys.exit(f"lightsweep demo failed: exit code {process.returncode}")
    return [*screens, lines(screen, folder)]


def lines(screen: pyte.Screen, folder: str) -> list[Line]:
    """Return the lines of a screen; the folder of the recording is shown as that of a user."""
    return [_line(screen, row, folder) for row in range(ROWS)]


def _line(screen: pyte.Screen, row: int, folder: str) -> Line:
    runs: list[Run] = []
    for column in range(COLUMNS):
        cell = screen.buffer[row][column]
        colour = COLOURS.get(cell.fg, f"#{cell.fg}" if len(cell.fg) == 6 else COLOURS["default"])
        if runs and runs[-1][2:] == (colour, cell.bold):
            begin, text, _, _ = runs.pop()
            runs.append((begin, text + cell.data, colour, cell.bold))
        else:
            runs.append((column, cell.data, colour, cell.bold))
    return tuple((begin, text.replace(folder, "~/work"), *style) for begin, text, *style in runs if text.strip())


def chosen(screens: list[list[Line]]) -> list[list[Line]]:
    """Return at most `FRAMES` of the screens, evenly; the last one stays."""
    if len(screens) <= FRAMES:
        return screens
    return [screens[round(number * (len(screens) - 1) / (FRAMES - 1))] for number in range(FRAMES)]


def svg(frames: list[list[Line]]) -> str:
    """Return a moving SVG; each line that several frames have is written once."""
    written: dict[Line, str] = {}
    for line in (line for frame in frames for line in frame if line):
        written.setdefault(line, f"l{len(written)}")
    used = max(number for frame in frames for number, line in enumerate(frame, start=1) if line)
    width, height = 2 * MARGIN + COLUMNS * WIDTH, 2 * MARGIN + used * HEIGHT
    step = (SECONDS - LAST) / max(1, len(frames) - 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">',
        "<title>lightsweep demo in a terminal: a progress bar, the running runs with their curves, and the best run"
        "</title>",
        "<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        "white-space:pre}",
        *(_appearance(number, len(frames), step) for number in range(len(frames))),
        "@media(prefers-reduced-motion:reduce){.f{animation:none!important}}</style>",
        '<rect width="100%" height="100%" rx="8" fill="#1e2127"/>',
        f"<defs>{''.join(map(_text, written, written.values()))}</defs>",
    ]
    for number, frame in enumerate(frames):
        shown = "".join(
            f'<use href="#{written[line]}" y="{MARGIN + (row + 0.75) * HEIGHT:.1f}"/>'
            for row, line in enumerate(frame)
            if line
        )
        last = number == len(frames) - 1
        parts.append(f'<g class="f" id="f{number}" opacity="{int(last)}">{shown}</g>')
    return "\n".join([*parts, "</svg>\n"])


def _appearance(number: int, count: int, step: float) -> str:
    """Show a frame for its part of the time, again and again."""
    begin = 100 * number * step / SECONDS
    end = 100 if number == count - 1 else 100 * (number + 1) * step / SECONDS
    edge = "" if number == 0 else f"0%,{begin - 0.01:.2f}%{{opacity:0}}"
    after = "" if end == 100 else f"{end:.2f}%,100%{{opacity:0}}"
    keys = f"{edge}{begin:.2f}%,{end - 0.01 if after else 100:.2f}%{{opacity:1}}{after}"
    return f"#f{number}{{animation:k{number} {SECONDS}s infinite step-end}}@keyframes k{number}{{{keys}}}"


def _text(line: Line, name: str) -> str:
    spans = ""
    for begin, text, colour, bold in line:
        shown = text.rstrip()
        place = f'x="{MARGIN + begin * WIDTH:.1f}" textLength="{len(shown) * WIDTH:.1f}"'
        weight = ' font-weight="bold"' if bold else ""
        spans += f'<tspan {place} fill="{colour}"{weight}>{escape(shown)}</tspan>'
    return f'<text id="{name}">{spans}</text>'


if __name__ == "__main__":
    main()
