"""A family is one file, found by itself."""

from pathlib import Path

import pytest
from masklet.export import families
from masklet.export.family import Case, ExportStage
from masklet.export.known_families import family_of, find_families
from masklet.runtime.bundle.spec import StageSpec, TensorSpec
from masklet.runtime.errors import ExportError, SpecError


def test_sam2_is_found() -> None:
    assert "sam2" in [family.name for family in find_families()]
    assert family_of("sam2_video", "x").name == "sam2"
    assert family_of("sam2", "x").name == "sam2"


def test_a_new_file_is_a_new_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "brandnew.py").write_text(
        "class New:\n    name = 'brandnew'\n    model_types = ('brandnew_video',)\n\nFAMILY = New()\n"
    )
    (tmp_path / "helper.py").write_text("NOTHING = 1\n")
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    assert family_of("brandnew_video", "x").name == "brandnew"
    assert "helper" not in [family.name for family in find_families()]


def test_an_unknown_model_type_names_what_exists() -> None:
    with pytest.raises(
        ExportError, match=r"some/model: no family exports model type 'bert'.*sam2 \(sam2_video, sam2\)"
    ):
        family_of("bert", "some/model")


def test_feeds_follow_the_declaration() -> None:
    spec = StageSpec("s", inputs=(TensorSpec("a", ("n", 3), "uint8"), TensorSpec("b", ("n",))), outputs=())
    stage = ExportStage(spec, None, dict, cases=())  # type: ignore[arg-type]
    feeds = stage.feeds(Case("", {"n": 2}, {"b": 7}), seed=0)
    assert feeds["a"].shape == (2, 3)
    assert feeds["a"].dtype == "uint8"
    assert feeds["b"].tolist() == [7, 7]
    with pytest.raises((SpecError, ValueError)):
        stage.feeds(Case("", {"n": 2}, {"b": [1, 2, 3]}), seed=0)
