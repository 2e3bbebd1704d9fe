"""A model's name -> a folder with its files, here or fetched from the hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import attrs

from lightrag_hf._errors import translated
from lightrag_hf.options import HFOptions
from ragcore import NotFoundError, UnsupportedError

_CONFIGURATION = ("config.json", "*_config.json", "config_*.json", "modules.json", "*/config.json")
_TOKENIZER = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
_NEVER = ("onnx/*", "openvino/*", "*/onnx/*", "original/*")
_DESCRIPTIONS = ("config.json", "modules.json", "adapter_config.json")
_POINTER = b"version https://git-lfs"
_DEFAULT_ENDPOINT = "https://huggingface.co"


@attrs.frozen
class ModelFiles:
    """
    Where a model is.

    Attributes:
        folder: With ``config.json`` and the rest, or with a GGUF file.
        gguf: Name of the GGUF file in *folder*, if the model is one.
    """

    folder: Path
    gguf: str | None = None

    @property
    def weight_bytes(self) -> int:
        """Size of the weights on disk."""
        if self.gguf:
            return (self.folder / self.gguf).stat().st_size
        names = _weights_among(path.name for path in self.folder.iterdir())
        return sum((self.folder / name).stat().st_size for name in names)


def configuration(hub: HFOptions, model_name: str, revision: str | None) -> ModelFiles:
    """
    Return a folder with at least the model's small configuration files.

    Raises:
        NotFoundError: Neither a folder nor a model that the hub shows.
        AuthenticationError: The model is gated, and there is no token.
        PermissionDeniedError: The token may not read it.
        UnavailableError: It is not here, and the hub can't be reached.
    """
    return _local(model_name) or ModelFiles(_fetch(hub, model_name, revision, _CONFIGURATION))


def tokenizer(hub: HFOptions, model_name: str, revision: str | None) -> ModelFiles:
    """Return a folder with configuration and tokenizer; raises as :func:`configuration`."""
    return _local(model_name) or ModelFiles(_fetch(hub, model_name, revision, _TOKENIZER))


def model(
    hub: HFOptions, model_name: str, revision: str | None, *, code: bool = False
) -> ModelFiles:
    """
    Return a folder with all that is needed to run the model; raises as :func:`configuration`.

    Weights come as safetensors where the model has them, and only once; Python files only
    if *code*.
    """
    found = _local(model_name) or _fetched(hub, model_name, revision, code=code)
    if found.gguf:
        _require_content(found.folder / found.gguf)
        return found
    for module in {"", *(module["path"] for module in read_modules(found.folder))}:
        _require_usable(model_name, found.folder / module)
    return found


def version_of(folder: Path) -> dict[str, str]:
    """
    Return which ``revision`` and ``weights`` the hub's cache has in *folder*, as far as it says.

    The weights are told by the hub's names of their contents; some file systems have no links.
    """
    if folder.parent.name != "snapshots":
        return {}
    paths = [folder / name for name in _weights_in(folder, _here(folder))]
    version = {"revision": folder.name}
    if paths and all(path.is_symlink() for path in paths):
        names = "\n".join(sorted(path.readlink().name for path in paths))
        version["weights"] = hashlib.sha256(names.encode()).hexdigest()[:16]
    return version


def _fetched(hub: HFOptions, model_name: str, revision: str | None, *, code: bool) -> ModelFiles:
    patterns = (*_TOKENIZER, "*.py") if code else _TOKENIZER
    folder = _fetch(hub, model_name, revision, patterns)
    names = _weights_in(folder, _names(hub, model_name, folder))
    # The folder is named by its commit: both halves are of one revision.
    return ModelFiles(_fetch(hub, model_name, folder.name, (*patterns, *names)))


def _require_usable(model_name: str, folder: Path) -> None:
    """Refuse an adapter, which transformers may pass over, and pointers to files."""
    adapter = read_json(folder / "adapter_config.json")
    if adapter:
        base = adapter.get("base_model_name_or_path") or "a model that it does not name"
        raise UnsupportedError(
            f"{model_name!r} is an adapter of {base}, and no whole model; merge both with peft: "
            "PeftModel.from_pretrained(BASE, ADAPTER).merge_and_unload().save_pretrained(FOLDER); "
            "save the tokenizer there too, and name that folder"
        )
    # Modules without settings have no folder.
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    needed = [name for name in names if any(fnmatch(name, pattern) for pattern in _TOKENIZER)]
    for name in (*needed, *_weights_among(names)):
        _require_content(folder / name)


def _require_content(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise NotFoundError(
                f"{str(path)!r} is a pointer of Git LFS, and not the file itself; fetch it with "
                f"'git lfs pull' in {str(path.parent)!r}"
            )


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in *path*, empty if there is no such file."""
    found: dict[str, Any] = _read(path, dict)
    return found


