"""The served page: here only, by its token only, nothing but the package, and a killed server loses nothing."""

import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from tests.read.test_journal import answer

from kneeline.cli import main
from kneeline.read.serve import journal_path

pytest.importorskip("fastapi", reason="FastAPI is not installed (pip install 'kneeline[serve]')")


def start(folder):
    """A server process of a package."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kneeline", "read", str(folder), "--serve"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/", line)
    assert found, line
    process.stdout.readline()
    return SimpleNamespace(process=process, port=int(found[1]), token=found[2], url=found[0])


def stop(server, how=signal.SIGINT):
    server.process.send_signal(how)
    server.process.wait(timeout=20)
    server.process.stdout.close()


@pytest.fixture(scope="module")
def copied(anna, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "package"
    shutil.copytree(anna.folder, folder)
    (folder.parent / "secret.txt").write_text("never shown")
    return folder


@pytest.fixture(scope="module")
def server(copied):
    running = start(copied)
    yield running
    stop(running)


def ask(server, path, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    headers = {"Host": f"127.0.0.1:{server.port}", "Connection": "close"} | headers
    if body is not None:
        headers["Content-Length"] = str(len(body))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_only_the_token_opens_it_and_only_from_here(server, anna):
    at = f"/{server.token}/"
    status, page = ask(server, at)
    assert status == 200
    assert page == anna.built.page.read_bytes()
    nearly = server.token[:-1] + ("y" if server.token.endswith("x") else "x")
    assert ask(server, "/")[0] == ask(server, f"/{nearly}/")[0] == ask(server, "/docs")[0] == 404
    assert ask(server, at, Host=f"evil.example:{server.port}")[0] == 403
    assert ask(server, at, Host=f"127.0.0.1:{server.port + 1}")[0] == 403
    case = anna.key[0]["case_id"]
    body = json.dumps({"acl": answer(2, 5)}).encode()
    assert ask(server, f"{at}answers/{case}", "POST", body, Origin="https://evil.example")[0] == 403
    assert json.loads(ask(server, f"{at}answers")[1]).get(case, {}).get("acl") is None


@pytest.mark.parametrize(
    "path", ["../secret.txt", "cases/../../secret.txt", "cases/..%2f..%2fsecret.js", "%2e%2e/secret.txt",
             "cases/%2e%2e%2findex.js", "index.html", "cases/", "../package_key.tsv"],
)  # fmt: skip
def test_nothing_but_the_package_is_read(server, path):
    status, text = ask(server, f"/{server.token}/{path}")
    assert status == 404
    assert b"never shown" not in text


def test_what_is_no_answer_is_not_kept(server, anna):
    case = anna.key[0]["case_id"]
    at = f"/{server.token}/answers/{case}"
    for body, status in (
        (b"{", 422), (b'{"acl":{"value":7,"at":1,"first":1}}', 422), (b"[" * 50_000, 422),
        (b" " * 70_000, 413),
    ):  # fmt: skip
        assert ask(server, at, "POST", body)[0] == status
    assert ask(server, f"/{server.token}/answers/ffffffff", "POST", b"{}")[0] == 404
    assert json.loads(ask(server, f"/{server.token}/answers")[1]) == {}


def test_a_comment_that_ends_in_half_an_emoji_does_not_stop_the_answers(server, anna):
    case = anna.key[1]["case_id"]
    comment = {"comment": {"value": "good \ud83e", "at": 5, "first": 5}}
    at = f"/{server.token}/answers"
    assert ask(server, f"{at}/{case}", "POST", json.dumps(comment).encode())[0] == 204
    status, text = ask(server, at)
    assert (status, json.loads(text)[case]) == (200, comment)


def test_a_request_that_is_cut_off_is_no_failure(server, anna):
    case = anna.key[0]["case_id"]
    head = (
        f"POST /{server.token}/answers/{case} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 99\r\n\r\n{{"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(head.encode() + b"Content-Length: 99\r\n\r\n{")
    assert ask(server, f"/{server.token}/answers")[0] == 200
    said = server.process.stdout.fileno()
    assert not select.select([said], [], [], 0.5)[0], os.read(said, 2000)


def test_it_listens_here_only(server):
    """Addresses of listening sockets of the process, from the kernel's table."""
    with open(f"/proc/{server.process.pid}/net/tcp") as file:
        listening = [line.split()[1] for line in file if line.split()[3] == "0A"]
    mine = [at for at in listening if int(at.split(":")[1], 16) == server.port]
    assert mine == [f"0100007F:{server.port:04X}"]


def test_a_killed_server_loses_nothing(profile, anna, tmp_path):
    """Answers before the kill are in its file; those given while it is dead are kept by the browser and sent later."""
    folder = tmp_path / "package"
    shutil.copytree(anna.folder, folder)
    first = start(folder)
    tab = profile.open(first.url)
    tab.wait("document.body.dataset.shown")
    tab.key("Enter")
    tab.wait("!document.getElementById('start').open")
    tab.keys("1", "2")
    tab.wait("kneeline.page.store.state === 'saved'")
    stop(first, signal.SIGKILL)
    tab.key("3")
    tab.wait("kneeline.page.store.state === 'browser'")
    assert "server does not answer" in tab.js("document.getElementById('alert').textContent")
    kept = [json.loads(line) for line in journal_path(folder).read_text().splitlines()][1:]
    case = anna.key[0]["case_id"]
    assert {n: a["value"] for n, a in kept[-1]["answers"].items()} == {
        "medial_meniscus/anterior_horn": 1,
        "medial_meniscus/body": 2,
    }
    second = start(folder)
    assert second.url == first.url
    tab.wait("kneeline.page.store.state === 'saved'")
    stop(second)
    elsewhere = profile.browser.profile()  # nothing but the file
    third = start(folder)
    fresh = elsewhere.open(third.url)
    fresh.wait(f"kneeline.page.store.get('{case}', 'medial_meniscus/posterior_horn') === 3")
    values = fresh.js(f"Object.values(kneeline.page.store.answers.get('{case}')).map(a => a.value).sort()")
    assert values == [1, 2, 3]
    assert tab.complaints() == [] or all("ERR_CONNECTION_REFUSED" in text for text in tab.complaints())
    elsewhere.close()
    stop(third)


def test_without_fastapi_it_says_what_to_do(anna, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "kneeline.read.application", raising=False)
    assert main(["read", str(anna.folder), "--serve"]) == 2
    assert "kneeline[serve]" in capsys.readouterr().err
    assert not journal_path(anna.folder).exists()
