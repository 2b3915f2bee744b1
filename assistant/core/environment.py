"""What every process sets before a heavy library is imported: no telemetry, no hub, no spinning threads."""

from __future__ import annotations

import os

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "UNSTRUCTURED_DISABLE_NOTICE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
# OpenMP threads that spin while waiting starve every other process on a small machine: measured, a
# training step beside a second process takes 43 s instead of 7. Threads that never spin pay for waking up
# thousands of times a second: a step takes 3.6 s instead of 3.0. So they spin for some microseconds.
_PATIENT_THREADS = {"GOMP_SPINCOUNT": "20000"}


def prepare_environment(*, allow_hub: bool = False) -> None:
    """Set the variables, leaving those that the owner has set; call before importing torch."""
    for name, value in (_PATIENT_THREADS | _OFFLINE).items():
        if allow_hub and name in {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}:
            continue
        os.environ.setdefault(name, value)
