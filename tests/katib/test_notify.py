"""Messages reach a real server and a real command, in the form that each takes; nothing that fails costs more than a
line, and no secret is typed or shown.
"""

import json
from contextlib import suppress
from pathlib import Path
from queue import Empty

import pytest

from katib import notify
from katib.errors import NotifyError
from katib.notify import Address, Command, Notifier, recipient
from tests.katib.hook import Post, hook
from tests.ports import free_port

SECRET = "T0AbCdEf"


def delivered(to: notify.Recipient, *texts: str) -> str:
    """Returns what went wrong."""
    notifier = Notifier(to)
    for text in texts:
        notifier.tell(text)
    notifier.close()
    return notifier.problem()


def end(notifier: Notifier) -> None:
    """Drops what waits, so that its thread does not outlive the test."""
    with suppress(Empty):
        while True:
            notifier._texts.get_nowait()
    notifier._texts.put(None)
    notifier._thread.join()


def kept(folder: Path, line: str, mode: int = 0o600) -> str:
    path = folder / "hook"
    path.write_text(line)
    path.chmod(mode)
    return f"@{path}"


def test_ntfy_gets_the_text_itself(tmp_path: Path) -> None:
    with hook() as server:
        assert delivered(recipient(f"{server.url}/topic"), "demo: new best 5.2 dB, ünï <b>", "two\nlines\x1b[2J") == ""
    plain = "text/plain; charset=utf-8"
    assert server.posts == [
        Post("/topic", plain, "demo: new best 5.2 dB, ünï <b>"),
        Post("/topic", plain, "two lines [2J"),
    ]


@pytest.mark.parametrize("path", [f"/hooks/{SECRET}", f"/services/hook/{SECRET}", f"/api/webhooks/1/{SECRET}/slack"])
def test_a_hook_gets_json_that_calls_nobody(path: str, tmp_path: Path) -> None:
    with hook() as server:
        to = recipient(kept(tmp_path, server.url + path))
        assert delivered(to, "failed: <!channel> & @all") == ""
    (post,) = server.posts
    assert (post.path, post.kind) == (path, "application/json")
    assert json.loads(post.text) == {"text": "failed: &lt;!channel&gt; &amp; @\u200ball"}


def test_the_addresses_of_slack_mattermost_and_google_are_hooks_and_ntfys_is_none() -> None:
    for url in (
        "https://hooks.slack.com/services/T0/B0/x",
        "https://chat.example.org/hooks/x",
        "https://chat.googleapis.com/v1/spaces/x/messages",
        "https://x.webhook.office.com/webhookb2/x",
    ):
        with pytest.raises(NotifyError, match="is a secret"):
            recipient(url)
    for url in ("https://ntfy.sh/my-search", "http://ntfy.example.org:8080/topic"):
        to = recipient(url)
        assert isinstance(to, Address)
        assert not to.hook


def test_a_command_gets_the_message_on_stdin_and_in_place_of_its_braces_and_no_shell_reads_it(tmp_path: Path) -> None:
    script, out = tmp_path / "tell", tmp_path / "out"
    script.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {out}\ncat >> {out}\n')
    script.chmod(0o755)
    assert delivered(recipient(f"{script} -s 'a title' {{}}"), "demo: $(touch x); `y`") == ""
    assert out.read_text() == "-s|a title|demo: $(touch x); `y`|demo: $(touch x); `y`\n"


@pytest.mark.parametrize("code", [302, 404, 500])
def test_a_bad_answer_is_told_once_without_the_address(code: int, tmp_path: Path) -> None:
    with hook(code) as server:
        notifier = Notifier(recipient(kept(tmp_path, f"{server.url}/hooks/{SECRET}")))
        for _ in range(3):
            notifier.tell("x")
        notifier.close()
    assert notifier.problem() == (
        f"--notify 127.0.0.1: it answered {code}; the search goes on, and this is not said again"
    )
    assert notifier.problem() == ""
    assert len(server.posts) == 3


