"""`isomorph extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..datasets import load_dataset
from ..encoders import load_encoder
from ..extraction import ExtractSettings, extract
from ..store import WRITTEN, FeatureStore
from ._settings import with_settings


@with_settings(ExtractSettings)
def command(
    model: Annotated[str, typer.Argument(help="Model spec: bundled:NAME, org/name, onnx:FILE, a folder, …")],
    dataset: Annotated[str, typer.Argument(help='Dataset spec, such as "emoji(n=300, seed=0)".')],
    store: Annotated[str, typer.Option(help="Folder or address (s3://bucket/…) of the feature store.")] = "features",
    shared: Annotated[bool, typer.Option("--shared", help="Write the store beside other writers, as parts.")] = False,
    pooling: Annotated[str | None, typer.Option(help="mean, cls, last, max or none.")] = None,
    init: Annotated[str, typer.Option(help="pretrained, or random for the untrained twin.")] = "pretrained",
    seed: Annotated[int, typer.Option(help="Seed of an untrained twin.")] = 0,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    side: Annotated[str | None, typer.Option(help="Part of a model with several; `isomorph list sides MODEL`.")] = None,
    no_check: Annotated[bool, typer.Option("--no-check", help="Skip the self-check; the features say so.")] = False,
    export: Annotated[Path | None, typer.Option(help="Also write the features to a .npz or .safetensors file.")] = None,
    *,
    settings: dict[str, Any],
) -> None:
    """Run an encoder over the items and keep the features of every layer.

    Example: isomorph extract bundled:minilm-l6 'emoji(n=300)' --store features --export text.npz
    """
    skip_bad = bool(settings.get("skip_bad"))
    if export is not None:
        check_target(export, "export", suffixes=WRITTEN)
    kept = FeatureStore(store, shared=shared)
    items = load_dataset(dataset, skip_bad=skip_bad)
    options: dict[str, Any] = {"init": init, "device": device, "dtype": dtype}
    options |= {"pooling": pooling} if pooling else {}
    options |= {"seed": seed} if init == "random" else {}
    ExtractSettings(**settings)  # told before a model is loaded
    encoder = load_encoder(model, side=side, check=not no_check, store=store, **options)
    layers = extract(encoder, items, store=kept, **settings)
    if export is not None:
        layers.save(export)
    left_out = f" ({len(items) - layers.n + len(items.skipped)} left out)" if skip_bad else ""
    print(f"{encoder.name}: {len(layers)} layers of {layers.n} items{left_out} in {export or store}")
