"""A collection's own calibration: kept beside its index, used by every answer from its documents."""

from __future__ import annotations

from pathlib import Path

import msgspec

from assistant.answering.confidence import SIGNALS
from assistant.core.errors import IndexBroken
from assistant.core.jsonl import write_json
from assistant.core.records import Record
from assistant.core.settings import Settings
from assistant.core.settings_answer import CalibrationSettings

CALIBRATION_FILE = "calibration.json"


class KeptCalibration(Record, frozen=True, kw_only=True):
    """A calibration and what it does on questions that it was not chosen on.

    Attributes:
        calibration: as settings.
        adapter: whose answers were measured, None for the base model's.
        suite: name of the suite.
        target_risk: mean loss that the threshold was chosen for.
        coverage: share of the other half's questions answered with it.
        risk: mean loss over those, None where none is answered.
        coverage_before: share answered without it.
        risk_before: mean loss without it.
        case_count: questions.
        created: when, ISO 8601 in UTC.
    """

    calibration: CalibrationSettings
    adapter: str | None
    suite: str
    target_risk: float
    coverage: float
    risk: float | None
    coverage_before: float
    risk_before: float | None
    case_count: int
    created: str


def write_calibration(folder: Path, kept: KeptCalibration) -> None:
    """Keep a calibration with its collection."""
    write_json(folder / CALIBRATION_FILE, kept)


def remove_calibration(folder: Path) -> bool:
    """Let a collection answer without a calibration; False where it had none."""
    file = folder / CALIBRATION_FILE
    had_one = file.exists()
    file.unlink(missing_ok=True)
    return had_one


def read_calibration(folder: Path) -> KeptCalibration | None:
    """Return a collection's calibration, None where it has none.

    Raises:
        IndexBroken: the file is damaged.
    """
    file = folder / CALIBRATION_FILE
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=KeptCalibration)
    except (OSError, msgspec.DecodeError) as error:
        command = f"deskmate eval calibrate --collection {folder.name}"
        raise IndexBroken(f"calibration {file} cannot be read: {error}", next_command=command) from error


def calibrated_settings(folder: Path, settings: Settings, adapter: str | None) -> Settings:
    """Return the settings with the collection's own calibration, where none was set by hand.

    One that was measured on another adapter's answers is left out, and one of another Deskmate, which looked
    at other signs.

    Raises:
        IndexBroken: the file is damaged.
    """
    if settings.answer.calibration != CalibrationSettings():
        return settings
    kept = read_calibration(folder)
    if kept is None or kept.adapter != adapter or len(kept.calibration.weights) != len(SIGNALS) + 1:
        return settings
    answer = msgspec.structs.replace(settings.answer, calibration=kept.calibration)
    return msgspec.structs.replace(settings, answer=answer)
