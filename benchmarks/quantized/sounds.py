"""Sounds: sentences spoken by eSpeak NG (its library comes as a wheel), plucked strings, noise, and their spectra."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly  # type: ignore[import-untyped]

from .packages import ESPEAK, unpacked

Array = NDArray[np.float32]

RATE = 16_000
"""Samples a second of all speech here."""

_SYNCHRONOUS, _UTF8, _CHARACTERS = 2, 1, 1  # espeak-ng's speak_lib.h
_VOICES = ("en-us", "de", "fr+f3", "es+m3", "en-gb+f2", "it+m4", "sv", "pl+f1")
_SENTENCES = (
    "The quick brown fox jumps over the lazy dog, and nobody minds.",
    "Four score and seven tulips later, the ferry left the harbour at noon.",
    "Please call me back after twenty past nine; I shall be near the telephone.",
    "Why would anyone measure a river twice, if not to see it move?",
)


def speech(seconds: float, seed: int, *, noise: float = 0.02) -> Array:
    """[samples] in -1..1: sentences in eight voices with pauses between them, from a place by ``seed``, with noise."""
    everything, draw = _spoken(), np.random.default_rng(seed)
    count = round(seconds * RATE)
    start = int(draw.integers(0, everything.size))
    taken = np.resize(np.roll(everything, -start), count)
    level = noise * 10 ** draw.uniform(-1, 1)
    return np.clip(taken * draw.uniform(0.3, 1) + draw.normal(0, level, count), -1, 1).astype(np.float32)


@cache
def _spoken() -> Array:
    """All sentences by all voices, a second of silence behind each."""
    folder = unpacked(ESPEAK) / "espeakng_loader"
    library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(folder / "espeak-ng-data").encode(), 0)
    if rate <= 0:
        raise RuntimeError(f"eSpeak NG doesn't start: {rate}")
    chunks: list[Any] = []

    def take(samples: Any, count: int, _: Any) -> int:
        if samples and count:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)(take)
    library.espeak_SetSynthCallback(callback)
    for number, voice in enumerate(_VOICES):
        library.espeak_SetVoiceByName(voice.encode())
        for sentence in (_SENTENCES[number % len(_SENTENCES)], _SENTENCES[(number + 1) % len(_SENTENCES)]):
            text = sentence.encode()
            library.espeak_Synth(text, len(text) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
            library.espeak_Synchronize()
            chunks.append(np.zeros(rate, np.int16))
    spoken: Array = resample_poly(np.concatenate(chunks) / 32768, RATE // 50, rate // 50).astype(np.float32)
    return spoken


def strings(samples: int, rate: int, seed: int) -> Array:
    """[samples] in -1..1: chords of plucked strings.

    Source: K. Karplus and A. Strong, *Digital Synthesis of Plucked-String and Drum Timbres*, 1983.
    """
    draw = np.random.default_rng(seed)
    music = np.zeros(samples)
    for _ in range(int(draw.integers(4, 12))):
        start = int(draw.integers(0, samples * 3 // 4))
        pitch = 440 * 2 ** ((int(draw.integers(36, 84)) - 69) / 12)
        music[start:] += draw.uniform(0.2, 1) * _plucked(samples - start, round(rate / pitch), draw)
    return np.asarray(music / max(1, np.abs(music).max()) + draw.normal(0, 1e-3, samples), np.float32)


def _plucked(samples: int, period: int, draw: np.random.Generator) -> NDArray[np.float64]:
    turn, turns = draw.uniform(-1, 1, period), []
    for _ in range(-(-samples // period)):
        turns.append(turn)
        turn = 0.498 * (turn + np.roll(turn, -1))
    return np.concatenate(turns)[:samples]


def power(signal: Array, size: int, hop: int) -> NDArray[np.float64]:
    """[frames, size / 2 + 1]: the power spectrum under Hann's window, centred on every ``hop``-th sample."""
    padded = np.pad(signal, size // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size + 1)[:-1]
    return np.abs(np.fft.rfft(frames)) ** 2


def log_power(signal: Array, size: int, hop: int) -> Array:
    """[frames, size / 2 + 1]: log₁₀ of the power, from 1e-12."""
    return np.log10(np.maximum(power(signal, size, hop), 1e-12)).astype(np.float32)


def mel(signal: Array, size: int, hop: int, channels: int) -> Array:
    """[frames, channels]: the power in triangles on Slaney's mel scale, of equal area each."""
    edges = _hertz(np.linspace(0, _mels(RATE / 2), channels + 2))
    bins = np.fft.rfftfreq(size, 1 / RATE)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return (power(signal, size, hop) @ triangles.T).astype(np.float32)


def _mels(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
