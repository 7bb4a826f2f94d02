"""``recommendation.html`` and ``recommendation.svg``: a recommendation on a page of its own, and its picture."""

from __future__ import annotations

import importlib.metadata

from . import advice_words
from .advice import RecommendationResult
from .advice_plots import CAPTIONS, plots
from .drawing import alone
from .report import environment


def html(found: RecommendationResult, spec: str) -> str:
    """One HTML page with inline pictures; ``spec`` is the model, as given."""
    return (
        environment(autoescape=True)
        .get_template("advice_page.html.jinja")
        .render(
            r=found,
            spec=spec,
            version=importlib.metadata.version("edgeworthy"),
            words=advice_words,
            columns=advice_words.columns(found),
            plots=plots(found),
            captions=CAPTIONS,
        )
    )


def picture(found: RecommendationResult) -> str:
    """The front as an SVG file; an empty one where there are fewer than two files."""
    drawn = plots(found)
    return alone(next(iter(drawn.values()))["wide"] if drawn else '<svg xmlns="http://www.w3.org/2000/svg"></svg>')
