"""Record a command in a terminal of 80 columns as an animated SVG.

    python benchmarks/recording.py --out docs/pictures/demo.svg fittingroom compare --suite quick

The recording is played faster than it was made; its title says by how much. It is SVG and CSS
without a script, so a README can show it. Whoever asks for less motion sees its end.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyte

from fittingroom.files import replace_file
from fittingroom.formatting import duration

COLUMNS, ROWS = 80, 24
#: Seconds that a recording is played, and that its end is shown.
PLAYED, END = 24.0, 6.0
#: At most so many pictures a second.
RATE = 6.0
# Pixels of a character, of the margin around all, and of the bar with the title.
WIDTH, HEIGHT, MARGIN, BAR = 8.4, 18, 14, 34
PAPER, INK, DIM = "#1c212b", "#e6e9ef", "#8d95a5"
#: What the sixteen colours of a terminal are here, by pyte's names for them.
COLORS = {
    **{"black": "#3b4252", "red": "#f2777a", "green": "#8fc98a", "brown": "#e8c26a"},
    **{"blue": "#6fb3e0", "magenta": "#cf9fd8", "cyan": "#7cc8c4", "white": INK},
    **{"brightblack": DIM, "brightred": "#f2777a", "brightgreen": "#8fc98a"},
    **{"brightbrown": "#e8c26a", "brightblue": "#6fb3e0", "brightmagenta": "#cf9fd8"},
    **{"brightcyan": "#7cc8c4", "brightwhite": "#ffffff"},
}

#: A line of the screen: pieces of text with the colour and weight of each.
Line = tuple[tuple[str, str, bool], ...]


class Frame(NamedTuple):
    """What the screen showed from a time on, in seconds since the start."""

    time: float
    lines: tuple[Line, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what is typed")
    options = parser.parse_args()
    replace_file(options.out, film(list(record(options.command))))


def film(frames: Sequence[Frame]) -> bytes:
    """A recording as an SVG file."""
    seconds = frames[-1].time
    title = f"recorded in {duration(seconds)}"
    if seconds > PLAYED:
        title += f", played {seconds / PLAYED:.0f} times as fast"
    return draw(thinned(frames), title).encode()


def record(command: Sequence[str], folder: Path | None = None) -> Iterator[Frame]:
    """Run a command in a terminal; every state of its screen, the typed command above.

    Parameters
    ----------
    command : what is typed; a program beside this Python goes before one of the same name elsewhere
    folder : in which it runs; None for the working folder

    Raises
    ------
    SystemExit : the command failed
    """
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(f"$ {shlex.join(command)}\r\n".encode())
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, 0, 0))
    found = Path(sys.executable).with_name(command[0])
    process = subprocess.Popen(
        [str(found) if found.exists() else command[0], *command[1:]],
        cwd=folder,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    start = time.monotonic()
    yield Frame(0.0, lines_of(screen))
    while read := _read(master):
        stream.feed(read)
        yield Frame(time.monotonic() - start, lines_of(screen))
    if code := process.wait():
        sys.exit(f"{shlex.join(command)} ended with {code}:\n" + "\n".join(screen.display))


def _read(terminal: int) -> bytes:
    """What the terminal shows next; empty at its end."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux's end of file: nobody has the other side open any more
        return b""


def lines_of(screen: pyte.Screen) -> tuple[Line, ...]:
    """What a screen shows, without spaces at the end of its lines."""
    return tuple(_line(screen.buffer[y]) for y in range(screen.lines))


def _line(characters: Any) -> Line:
    looks = [characters[x] for x in range(COLUMNS)]
    while looks and looks[-1].data == " ":
        looks.pop()
    return tuple(
        ("".join(each.data for each in piece), color, bold)
        for (color, bold), piece in groupby(looks, lambda each: (_color(each.fg), each.bold))
    )


def _color(name: str) -> str:
    """A colour of pyte's: a name, `default`, or six hexadecimal digits."""
    return INK if name == "default" else COLORS.get(name, f"#{name}")


def thinned(frames: Sequence[Frame]) -> list[Frame]:
    """The last of the frames in each picture's time, at the time at which it is played."""
    pace = max(frames[-1].time / PLAYED, 1.0)
    last = {int(frame.time / pace * RATE): frame for frame in frames}
    kept: list[Frame] = []
    for place, frame in last.items():
        if not kept or kept[-1].lines != frame.lines:
            kept.append(Frame(place / RATE, frame.lines))
    return kept


def draw(frames: Sequence[Frame], title: str) -> str:
    """Frames side by side on a film that jumps from one to the next."""
    width = round(COLUMNS * WIDTH + 2 * MARGIN)
    height = ROWS * HEIGHT + MARGIN + BAR
    length = frames[-1].time + END
    names: dict[Line, str] = {}  # a line that stays is drawn once
    film = []
    for i, frame in enumerate(frames):
        for y, line in enumerate(frame.lines):
            if line:
                name = names.setdefault(line, f"l{len(names)}")
                film.append(f'<use href="#{name}" x="{i * width}" y="{y * HEIGHT}"/>')
    steps = "".join(
        f"{100 * frame.time / length:.3f}%{{transform:translateX(-{i * width}px)}}"
        for i, frame in enumerate(frames)
    )
    last = f"translateX(-{(len(frames) - 1) * width}px)"
    lines = "\n".join(f'<g id="{name}">{_text(line)}</g>' for line, name in names.items())
    dots = "".join(f'<circle cx="{18 + 18 * i}" cy="17" r="5" fill="{DIM}"/>' for i in range(3))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-label="A terminal: {escape(title)}">
<style>
text{{font:14px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}}
.film{{animation:film {length:.1f}s step-end infinite}}
@keyframes film{{{steps}100%{{transform:{last}}}}}
@media (prefers-reduced-motion){{.film{{animation:none;transform:{last}}}}}
</style>
<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>
{dots}
<text x="{width / 2:g}" y="22" text-anchor="middle" fill="{DIM}">{escape(title)}</text>
<defs>
{lines}
</defs>
<svg x="0" y="{BAR}" width="{width}" height="{height - BAR}"><g class="film">
{"".join(film)}
</g></svg>
</svg>
"""


def _text(line: Line) -> str:
    """The pieces of a line, each as wide as its characters whatever the reader's font."""
    pieces, column = [], 0
    for text, color, bold in line:
        if text.strip():
            weight = "bold" if bold else "normal"
            pieces.append(
                f'<text x="{MARGIN + column * WIDTH:.1f}" y="{HEIGHT - 4}" fill="{color}" '
                f'font-weight="{weight}" textLength="{len(text) * WIDTH:.1f}">{escape(text)}</text>'
            )
        column += len(text)
    return "".join(pieces)


if __name__ == "__main__":
    main()
