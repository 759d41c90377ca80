"""Tells people of a search's events, by a command of theirs or by a POST to an address.

Neither may delay or break a search, so a thread of its own delivers, for a limited time, and a failure is one line. An
address that is a secret, and whatever else nobody is to see, comes from a file of the user's own; no message, log or
manifest names more of an address than its host.
"""

import json
import os
import queue
import shlex
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from katib.errors import NotifyError
from katib.untrusted import clean

SECONDS = 10.0
"""How long one delivery may take, and how long the end of a search waits for all of them."""
WAITING = 100
"""The most messages that wait; what happens while so many do is not told."""
LONGEST = 1000
"""Characters of a message: ntfy makes an attachment of 4096 bytes and more."""
TEXT = "{}"
"""The word of a command that the message replaces."""
LARGEST = 4096
"""Bytes of the file that holds an address or a command."""


class Recipient(Protocol):
    """Who is told."""

    @property
    def name(self) -> str:
        """How messages call it, without what is secret."""

    def deliver(self, text: str) -> str:
        """Delivers a message; returns what went wrong, empty where nothing did."""


@dataclass(frozen=True)
class Address:
    """An address that takes a POST: of JSON {"text": …}, as Slack and Mattermost do, or else of the text, as ntfy does.

    docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, developers.mattermost.com/integrate/webhooks,
    docs.ntfy.sh/publish.
    """

    parts: SplitResult

    @property
    def name(self) -> str:
        """Its host."""
        return self.parts.hostname or ""

    @property
    def hook(self) -> bool:
        """Whether it is an incoming webhook like Slack's, with which whoever knows its address can post."""
        return self.name == "chat.googleapis.com" or "hook" in (self.name + self.parts.path).lower()

    def deliver(self, text: str) -> str:
        """Posts the message."""
        from katib.posting import post  # loads an HTTP client

        body, kind = text, "text/plain; charset=utf-8"
        if self.hook:
            # Neither a reason that a program printed nor a name may call a whole channel.
            plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")
            body, kind = json.dumps({"text": plain}), "application/json"
        return post(self.parts.geturl(), body, kind, SECONDS)


@dataclass(frozen=True)
class Command:
    """A command that gets the message on its stdin and in place of `{}`. No shell reads it."""

    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its program."""
        return Path(self.words[0]).name

    def deliver(self, text: str) -> str:
        """Runs it, and ends it and what it has started where it takes too long."""
        words = [text if word == TEXT else word for word in self.words]
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C is for the search.
                start_new_session=True,
            )
        except OSError as error:
            return f"it cannot be started ({error.strerror})"
        try:
            process.communicate(f"{text}\n".encode(), timeout=SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"it did not end within {SECONDS:.0f} s"
        code = process.returncode
        return "" if code == 0 else f"it ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"


def recipient(value: str) -> Recipient:
    """Returns whom `--notify` names: an address, a command, or `@FILE` with one of them. Raises NotifyError."""
    text, secret = value.strip(), value.strip().startswith("@")
    if secret and len(text) > 1:
        text = _from_file(Path(text[1:]).expanduser())
    where = f"--notify {value.strip()}" if secret else "--notify"
    if text in ("", "@"):
        raise NotifyError(f"{where}: is empty; give an address, a command, or @FILE with one of them")
    if "://" in text.split()[0] or text.lower().startswith(("http:", "https:")):
        return _address(text, where, secret=secret)
    return _command(text, where)


def _from_file(path: Path) -> str:
    """Returns the line of the file. Raises NotifyError where others may read it, or where it holds no line."""
    name = f"--notify @{path}"
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise NotifyError(f"{name}: is no file; write the address or the command into one")
            if about.st_mode & 0o077:
                raise NotifyError(f"{name}: others may read or change it; chmod 600 {path}")
            lines = file.read(LARGEST).decode().strip().splitlines()
    except OSError as error:
        raise NotifyError(f"{name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise NotifyError(f"{name}: is not text") from None
    if len(lines) != 1:
        raise NotifyError(f"{name}: holds {len(lines)} lines; it takes one, an address or a command")
    return lines[0].strip()


def _address(text: str, where: str, *, secret: bool) -> Address:
    """Returns the address. Raises NotifyError where it is none, or a secret that was typed."""
    try:
        parts = urlsplit(text)
        port_is_possible = parts.port is None or parts.port > 0
    except ValueError:
        raise NotifyError(f"{where}: is no address; such as https://ntfy.sh/TOPIC") from None
    if parts.scheme not in ("http", "https"):
        raise NotifyError(f"{where}: takes http:// and https:// only, such as https://ntfy.sh/TOPIC")
    strange = any(sign.isspace() or not sign.isprintable() or not sign.isascii() for sign in text)
    if not parts.hostname or not port_is_possible or strange:
        raise NotifyError(f"{where}: is no address; such as https://ntfy.sh/TOPIC")
    if parts.username is not None:
        raise NotifyError(f"{where}: takes no user or password in an address; a command, such as curl, may have them")
    address = Address(parts)
    if not secret and (address.hook or parts.query):
        raise NotifyError(
            f"{where}: this address of {address.name} is a secret, which `ps` would show; write it into a file that"
            " only you can read, and give @FILE"
        )
    if address.name == "ntfy.sh" and not parts.path.strip("/"):
        raise NotifyError(f"{where}: names no topic; such as https://ntfy.sh/TOPIC")
    return address


def _command(text: str, where: str) -> Command:
    """Returns the command. Raises NotifyError where it is none, or where its program is not there."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise NotifyError(f"{where}: is no command ({str(error).lower()})") from None
    if any(TEXT in word and word != TEXT for word in words):
        raise NotifyError(f"{where}: {TEXT} must be a word of its own; a script may read the message on its stdin")
    program = words[0] if words else ""
    if shutil.which(program) is None:
        # It may be an address without its scheme, and so a secret.
        named = f"no program '{clean(program, 40)}'" if "/" not in program else "no such program"
        raise NotifyError(f"{where}: {named}; give a command, or an address with https://")
    return Command(tuple(words))


class Notifier:
    """Delivers messages to a recipient, one after the other, in a thread of its own."""

    def __init__(self, to: Recipient) -> None:
        self._to = to
        self._texts: queue.Queue[str | None] = queue.Queue(WAITING)
        self._problem, self._told = "", False
        # It is a daemon: a delivery that hangs keeps no process alive.
        self._thread = threading.Thread(target=self._deliver, name="notify", daemon=True)
        self._thread.start()

    def tell(self, text: str) -> None:
        """Has a message delivered; returns at once."""
        with suppress(queue.Full):
            self._texts.put_nowait(clean(text, LONGEST))

    def problem(self) -> str:
        """Returns the first thing that went wrong, once; empty where nothing did, or where it was returned before."""
        if self._told or not self._problem:
            return ""
        self._told = True
        return f"--notify {self._to.name}: {self._problem}; the search goes on, and this is not said again"

    def close(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Waits a limited time until everything is delivered, which Ctrl-C cuts short; `say` tells of a longer wait."""
        with suppress(queue.Full, KeyboardInterrupt):
            self._texts.put_nowait(None)
            self._thread.join(1.0)
            if self._thread.is_alive():
                say(f"note: --notify {self._to.name}: waits {SECONDS:.0f} s for the last messages; Ctrl-C ends that")
                self._thread.join(SECONDS)
        if self._thread.is_alive():
            self._problem = self._problem or f"no answer within {SECONDS:.0f} s"

    def _deliver(self) -> None:
        while (text := self._texts.get()) is not None:
            problem = self._to.deliver(text)
            self._problem = self._problem or problem
