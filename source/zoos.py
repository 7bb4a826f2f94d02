"""Models by name: ``torchvision:``, ``timm:``, ``hf:``, ``lightning:`` and our own ``sample:``."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .companions import companion, version
from .factories import importable, seeded, user_code
from .torch_names import require_torch

if TYPE_CHECKING:
    import torch

Made = tuple["torch.nn.Module", object, list[str]]
"""A module in eval mode, its example inputs, and notes on how it was made."""

_WORDS, _EXTENT = 128, 224


def from_zoo(spec: str, *, pretrained: bool, seed: int) -> Made | None:
    """The module of a spec such as ``timm:mobilenetv3_small_100``; None if the spec names no zoo.

    Args:
        spec: The source.
        pretrained: Fetch the published weights (into the zoo's own cache); else they are random, from ``seed``.
        seed: See ``pretrained``.

    Raises:
        BadInput: the zoo has no such model, or its weights can't be fetched.
        NotAvailable: the zoo's package isn't installed.
    """
    zoo, colon, name = spec.partition(":")
    makers: dict[str, Callable[[str, bool], Made]] = {
        "sample": _sample,
        "torchvision": _torchvision,
        "timm": _timm,
        "hf": _transformers,
        "lightning": _lightning,
    }
    if not colon or zoo not in makers:
        return None
    require_torch()
    with seeded(seed):
        module, examples, notes = makers[zoo](name, pretrained)
    return module.eval(), examples, notes


def _sample(name: str, pretrained: bool) -> Made:
    from ..samples import SAMPLES

    sample = SAMPLES.get(name)
    if sample is None:
        raise BadInput(
            f"there is no sample {name!r}",
            where=f"sample:{name}",
            details=[f"sample:{known} is {s.summary}" for known, s in SAMPLES.items()],
            remedy="`edgeworthy samples` lists them",
        )
    with user_code(f"sample:{name}", "making the sample failed"):
        module = sample.factory()
    return module, getattr(module, "example_inputs", None), []


def _torchvision(name: str, pretrained: bool) -> Made:
    import torch

    models = companion("torchvision.models", "torchvision:")
    if name not in models.list_models():
        raise _unknown(name, "torchvision", models.list_models())
    module = _fetched(lambda: models.get_model(name, weights="DEFAULT" if pretrained else None), f"torchvision:{name}")
    preset = models.get_model_weights(name).DEFAULT.transforms()
    extent = (getattr(preset, "crop_size", None) or [_EXTENT])[0]
    return module, (torch.randn(1, 3, extent, extent),), []


def _timm(name: str, pretrained: bool) -> Made:
    import torch

    timm = companion("timm", "timm:")
    if name.partition(".")[0] not in timm.list_models():
        raise _unknown(name, "timm", timm.list_models())
    module = _fetched(lambda: timm.create_model(name, pretrained=pretrained), f"timm:{name}")
    return module, (torch.randn(1, *module.pretrained_cfg["input_size"]),), []


def _transformers(name: str, pretrained: bool) -> Made:
    """``hf:config.json`` and a folder without weights make an untrained model; else the weights are loaded."""
    transformers = companion("transformers", "hf:")
    spec = f"hf:{name}"
    path = Path(name)
    published = any(path.glob("*.safetensors*")) if path.is_dir() else not path.is_file()
    config = _fetched(lambda: transformers.AutoConfig.from_pretrained(name), spec)
    config.use_cache = False  # a cache is no tensor, and a single pass needs none
    architecture = getattr(transformers, (config.architectures or ["AutoModel"])[0], None)
    if architecture is None:
        raise BadInput(
            f"transformers {transformers.__version__} has no class {config.architectures[0]}",
            where=spec,
            remedy="write a factory that makes the model",
        )
    if pretrained and published:
        module = _fetched(lambda: architecture.from_pretrained(name, config=config, use_safetensors=True), spec)
    else:
        make = architecture.from_config if architecture is transformers.AutoModel else architecture
        with user_code(spec, "making the model from its config failed"):
            module = make(config)
    notes = ["there are no weights beside the config: they are random"] if pretrained and not published else []
    return module, _examples_of_config(config, getattr(module, "main_input_name", "")), notes


def _lightning(name: str, pretrained: bool) -> Made:
    """``lightning:pkg.mod:Class@file.ckpt``; the checkpoint's hyperparameters make the module."""
    target, at, file = name.partition("@")
    module_name, colon, class_name = target.partition(":")
    spec = f"lightning:{name}"
    if not at or not colon:
        raise BadInput("the source is incomplete", where=spec, remedy="write lightning:pkg.mod:Class@file.ckpt")
    lightning = _lightning_package()
    if not Path(file).is_file():
        raise BadInput("no such checkpoint", where=file, remedy="check the path after the @")
    with importable(Path.cwd()), user_code(spec, "importing the code failed"):
        kind: Any = getattr(importlib.import_module(module_name), class_name, None)
    if not isinstance(kind, type) or not issubclass(kind, lightning.LightningModule):
        raise BadInput(
            f"{module_name} has no LightningModule {class_name!r}", where=spec, remedy="name the module's class"
        )
    made: Any = kind
    module = _fetched(lambda: made.load_from_checkpoint(file, map_location="cpu", weights_only=True), spec)
    return module, getattr(module, "example_input_array", None), []


def _lightning_package() -> ModuleType:
    old = version("lightning") is None and version("pytorch_lightning") is not None
    return companion("pytorch_lightning" if old else "lightning.pytorch", "lightning:")


def _fetched(load: Callable[[], Any], spec: str) -> Any:
    """What ``load`` returns; what can go wrong on the way to published weights becomes BadInput."""
    try:
        return load()
    except pickle.UnpicklingError as error:
        raise BadInput(
            "the checkpoint is a pickle that wants to run code, and was refused",
            where=spec,
            details=[str(error).splitlines()[0]],
            remedy="load it inside a factory of your own, if you trust it",
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        message = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise BadInput(
            "the model can't be loaded",
            where=spec,
            details=message[:4],
            remedy="check the name and the network; --weights FILE takes weights that are here already",
        ) from error


def _unknown(name: str, zoo: str, known: list[str]) -> BadInput:
    import difflib

    near = difflib.get_close_matches(name, known, n=5)
    return BadInput(
        f"{zoo} has no model {name!r}",
        where=f"{zoo}:{name}",
        details=[f"it has {candidate}" for candidate in near],
        remedy=f"python -c 'from {zoo} import models; print(models.list_models())' lists all names",
    )


def _examples_of_config(config: Any, main_input: str) -> object:
    """Example inputs by what the config tells of the model; None if it doesn't tell."""
    import torch

    if main_input == "input_ids":
        length = min(_WORDS, getattr(config, "max_position_embeddings", None) or _WORDS)
        ids = torch.randint(0, config.vocab_size, (1, length))
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if main_input == "pixel_values":
        size = getattr(config, "image_size", None) or _EXTENT
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        return {"pixel_values": torch.randn(1, getattr(config, "num_channels", None) or 3, height, width)}
    return None
