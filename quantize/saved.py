"""Calibration sets that are kept: an ``.npz`` of the samples that were used, and behind them those held back.

Used again, such a file gives the same feeds in the same order, and with them the same bytes.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import TensorSpec
from ..data.fitting import batch_size
from ..data.samples import disk_full
from ..errors import BadInput
from ..files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..artifact import Feeds

_MARK = "edgeworthy calibration"
_FLAG = "--save-calibration"
_MOST_TEXT = 5_000
"""Characters of the description: an archive's comment has 65,535 bytes (PKWARE APPNOTE 4.3.16)."""


@dataclass(frozen=True)
class Saved:
    """What an archive's comment says.

    Attributes:
        samples: How many samples were used, the first of those that it holds.
        description: Where they came from.
        fit_for_deployment: False for noise.
    """

    samples: int
    description: str
    fit_for_deployment: bool


def saved_set(path: Path) -> Saved | None:
    """What a file says of itself, if it is a saved set."""
    try:
        with zipfile.ZipFile(path) as archive:
            said = json.loads(archive.comment or b"{}")
        if not isinstance(said, dict) or said.pop("kind", None) != _MARK:
            return None
        return Saved(int(said["samples"]), str(said["description"]), bool(said["fit_for_deployment"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # whoever reads its arrays says what is wrong with it
        return None


def check(path: Path, given: str | None, *, force: bool = False) -> None:
    """Refuse a file that a set can't be saved in.

    Args:
        given: The calibration data.
        force: Whether a file that is no saved set may be overwritten.

    Raises:
        BadInput: it ends in something else, is what is read, or is the user's own.
    """
    if path.suffix != ".npz":
        raise BadInput(f"{path.name!r} doesn't end in .npz", where=_FLAG, remedy="choose a name that does")
    if given is not None and Path(given).exists() and path.exists() and path.samefile(given):
        raise BadInput("it is the calibration data itself", where=_FLAG, remedy="choose another file")
    if path.exists() and saved_set(path) is None and not force:
        raise BadInput(
            "there is a file that edgeworthy didn't make", where=str(path), remedy="choose another, or add --force"
        )


def save(feeds: Iterable[Feeds], said: Saved, inputs: Sequence[TensorSpec], path: Path) -> None:
    """Write samples: ``[samples, …]`` under each input's name, in the source model's layout.

    Args:
        feeds: Groups of samples; they are gone through once more than there are inputs.
        said: What the file says of itself.

    Raises:
        BadInput: samples are of different sizes, or the file can't be written.
    """
    batched = batch_size(inputs) is not None
    shapes: dict[str, set[tuple[int, ...]]] = {spec.name: set() for spec in inputs}
    count = 0
    for feed in feeds:
        count += len(feed[inputs[0].name]) if batched else 1
        for name, found in shapes.items():
            found.add(feed[name].shape[1:] if batched else feed[name].shape)
    if mixed := [name for name, found in shapes.items() if len(found) > 1]:
        raise BadInput(
            f"the samples of input {mixed[0]!r} are of different sizes, and one array can't hold them",
            where=_FLAG,
            remedy="make them of one size, or leave the flag out",
        )
    remedy = f"free some space, or choose another place with {_FLAG}; nothing half-written is left"
    with (
        atomic_file(path) as part,
        disk_full(str(path), remedy),
        zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
    ):
        for spec in inputs:
            (row,) = shapes[spec.name]
            header = {"descr": np.dtype(spec.dtype).str, "fortran_order": False, "shape": (count, *row)}
            # With the date of 1980, as numpy writes it: the same samples give the same bytes.
            with archive.open(zipfile.ZipInfo(f"{spec.name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                for feed in feeds:
                    member.write(np.ascontiguousarray(feed[spec.name]).tobytes())
        archive.comment = json.dumps(
            {"kind": _MARK} | asdict(said) | {"description": said.description[:_MOST_TEXT]}
        ).encode()
