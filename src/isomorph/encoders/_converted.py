"""GGUF checkpoints, turned once into safetensors in the cache: reading a GGUF file takes half a minute, every time."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from pathlib import Path

from .._core.packages import cache_dir, file_sha256
from .._core.progress import notice
from ..errors import FetchError, InputError
from ._hf_files import missing_weights
from ._hf_load import import_transformers, quiet

_VERSION = 1


def converted(path: Path, stem: str) -> Path:
    """Folder of the same checkpoint with de-quantised float32 weights and its tokeniser.

    The folder appears whole or not at all, and its weights are checked against the hash written beside them.

    Args:
        path: The GGUF file.
        stem: Name of the folder, which identifies the file's content.

    Raises:
        InputError: if the file lacks weights.
        FetchError: if the cache cannot be written.
    """
    target = cache_dir() / "converted" / f"{stem}-v{_VERSION}"
    if _is_whole(target):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{stem}-", dir=target.parent, ignore_cleanup_errors=True) as made:
            Path(made).chmod(0o755)  # mkdtemp makes it private
            notice(f"Converting {path.name} (once, about half a minute) …")
            _convert(path, Path(made))
            (Path(made) / "sha256").write_text(file_sha256(Path(made) / "model.safetensors"))
            if target.exists() and not _is_whole(target):
                shutil.rmtree(target)
            with contextlib.suppress(OSError):  # another process was first: its folder is checked below
                Path(made).replace(target)
    except OSError as error:
        raise FetchError(
            f"{path.name} cannot be converted in the cache {target.parent}: {error.strerror or error}. It takes about "
            "six times the size of the file; free some space or set ISOMORPH_CACHE to another folder."
        ) from error
    if not _is_whole(target):
        raise FetchError(f"The converted checkpoint {target} is damaged; remove the folder and try again.")
    return target


def _convert(path: Path, into: Path) -> None:
    """Write a file's weights and tokeniser into a folder.

    Raises:
        InputError: if weights are missing.
    """
    from safetensors.torch import save_file

    transformers = import_transformers()
    where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name, "local_files_only": True}
    # its progress bar knows no terminal; the line above says what goes on
    with quiet(transformers), contextlib.redirect_stderr(io.StringIO()):
        model, info = transformers.AutoModel.from_pretrained(**where, dtype="float32", output_loading_info=True)
        if lacking := missing_weights(path.name, info):
            raise InputError(
                f"{path} lacks {len(lacking)} weights that its architecture has, such as {lacking[0]!r}; they would be "
                "random. Download it again, or use the model's original checkpoint."
            )
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config  # the weights are plain float32 now
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(into)
        state = {name: value.contiguous() for name, value in model.state_dict().items()}
        save_file(state, into / "model.safetensors", metadata={"format": "pt"})
        transformers.AutoTokenizer.from_pretrained(**where).save_pretrained(into)


def _is_whole(folder: Path) -> bool:
    try:
        return (folder / "sha256").read_text() == file_sha256(folder / "model.safetensors")
    except OSError:
        return False
