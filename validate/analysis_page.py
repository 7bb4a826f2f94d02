"""``analysis.html``: the analysis of the quantized files of a run, on a page of its own."""

from __future__ import annotations

from ..analysis import AnalysisFile
from . import analysis_words
from .analysis_plots import plots
from .report import environment


def html(held: AnalysisFile, spec: str) -> str:
    """One HTML page with inline pictures; ``spec`` is the model, as given."""
    page = environment(autoescape=True).get_template("analysis_page.html.jinja")
    return page.render(held=held, spec=spec, words=analysis_words, analyses=[(a, plots(a)) for a in held.files])
