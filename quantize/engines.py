"""The processes that make a quantized file: ours on ``ai-edge-quantizer``, TensorFlow's, or both to compare them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..errors import CheckFailed, EdgeworthyError, InternalFault
from ..workers.child import Child
from . import tensorflow_engine
from .contenders import Contender, best
from .messages import Answer, Request

if TYPE_CHECKING:
    from ..artifact import Feeds


class Engines:
    """Those that a recipe asks for. Use it as a context manager.

    Where both are asked for, what TensorFlow can't do, or dies of, is a row of the comparison.

    Args:
        request: What to make of which model.
        saved_model: The same model, for TensorFlow.
        timeout_s: Seconds that one request may take.
    """

    def __init__(self, request: Request, saved_model: Path | None, timeout_s: float) -> None:
        self._request, self._saved_model, self._timeout_s = request, saved_model, timeout_s
        self._stack = ExitStack()
        self._engine = request.recipe.engine
        self._failure = tensorflow_engine.refuses(request.recipe) if self._engine == "both" else ""
        self._tensorflow: Child | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._ours = stack.enter_context(self._child("worker", self._request))
            if self._saved_model is not None and self._engine != "ai-edge" and not self._failure:
                recipe, path = self._request.recipe, self._theirs
                asked = tensorflow_engine.TensorFlowRequest(self._saved_model, path, recipe.scheme, recipe.io_dtype)
                stack.callback(path.unlink, missing_ok=True)
                self._tensorflow = stack.enter_context(self._child("tensorflow_engine", asked))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def compare(self) -> bool:
        """Whether there is anything to choose by samples that are held out."""
        needed = self._request.recipe.compares and self._engine != "tensorflow"
        return needed or self._engine == "both"

    def calibrate(self, feed: Feeds) -> None:
        """Take in a sample that ranges come from."""
        self._ours.ask("calibrate", feed)
        if self._tensorflow:
            self._tensorflow.ask("calibrate", feed)

    def hold(self, feed: Feeds) -> None:
        """Take in a sample to choose by."""
        self._ours.ask("hold", feed)

    def quantize(self) -> tuple[Answer, tuple[Contender, ...]]:
        """Write the file; and how each engine did, where there are two.

        Raises:
            BadInput, RuntimeFailure, OutOfMemory: as `post_training.quantize` says.
        """
        if self._engine == "tensorflow" and self._tensorflow:
            answer = self._adopted(self._tensorflow)
            self._theirs.replace(self._request.output)
            return answer, ()
        answer = self._ours.ask("quantize")
        if self._engine == "ai-edge":
            return answer, ()
        return self._better(answer)

    def _better(self, ours: Answer) -> tuple[Answer, tuple[Contender, ...]]:
        mine: Contender = self._ours.ask("judge", "ai-edge", self._request.output)
        answer, other = None, Contender("tensorflow", failure=self._failure)
        if self._tensorflow:
            try:
                answer = self._adopted(self._tensorflow)
                other = self._ours.ask("judge", "tensorflow", self._theirs)
            except (CheckFailed, InternalFault) as error:
                other = Contender("tensorflow", failure=str(error))
        if answer is not None and best([mine, other]) is other:
            self._theirs.replace(self._request.output)
            return answer, (mine, other)
        return ours, (mine, other)

    def _adopted(self, tensorflow: Child) -> Answer:
        name: str = tensorflow.ask("quantize")
        answer: Answer = self._ours.ask("adopt", self._theirs, name)
        return answer

    @property
    def _theirs(self) -> Path:
        output = self._request.output
        return output.with_name(f"{output.name}.tensorflow")

    def _child(self, module: str, request: object) -> Child:
        asked = self._request
        return Child(
            f"{__package__}.{module}",
            request,
            name=f"quantizing to {asked.recipe.scheme}{' by TensorFlow' if module != 'worker' else ''}",
            where=str(asked.model),
            remedy="try another scheme, or keep the operator in question in float with --exclude",
            # The hash seed: the same file every time.
            environment={"PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "2"},
            timeout_s=self._timeout_s,
            start_s=self._timeout_s,
            # What TensorFlow can't read is no fault of the system's.
            passes=(EdgeworthyError, OSError) if module == "worker" else (EdgeworthyError,),
        )
