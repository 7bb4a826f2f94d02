"""Seeded training on one thread, and a cache: every process that loads a sample has the same weights."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional

Tensors = dict[str, torch.Tensor]

SEED = 0
_BATCH = 64
_SOURCES = ("training.py", "digits.py", "networks.py", "qat.py")


def fit(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: int,
    peak_rate: float,
    shift: int,
    scores: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> None:
    """Train ``model`` in place as a classifier: AdamW, one cycle of the learning rate, random shifts.

    Args:
        model: Left in eval mode.
        images: Float ``[n, 1, height, width]``.
        labels: Int64 ``[n]``.
        epochs: Passes over the images.
        peak_rate: Highest learning rate.
        shift: Pixels by which a batch moves at most, in each direction.
        scores: Images → logits; ``model`` itself if None.
    """
    scores = scores or model
    height, width = images.shape[-2:]
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=0.01)
    steps = epochs * len(range(0, len(images), _BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for picked in torch.split(torch.randperm(len(images)), _BATCH):
            top, left = (int(v) for v in torch.randint(0, 2 * shift + 1, (2,)))
            padded = functional.pad(images[picked], (shift,) * 4)
            batch = padded[..., top : top + height, left : left + width]
            loss = functional.cross_entropy(scores(batch), labels[picked])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    model.eval()


@contextlib.contextmanager
def deterministic(seed: int = SEED) -> Iterator[None]:
    """One thread and a seed of its own for torch; both are put back afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def cached(name: str, train: Callable[[], Tensors]) -> Tensors:
    """What ``train`` returns, from the cache if this code has trained ``name`` before on this torch.

    Two processes that ask at a time train once: the second waits. A damaged file is replaced, and where the
    cache can't be written the tensors are returned all the same.
    """
    path = cache_folder() / f"{name}-{_fingerprint()}.safetensors"
    found = _read(path)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("w")
    except OSError:
        return train()
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _read(path)
        if found is None:
            found = train()
            with contextlib.suppress(OSError):
                _write(path, found)
        return found


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/edgeworthy/samples``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edgeworthy" / "samples"


def _fingerprint() -> str:
    """Changes with the code that trains, the seed and the torch release."""
    digest = hashlib.sha256(f"{SEED} {torch.__version__}".encode())
    for source in _SOURCES:
        digest.update(Path(__file__).with_name(source).read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> Tensors | None:
    try:
        tensors: Tensors = load(path.read_bytes())
    except (OSError, SafetensorError):
        return None
    return tensors


def _write(path: Path, tensors: Tensors) -> None:
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(save({key: value.contiguous() for key, value in tensors.items()}))
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)
