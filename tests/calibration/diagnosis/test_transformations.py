"""Transformations against a formula or their own inverse: a moved truth must match a moved picture."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from masklet.calibration.diagnosis.transformations import clutter as clutters
from masklet.calibration.diagnosis.transformations.illumination import draw_light
from masklet.calibration.diagnosis.transformations.long import ABSENCE, LENGTH, place
from masklet.calibration.diagnosis.transformations.occlusion import draw_occluders
from masklet.calibration.diagnosis.transformations.speed import STEP, shown_frames, there_and_back
from masklet.calibration.diagnosis.transformations.transformation import (
    FAMILIES,
    HARDER,
    LEVELS,
    Transformation,
    parse_transformations,
)
from masklet.calibration.diagnosis.transformations.true_clip import Shot, TrueClip
from masklet.calibration.diagnosis.transformations.viewpoint import draw_camera_move, moved_image
from masklet.calibration.scoring.accuracy import region_similarity
from masklet.runtime.errors import CalibrationError

HEIGHT, WIDTH, FRAMES = 72, 96, 24
COLOURS = {1: (250, 20, 20), 2: (20, 40, 250)}
GROUND = 120


def clip_of(masks: Sequence[Mapping[int, np.ndarray]], ground: int = GROUND) -> TrueClip:
    """Objects of one colour each on an even ground, so that a picture says where its objects are."""
    images = np.full((len(masks), HEIGHT, WIDTH, 3), ground, np.uint8)
    for image, frame in zip(images, masks, strict=True):
        for object_id, mask in frame.items():
            image[mask] = COLOURS[object_id]
    packed = [{i: np.packbits(mask) for i, mask in frame.items()} for frame in masks]
    return TrueClip("made", images, packed, tuple(masks[0]), tuple(range(len(masks))))


@pytest.fixture(scope="module")
def clip() -> TrueClip:
    """Two objects that move."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    frames = []
    for t in range(FRAMES):
        disc = (x - 30 - t) ** 2 + (y - 36) ** 2 < 12**2
        box = (abs(x - 70 + t) < 7) & (abs(y - 20 - t) < 6) & ~disc
        frames.append({1: disc, 2: box})
    return clip_of(frames)


def of_colour(image: np.ndarray, object_id: int) -> np.ndarray:
    """Where a picture has an object's colour."""
    near: np.ndarray = np.abs(image.astype(int) - COLOURS[object_id]).max(axis=2) < 60
    return near


@pytest.mark.parametrize("family", HARDER)
@pytest.mark.parametrize("level", LEVELS)
def test_a_transformation_keeps_the_first_frame_and_the_length_and_is_the_same_for_a_seed(
    clip: TrueClip, family: str, level: int
) -> None:
    transformation = Transformation(family, level)
    once, again, other = (list(transformation.apply(clip, seed)) for seed in (3, 3, 4))
    assert len(once) == transformation.length(clip) == FRAMES
    np.testing.assert_array_equal(once[0].image, clip.images[0])
    assert all((mask == once[0].masks[i]).all() for i, mask in clip.shot(0).masks.items())
    assert all((a.image == b.image).all() for a, b in zip(once, again, strict=True))
    assert any((a.image != b.image).any() for a, b in zip(once, other, strict=True))
    for shot in once:
        assert shot.image.dtype == np.uint8
        assert shot.image.shape == (HEIGHT, WIDTH, 3)
        assert all(mask.dtype == np.bool_ and mask.shape == (HEIGHT, WIDTH) for mask in shot.masks.values())


