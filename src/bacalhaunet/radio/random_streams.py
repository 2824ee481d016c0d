"""Counter-based random numbers: every frame has its own, whatever the batch, the tiling or the worker.

A frame is named by (seed, modulation, SNR, index). The name is hashed to two 32-bit keys ``k0, k1``; the ``c``-th
number of a stream is ``h(c) = mix(t(c) + k0, k1)`` with ``t`` a fixed hash of the counter. Nothing is carried from one
number to the next, so any part of any frame can be made anywhere, in any order.

The mixing steps are those of Wellons' ``lowbias32`` (https://nullprogram.com/blog/2018/07/31/). Counter-based
generators: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

_MULTIPLIER_1, _MULTIPLIER_2 = 0x7FEB352D, 0x846CA68B - (1 << 32)
_SALT_0, _SALT_1 = 0x3C6EF372, 0x1F83D9AB  # two words of the square roots of primes, to tell the two keys apart
_STREAM_STEP_0, _STREAM_STEP_1 = 0x61C88647, 0x2545F491
_WORD = 1 << 32
_LOW_16, _LOW_17 = 0xFFFF, 0x1FFFF  # torch shifts int32 arithmetically; these masks drop the copied sign bits

# Vectorised kernels compute the last few elements of an array with scalar code, and split arrays of 32768 elements
# or more between threads; either may change the last bit. Rows of whole vectors in small tiles have neither.
_VECTOR = 64
_TILE_ELEMENTS, _TILE_ELEMENTS_ALONE = 16384, 65536


def _wrap(word: int) -> int:
    """The signed 32-bit integer with the low 32 bits of ``word``."""
    word &= _WORD - 1
    return word - _WORD if word >= _WORD // 2 else word


def _mix(word: Tensor) -> Tensor:
    """Bijective hash of int32 words (lowbias32), in a new tensor."""
    word = word ^ ((word >> 16) & _LOW_16)
    word *= _MULTIPLIER_1
    word ^= (word >> 15) & _LOW_17
    word *= _MULTIPLIER_2
    word ^= (word >> 16) & _LOW_16
    return word


def _low_word(values: Tensor) -> Tensor:
    """The low 32 bits of int64 ``values`` as int32."""
    low = values & (_WORD - 1)
    return torch.where(low >= _WORD // 2, low - _WORD, low).to(torch.int32)


@lru_cache(maxsize=8)
def _counter_table(count: int, device: torch.device) -> Tensor:
    """``t(c)`` for c = 0 .. count - 1: int32 (count,)."""
    return _mix(_mix(torch.arange(count, dtype=torch.int32, device=device) + _SALT_0) + _SALT_1)


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step


class FrameStreams:
    """Random numbers of a batch of frames, a function of each frame's name alone.

    The same numbers come out whatever frames share the batch. Integers and uniforms are equal bit for bit on every
    device; normals are too on CPUs, and agree to float32 rounding between CPU and GPU.

    Args:
        seed: Any integer; its low 64 bits count.
        modulation: Labels, int64 (B,).
        snr_db: SNR labels in dB, (B,); any real value, kept to 1/1000 dB.
        index: Number of the frame within its cell of modulation and SNR, int64 (B,).
    """

    def __init__(self, seed: int, modulation: Tensor, snr_db: Tensor, index: Tensor) -> None:
        millibels = torch.round(snr_db.to(torch.float64) * 1000).to(torch.int64)
        words = (_low_word(modulation), _low_word(millibels), _low_word(index), _low_word(index >> 32))
        self._keys = torch.stack([self._key(seed, words, salt) for salt in (_SALT_0, _SALT_1)])
        self._prepared: dict[int, int] = {}
        self._stream_words = self._keys[:, None]

    @staticmethod
    def _key(seed: int, words: tuple[Tensor, ...], salt: int) -> Tensor:
        key = torch.full_like(words[0], _wrap(seed ^ salt))
        key = _mix(_mix(key) + _wrap((seed >> 32) + salt))
        for word in words:
            key = _mix(_mix(key) + word)
        return _mix(key)

    def __len__(self) -> int:
        """Number of frames."""
        return self._keys.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the numbers are made: the device of ``modulation``."""
        return self._keys.device

    def pick(self, rows: Tensor) -> FrameStreams:
        """The streams of the frames at positions ``rows``, int64, of this batch."""
        part = object.__new__(FrameStreams)
        part._keys, part._prepared = self._keys[:, rows], self._prepared
        part._stream_words = self._stream_words[:, :, rows] if self._prepared else part._keys[:, None]
        return part

    def prepare(self, *streams: int) -> FrameStreams:
        """Hash the keys of these streams now, once for all frames, before ``pick`` deals them out in tiles."""
        keys = [torch.stack(self._stream_keys(stream)) for stream in streams]
        self._stream_words = torch.stack(keys, 1).squeeze(3)
        self._prepared = {stream: place for place, stream in enumerate(streams)}
        return self

    def _stream_keys(self, stream: int) -> tuple[Tensor, Tensor]:
        if stream in self._prepared:
            key_0, key_1 = self._stream_words[:, self._prepared[stream], :, None]
            return key_0, key_1
        key_0, key_1 = self._keys
        return (
            _mix(key_0 + _wrap(stream * _STREAM_STEP_0)).unsqueeze(1),
            _mix(key_1 ^ _wrap(stream * _STREAM_STEP_1 + 1)).unsqueeze(1),
        )

    def words(self, stream: int, count: int) -> Tensor:
        """Uniform 32-bit words of stream number ``stream``: int32 (B, count)."""
        key_0, key_1 = self._stream_keys(stream)
        return _hash_counters(_counter_table(count, key_0.device), key_0, key_1)

    def uniform(self, stream: int, count: int) -> Tensor:
        """Uniform numbers of the open interval (0, 1), on a grid of 2^-23: float32 (B, count)."""
        return _to_uniform(self.words(stream, count))

    def integers(self, stream: int, count: int, high: int) -> Tensor:
        """Uniform integers 0 .. high - 1: int64 (B, count). ``high`` at most 2^16 (bias below high / 2^23).

        >>> one = torch.ones(1, dtype=torch.int64)
        >>> FrameStreams(7, one, 10 * one, one).integers(0, 6, 8).tolist()
        [[4, 4, 0, 7, 1, 4]]
        """
        if not 1 <= high <= 1 << 16:
            raise ValueError(f"high is {high}; integers() draws from 1 to 65536 values")
        return (self.uniform(stream, count) * high).to(torch.int64).clamp_(max=high - 1)

    def normal(self, stream: int, count: int) -> Tensor:
        """Standard normal numbers, at most 5.77 in size: float32 (B, count).

        Box-Muller: z = sqrt(-2 ln u1) (cos 2 pi u2, sin 2 pi u2).
        """
        pairs = _round_up((count + 1) // 2, _VECTOR)
        key_0, key_1 = self._stream_keys(stream)
        table = _counter_table(2 * pairs, key_0.device)
        out = torch.empty(len(self), 2 * pairs, device=key_0.device)
        tile_rows, tile_columns = _tile_shape(len(self), pairs, key_0.device)
        for row in range(0, len(self), tile_rows):
            rows = slice(row, row + tile_rows)
            for column in range(0, pairs, tile_columns):
                first = slice(column, min(column + tile_columns, pairs))
                second = slice(pairs + first.start, pairs + first.stop)
                radius = _to_uniform(_hash_counters(table[first], key_0[rows], key_1[rows]))
                radius.log_().mul_(-2.0).sqrt_()
                angle = _to_uniform(_hash_counters(table[second], key_0[rows], key_1[rows])).mul_(2 * math.pi)
                torch.mul(radius, torch.cos(angle), out=out[rows, first])
                torch.mul(radius, angle.sin_(), out=out[rows, second])
        return out[:, :count]


def _tile_shape(rows: int, columns: int, device: torch.device) -> tuple[int, int]:
    """Rows and columns done at a time; everything at once on a GPU, where neither cache nor vector tails matter."""
    if device.type != "cpu":
        return rows, columns
    elements = _TILE_ELEMENTS if torch.get_num_threads() > 1 else _TILE_ELEMENTS_ALONE
    tile_columns = min(columns, elements)
    return max(1, elements // tile_columns), tile_columns


def _hash_counters(table: Tensor, key_0: Tensor, key_1: Tensor) -> Tensor:
    """``mix(t(c) + k0, k1)``, the second key entering between the two multiplications: int32 (rows, counters)."""
    word = table + key_0
    shifted = (word >> 16).bitwise_and_(_LOW_16)
    word.bitwise_xor_(shifted).mul_(_MULTIPLIER_1)
    torch.bitwise_right_shift(word, 15, out=shifted)
    word.bitwise_xor_(shifted.bitwise_and_(_LOW_17)).add_(key_1).mul_(_MULTIPLIER_2)
    torch.bitwise_right_shift(word, 16, out=shifted)
    return word.bitwise_xor_(shifted.bitwise_and_(_LOW_16))


def _to_uniform(words: Tensor) -> Tensor:
    """(k + 1/2) / 2^23 with k the top 23 bits of each word, exact in float32: never 0 or 1."""
    return (words >> 9).to(torch.float32).mul_(2.0**-23).add_(0.5 + 2.0**-24)
