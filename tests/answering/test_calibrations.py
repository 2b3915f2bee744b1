"""A collection's calibration: kept, applied, left out where it does not belong, refused where broken."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from assistant.answering.calibrations import (
    CALIBRATION_FILE,
    KeptCalibration,
    calibrated_settings,
    read_calibration,
    remove_calibration,
    write_calibration,
)
from assistant.answering.confidence import SIGNALS
from assistant.core.errors import IndexBroken
from assistant.core.settings import Settings
from assistant.core.settings_answer import CalibrationSettings

OWN = CalibrationSettings(arm="rag", weights=(1.0,) * (len(SIGNALS) + 1), threshold=0.6)
KEPT = KeptCalibration(
    calibration=OWN,
    adapter=None,
    suite="s.jsonl",
    target_risk=0.2,
    coverage=0.5,
    risk=0.1,
    coverage_before=0.9,
    risk_before=0.4,
    case_count=64,
    created="2026-01-01T00:00:00+00:00",
)


def test_what_is_kept_is_applied_until_it_is_removed(tmp_path: Path) -> None:
    write_calibration(tmp_path, KEPT)
    assert read_calibration(tmp_path) == KEPT
    assert calibrated_settings(tmp_path, Settings(), None).answer.calibration == OWN
    assert remove_calibration(tmp_path)
    assert not remove_calibration(tmp_path)
    assert calibrated_settings(tmp_path, Settings(), None) == Settings()


def test_that_of_other_answers_is_left_out(tmp_path: Path) -> None:
    write_calibration(tmp_path, KEPT)
    assert calibrated_settings(tmp_path, Settings(), "adapter") == Settings()
    by_hand = CalibrationSettings(arm="rag", threshold=0.9)
    answer = msgspec.structs.replace(Settings().answer, calibration=by_hand)
    settings = msgspec.structs.replace(Settings(), answer=answer)
    assert calibrated_settings(tmp_path, settings, None) is settings
    short = msgspec.structs.replace(KEPT, calibration=CalibrationSettings(arm="rag", weights=(1.0,)))
    write_calibration(tmp_path, short)
    assert calibrated_settings(tmp_path, Settings(), None) == Settings()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / CALIBRATION_FILE).write_text("{")
    with pytest.raises(IndexBroken, match="calibration"):
        calibrated_settings(tmp_path, Settings(), None)
