"""A kit's environment from an index that fails in the middle, by the real pip: why, what to do, and nothing left."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgeworthy import kits
from edgeworthy.errors import NotAvailable
from edgeworthy.kits.fetch import requirement

from .conftest import Registry, leftovers, part, wheel

WHEEL = "/files/second-1.0-py3-none-any.whl"
PAGE = (
    r"^the index's page http://127\.0\.0\.1:\d+/simple/second/ was cut off on its way, or is incomplete: it lists no "
    r"second==1\.0; ERROR: Could not find a version"
)
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
        ("/simple/second/", "cut", PAGE),
        ("/simple/second/", 404, "404 Client Error: Not Found for url.*; ERROR: Could not find a version"),
    ],
)
def test_an_index_that_fails_in_the_middle(
    two: Any, registry: Registry, home: Path, path: str, fault: int | str, said: str
) -> None:
    registry.faults[path] = [fault] * 20
    with pytest.raises(NotAvailable, match=r"can't install first==1\.0, second==1\.0 for the kit toy") as caught:
        kits.install(two)
    again = "the same command asks for the page again" if said == PAGE else "the same command tries again"
    assert caught.value.exit_code == 3 and again in (caught.value.remedy or "")
    (detail,) = caught.value.details
    assert re.search(said, detail)
    assert kits.look(two).status == "absent" and leftovers(home) == []
    registry.faults.clear()
    registry.asked.clear()
    assert kits.install(two).status == "ready"
    assert registry.count("/files/first-1.0-py3-none-any.whl") == 0, "it goes on from what is there"


CUT = "was cut off on its way, or is incomplete: it "
NOT_HERE = '<a href="/files/second-1.0-cp27-none-any.whl">second-1.0-cp27-none-any.whl</a>'


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (b"", f"{CUT}lists no second==1.0"),
        (
            b'{"meta": {"api-version": "1.0"}, "name": "second", "files": [{"filename": "second-1',
            f"{CUT}is no whole JSON",
        ),
        (NOT_HERE.encode(), "ERROR: No matching distribution found for second==1.0"),
    ],
)
def test_a_page_that_came_and_is_not_whole(two: Any, registry: Registry, page: bytes, said: str) -> None:
    """Of any form, of the length that the server told or not; one with wheels for other Pythons is whole."""
    registry.files["/simple/second/"] = page
    with pytest.raises(NotAvailable) as caught:
        kits.install(two)
    (detail,) = caught.value.details
    assert said in detail and (CUT in detail) == (CUT in said)
    assert ("PIP_INDEX_URL" in (caught.value.remedy or "")) == (CUT in said)


def test_a_page_that_a_file_of_a_part_is_looked_up_in(registry: Registry, home: Path, make: Any) -> None:
    toy = make(part(registry.pypi("some.tool", wheel("some.tool", "1.0", {"tool.py": b""})), source="pypi"))
    registry.faults["/simple/some-tool/"] = ["cut"] * 20
    with pytest.raises(NotAvailable, match=r"can't get some\.tool-1\.0-py3-none-any.whl") as caught:
        kits.install(toy)
    (detail,) = caught.value.details
    assert f"/simple/some-tool/ {CUT}lists no some.tool==1.0" in detail
    assert "PIP_INDEX_URL" in (caught.value.remedy or "")


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm isn't here")
def test_a_page_of_npm_that_is_cut(registry: Registry, home: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"cache": str(home.parent / "npm"), "fetch_retries": "0"}.items():
        monkeypatch.setenv(f"npm_config_{name}", value)
    toy = make(part(registry.npm("tool", b"a package"), source="npm"))
    registry.files["/npm/tool"] = b'{"name": "tool", "versions": {"1.0": {"name": "tool", "version": "1.0"}}}'
    registry.faults["/npm/tool"] = ["cut"] * 20
    with pytest.raises(NotAvailable, match=r"can't get tool-1\.0\.tgz") as caught:
        kits.install(toy)
    (detail,) = caught.value.details
    assert re.search(rf"/npm/tool {CUT}ends early \(.+\)$", detail)
    assert "npm_config_registry" in (caught.value.remedy or "")
