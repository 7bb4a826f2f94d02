"""Networks over time: TCN, conformer, CRNN with CTC, LSTM and GRU models, and steps of Mamba and RWKV."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .architecture import Architecture, Draw, normal, tokens

_WORDS = 200


class Tcn(nn.Module):
    """Causal dilated convolutions with weight norm: [n, channels, t] → [n, 10, t] (S. Bai et al., arXiv:1803.01271)."""

    def __init__(self, channels: int = 6, width: int = 16, layers: int = 3) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        sizes = [channels, *[width] * layers]
        self.convs = nn.ModuleList(
            nn.ModuleList([norm(nn.Conv1d(a, b, 3, dilation=2**i)), norm(nn.Conv1d(b, b, 3, dilation=2**i))])
            for i, (a, b) in enumerate(pairwise(sizes))
        )
        self.skips = nn.ModuleList(nn.Conv1d(a, b, 1) for a, b in pairwise(sizes))
        self.head = nn.Conv1d(width, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for index, (pair, skip) in enumerate(zip(self.convs, self.skips, strict=True)):
            y = x
            for conv in pair.children():
                y = functional.relu(conv(functional.pad(y, (2 * 2**index, 0))))
            x = functional.relu(y + skip(x))
        result: torch.Tensor = self.head(x)
        return result


class ConformerBlock(nn.Module):
    """Half a feed-forward layer, attention, a convolution, and the other half (A. Gulati et al., arXiv:2005.08100)."""

    def __init__(self, width: int, heads: int = 4, kernel: int = 7) -> None:
        super().__init__()
        self.before, self.after = (
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            for _ in range(2)
        )
        self.norm, self.attention = nn.LayerNorm(width), nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2, self.last = nn.LayerNorm(width), nn.LayerNorm(width)
        self.convolution = nn.Sequential(
            nn.Conv1d(width, 2 * width, 1), nn.GLU(1),
            nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width),
            nn.BatchNorm1d(width), nn.SiLU(), nn.Conv1d(width, width, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + 0.5 * self.before(x)
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.convolution(self.norm2(x).transpose(1, 2)).transpose(1, 2)
        result: torch.Tensor = self.last(x + 0.5 * self.after(x))
        return result


class Conformer(nn.Module):
    """Spectrogram [n, t, bands] → logits of letters [n, t/4, 30]."""

    def __init__(self, bands: int = 16, width: int = 32, blocks: int = 2) -> None:
        super().__init__()
        self.subsample = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.enter = nn.Linear(8 * bands // 4, width)
        self.blocks = nn.Sequential(*(ConformerBlock(width) for _ in range(blocks)))
        self.head = nn.Linear(width, 30)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        x = self.subsample(sound[:, None]).transpose(1, 2).flatten(2)
        result: torch.Tensor = self.head(self.blocks(self.enter(x))).log_softmax(-1)
        return result


class Crnn(nn.Module):
    """Print [n, 1, 32, w] → log-probabilities [n, w/4, 20], and the letters of greedy CTC, −1 where there is none.

    Source: B. Shi et al., arXiv:1507.05717.
    """

    def __init__(self, width: int = 8, hidden: int = 16) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, pool: tuple[int, int]) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(pool)
            )

        self.look = nn.Sequential(
            conv(1, width, (2, 2)),
            conv(width, 2 * width, (2, 2)),
            conv(2 * width, 2 * width, (2, 1)),
            conv(2 * width, 2 * width, (4, 1)),
        )
        self.read = nn.LSTM(2 * width, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * hidden, 20)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.look(image).squeeze(2).transpose(1, 2)
        scores = self.head(self.read(x)[0]).log_softmax(-1)
        best = scores.argmax(-1)
        new = torch.cat([torch.ones_like(best[:, :1], dtype=torch.bool), best[:, 1:] != best[:, :-1]], 1)
        return scores, torch.where(new & (best != 0), best, -1)


class LanguageModel(nn.Module):
    """Ids [n, t] and states → scores [n, t, words] and states, by a recurrent layer of PyTorch's."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], width: int = 24) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(_WORDS, width), nn.Linear(width, _WORDS)
        self.layers = kind(width, width, num_layers=2, batch_first=True)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = tuple(state.transpose(0, 1).contiguous() for state in inputs[1:])
        y, after = self.layers(self.embed(inputs[0]), given if len(given) > 1 else given[0])
        states = after if isinstance(after, tuple) else (after,)
        return (self.head(y), *(s.transpose(0, 1) for s in states))


