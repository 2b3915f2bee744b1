"""The one CPU kernel that SGLang 0.5.23 needs without AMX, in plain torch.

The published ``sgl_kernel`` wheels are CUDA builds. Every other kernel's name is there too, because SGLang
imports them, and raises when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import torch  # noqa: TID253 - runs in SGLang's process only

__version__ = "0.0.0+cpu"


def assign_req_to_token_pool_cpu(
    req_pool_indices: torch.Tensor,
    req_to_token: torch.Tensor,
    start_offset: torch.Tensor,
    end_offset: torch.Tensor,
    out_cache_loc: torch.Tensor,
    pool_len: int,
) -> None:
    """Write each request's new cache places into its row of the table.

    Args:
        req_pool_indices: rows, one a request.
        req_to_token: the table, changed in place.
        start_offset: first column written in each row.
        end_offset: column behind the last one.
        out_cache_loc: the places, those of all requests in one line.
        pool_len: columns of the table.
    """
    del pool_len
    done = 0
    rows = (req_pool_indices.tolist(), start_offset.tolist(), end_offset.tolist())
    for row, start, end in zip(*rows, strict=True):
        count = end - start
        if count > 0:
            places = out_cache_loc[done : done + count]
            req_to_token[row, start:end] = places.to(req_to_token.dtype)
            done += count


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """Return a stand-in for any other CPU kernel."""
    if not name.endswith("_cpu"):
        raise AttributeError(name)

    def missing(*_values: object, **_named: object) -> NoReturn:
        raise NotImplementedError(f"sgl_kernel.{name} has no version in plain torch")

    return missing
