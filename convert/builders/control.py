"""Branches and loops of the TFLite vocabulary, whose bodies are functions that emit into the same builder.

A body may use any tensor made before it; what it makes is known inside of it only.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from .base import BuilderBase
from .tensor import Shape, Spec, Tensor, Unsupported, format_shape

Branch = Callable[[], Sequence[Tensor]]
Body = Callable[[Sequence[Tensor]], Sequence[Tensor]]


class ControlFlow(BuilderBase):
    """IF and WHILE."""

    @abstractmethod
    def _cond(self, condition: Tensor, then: Branch, otherwise: Branch) -> Sequence[Any]:
        """Run both branches, each once and in a place of its own; returns a handle for each result."""

    @abstractmethod
    def _while_loop(self, start: Sequence[Tensor], carried: Sequence[Spec], condition: Body, body: Body) -> list[Any]:
        """Run ``body``, then ``condition``, each once and in a place of its own; returns a handle for each result."""

    def cond(self, condition: Tensor, then: Branch, otherwise: Branch) -> tuple[Tensor, ...]:
        """What ``then`` gives where the scalar ``condition`` holds, else what ``otherwise`` gives. TFLite: IF.

        Both give as many tensors, pair by pair of one dtype and rank; an extent in which they differ is dynamic. Where
        the condition is constant only one of them runs, without an IF.

        Raises:
            Unsupported: the branches don't agree.
        """
        if condition.value is not None:
            return tuple(then() if condition.value.reshape(()) else otherwise())
        given: list[Sequence[Tensor]] = []

        def noted(branch: Branch) -> Branch:
            def run() -> Sequence[Tensor]:
                given.append(tuple(branch()))
                return given[-1]

            return run

        handles = self._cond(condition, noted(then), noted(otherwise))
        self.written[self._scope].ops["IF"] += 1
        specs = joined(*given)
        return tuple(Tensor(handle, s.dtype, s.shape) for handle, s in zip(handles, specs, strict=True))

    def while_loop(
        self, start: Sequence[Tensor], shapes: Sequence[Shape], condition: Body, body: Body
    ) -> tuple[Tensor, ...]:
        """``body`` applied to ``start``, and to what it gives, while ``condition`` holds of it. TFLite: WHILE.

        Args:
            start: What is carried from step to step, as it is at first.
            shapes: Its shapes throughout; None where an extent changes from step to step.
            condition: Gives one bool scalar.
            body: Gives as many tensors as it takes, of the same dtypes and of ``shapes``.

        Raises:
            Unsupported: what the body gives has other dtypes or shapes.
        """
        carried = [Spec(t.dtype, shape) for t, shape in zip(start, shapes, strict=True)]

        def checked(state: Sequence[Tensor]) -> Sequence[Tensor]:
            results = tuple(body(state))
            for spec, result in zip(carried, results, strict=True):
                if result.dtype != spec.dtype or not _fits(result.shape, spec.shape):
                    raise Unsupported(
                        f"a loop carries {spec.dtype}{format_shape(spec.shape)}, and a step makes"
                        f" {result.dtype}{format_shape(result.shape)} of it",
                        "keep the shape of what the loop carries",
                    )
            return results

        handles = self._while_loop(start, carried, condition, checked)
        self.written[self._scope].ops["WHILE"] += 1
        return tuple(Tensor(handle, s.dtype, s.shape) for handle, s in zip(handles, carried, strict=True))


def joined(one: Sequence[Tensor], other: Sequence[Tensor]) -> list[Spec]:
    """What is true of the results of both branches.

    Raises:
        Unsupported: they are of different numbers, dtypes or ranks.
    """
    if len(one) != len(other) or any(a.dtype != b.dtype or a.rank != b.rank for a, b in zip(one, other, strict=True)):
        kinds = [", ".join(f"{t.dtype}{format_shape(t.shape)}" for t in side) for side in (one, other)]
        raise Unsupported(f"its branches give {kinds[0]} and {kinds[1]}", "let both give tensors of one dtype and rank")
    return [
        Spec(a.dtype, tuple(d if d == e else None for d, e in zip(a.shape, b.shape, strict=True)))
        for a, b in zip(one, other, strict=True)
    ]


def _fits(made: Shape, carried: Shape) -> bool:
    return len(made) == len(carried) and all(None in (d, e) or d == e for d, e in zip(made, carried, strict=True))