def read_modules(folder: Path) -> list[dict[str, str]]:
    """Return the modules that sentence-transformers would put together, if it is its model."""
    path = folder / "modules.json"
    found: list[dict[str, str]] = _read(path, list)
    if not all(isinstance(one, dict) and {"path", "type"} <= set(one) for one in found):
        raise _not_json(path)
    return found


def _read(path: Path, kind: type) -> Any:
    """Return the *kind* in *path*, empty if there is no such file."""
    if not path.is_file():
        return kind()
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as exc:
        raise _not_json(path) from exc
    if not isinstance(found, kind):
        raise _not_json(path)
    return found


def _not_json(path: Path) -> NotFoundError:
    return NotFoundError(f"{str(path)!r} does not hold the JSON it should; fetch the model again")


def _local(model_name: str) -> ModelFiles | None:
    if not _is_path(model_name):
        return None
    path = Path(model_name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise NotFoundError(f"there is no file {str(path)!r}; {_ggufs_in(path.parent)}")
        return ModelFiles(path.parent, path.name)
    if not path.is_dir():
        raise NotFoundError(
            f"there is no model folder {model_name!r} (seen from {str(Path.cwd())!r}); check the "
            "path; a model of the hub is named ORGANISATION/NAME"
        )
    if not any((path / name).is_file() for name in _DESCRIPTIONS):
        raise NotFoundError(f"the folder {model_name!r} has no config.json; {_ggufs_in(path)}")
    return ModelFiles(path)


def _is_path(model_name: str) -> bool:
    begins = model_name.startswith((".", "/", "~"))
    return begins or model_name.endswith(".gguf") or Path(model_name).exists()


def _ggufs_in(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.gguf"))
    if not names:
        return "name a folder that transformers can load, or a .gguf file"
    return f"in that folder there are: {', '.join(names)}"


def _fetch(hub: HFOptions, model_name: str, revision: str | None, patterns: Iterable[str]) -> Path:
    from huggingface_hub import snapshot_download

    from lightrag_hf._progress import Progress

    with translated(model_name):
        return Path(
            snapshot_download(
                model_name,
                revision=revision,
                cache_dir=hub.cache_dir,
                endpoint=hub.endpoint,
                token=_token(hub),
                local_files_only=hub.offline,
                allow_patterns=list(patterns),
                ignore_patterns=list(_NEVER),
                tqdm_class=Progress,
            )
        )


def _token(hub: HFOptions) -> str | bool | None:
    if hub.token is not None:
        return hub.token.get()
    # The token that `hf auth login` has stored is huggingface.co's, and no other host's business.
    is_default = hub.endpoint in (None, _DEFAULT_ENDPOINT)
    return None if is_default else False


def _names(hub: HFOptions, model_name: str, folder: Path) -> list[str]:
    """Return all files that the model has on the hub; those here if only they are known."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        tree = get_cached_repo_tree(model_name, revision=folder.name, cache_dir=hub.cache_dir)
    except CachedRepoTreeNotFoundError:
        return _here(folder)
    return [file.path for file in tree]


def _here(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*")]


def _weights_in(folder: Path, names: Sequence[str]) -> list[str]:
    """Return which of *names* are weights of the model, or of a module, in *folder*."""
    modules = {"", *(module["path"] for module in read_modules(folder))}
    return [name for module in modules for name in _weights_among(names, module)]


def _weights_among(names: Iterable[str], module: str = "") -> list[str]:
    """Return which of *names* are the weights in the folder *module*, in one format only."""
    prefix = f"{module}/" if module else ""
    here = [name for name in names if name.startswith(prefix)]
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        shards = (f"{prefix}{stem}{suffix}", f"{prefix}{stem}-")
        found = [name for name in here if name.startswith(shards) and name.endswith(suffix)]
        if found:
            return found
    return []
