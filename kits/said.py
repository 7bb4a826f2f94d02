"""What a registry's client said of its failure: the reasons that its own last line leaves out."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BROKEN = re.compile(r"after connection broken by '(.+)': |Could not fetch URL \S+: (.+) - skipping")
"""How pip tells why it tries again, or does without a page of the index; the latter at ``-vv``."""
_RAISED = re.compile(r"(?:\w+\.)+\w*(?:Error|Exception): .+")
"""The last line of a traceback, which is all that pip has for what it didn't foresee, such as a read that timed out."""
_UNTOLD = ("ERROR: Exception:", " an OSError.")
_MISMATCH, _FROM = "DO NOT MATCH THE HASHES", re.compile(r"from \S*?([^/\s]+\.whl)")
_OTHER = "hash mismatch: {} was cut off on its way, or is another file than the locked one"

_FETCHED = re.compile(r"^Fetched page (\S+) as ", re.M)
"""A page of the index that pip got, whole or not: it doesn't hold it against the length that the server told."""
_NONE_FOUND = re.compile(r"No matching distribution found for ([\w.-]+)==([^\s;]+)")
_SKIPPED = "Skipping link: "
"""How pip tells of a file that the page lists, and that isn't for this Python."""
_CUT = "the index's page {} was cut off on its way, or is incomplete: it {}"
_ASK_AGAIN = (
    "the same command asks for the page again; where it stays so, name a whole index with {}, or take the files from a "
    "folder with --offline DIR"
)
_NPM_CUT = re.compile(r"nvalid (?:json )?response body (?:while trying to fetch|at) (\S+?):? (?:reason: )?(.+)")
"""npm's word for it, which stands above what it says of proxies."""


def last_words(said: str) -> tuple[Sequence[str], str]:
    """What a client said of its failure, and before that what cut its connection: pip's error names no such reason.

    Returns:
        The reasons, and what to do where that follows from them; empty else.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if _MISMATCH in said:
        return [_OTHER.format(" or ".join(dict.fromkeys(_FROM.findall(said.rpartition(_MISMATCH)[2]))) or "a file")], ""
    errors = [line for line in lines if line.lower().startswith(("error", "e:", "npm error"))]
    if any(line.endswith(_UNTOLD) for line in errors):
        errors = [line for line in lines if _RAISED.match(line)][-1:] or errors
    found = [next(filter(None, match.groups())) for line in lines if (match := _BROKEN.search(line))]
    broken = [reason.rpartition(">: ")[2].rstrip("')") for reason in found]
    if errors and (npm := _NPM_CUT.search(said)):
        return [_CUT.format(npm[1], f"ends early ({npm[2]})")], _ASK_AGAIN.format("npm_config_registry")
    cut = _cut_page(lines, said, errors)
    words = list(dict.fromkeys([*broken[-1:], *filter(None, (cut,)), *(errors or lines)[-3:]]))
    return words, _ASK_AGAIN.format("PIP_INDEX_URL") if cut else ""


def _cut_page(lines: Sequence[str], said: str, errors: Sequence[str]) -> str:
    """What is wrong with a page of the index that came, if that is why pip failed.

    A locked file was in the index once: a page that came and doesn't list it has lost it.
    """
    pages = _FETCHED.findall(said)
    if pages and any("JSONDecodeError" in error for error in errors):
        return _CUT.format(pages[-1], "is no whole JSON")
    if not (missed := _NONE_FOUND.search("\n".join(errors))):
        return ""
    name, version = missed.groups()
    own = [page for page in pages if _canonical(page.rstrip("/").rpartition("/")[2]) == _canonical(name)]
    file = re.compile(rf"/{re.escape(name).replace('-', '[-_.]')}-{re.escape(version)}[-.]", re.I)
    listed = any(_SKIPPED in line and file.search(line) for line in lines)
    return _CUT.format(own[-1], f"lists no {name}=={version}") if own and not listed else ""


def _canonical(name: str) -> str:
    """As an index calls a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
