"""Downloads from a server on this machine that behaves well, or does not."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nnunetv2.errors import FileContentError, UsageError
from nnunetv2.model_sharing.commands import download_by_url_entry_point
from nnunetv2.model_sharing.model_download import (
    DownloadError,
    _SecureRedirects,
    download_and_install_from_url,
    require_secure,
)
from tests.model_sharing.conftest import DATASET, FULLRES, write_zip


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content = self.server.content
        behaviour = self.path.strip("/")
        if behaviour == "absent":
            self.send_error(404)
            return
        self.send_response(302 if behaviour.startswith("to_") else 200)
        if behaviour == "to_sound":
            self.send_header("Location", "/sound")
        if behaviour == "to_plain_http":
            self.send_header("Location", "http://models.example.org/model.zip")
        if behaviour == "to_a_file":
            self.send_header("Location", "file:///etc/passwd")
        if behaviour not in ("no_length", "cut_without_length"):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        cut = behaviour in ("cut", "cut_without_length")
        self.wfile.write(content[: len(content) // 2] if cut else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, folders):
    """A server with one archive on 127.0.0.1; ``address(behaviour)`` is where it shows that behaviour."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content = write_zip(tmp_path / "m.zip").read_bytes()
    server.address = lambda behaviour: f"http://127.0.0.1:{server.server_port}/{behaviour}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def results(folders):
    return folders["nnUNet_results"]


@pytest.mark.parametrize("behaviour", ["sound", "no_length", "to_sound"])
def test_a_model_is_downloaded_and_installed(behaviour, server, results):
    installed = download_and_install_from_url(server.address(behaviour))
    assert installed == [str(results / DATASET / FULLRES)]
    assert (results / DATASET / FULLRES / "fold_0" / "checkpoint_final.pth").read_bytes() == b"weights"
    assert [path.name for path in results.iterdir()] == [DATASET]


def test_a_proxy_is_not_asked_for_this_machine(server, results, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert download_and_install_from_url(server.address("sound"))


def test_the_right_checksum_is_accepted_in_upper_case_too(server, results):
    digest = hashlib.sha256(server.content).hexdigest()
    assert download_and_install_from_url(server.address("sound"), sha256=digest.upper())


BROKEN = {
    "cut": (DownloadError, r"broke after .* of .* bytes"),
    "cut_without_length": (FileContentError, r"cut_without_length \(.* bytes\) is no complete zip file"),
    "absent": (DownloadError, "404"),
    "to_plain_http": (UsageError, "http://models.example.org/model.zip.*only https"),
    "to_a_file": (DownloadError, "file:///etc/passwd' is not allowed"),
}


@pytest.mark.parametrize("behaviour", BROKEN)
def test_a_broken_or_unsafe_answer_leaves_nothing_behind(behaviour, server, results):
    error, message = BROKEN[behaviour]
    with pytest.raises(error, match=message):
        download_and_install_from_url(server.address(behaviour))
    assert not list(results.iterdir())


def test_another_file_than_the_expected_one_is_refused(server, results):
    with pytest.raises(DownloadError, match=f"its SHA-256 is .*, expected is {'0' * 64}"):
        download_and_install_from_url(server.address("sound"), sha256="0" * 64)
    assert not list(results.iterdir())


@pytest.mark.parametrize(
    ("behaviour", "message"), [("sound", "has [0-9,]+ bytes; at most 100"), ("no_length", "more than 100")]
)
def test_a_file_that_is_too_large_is_not_downloaded(behaviour, message, server, results):
    with pytest.raises(DownloadError, match=message):
        download_and_install_from_url(server.address(behaviour), max_bytes=100)
    assert not list(results.iterdir())


def test_a_checksum_that_is_none_is_refused(server):
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        download_and_install_from_url(server.address("sound"), sha256="abc")


def test_a_server_that_is_not_there_is_named(server, results):
    address = server.address("sound")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:\d+/sound could not be downloaded"):
        download_and_install_from_url(address)


@pytest.mark.parametrize(
    "url",
    ["http://example.org/m.zip", "ftp://example.org/m.zip", "file:///m.zip", "m.zip", "http://127.0.0.1.example.org/",
     "http://localhost@example.org/", "https:///m.zip"],
)  # fmt: skip
def test_addresses_that_are_not_secure_are_refused(url):
    with pytest.raises(UsageError, match="only https"):
        require_secure(url)


def test_a_secure_address_is_accepted():
    require_secure("https://example.org/m.zip")


def test_no_redirection_from_elsewhere_to_this_machine_is_followed():
    from urllib.request import Request

    with pytest.raises(UsageError, match="on this machine"):
        _SecureRedirects().redirect_request(
            Request("https://example.org/"), None, 302, "", {}, "http://127.0.0.1:8000/private"
        )


def test_http_is_allowed_on_request_and_only_with_a_checksum(server, results, capsys):
    require_secure("http://example.org/m.zip", allow_http=True)
    for url in ("ftp://example.org/m.zip", "file:///m.zip"):
        with pytest.raises(UsageError, match="only https"):
            require_secure(url, allow_http=True)
    with pytest.raises(SystemExit):
        download_by_url_entry_point([server.address("sound"), "--no_pbar", "--allow-http"])
    assert "--allow-http needs --sha256" in capsys.readouterr().err
    assert not list(results.iterdir())
    digest = hashlib.sha256(server.content).hexdigest()
    download_by_url_entry_point([server.address("sound"), "--no_pbar", "--allow-http", "--sha256", digest])
    assert (results / DATASET / FULLRES).is_dir()


def test_http_that_is_not_allowed_is_not_followed_to_either(server, results):
    with pytest.raises(UsageError, match="only https"):
        download_and_install_from_url(server.address("to_plain_http"), sha256="0" * 64)


def test_an_existing_model_needs_the_switch(server, results, capsys):
    download_by_url_entry_point([server.address("sound"), "--no_pbar"])
    with pytest.raises(SystemExit) as end:
        download_by_url_entry_point([server.address("sound"), "--no_pbar"])
    assert end.value.code == 1
    assert "already has" in capsys.readouterr().err
    download_by_url_entry_point([server.address("sound"), "--no_pbar", "--overwrite"])


def test_the_command_checks_size_and_checksum(server, results, capsys):
    for flags in (["--max_gb", "0.0000001"], ["--sha256", "0" * 64]):
        with pytest.raises(SystemExit) as end:
            download_by_url_entry_point([server.address("sound"), "--no_pbar", *flags])
        assert end.value.code == 1
    assert not list(results.iterdir())
