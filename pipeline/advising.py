"""``recommend``: of all ways to quantize a model that were tried, the one to take."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cached_property

from .. import files
from .. import schemes as quantization
from ..quantize.recipe import path_beside
from ..validate.advice import RecommendationResult, VariantResult
from .again import quantize as quantize_again
from .own_scales import quantized_already
from .pages import ADVICE
from .trying import Trying

_TIMED_ON = "TFLite with XNNPACK on this machine, one thread, in turns with float32"


class Advising(Trying):
    """What is recommended."""

    @cached_property
    def recommendation(self) -> RecommendationResult:
        """The ranked variants; the file of the best one is in OUT, and the picture.

        Raises:
            BadInput: the model is quantized already, or a limit needs labelled data and there is none.
        """
        from ..validate import advice_words as words
        from ..validate import ranking

        if self.given is None and self.has_scales:
            raise quantized_already(self.inputs.spec)
        data = self.inputs.calibration
        if data is not None and not data.fit_for_deployment:
            self.inputs.warnings.append(f"files were calibrated on {data.description}: they are unfit for deployment")
        asked, prefer, left_out = self.inputs.limits.asked(), self.config.recommend.prefer, self._tried[1]
        variants = ranking.ranked(self._measured, prefer)
        best = next((one for one in variants if one.status in ("pass", "fail") and one.same_as is None), None)
        keeps = best is not None and best.status == "pass"
        quality, accuracy = self._tried_quality, self._tried_accuracy
        samples = words.feeds(quality.samples, quality.samples_are) if quality else ""
        if quality:
            self.inputs.warnings += words.few(quality.samples, quality.samples_are)
        found = RecommendationResult(
            status="pass" if keeps else "fail",
            pick=best.name if best and keeps else None,
            said=words.sentence(best, keeps=keeps, samples=samples) if best else "No file could be made",
            reasons=list(words.reasons(variants, prefer, asked)),
            variants=variants,
            asked=asked,
            prefer=prefer,
            device=self.inputs.device,
            timed_on=_TIMED_ON if self._times else "",
            judged_on=quality.inputs if quality else "",
            samples=quality.samples if quality else 0,
            metric=accuracy.metric if accuracy else "",
            labelled=accuracy.data if accuracy else "",
            left_out=left_out,
            notes=list(self._notes()),
        )
        return self._written(found, best if keeps else None)

    def _notes(self) -> Iterator[str]:
        device = self.inputs.device
        if not self._times:
            yield f"no latency was taken: this machine's times say nothing of {device}"
        for variant, tried in self._tried[0]:
            for note in tried.notes:
                yield f"{variant.name}: {note}"

    def _written(self, found: RecommendationResult, pick: VariantResult | None) -> RecommendationResult:
        """With the file of the pick in OUT, and the page."""
        written, again = list[str](), ""
        if pick is not None and pick.scheme == quantization.FLOAT32.name:
            written = [pick.file]
        elif pick is not None:
            made, target = self.output / pick.file, self._quantized_path(pick.scheme)
            pairs = {made: target, path_beside(made): path_beside(target)}

            def copy() -> list[str]:
                for source, place in pairs.items():
                    with files.atomic_file(place) as part:
                        shutil.copyfile(source, part)
                return [place.name for place in pairs.values()]

            depends: dict[str, object] = {"file": pick.sha256, "recipe": files.sha256(path_beside(made))}
            origins = [self.output / self.floating.path]
            written = self._stage("recommend", list[str], depends, copy, [*pairs.values()], origins=origins)
            data = self.inputs.calibration if quantization.SCHEMES[pick.scheme].needs_calibration else None
            if not self.inputs.handed:
                recipe = path_beside(target)
                again = quantize_again(self.config, self.inputs.spec, recipe, data.samples if data else None)
        found = found.model_copy(update={"written": [*written, *ADVICE], "again": again})
        self._write_page(found)
        return found

    def _write_page(self, found: RecommendationResult) -> None:
        paths = [self.output / name for name in ADVICE]

        def make() -> list[str]:
            from ..validate import advice_page

            texts = (advice_page.html(found, self.inputs.spec), advice_page.picture(found))
            for path, text in zip(paths, texts, strict=True):
                files.write_text(path, text)
            return list(ADVICE)

        depends: dict[str, object] = {"found": found.model_dump(mode="json"), "spec": self.inputs.spec}
        origins = [self.output / self.floating.path]
        self._stage("recommend.page", list[str], depends, make, paths, origins=origins)
