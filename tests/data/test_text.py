"""Samples of texts: what the tokenizers' own packages make of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.data.forms import Reading, open_samples
from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.quantize.calibration import load_calibration

tokenizers = pytest.importorskip("tokenizers")

TEXTS = ["a red fish swims", "blue", "the red boat and the blue fish and the sea"]
INPUTS = (TensorSpec("input_ids", "int64", (1, 6)), TensorSpec("attention_mask", "int64", (1, 6)))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of words, saved as ``tokenizer.json``; its padding is number 3."""
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", *sorted({w for t in TEXTS for w in t.split()})]
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


def lines(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def test_lines_are_cut_and_filled_up_to_the_inputs_length(tmp_path: Path, tokenizer: Path) -> None:
    found = list(load_calibration(lines(tmp_path), INPUTS, how=Reading(tokenizer=tokenizer)))
    plain = tokenizers.Tokenizer.from_file(str(tokenizer))
    for feed, text in zip(found, TEXTS, strict=True):
        ids = plain.encode(text).ids
        if len(ids) > 6:
            ids = [*ids[:5], 2]
        assert feed["input_ids"].tolist() == [ids + [3] * (6 - len(ids))]
        assert feed["attention_mask"].tolist() == [[1] * len(ids) + [0] * (6 - len(ids))]
        assert feed["input_ids"].dtype == np.int64
    folder = list(load_calibration(lines(tmp_path), INPUTS, how=Reading(tokenizer=tokenizer.parent)))
    assert [f["input_ids"].tolist() for f in folder] == [f["input_ids"].tolist() for f in found]


def test_texts_of_a_dynamic_input_have_their_own_length(tmp_path: Path, tokenizer: Path) -> None:
    spec = TensorSpec("tokens", "int32", ("batch", "length"))
    found = list(load_calibration(lines(tmp_path), (spec,), how=Reading(tokenizer=tokenizer)))
    assert [f["tokens"].shape for f in found] == [(1, 6), (1, 3), (1, 12)]


def test_a_column_of_a_table(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "t.csv").write_text("said,label\n" + "".join(f"{t},{i}\n" for i, t in enumerate(TEXTS)))
    how = Reading(tokenizer=tokenizer, text_column="said")
    found = load_calibration(tmp_path / "t.csv", INPUTS, how=how)
    of_lines = load_calibration(lines(tmp_path), INPUTS, how=Reading(tokenizer=tokenizer))
    assert found.survey.labels == {0, 1, 2}
    for one, other in zip(found, of_lines, strict=True):
        np.testing.assert_array_equal(one["input_ids"], other["input_ids"])
    with pytest.raises(BadInput, match="no column 'text'") as caught:
        load_calibration(tmp_path / "t.csv", INPUTS, how=Reading(tokenizer=tokenizer))
    assert "it has said" in caught.value.details


def test_a_folder_without_tokenizer_json_is_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({w for t in TEXTS for w in t.split()})]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    made = transformers.BertTokenizer(str(tmp_path / "vocab.txt"))
    made.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "tokenizer.json").unlink(missing_ok=True)
    (tmp_path / "saved" / "vocab.txt").write_text("\n".join(words) + "\n")
    specs = (*INPUTS, TensorSpec("token_type_ids", "int64", (1, 6)))
    found = list(load_calibration(lines(tmp_path), specs, how=Reading(tokenizer=tmp_path / "saved")))
    for feed, text in zip(found, TEXTS, strict=True):
        want = made(text, truncation=True, max_length=6, padding="max_length")
        assert feed["input_ids"].tolist() == [want["input_ids"]]
        assert feed["token_type_ids"].tolist() == [[0] * 6]


def test_what_is_missing_or_broken(tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lines(tmp_path)

    def refused(how: Reading, *inputs: TensorSpec) -> BadInput:
        with pytest.raises(BadInput) as caught:
            open_samples(path, inputs or INPUTS, how)
        return caught.value

    assert "--tokenizer" in (refused(Reading()).remedy or "")
    assert "no such tokenizer" in refused(Reading(tokenizer=tmp_path / "none")).what
    (tmp_path / "broken.json").write_text("{")
    assert "the tokenizer can't be loaded" in refused(Reading(tokenizer=tmp_path / "broken.json")).what
    image = TensorSpec("image", "float32", (1, 3, 8, 8))
    assert "no tokens" in refused(Reading(tokenizer=tokenizer), image).what
    extra = TensorSpec("pixels", "int64", (1, 6))
    assert "makes nothing for the input pixels" in refused(Reading(tokenizer=tokenizer), *INPUTS, extra).what
    (tmp_path / "texts.txt").write_bytes(b"\xff\xfe\xfa\n")
    assert "the texts can't be read" in refused(Reading(tokenizer=tokenizer)).what
    (tmp_path / "texts.txt").write_text("\n\n")
    with pytest.raises(BadInput, match="there are no samples"):
        load_calibration(path, INPUTS, how=Reading(tokenizer=tokenizer))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(NotAvailable) as caught:
        open_samples(path, INPUTS, Reading(tokenizer=tokenizer))
    assert caught.value.remedy == "pip install edgeworthy[text]"
