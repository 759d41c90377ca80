"""Makes the pictures of the README from a finished `make demo`: `python -m docs.pictures [--runs runs]`.

docs/report.png is the top of the report in headless chromium, docs/terminal.svg what two verbs print on a terminal,
drawn by rich. Needs the packages of `make setup`, and chromium.
"""

import argparse
import base64
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

from tests.browser import browser

HERE = Path(__file__).parent
COLUMNS, ROWS = 112, 60
VERBS = ("results", "best")
WIDTH, HEIGHT = 1120, 1500
"""Of the report's window, in pixels."""
COLOURS = 64


def on_a_terminal(words: Sequence[str]) -> str:
    """Returns what a command prints on a terminal of COLUMNS columns, with its colours as ANSI sequences."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    size = {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | size)
    os.close(theirs)
    printed = b""
    try:
        while chunk := os.read(ours, 65536):
            printed += chunk
    except OSError:  # Linux ends a terminal whose last writer has gone with an error
        pass
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}:\n{printed.decode()}")
    return printed.decode().replace("\r\n", "\n")


def terminal(runs: Path) -> str:
    """Returns the SVG of what VERBS print of the demo, each behind its prompt."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for verb in VERBS:
        console.print(Text(f"$ make {verb} EXPERIMENT=demo", style="bold"))
        console.print(Text.from_ansi(on_a_terminal([sys.executable, "-m", "katib", verb, "demo", "--out", str(runs)])))
    svg = console.export_svg(title="Sepsweep")
    return re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)  # fonts of other servers


def report(runs: Path) -> Image.Image:
    """Returns the top of the demo's report, which it rebuilds, in few enough colours for a small file."""
    subprocess.run([sys.executable, "-m", "katib", "report", "demo", "--out", str(runs)], check=True)
    with browser() as page:
        page.open(runs / "demo" / "report.html", width=WIDTH, height=HEIGHT)
        shot = base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"])
    return Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS)


def main() -> None:
    """Writes both pictures beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder in which `make demo` ran")
    runs = parser.parse_args().runs
    (HERE / "terminal.svg").write_text(terminal(runs), encoding="utf-8")
    report(runs).save(HERE / "report.png", optimize=True)


if __name__ == "__main__":
    main()
