"""Read the 4-bit file of multilingual-e5-small: header, vocabulary, character map, tensors.

Layout, little-endian: ``E5S1``, version; 7 sizes; epsilon; block length; vocabulary (count, 4 special
ids, blob length, offsets, scores, blob); character map (count, bytes, entries of code point, length,
code points); tensor directory (name, type, count, offset, bytes); tensors at their offsets.
A Q4_0 block is a float16 scale and 16 bytes: low nibbles are values 0..15, high nibbles 16..31, each minus 8.
"""

from __future__ import annotations

import itertools
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from assistant.core.errors import ModelError

Floats = npt.NDArray[np.float32]

_MAGIC = b"E5S1"
_BLOCK = 32
_BLOCK_TYPE = np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)])
_FLOAT32, _Q4 = 0, 1


class Sizes(msgspec.Struct, frozen=True, array_like=True):
    """The model's shape, in the file's order."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """Unigram pieces with their log probabilities, special ids, and the characters that are replaced."""

    pieces: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unk: int
    replaced: dict[str, str]


class _Tensor(msgspec.Struct, frozen=True):
    kind: int
    count: int
    offset: int
    size: int


class _Cursor:
    """Reads on through bytes and never behind their end."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        self._place = 0

    def take(self, size: int) -> memoryview:
        if not 0 <= size <= len(self._raw) - self._place:
            raise ModelError(f"the e5 file ends at {len(self._raw)} bytes, in the middle of its header")
        self._place += size
        return self._raw[self._place - size : self._place]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def array(self, kind: str, count: int) -> npt.NDArray[Any]:
        return np.frombuffer(self.take(count * np.dtype(kind).itemsize), kind)


class E5File:
    """An opened file.

    Attributes:
        sizes: the model's shape.
        epsilon: of the layer norms.
        vocabulary: of the tokenizer.
    """

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            ModelError: the file is cut off or of another kind.
        """
        self._raw = memoryview(path.read_bytes())
        cursor = _Cursor(self._raw)
        magic, version = cursor.unpack("4si")
        if (magic, version) != (_MAGIC, 1):
            raise ModelError(f"{path.name} is no e5 file: it begins with {magic!r}, version {version}")
        self.sizes = Sizes(*cursor.unpack("7i"))
        if (
            min(cursor_sizes := msgspec.structs.astuple(self.sizes)) < 1
            or self.sizes.hidden % self.sizes.heads
        ):
            raise ModelError(f"{path.name} has impossible sizes: {cursor_sizes}")
        self.epsilon, block = cursor.unpack("fi")
        if block != _BLOCK:
            raise ModelError(f"{path.name} has blocks of {block} values, {_BLOCK} are known")
        self.vocabulary = _read_vocabulary(cursor)
        self._tensors = _read_directory(cursor)

    def tensor(self, name: str, *shape: int) -> Floats:
        """Return a tensor as float32, dequantized.

        Raises:
            ModelError: there is none of that name and shape, or it lies outside the file.
        """
        entry = self._tensors.get(name)
        count = int(np.prod(shape))
        if entry is None or entry.count != count:
            raise ModelError(f"the e5 file has no tensor {name!r} of {count} values")
        raw = self._raw[entry.offset : entry.offset + entry.size]
        expected = {_FLOAT32: 4 * count, _Q4: count // _BLOCK * _BLOCK_TYPE.itemsize}.get(entry.kind)
        if len(raw) != expected or (entry.kind == _Q4 and count % _BLOCK):
            raise ModelError(f"tensor {name!r} of the e5 file has {len(raw)} bytes instead of {expected}")
        if entry.kind == _FLOAT32:
            return np.frombuffer(raw, "<f4").reshape(shape)
        return _dequantize(np.frombuffer(raw, _BLOCK_TYPE)).reshape(shape)


def _dequantize(blocks: npt.NDArray[Any]) -> Floats:
    values = np.empty((len(blocks), _BLOCK), np.float32)
    values[:, : _BLOCK // 2] = blocks["nibbles"] & 15
    values[:, _BLOCK // 2 :] = blocks["nibbles"] >> 4
    values -= 8
    values *= blocks["scale"].astype(np.float32)[:, None]
    return values


def _read_vocabulary(cursor: _Cursor) -> Vocabulary:
    count, bos, eos, pad, unk, blob_size = cursor.unpack("5iQ")
    if not all(0 <= special < count for special in (bos, eos, pad, unk)):
        raise ModelError(f"the e5 file's special tokens {bos, eos, pad, unk} are outside its {count} pieces")
    offsets = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count).tolist()
    blob = bytes(cursor.take(blob_size))
    try:
        texts = [blob[a:b].decode() for a, b in itertools.pairwise(offsets)]
        replaced = _read_character_map(cursor)
    except (UnicodeDecodeError, ValueError, OverflowError) as error:
        raise ModelError(f"the e5 file's vocabulary is broken: {error}") from error
    return Vocabulary(
        pieces=list(zip(texts, scores, strict=True)), bos=bos, eos=eos, pad=pad, unk=unk, replaced=replaced
    )


def _read_character_map(cursor: _Cursor) -> dict[str, str]:
    count, size = cursor.unpack("iI")
    entries = _Cursor(cursor.take(size))
    replaced = {}
    for _ in range(count):
        point, length = entries.unpack("IB")
        replaced[chr(point)] = "".join(map(chr, entries.unpack(f"{length}I")))
    return replaced


def _read_directory(cursor: _Cursor) -> dict[str, _Tensor]:
    tensors = {}
    (count,) = cursor.unpack("i")
    for _ in range(count):
        (length,) = cursor.unpack("H")
        name = bytes(cursor.take(length)).decode("utf-8", "replace")
        tensors[name] = _Tensor(*cursor.unpack("BIQQ"))
    return tensors