def test_what_cannot_be_delivered_is_one_line(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/{SECRET}"
    assert "it cannot be reached (Connection refused)" in delivered(recipient(url), "x")
    assert "it ended with exit code 3" in delivered(Command(("sh", "-c", "exit 3")), "x")
    assert "it ended with signal 9" in delivered(Command(("sh", "-c", "kill -9 $$")), "x")
    assert "true: it cannot be started (No such file or directory)" in delivered(Command((f"{tmp_path}/true",)), "x")
    assert SECRET not in delivered(recipient(url), "x")


def test_whoever_hangs_delays_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(notify, "SECONDS", 0.3)
    child = tmp_path / "child"
    command = Command(("sh", "-c", f"sleep 30 & echo $! >> {child}; wait"))
    for to, why in ((command, "sh: "), (None, "127.0.0.1: no answer within 0 s")):
        with hook(hangs=True) as server:
            notifier = Notifier(to or recipient(f"{server.url}/topic"))
            for number in range(3):
                notifier.tell(str(number))
            said: list[str] = []
            notifier.close(said.append)
            assert all(line.endswith("waits 0 s for the last messages; Ctrl-C ends that") for line in said)
            assert why in notifier.problem()
        end(notifier)
    state = Path(f"/proc/{child.read_text().split()[0]}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_more_messages_than_may_wait_are_dropped_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "SECONDS", 0.3)
    with hook(hangs=True) as server:
        notifier = Notifier(recipient(f"{server.url}/topic"))
        for number in range(3 * notify.WAITING):
            notifier.tell(str(number))
        assert len(server.posts) < notify.WAITING
        said: list[str] = []
        notifier.close(said.append)
        assert said == []
        assert "127.0.0.1: " in notifier.problem()
    end(notifier)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("", "is empty; give an address, a command, or @FILE"),
        ("  ", "is empty"),
        ("@", "is empty; give an address, a command, or @FILE"),
        ("@nosuch", "--notify @nosuch: cannot be read (No such file or directory)"),
        ("@.", "cannot be read (Is a directory)"),
        ("nosuchprogram {}", "no program 'nosuchprogram'; give a command, or an address with https://"),
        ("/nosuch/tell", "no such program"),
        ("ntfy.example.org/topic-x", "no such program"),
        ("true 'x", "is no command (no closing quotation)"),
        ("sh -c 'notify-send {}'", "{} must be a word of its own"),
        ("ftp://example.org/x", "takes http:// and https:// only"),
        ("https://", "is no address"),
        ("https:///topic", "is no address"),
        ("https:ntfy.sh/x", "is no address"),
        ("https://example.org:99999/x", "is no address"),
        ("https://example.org/a b", "is no address"),
        ("https://exämple.org/x", "is no address"),
        ("https://[::1/x", "is no address"),
        ("https://ntfy.sh", "names no topic"),
        ("https://me:word@ntfy.sh/x", "takes no user or password"),
        ("https://hooks.slack.com/services/T0AbCdEf", "this address of hooks.slack.com is a secret"),
        ("https://ntfy.sh/x?auth=T0AbCdEf", "is a secret"),
    ],
)
def test_a_bad_value_is_one_line_without_a_secret(value: str, answer: str) -> None:
    with pytest.raises(NotifyError) as caught:
        recipient(value)
    assert answer in str(caught.value)
    assert str(caught.value).startswith("--notify")
    assert SECRET not in str(caught.value)
    assert "topic-x" not in str(caught.value)


def test_a_file_that_others_read_or_that_holds_more_than_a_line_is_refused(tmp_path: Path) -> None:
    assert isinstance(recipient(kept(tmp_path, "cat {}\n")), Command)
    for line, mode, answer in (
        (f"https://chat.example.org/hooks/{SECRET}", 0o644, "others may read or change it; chmod 600"),
        (f"https://a.org/{SECRET}\nhttps://b.org/y\n", 0o600, "holds 2 lines; it takes one"),
        ("", 0o600, "holds 0 lines"),
        ("\n \n", 0o600, "holds 0 lines"),
        (f"ftp://example.org/{SECRET}", 0o600, "takes http:// and https:// only"),
    ):
        with pytest.raises(NotifyError) as caught:
            recipient(kept(tmp_path, line, mode))
        assert answer in str(caught.value)
        assert SECRET not in str(caught.value)
    (tmp_path / "hook").write_bytes(b"\xff\xfe")
    with pytest.raises(NotifyError, match="is not text"):
        recipient(f"@{tmp_path / 'hook'}")