class MambaStep(nn.Module):
    """One step of a selective state space (A. Gu and T. Dao, arXiv:2312.00752).

    Ids [n], the last inputs of each convolution [n, layers, inner, taps] and states [n, layers, inner, state] → scores,
    and both after the step.
    """

    def __init__(
        self, width: int = 24, inner: int = 32, state: int = 8, taps: int = 4, rank: int = 4, layers: int = 2
    ) -> None:
        super().__init__()
        self.embed, self.head, self.state, self.rank = (
            nn.Embedding(_WORDS, width),
            nn.Linear(width, _WORDS),
            state,
            rank,
        )
        make: dict[str, Callable[[], nn.Module]] = {
            "enter": lambda: nn.Linear(width, 2 * inner, bias=False),
            "conv": lambda: nn.Conv1d(inner, inner, taps, groups=inner),
            "choose": lambda: nn.Linear(inner, rank + 2 * state, bias=False), "pace": lambda: nn.Linear(rank, inner),
            "leave": lambda: nn.Linear(inner, width, bias=False), "norm": lambda: nn.RMSNorm(width),
        }  # fmt: skip
        self.layers = nn.ModuleList(nn.ModuleDict({name: one() for name, one in make.items()}) for _ in range(layers))
        self.decay = nn.ParameterList(nn.Parameter(torch.zeros(inner, state)) for _ in range(layers))
        self.through = nn.ParameterList(nn.Parameter(torch.ones(inner)) for _ in range(layers))

    def forward(self, ids: torch.Tensor, window: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, windows, states = self.embed(ids), [], []
        for index, layer in enumerate(self.layers):
            of: Any = layer
            value, gate = of["enter"](of["norm"](x)).chunk(2, -1)
            windows.append(torch.cat([window[:, index, :, 1:], value[..., None]], -1))
            value = functional.silu(of["conv"](windows[-1])[..., 0])
            pace, write, read = of["choose"](value).split([self.rank, self.state, self.state], -1)
            pace = functional.softplus(of["pace"](pace))
            kept = torch.exp(-pace[..., None] * self.decay[index].exp()) * state[:, index]
            states.append(kept + (pace * value)[..., None] * write[:, None])
            value = (states[-1] * read[:, None]).sum(-1) + self.through[index] * value
            x = x + of["leave"](value * functional.silu(gate))
        return self.head(x), torch.stack(windows, 1), torch.stack(states, 1)


class RwkvStep(nn.Module):
    """One step of RWKV-4 (B. Peng et al., arXiv:2305.13048): ids [n], states [n, layers, 5, width] → scores, states."""

    def __init__(self, width: int = 24, layers: int = 2) -> None:
        super().__init__()
        self.embed, self.head, self.enter = nn.Embedding(_WORDS, width), nn.Linear(width, _WORDS), nn.LayerNorm(width)
        names = {"key": width, "value": width, "gate": width, "out": width, "channel_gate": width}
        self.layers = nn.ModuleList(
            nn.ModuleDict({
                **{name: nn.Linear(width, size, bias=False) for name, size in names.items()},
                "channel_key": nn.Linear(width, 2 * width, bias=False),
                "channel_value": nn.Linear(2 * width, width, bias=False),
                "norm": nn.LayerNorm(width), "channel_norm": nn.LayerNorm(width),
            }) for _ in range(layers)
        )  # fmt: skip
        self.mix = nn.Parameter(torch.zeros(layers, 5, width))
        self.first, self.decay = nn.Parameter(torch.zeros(layers, width)), nn.Parameter(torch.zeros(layers, width))

    def forward(self, ids: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, states = self.enter(self.embed(ids)), []
        for index, layer in enumerate(self.layers):
            of: Any = layer
            before, top, bottom, most, channel = state[:, index].unbind(1)
            mix = torch.sigmoid(self.mix[index])
            y = of["norm"](x)
            key, value, gate = (
                of[name](y * mix[i] + before * (1 - mix[i])) for i, name in enumerate(("key", "value", "gate"))
            )
            high = torch.maximum(most, key + self.first[index])
            old, new = torch.exp(most - high), torch.exp(key + self.first[index] - high)
            x = x + of["out"](torch.sigmoid(gate) * (old * top + new * value) / (old * bottom + new))
            slower = most - self.decay[index].exp()
            high = torch.maximum(slower, key)
            old, new = torch.exp(slower - high), torch.exp(key - high)
            z = of["channel_norm"](x)
            kept = z * mix[3] + channel * (1 - mix[3])
            pushed = of["channel_value"](functional.relu(of["channel_key"](kept)).square())
            x = x + torch.sigmoid(of["channel_gate"](z * mix[4] + channel * (1 - mix[4]))) * pushed
            states.append(torch.stack([y, old * top + new * value, old * bottom + new, high, z], 1))
        return self.head(x), torch.stack(states, 1)


def _ids() -> Draw:
    return lambda generator, count: torch.randint(1, _WORDS, (count,), generator=generator)


def _rwkv_state(generator: torch.Generator, count: int) -> torch.Tensor:
    """What a state may be: the sum of weights is positive."""
    state = torch.randn(count, 2, 5, 24, generator=generator)
    state[:, :, 2] = state[:, :, 2].abs() + 0.5
    return state


ARCHITECTURES = {
    "tcn": Architecture("sequences", Tcn, {"x": normal(6, 40)}, {"x": "batch . length"}),
    "conformer": Architecture("speech", Conformer, {"sound": normal(48, 16)}, {"sound": "batch length ."},
                              ({"length": 48}, {"length": 64}, {"length": 32})),
    "crnn_ctc": Architecture("print", Crnn, {"image": normal(1, 32, 64)}, {"image": "batch . . width"},
                             ({"width": 64}, {"width": 96}, {"width": 48})),
    "lstm_lm": Architecture("sequences", lambda: LanguageModel(nn.LSTM),
                            {"ids": tokens(_WORDS, 6), "hidden": normal(2, 24), "cell": normal(2, 24)},
                            {"ids": "batch length", "hidden": "batch . .", "cell": "batch . ."}),
    "gru_lm": Architecture("sequences", lambda: LanguageModel(nn.GRU),
                           {"ids": tokens(_WORDS, 6), "hidden": normal(2, 24)},
                           {"ids": "batch length", "hidden": "batch . ."}),
    "mamba_step": Architecture("sequences", MambaStep,
                               {"ids": _ids(), "window": normal(2, 32, 4), "state": normal(2, 32, 8)},
                               {"ids": "batch", "window": "batch . . .", "state": "batch . . ."}),
    "rwkv_step": Architecture("sequences", RwkvStep, {"ids": _ids(), "state": _rwkv_state},
                              {"ids": "batch", "state": "batch . . ."}),
}  # fmt: skip
