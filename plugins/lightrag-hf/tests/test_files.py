"""Tests of finding a model's files, here and on a hub that speaks from this machine."""

import hashlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import ragcore
from lightrag_hf import _files
from lightrag_hf._connect import connect
from lightrag_hf._describe import describe
from lightrag_hf.options import HFEmbeddingOptions, HFOptions
from ragcore import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    OptionsError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    Secret,
    UnavailableError,
)
from ragcore.options import read

COMMIT = "a" * 40
CONFIG = {"hidden_size": 12, "max_position_embeddings": 40}


@attrs.define
class FakeHub:
    """A hub with one model, ``org/model``; notes what is asked of it."""

    server: HTTPServer
    files: dict[str, bytes]
    refusal: Response | None = None
    is_file_gated: bool = False
    token: str | None = None
    asked: list[str] = attrs.field(factory=list)

    @property
    def endpoint(self) -> str:
        return self.server.url_for("").rstrip("/")

    @property
    def fetched(self) -> set[str]:
        """Files that were sent."""
        sent = [path.partition(f"/resolve/{COMMIT}/")[2] for path in self.asked]
        return {name for name in sent if name}

    def answer(self, request: Request) -> Response:
        self.asked.append(request.path)
        self.token = request.headers.get("Authorization")
        if self.refusal and (not self.is_file_gated or "/resolve/" in request.path):
            return self.refusal
        if "/tree/" in request.path:
            return reply([self.entry(name) for name in self.files])
        if "/resolve/" in request.path:
            return self.file(request.path.rpartition(f"/{COMMIT}/")[2])
        return reply({"id": "org/model", "sha": COMMIT, "siblings": []})

    def entry(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        return {"type": "file", "path": name, "size": len(data), "oid": digest(data)}

    def file(self, name: str) -> Response:
        data = self.files[name]
        return Response(data, headers={"X-Repo-Commit": COMMIT, "ETag": f'"{digest(data)}"'})


def digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def reply(value: Any) -> Response:
    return Response(json.dumps(value), content_type="application/json")


def refusal(status: int, code: str = "", **headers: str) -> Response:
    return Response("no", status, headers={"X-Error-Code": code, **headers} if code else headers)


@pytest.fixture
def fake_hub(httpserver: HTTPServer) -> FakeHub:
    """Serve a model whose weights are there in three formats."""
    files = {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": b"{}",
        "vocab.txt": b"a b",
        "README.md": b"# model",
        "own_code.py": b"raise SystemExit",
        "modules.json": json.dumps(
            [
                {"path": "", "type": "sentence_transformers.models.Transformer"},
                {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
                {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
            ]
        ).encode(),
        "1_Pooling/config.json": b"{}",
        "2_Dense/config.json": b'{"out_features": 5}',
        "2_Dense/pytorch_model.bin": b"dense",
        "model.safetensors": b"weights",
        "model.fp16.safetensors": b"half",
        "pytorch_model.bin": b"same",
        "onnx/model.onnx": b"same",
        "onnx/config.json": b"{}",
        "tf_model.h5": b"same",
    }
    hub = FakeHub(httpserver, files)
    httpserver.expect_request(re.compile(".*")).respond_with_handler(hub.answer)
    return hub


@pytest.fixture
def hub(fake_hub: FakeHub, tmp_path: Path) -> HFOptions:
    return HFOptions(cache_dir=tmp_path / "cache", endpoint=fake_hub.endpoint)


def changed(hub: HFOptions, **changes: Any) -> HFOptions:
    return HFOptions(cache_dir=hub.cache_dir, endpoint=hub.endpoint, **changes)


def test_only_what_is_needed_is_fetched(fake_hub: FakeHub, hub: HFOptions) -> None:
    """Weights come once, as safetensors where there are any; code and other formats do not."""
    found = _files.model(hub, "org/model", None)

    assert fake_hub.fetched == {
        "config.json",
        "tokenizer.json",
        "vocab.txt",
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/pytorch_model.bin",
        "model.safetensors",
    }
    assert (found.folder / "model.safetensors").read_bytes() == b"weights"
    assert found.weight_bytes == len(b"weights")


def test_older_weights_are_fetched_without_safetensors(fake_hub: FakeHub, hub: HFOptions) -> None:
    """Pickled weights are better than none; transformers reads them without running code."""
    del fake_hub.files["model.safetensors"], fake_hub.files["model.fp16.safetensors"]
    _files.model(hub, "org/model", None)

    assert "pytorch_model.bin" in fake_hub.fetched


def test_code_is_fetched_only_when_trusted(fake_hub: FakeHub, hub: HFOptions) -> None:
    """It would not be run, but need not be here either."""
    _files.model(hub, "org/model", None, code=True)

    assert "own_code.py" in fake_hub.fetched


def test_describing_fetches_small_files_only(fake_hub: FakeHub, hub: HFOptions) -> None:
    """Dimensions and limit are known before the model is loaded."""
    connection = HFOptions(endpoint=hub.endpoint, cache_dir=hub.cache_dir)
    found = describe("org/model", HFEmbeddingOptions(), connection=connection)

    assert found == (5, 40)
    assert fake_hub.fetched <= {
        "config.json",
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
    }


def test_the_token_is_sent(fake_hub: FakeHub, hub: HFOptions) -> None:
    """As the hub wants it."""
    _files.configuration(changed(hub, token=Secret("hf_mine")), "org/model", None)

    assert fake_hub.token == "Bearer hf_mine"


def test_a_token_of_this_machine_goes_to_no_other_host(
    fake_hub: FakeHub, hub: HFOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``hf auth login`` stored belongs to huggingface.co."""
    monkeypatch.setenv("HF_TOKEN", "hf_of_huggingface_co")
    _files.configuration(hub, "org/model", None)

    assert fake_hub.token is None


def test_the_revision_is_asked_for(fake_hub: FakeHub, hub: HFOptions) -> None:
    """Branches, tags and commits."""
    _files.configuration(hub, "org/model", "v1.5")

    assert "/api/models/org/model/revision/v1.5" in fake_hub.asked


def test_what_was_fetched_is_used_offline(fake_hub: FakeHub, hub: HFOptions) -> None:
    """Nothing is asked of the hub then."""
    _files.model(hub, "org/model", None)
    fake_hub.asked.clear()
    found = _files.model(changed(hub, offline=True), "org/model", None)

    assert fake_hub.asked == []
    assert (found.folder / "model.safetensors").is_file()


def test_what_is_incomplete_offline_is_said(fake_hub: FakeHub, hub: HFOptions) -> None:
    """Describing a model fetches no weights; later there is no way to get them."""
    _files.configuration(hub, "org/model", None)

    with pytest.raises(NotFoundError, match="offline is set"):
        _files.model(changed(hub, offline=True), "org/model", None)


def test_progress_of_downloads_is_logged(
    fake_hub: FakeHub, hub: HFOptions, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    """There is no terminal here."""
    caplog.set_level(logging.INFO, "lightrag_hf")
    _files.model(hub, "org/model", None)

    assert "Fetching" in caplog.text
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("answer", "kind", "cure"),
    [
        (refusal(401, "GatedRepo"), AuthenticationError, "accept its terms .* HF_TOKEN"),
        (refusal(403, "GatedRepo"), PermissionDeniedError, "may not read .* accept its terms"),
        (refusal(401, "RepoNotFound"), NotFoundError, "check the name .* HF_TOKEN"),
        (refusal(404, "RepoNotFound"), NotFoundError, "check the name"),
        (refusal(404, "RevisionNotFound"), NotFoundError, "check revision="),
        (refusal(403), PermissionDeniedError, "read access"),
        (refusal(429, **{"Retry-After": "7"}), RateLimitError, "too many requests"),
        (refusal(400), InvalidRequestError, "refuses"),
        (refusal(500), UnavailableError, "failed"),
        (
            refusal(401, **{"X-Error-Message": "Invalid credentials in Authorization header"}),
            AuthenticationError,
            "refuses the token",
        ),
        (
            refusal(403, **{"X-Error-Message": "Access to this resource is disabled."}),
            PermissionDeniedError,
            "disabled",
        ),
    ],
    ids=lambda value: value.status if isinstance(value, Response) else None,
)
def test_what_the_hub_refuses_is_told_apart(
    fake_hub: FakeHub, hub: HFOptions, answer: Response, kind: type[ProviderError], cure: str
) -> None:
    """Each refusal has its error and its cure, with the SDK's exception as the cause."""
    fake_hub.refusal = answer
    hub = changed(hub, token=Secret("hf_mine"))

    with pytest.raises(kind, match=cure) as caught:
        _files.model(hub, "org/model", None)

    assert type(caught.value) is kind
    assert caught.value.__cause__ is not None
    assert caught.value.status == answer.status_code
    assert "hf_mine" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
def test_a_gate_may_stand_before_the_files_only(
    fake_hub: FakeHub, hub: HFOptions, status: int, kind: type[ProviderError]
) -> None:
    """As on huggingface.co, where everybody may see a gated model's list of files."""
    fake_hub.refusal, fake_hub.is_file_gated = refusal(status, "GatedRepo"), True

    with pytest.raises(kind, match="accept its terms"):
        _files.model(hub, "org/model", None)


def test_retry_after_of_the_hub_is_kept(fake_hub: FakeHub, hub: HFOptions) -> None:
    """The host waits as long as it is asked to."""
    fake_hub.refusal = refusal(429, **{"Retry-After": "7"})

    with pytest.raises(RateLimitError) as caught:
        _files.configuration(hub, "org/model", None)

    assert caught.value.retry_after == 7.0


@pytest.mark.timeout(10)
def test_an_unreachable_hub_is_said_at_once(tmp_path: Path) -> None:
    """Nothing is retried for half a minute."""
    hub = HFOptions(cache_dir=tmp_path, endpoint="http://127.0.0.1:9")

    with pytest.raises(UnavailableError, match="can't be reached"):
        _files.model(hub, "org/model", None)


def test_offline_without_the_model_is_not_found(tmp_path: Path) -> None:
    """Waiting would not help."""
    with pytest.raises(NotFoundError, match="offline is set"):
        _files.model(HFOptions(cache_dir=tmp_path, offline=True), "org/model", None)


@pytest.mark.parametrize("name", ["./nothing", "/nothing/here", "~/nothing", "nothing/x.gguf"])
def test_paths_are_never_asked_of_the_hub(fake_hub: FakeHub, hub: HFOptions, name: str) -> None:
    """What looks like a path is one, and says so when it is missing."""
    with pytest.raises(NotFoundError, match="there is no"):
        _files.model(hub, name, None)

    assert fake_hub.asked == []


def test_a_folder_may_look_like_a_name_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What exists is a path."""
    (tmp_path / "org" / "model").mkdir(parents=True)
    (tmp_path / "org" / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)

    assert _files.model(HFOptions(offline=True), "org/model", None).folder == Path("org/model")


def test_a_gguf_file_is_its_folder_and_its_name(tmp_path: Path) -> None:
    """transformers wants them apart."""
    (tmp_path / "model.Q4.gguf").write_bytes(b"GGUF1234")
    found = _files.model(HFOptions(), str(tmp_path / "model.Q4.gguf"), None)

    assert (found.folder, found.gguf, found.weight_bytes) == (tmp_path, "model.Q4.gguf", 8)


def test_a_folder_without_a_model_says_what_is_in_it(tmp_path: Path) -> None:
    """Folders of GGUF files need the file's name."""
    (tmp_path / "model.Q4.gguf").write_bytes(b"GGUF")

    with pytest.raises(NotFoundError, match=r"no config\.json.*there are: model\.Q4\.gguf"):
        _files.model(HFOptions(), str(tmp_path), None)


def test_a_broken_configuration_is_named(tmp_path: Path) -> None:
    """Half a download is half a file."""
    (tmp_path / "config.json").write_text('{"hidden')

    with pytest.raises(Exception, match=r"config\.json") as caught:
        _files.read_json(tmp_path / "config.json")

    assert caught.type.__module__ == "ragcore.errors"


def test_impossible_names_are_refused_here() -> None:
    """Three parts are no name of the hub."""
    with pytest.raises(NotFoundError, match="ORGANISATION/NAME"):
        _files.model(HFOptions(), "a/b/c", None)


async def test_the_client_is_the_connection_read_once() -> None:
    """It holds nothing open."""
    connection = HFOptions(
        token=Secret("hf_mine"), cache_dir=Path("cache"), endpoint="http://hub", offline=True
    )

    async with connect(connection) as hub:
        pass

    assert hub == connection


def test_the_environment_says_where_the_hub_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for other tools of Hugging Face."""
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    assert read([HFOptions], {}) == [HFOptions(token=Secret("hf_mine"), offline=True)]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"token": "hf_canary\n"}, "token: .*line break"),
        ({"endpoint": "http://me:hf_canary@hub"}, "endpoint: is not http://"),
    ],
)
def test_what_can_not_be_sent_is_refused_and_not_shown(
    options: dict[str, str], problem: str
) -> None:
    """Before anything is asked of the hub."""
    with pytest.raises(OptionsError, match=problem) as caught:
        read([HFOptions], options)

    assert "hf_canary" not in str(caught.value)


async def test_the_token_is_in_no_log(
    save_model: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Of the library that sends it, as long as a model is open."""
    options: dict[str, Any] = {"device": "cpu", "keep_alive": 0.0, "token": "hf_canary"}
    async with ragcore.completion(f"hf:{save_model()}", **options):
        logging.getLogger("huggingface_hub.utils._http").error("Bearer %s", "hf_canary")

    assert "hf_canary" not in caplog.text
    assert "Bearer …" in caplog.text
