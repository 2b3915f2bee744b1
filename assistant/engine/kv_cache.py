"""The keys and values of running rows: grows in place, lets rows join and leave between tokens.

transformers' ``DynamicCache`` copies everything for each token; here a token is written into room
that is already there. Rows of different lengths stand right-aligned: what lies left of a row's
first token is zero and masked.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_ROOM_TOKENS = 128


def new_cache(layer_count: int) -> Any:
    """Return an empty cache for a model of ``layer_count`` attention layers."""
    from transformers import Cache

    return Cache(layers=[_layer_class()() for _ in range(layer_count)])


def join(cache: Any, newcomers: Any) -> None:
    """Append the rows of ``newcomers`` to ``cache``."""
    for layer, other in zip(cache.layers, newcomers.layers, strict=True):
        layer.join(other)


def keep(cache: Any, indices: torch.Tensor, drop_left: int) -> None:
    """Keep only the rows at ``indices``, without the ``drop_left`` positions that none of them uses."""
    for layer in cache.layers:
        layer.keep(indices, drop_left)


def _grown(buffer: torch.Tensor, rows: int, left: int, length: int, capacity: int) -> torch.Tensor:
    """Return a larger buffer with ``buffer``'s first ``length`` positions behind ``left`` zeroed ones."""
    _, heads, _, width = buffer.shape
    larger = buffer.new_empty(rows, heads, capacity, width)
    larger[: len(buffer), :, :left] = 0
    larger[: len(buffer), :, left : left + length] = buffer[:, :, :length]
    return larger


class _Growing:
    """One layer's keys and values, each of shape (rows, heads, capacity, width).

    The interface is that of transformers' cache layers.
    """

    is_sliding = False
    is_compileable = False
    is_croppable = False
    supports_early_init = False
    is_initialized = True

    def __init__(self) -> None:
        self.keys: Any = None
        self.values: Any = None
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take the shapes."""
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new positions and return all."""
        del args, kwargs
        if self.keys is None:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[-2]
        if end > self.keys.shape[-2]:
            self._reshape(len(key_states), 0, end + _ROOM_TOKENS)
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many keys a query of that length sees, and the first one's position."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Return the number of positions held."""
        return self.length

    def get_max_length(self) -> int:
        """Return that there is no maximum."""
        return -1

    def join(self, other: _Growing) -> None:
        """Append the rows of another layer."""
        length = max(self.length, other.length)
        first, start = len(self.keys), length - other.length
        self._reshape(first + len(other.keys), length - self.length, length + _ROOM_TOKENS)
        self.length = length
        for buffer, added in ((self.keys, other.keys), (self.values, other.values)):
            buffer[first:, :, :start] = 0
            buffer[first:, :, start:length] = added[:, :, : other.length]

    def keep(self, indices: torch.Tensor, drop_left: int) -> None:
        """Keep only some rows, without the first ``drop_left`` positions."""
        self.keys = self.keys[indices, :, drop_left:]
        self.values = self.values[indices, :, drop_left:]
        self.length -= drop_left

    def _reshape(self, rows: int, left: int, capacity: int) -> None:
        self.keys = _grown(self.keys, rows, left, self.length, capacity)
        self.values = _grown(self.values, rows, left, self.length, capacity)


@functools.cache
def _layer_class() -> Any:
    from transformers.cache_utils import CacheLayerMixin

    # transformers asks whether a layer is one of its own
    return type("GrowingLayer", (_Growing, CacheLayerMixin), {})
