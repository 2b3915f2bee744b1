"""Text recognition (OCR) of one picture with the tesseract program: which languages, which way up."""

from __future__ import annotations

import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assistant.core.settings import IndexSettings
from indexing.parsing.ocr_hocr import Reading, parse_hocr

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)

INSTALL_COMMAND = "apt-get install tesseract-ocr tesseract-ocr-chi-sim"
LANGUAGES = ("eng", "chi_sim")
BOTH = "chi_sim+eng"
# A word below this confidence is more likely wrong than right.
WEAK = 0.6
# A page with more weak words is tried in another language; one below this confidence, turned another way.
_MOST_WEAK_SHARE = 0.08
_DOUBTFUL = 0.7
# Chinese pages are weak in English by .38 and more: below this, English words stand on them.
_HALF_READ = 0.6
# Shares of Latin words among Latin words and Chinese characters: Chinese alone, both mixed, English alone.
_MIXED_SHARE = 0.06
_ENGLISH_SHARE = 0.9
_LIST_SECONDS = 20
_TOO_LONG = "takes too long to recognise ([index] ocr_page_seconds)"
_ROTATE = re.compile(rb"^Rotate: (90|180|270)\s*$", re.M)


class OcrFailed(Exception):
    """One page cannot be recognised; the message says why, to stand behind ``page 7: ``."""


def find_languages() -> tuple[str, ...]:
    """Return the languages among ``LANGUAGES`` that the installed tesseract reads; none without it."""
    program = shutil.which("tesseract")
    if program is None:
        return ()
    try:
        done = subprocess.run(  # noqa: S603 (the program that PATH names)
            [program, "--list-langs"], capture_output=True, timeout=_LIST_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("tesseract cannot be started: %s", error)
        return ()
    listed = set((done.stdout + done.stderr).decode("utf-8", "replace").split())
    return tuple(language for language in LANGUAGES if language in listed)


def recognition_gap(settings: IndexSettings) -> str:
    """Return what keeps pages from being recognised: ``off``, the missing languages, or nothing (empty)."""
    if settings.ocr == "off":
        return "off"
    found = find_languages()
    return "+".join(language for language in LANGUAGES if language not in found)


def describe_missing(settings: IndexSettings, languages: Sequence[str]) -> str:
    """Return why pictures are not recognised and what mends it; empty where nothing is missing."""
    if settings.ocr == "off":
        return "text recognition (OCR) is switched off ([index] ocr)"
    missing = [language for language in LANGUAGES if language not in languages]
    if not missing:
        return ""
    what = "" if len(missing) == len(LANGUAGES) else f" for {', '.join(missing)}"
    return f"text recognition (OCR){what} is not installed; run: {INSTALL_COMMAND}, then add the file again"


class Recognizer:
    """Recognises pictures of pages. Safe to use from several threads.

    Args:
        languages: as ``find_languages`` gives them, not empty.
        page_seconds: longest time for one page, all attempts together.
    """

    def __init__(self, languages: Sequence[str], page_seconds: float) -> None:
        self._languages = tuple(languages)
        self._page_seconds = page_seconds

    def read(self, image: Image, dpi: int, first: str = "eng") -> Reading:
        """Recognise one page, in other languages too where the first is not sure of it.

        Where nothing fits, the page may lie on its side.

        Args:
            image: the page, shades of grey.
            dpi: its resolution.
            first: what to try first: ``eng``, the fastest, or what the pages before were in.

        Raises:
            OcrFailed: it takes too long, or the program fails.
        """
        deadline = time.monotonic() + self._page_seconds
        best = self._read_upright(image, dpi, first, deadline)
        if best.confidence >= _DOUBTFUL:
            return best
        turn = self._find_turn(image, dpi, deadline)
        if not turn:
            return best
        turned = self._read_upright(image.rotate(-turn, expand=True), dpi, first, deadline)
        if turned.confidence <= best.confidence:
            return best
        return Reading(lines=turned.lines, languages=turned.languages, turned=turn)

    def _read_upright(self, image: Image, dpi: int, first: str, deadline: float) -> Reading:
        readings: dict[str, Reading] = {}
        language = first if self._has(first) else self._languages[0]
        while self._has(language) and language not in readings:
            try:
                readings[language] = self._run_language(image, dpi, language, deadline)
            except OcrFailed as failure:
                if not readings:
                    raise
                logger.debug("read in %s only: %s", "+".join(readings), failure)
                break
            language = _next_language(readings)
        return max(readings.values(), key=lambda reading: reading.confidence)

    def _has(self, languages: str) -> bool:
        return bool(languages) and set(languages.split("+")) <= set(self._languages)

    def _run_language(self, image: Image, dpi: int, language: str, deadline: float) -> Reading:
        raw = _run(image, ["-l", language, "--dpi", str(dpi), "hocr"], deadline)
        return parse_hocr(raw, language)

    def _find_turn(self, image: Image, dpi: int, deadline: float) -> int:
        """Return by how many degrees the page must be turned clockwise to stand upright, as far as known."""
        try:
            found = _ROTATE.search(_run(image, ["--psm", "0", "--dpi", str(dpi)], deadline))
        except OcrFailed as error:  # it fails where there is too little text, or without its own model
            logger.debug("no orientation: %s", error)
            return 0
        return int(found[1]) if found else 0


def likely_languages(reading: Reading) -> str:
    """Return the languages that a page like this one is best read in."""
    if reading.latin_share > _ENGLISH_SHARE:
        return "eng"
    return "chi_sim" if reading.latin_share < _MIXED_SHARE else BOTH


def _next_language(readings: Mapping[str, Reading]) -> str:
    """Return what could read a page better than it was read so far, one of those where nothing could."""
    latest = list(readings.values())[-1]
    weak = latest.weak_share(WEAK)
    if latest.languages == "eng" and "chi_sim" not in readings:
        if weak <= _MOST_WEAK_SHARE:
            return "eng"
        return BOTH if weak < _HALF_READ else "chi_sim"
    if latest.languages == BOTH and weak <= _MOST_WEAK_SHARE:
        return BOTH
    return likely_languages(latest) if latest.character_count else "eng"


def _run(image: Image, options: Sequence[str], deadline: float) -> bytes:
    """Run tesseract on a picture of our own making; it never sees the file itself."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise OcrFailed(_TOO_LONG)
    header = f"P5 {image.width} {image.height} 255\n".encode()
    with subprocess.Popen(  # noqa: S603 (the program that PATH names, options of our own)
        [shutil.which("tesseract") or "tesseract", "-", "-", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"},
    ) as process:
        _limit_processor_seconds(process.pid, int(seconds) + 1)
        try:
            output, complaint = process.communicate(header + image.tobytes(), timeout=seconds)
        except BaseException as error:
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise OcrFailed(_TOO_LONG) from error
            raise
    if process.returncode == -signal.SIGXCPU:
        raise OcrFailed(_TOO_LONG)
    if process.returncode:
        reason = " ".join(complaint.decode("utf-8", "replace").split())[-120:]
        raise OcrFailed(f"cannot be recognised (tesseract: {reason or process.returncode})")
    return output


def _limit_processor_seconds(pid: int, seconds: int) -> None:
    """End the program also where the process that would stop it has been killed."""
    try:
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds + 1))
    except (ProcessLookupError, PermissionError):  # it has ended already
        return