@pytest.mark.parametrize("family", ["viewpoint", "speed"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_moved_truth_matches_a_moved_picture(clip: TrueClip, family: str, level: int) -> None:
    agreement = []
    for number, shot in enumerate(Transformation(family, level).apply(clip, 1)):
        for object_id, mask in shot.masks.items():
            if mask.sum() > 60:
                shown = of_colour(shot.image, object_id)
                agreement.append(region_similarity(shown, mask))
                assert agreement[-1] > (0.8 if family == "viewpoint" else 0.3), (number, object_id)
    assert np.mean(agreement) > (0.93 if family == "viewpoint" or level == 1 else 0.6)  # a long exposure smears


@pytest.mark.parametrize("level", LEVELS)
def test_a_viewpoint_is_undone_by_its_inverse(level: int) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([x * 2, y * 3, x + y], axis=2).astype(np.uint8)
    move = draw_camera_move(level, rng)
    np.testing.assert_allclose(move.homography(0, (HEIGHT, WIDTH)), np.eye(3), atol=1e-12)
    for frame in (3, 11, 20):
        homography = move.homography(frame, (HEIGHT, WIDTH))
        back = moved_image(moved_image(image, homography), np.linalg.inv(homography).astype(np.float64))
        places = homography @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
        across, down = places[:2] / places[2]
        inside = (across >= 1) & (across <= WIDTH - 2) & (down >= 1) & (down <= HEIGHT - 2)
        kept = inside.reshape(HEIGHT, WIDTH)
        kept[[0, -1]] = kept[:, [0, -1]] = False
        assert kept.mean() > 0.3
        assert np.abs(back[kept].astype(int) - image[kept]).max() <= 5


@pytest.mark.parametrize("level", LEVELS)
def test_light_follows_its_formula(clip: TrueClip, level: int) -> None:
    light = draw_light(FRAMES, level, np.random.default_rng(5))
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    for frame in (0, 4, 13, 23):
        lit = light.apply(grey, frame)
        shade = light.shadow(frame, (16, 16))[..., None]
        wanted = 255 * light.gain(frame) * shade * (grey / 255.0) ** light.gamma(frame)
        np.testing.assert_allclose(lit, np.clip(wanted, 0, 255), atol=0.51)
    assert light.gamma(0) == 1
    assert light.gain(0) == 1
    assert (light.shadow(0, (16, 16)) == 1).all()
    for shot, true in zip(Transformation("illumination", level).apply(clip, 5), clip.shots(), strict=True):
        assert all((shot.masks[i] == mask).all() for i, mask in true.masks.items())


@pytest.mark.parametrize("level", LEVELS)
def test_what_an_occluder_covers_is_changed_in_the_picture_and_gone_from_the_truth(clip: TrueClip, level: int) -> None:
    hidden = 0
    for number, shot in enumerate(Transformation("occlusion", level).apply(clip, 2)):
        changed = (shot.image != clip.images[number]).any(axis=2)
        for object_id, mask in clip.shot(number).masks.items():
            gone = mask & ~shot.masks[object_id]
            assert not (shot.masks[object_id] & ~mask).any()
            assert not (changed & shot.masks[object_id]).any()
            hidden += int(gone.sum())
    assert hidden > 50
    assert len(draw_occluders(clip, 3, np.random.default_rng(0))) == 5


@pytest.mark.parametrize("level", LEVELS)
def test_copies_look_like_the_object_and_stand_behind_it(
    clip: TrueClip, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clutters, "NOISE", (0.0, 0.0, 0.0))
    monkeypatch.setattr(clutters, "decoded", lambda data: data)
    monkeypatch.setattr(clutters, "jpeg", lambda image, quality: image)
    extra = 0
    for number, shot in enumerate(Transformation("clutter", level).apply(clip, 0)):
        true = clip.shot(number)
        for object_id, mask in true.masks.items():
            assert (shot.masks[object_id] == mask).all()
            assert (shot.image[mask] == true.image[mask]).all()
            extra += int((of_colour(shot.image, object_id) & ~mask).sum())
    assert extra > 300


def test_noise_is_as_strong_as_it_says() -> None:
    image = np.full((200, 200, 3), 128, np.uint8)
    noise = clutters.noisy(image, 10, np.random.default_rng(0)).astype(float) - image
    assert noise.std() == pytest.approx(10, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.1)


def test_speed_goes_there_and_back() -> None:
    assert [there_and_back(n, 4) for n in range(10)] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    for level in LEVELS:
        shown = shown_frames(100, level, np.random.default_rng(1))
        steps = np.abs(np.diff(shown))
        assert shown[0] == 0
        assert min(shown) >= 0
        assert max(shown) <= 99
        assert (steps == 0).mean() == pytest.approx(0.1 * level, abs=0.08)
        assert np.median(steps[steps > 0]) == STEP[level - 1]


def test_long_tracking_has_its_length_and_its_absences(clip: TrueClip) -> None:
    away = ABSENCE[0]
    first = [place(part, FRAMES, away) for part in range(2 * (FRAMES + away))]
    assert [number for number, _ in first[:FRAMES]] == list(range(FRAMES))
    assert all(absent and number == FRAMES - 1 for number, absent in first[FRAMES : FRAMES + away])
    assert [number for number, absent in first[FRAMES + away :] if not absent] == list(range(FRAMES))[::-1]
    shots = list(Transformation("long", 1).apply(clip, 0))
    assert len(shots) == LENGTH[0] == 500
    assert LENGTH[-1] == 2000
    for shot, (number, absent) in zip(shots, (place(part, FRAMES, away) for part in range(500)), strict=True):
        shown = any(of_colour(shot.image, object_id).any() for object_id in shot.masks)
        assert shown is not absent
        if absent:
            assert not any(mask.any() for mask in shot.masks.values())
            assert np.abs(shot.image.astype(int) - GROUND).max() < 60
        else:
            np.testing.assert_array_equal(shot.image, clip.images[number])


def test_names_and_levels_are_read() -> None:
    assert [str(t) for t in parse_transformations(["occlusion:2", "speed"])] == [
        "occlusion:2",
        "speed:1",
        "speed:2",
        "speed:3",
    ]
    assert len(parse_transformations(["all", "occlusion:1"])) == 15
    assert "long" in FAMILIES
    for wrong, message in {
        "fog": "there is no such transformation",
        "speed:4": "levels are 1, 2 and 3",
        "speed:": "expected NAME or NAME:LEVEL",
        "speed:x": "expected NAME or NAME:LEVEL",
    }.items():
        with pytest.raises(CalibrationError, match=message):
            parse_transformations([wrong])


def test_an_object_out_of_sight_hinders_no_transformation() -> None:
    nowhere = {1: np.zeros((HEIGHT, WIDTH), bool)}
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    seen = {1: (x - 40) ** 2 + (y - 30) ** 2 < 100}
    clip = clip_of([seen, *[nowhere] * 12])
    for family in HARDER:
        shots: list[Shot] = list(Transformation(family, 3).apply(clip, 0))
        assert len(shots) == 13
