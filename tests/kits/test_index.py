"""A kit's environment from an index that fails in the middle, by the real pip: why, what to do, and nothing left."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from edgeworthy import kits
from edgeworthy.errors import NotAvailable
from edgeworthy.kits.fetch import requirement

from .conftest import Registry, leftovers, wheel

WHEEL = "/files/second-1.0-py3-none-any.whl"
NOISE = b"#" + os.urandom(200_000).hex().encode()


@pytest.fixture
def two(registry: Registry, home: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A kit of two wheels, of which the second is large; pip has a cache and little patience."""
    monkeypatch.delenv("PIP_NO_CACHE_DIR")
    own = {"PIP_CACHE_DIR": str(home.parent / "cache"), "PIP_TIMEOUT": "1", "PIP_TRUSTED_HOST": "127.0.0.1"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    files = [registry.pypi(name, wheel(name, "1.0", {f"{name}.py": NOISE})) for name in ("first", "second")]
    lines = "\n".join(map(requirement, files))
    return make(requirements=lines, python=("{kit}/env/bin/python",), check="import first, second")


@pytest.mark.parametrize(
    ("path", "fault", "said"),
    [
        (WHEEL, "cut", "second-1.0-py3-none-any.whl was cut off on its way, or is another file|IncompleteRead"),
        (WHEEL, "hang", "Read timed out"),
        (WHEEL, 500, "too many 500 error responses"),
        (WHEEL, 404, "404 Client Error: Not Found"),
        ("/simple/second/", 500, "too many 500 error responses; ERROR: Could not find a version"),
        ("/simple/second/", "cut", "No matching distribution found for second==1.0"),
    ],
)
def test_an_index_that_fails_in_the_middle(
    two: Any, registry: Registry, home: Path, path: str, fault: int | str, said: str
) -> None:
    registry.faults[path] = [fault] * 20
    with pytest.raises(NotAvailable, match=r"can't install first==1\.0, second==1\.0 for the kit toy") as caught:
        kits.install(two)
    assert caught.value.exit_code == 3 and "the same command tries again" in (caught.value.remedy or "")
    (detail,) = caught.value.details
    assert re.search(said, detail)
    assert kits.look(two).status == "absent" and leftovers(home) == []
    registry.faults.clear()
    registry.asked.clear()
    assert kits.install(two).status == "ready"
    assert registry.count("/files/first-1.0-py3-none-any.whl") == 0, "it goes on from what is there"
