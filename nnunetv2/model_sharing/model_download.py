"""Downloading a trained model and installing it."""

from __future__ import annotations

import hashlib
import http.client
import logging
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tqdm import tqdm

from nnunetv2.errors import NNUNetError, UsageError
from nnunetv2.model_sharing.model_import import install_model_from_zip_file
from nnunetv2.paths import nnUNet_results
from nnunetv2.records.files import PathLike, atomic_path
from nnunetv2.records.folders import private_folder

logger = logging.getLogger(__name__)

_CHUNK = 128 * 1024
_TIMEOUT_SECONDS = 100
DEFAULT_MAX_BYTES = 50 * 2**30
# A server on this machine is as trustworthy as this machine; everything else must prove who it is.
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class DownloadError(NNUNetError, OSError):
    """A file could not be fetched, or is not the expected one."""


def download_and_install_from_url(
    url: str,
    overwrite: bool = False,
    *,
    sha256: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    show_progress: bool = False,
    allow_http: bool = False,
    slim_as_pth: bool = False,
) -> list[str]:
    """Download a zip file made with nnUNetv2_export_model_to_zip, install it and return the model folders.

    Only https addresses are accepted, after redirections as well (http for this machine itself). With ``sha256`` (64
    hexadecimal digits) any other file is refused; then ``allow_http`` accepts http, too. ``max_bytes`` limits the
    download. The file is kept in a private folder below ``nnUNet_results`` meanwhile and removed in any case.
    ``slim_as_pth``: see ``install_model_from_zip_file``.

    Raises UsageError, DownloadError (an OSError), and the errors of ``install_model_from_zip_file``.
    """
    if allow_http and sha256 is None:
        raise UsageError("--allow-http needs --sha256 (sha256=...), since what comes by http may have been changed")
    require_secure(url, allow_http)
    with private_folder(nnUNet_results.require()) as private:
        path = private / "model.zip"
        digest = download(
            url, path, max_bytes=max_bytes, show_progress=show_progress, sha256=sha256, allow_http=allow_http
        )
        logger.info("Downloaded %s (%.1f MB, sha256 %s)", url, path.stat().st_size / 1e6, digest)
        return install_model_from_zip_file(path, overwrite, source=url, slim_as_pth=slim_as_pth)


def require_secure(url: str, allow_http: bool = False) -> None:
    """Raise UsageError unless ``url`` is https, or http on this machine; with ``allow_http`` http anywhere."""
    parts = urlsplit(url)
    if parts.scheme in (("https", "http") if allow_http else ("https",)) and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return
    raise UsageError(
        f"{url!r} is not downloaded from: only https addresses are, since others can be tampered with on the way. "
        "Download the file yourself and use nnUNetv2_install_pretrained_model_from_zip, or state its checksum with "
        "--sha256 and allow http with --allow-http"
    )


def download(
    url: str,
    target: PathLike,
    *,
    sha256: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    show_progress: bool = False,
    allow_http: bool = False,
) -> str:
    """Save the content of ``url`` in ``target`` and return its SHA-256. Servers need not state a length.

    Raises DownloadError when the connection breaks, the file is too large, shorter than stated, or another one.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"sha256 is {sha256!r}; it must have 64 hexadecimal digits, as sha256sum prints them")
    with atomic_path(target) as temporary:
        digest = _fetch(url, temporary, max_bytes, show_progress, allow_http)
        if sha256 is not None and digest != sha256.lower():
            raise DownloadError(
                f"{url} was not installed: its SHA-256 is {digest}, expected is {sha256.lower()}. The file was changed "
                "or damaged, or this is another version of it"
            )
    return digest


def _fetch(url: str, target: Path, max_bytes: int, show_progress: bool, allow_http: bool) -> str:
    try:
        with _opener(url, allow_http).open(url, timeout=_TIMEOUT_SECONDS) as response, open(target, "xb") as stream:
            stated = response.headers.get("Content-Length")
            total = int(stated) if stated and stated.isdigit() else None
            if total is not None and total > max_bytes:
                raise DownloadError(f"{url} has {total:,} bytes; at most {max_bytes:,} are downloaded (--max_gb)")
            received, digest = _copy(response, stream, url, max_bytes, total, show_progress)
    except NNUNetError:
        raise
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise DownloadError(f"{url} could not be downloaded: {error}. Check the address, or try again") from error
    if total is not None and received != total:
        raise DownloadError(f"{url}: the connection broke after {received:,} of {total:,} bytes. Try again")
    return digest


def _opener(url: str, allow_http: bool) -> urllib.request.OpenerDirector:
    handlers: list[Any] = [_SecureRedirects(allow_http)]
    if urlsplit(url).hostname in _LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine
    return urllib.request.build_opener(*handlers)


def _copy(
    response: Any, stream: IO[bytes], url: str, max_bytes: int, total: int | None, show_progress: bool
) -> tuple[int, str]:
    received, checksum = 0, hashlib.sha256()
    with tqdm(total=total, unit="B", unit_scale=True, desc="download", disable=not show_progress) as bar:
        while chunk := response.read(_CHUNK):
            received += len(chunk)
            if received > max_bytes:
                raise DownloadError(f"{url} has more than {max_bytes:,} bytes; download stopped (--max_gb)")
            checksum.update(chunk)
            stream.write(chunk)
            bar.update(len(chunk))
    return received, checksum.hexdigest()


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only to where a download may start; never from elsewhere to this machine."""

    def __init__(self, allow_http: bool = False):
        self._allow_http = allow_http

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        require_secure(newurl, self._allow_http)
        if urlsplit(newurl).hostname in _LOOPBACK and urlsplit(req.full_url).hostname not in _LOOPBACK:
            raise UsageError(f"{req.full_url} redirects to {newurl} on this machine; this is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
