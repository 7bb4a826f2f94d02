"""The report's page in headless Chromium, as wide as a phone and as a desktop, in light and in dark mode."""

from __future__ import annotations

import io
import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeworthy.config import GateTable
from edgeworthy.validate import gate
from edgeworthy.validate import report as reports
from edgeworthy.validate.made import InputHash, Revision
from edgeworthy.validate.results import Report

pytestmark = pytest.mark.browser

PHONE, DESKTOP, HEIGHT = 390, 1400, 2400
DARK, LIGHT = 0, 1  # Blink's preferredColorScheme
PROBE = """
<script>
addEventListener("load", () => {
  const box = e => { const b = e.getBoundingClientRect(); return [b.left, b.right, b.width, b.height]; };
  const seen = e => e.getClientRects().length > 0;
  const all = (q) => [...document.querySelectorAll(q)].filter(seen);
  parent.postMessage(JSON.stringify({
    inner: innerWidth, scroll: document.documentElement.scrollWidth,
    verdict: all(".verdict").map(box), statuses: all(".glance .s").map(box), charts: all("figure svg").map(box),
    cut: all("figure svg text").filter(e => {
      const [left, right] = box(e), [start, end] = box(e.ownerSVGElement);
      return left < start || right > end; }).map(e => e.textContent),
    sizes: all("figure svg text").map(e => {
      const svg = e.ownerSVGElement, scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      return parseFloat(getComputedStyle(e).fontSize) * scale; }),
    loose: all("section .s").filter(e => box(e)[1] > box(e.closest("section"))[1] - 10).map(e => e.textContent),
    scrollers: all("main *").filter(e => e.scrollWidth > e.clientWidth + 1)
      .filter(e => getComputedStyle(e).overflowX != "visible").map(e => e.className),
    ink: getComputedStyle(document.body).color, page: getComputedStyle(document.body).backgroundColor,
    bars: all("figure svg [style*='fill: var(--first)']").map(e => getComputedStyle(e).fill),
  }), "*");
});
</script>
"""
FRAME = """<!doctype html><meta name="color-scheme" content="light dark"><pre id="probe"></pre>
<script>addEventListener("message", event => {{ document.getElementById("probe").textContent = event.data; }});</script>
<iframe src="report.html" style="width: {width}px; height: {height}px; border: 0"></iframe>
"""
"""A window is at least 500 pixels wide, a frame in it is as wide as it likes."""


@pytest.fixture
def page(report: Report, tmp_path: Path) -> Path:
    """A report with all sections, two of whose gate lines don't hold, and long names."""
    rules = GateTable.model_validate({"size_ratio": {"int8": 0.1}, "latency_ratio": {"int8": 0.42}})
    update: dict[str, Any] = {
        "gate": gate.evaluate(report, rules),
        "revision": Revision(commit="0123456789abcdef" * 2 + "01234567", changed=True),
        "inputs": [InputHash(role="source", name="models/net.py:make", what="weights, code", sha256="ab" * 32)],
        "command": "edgeworthy run models/net.py:make --calibration a/rather/long/path/to/the/images -o out",
    }
    text = reports.html(report.model_copy(update=update))
    path = tmp_path / "report.html"
    path.write_text(text.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    return path


def chromium(page: Path, folder: Path, width: int, scheme: int, *arguments: str) -> str:
    """Standard output of the browser, for a page in a window of this width."""
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{HEIGHT}",
        f"--blink-settings=preferredColorScheme={scheme}", *arguments, page.as_uri(),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def probe(page: Path, folder: Path, width: int, scheme: int) -> dict[str, Any]:
    """What the browser made of the page."""
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.format(width=width, height=HEIGHT), encoding="utf-8")
    dom = chromium(frame, folder, 2000, scheme, "--virtual-time-budget=3000", "--dump-dom")
    found = re.search(r'<pre id="probe">(.*?)</pre>', dom, re.S)
    assert found, dom[-2000:]
    return json.loads(unescape(found[1]))  # type: ignore[no-any-return]


def rgb(text: str) -> np.ndarray:
    return np.array([float(v) for v in re.findall(r"[\d.]+", text)[:3]])


def contrast(a: np.ndarray, b: np.ndarray) -> float:
    """WCAG 2.1's contrast ratio of two sRGB colours."""
    linear = [np.where(c / 255 <= 0.04045, c / 255 / 12.92, ((c / 255 + 0.055) / 1.055) ** 2.4) for c in (a, b)]
    high, low = sorted((float(c @ [0.2126, 0.7152, 0.0722]) for c in linear), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_everything_is_visible_without_scrolling_sideways(page: Path, tmp_path: Path, width: int, scheme: int) -> None:
    found = probe(page, tmp_path, width, scheme)
    assert found["inner"] == width
    assert found["scroll"] <= width
    assert found["scrollers"] == [], "nothing scrolls inside the page either"
    assert len(found["verdict"]) == 1
    assert len(found["statuses"]) == 7, "a verdict for every row"
    assert len(found["charts"]) == 3, "one of the two of each"
    for left, right, wide, high in (*found["verdict"], *found["statuses"], *found["charts"]):
        assert left >= 0 and right <= width
        assert wide > 20 and high > 10
    assert found["cut"] == [], "words that leave their picture"
    assert found["loose"] == [], "verdicts that leave their section"
    assert min(found["sizes"]) >= 10, "CSS pixels of the smallest letters in a picture"
    ink, background = rgb(found["ink"]), rgb(found["page"])
    assert (background.mean() < 128) == (scheme == DARK)
    assert contrast(ink, background) > 7
    assert len(found["bars"]) > 10
    assert {contrast(rgb(bar), background) > 3 for bar in found["bars"]} == {True}


def test_pictures_change_with_the_mode(page: Path, tmp_path: Path) -> None:
    """On the screen, not in the style sheet: dark pages have dark charts, and the bars are seen on both."""
    mean = {}
    for scheme in (LIGHT, DARK):
        shot = tmp_path / f"{scheme}.png"
        chromium(page, tmp_path, PHONE, scheme, f"--screenshot={shot}")
        pixels = np.asarray(Image.open(io.BytesIO(shot.read_bytes())).convert("RGB"), np.float64)
        assert pixels.shape == (HEIGHT, PHONE, 3)
        mean[scheme] = pixels.mean()
        saturated = (pixels.max(-1) - pixels.min(-1) > 100).sum()
        assert saturated > 2000, "bars and verdicts"
    assert mean[LIGHT] > 225
    assert mean[DARK] < 60
