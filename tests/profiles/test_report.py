"""What a report says of frames with round numbers, and the file that it is kept in."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from masklet.profiles.machine.cpu_peaks import Machine
from masklet.profiles.model.graph_cost import GraphCost
from masklet.profiles.model.roofline import roofline, usual_sizes
from masklet.profiles.recording.phases import PHASES
from masklet.profiles.report.charts import roof
from masklet.profiles.report.report import measurements, read_report
from masklet.profiles.report.terminal import roofline_table
from masklet.profiles.report.verdict import doubts, verdict
from masklet.runtime.errors import MaskletError
from recorded import STAGES, report, times

FRAMES = [times(0), times(1, (50, 30, 5, 4)), times(2, (90, 30, 5, 4)), times(3, (40, 36, 5, 4), objects=3)]


def test_stages_and_phases_of_frames_with_round_numbers() -> None:
    """Each frame: 1 ms capture, 2 + 9 + 4 ms of the host, the stages, 5 ms of sinks."""
    found = measurements(FRAMES, STAGES)
    encoder, attention = found.stages["image_encoder"], found.stages["memory_attention"]
    assert (encoder.calls, encoder.p50_ms, encoder.max_ms, encoder.total_ms) == (4, 45.0, 90.0, 220.0)
    assert encoder.per_object_ms is None
    assert attention.per_object_ms == 15.0  # the median of 15, 15, 15 and 12
    assert found.host.p50_ms == 15.0
    assert found.phases["bank"].total_ms == 36.0
    capture_to_mask = [1 + 15 + stages for stages in (79, 89, 129, 85)]
    assert found.series.frame_ms == capture_to_mask
    assert found.frame.p50_ms == 103.0
    assert found.frame.fps == pytest.approx(4000 / (sum(capture_to_mask) + 4 * 5))
    assert found.series.objects == [2, 2, 2, 3]
    assert (found.typical.index, found.slowest.index) == (3, 2)
    assert found.slowest.spans[0] == ("capture", 0.0, 1.0)
    assert found.slowest.spans[2] == ("image_encoder", 3.0, 93.0)


def test_shares_add_up_to_the_whole() -> None:
    found = measurements(FRAMES, STAGES)
    assert sum(part.share for part in (*found.stages.values(), *found.phases.values())) == pytest.approx(1.0)


def test_a_stage_that_ran_twice_in_a_frame() -> None:
    once = times(0)
    calls = tuple(
        call._replace(stage="memory_encoder") if call.stage == "mask_decoder" else call for call in once.calls
    )
    part = measurements([replace(once, calls=calls)], STAGES).stages["memory_encoder"]
    assert (part.calls, part.p50_ms, part.per_frame_ms) == (2, 4.5, 9.0)


def test_a_stage_that_never_ran_is_left_out() -> None:
    assert list(measurements(FRAMES, (*STAGES, "mask_prompt_encoder")).stages) == list(STAGES)


def test_the_json_has_the_keys_that_users_rely_on() -> None:
    found = json.loads(msgspec.json.encode(report(FRAMES)))
    assert {"device", "bundle", "frames", "frame", "stages", "host", "memory"} <= set(found)
    assert {"p50_ms", "p95_ms", "p99_ms", "fps"} <= set(found["frame"])
    assert list(found["stages"]) == list(STAGES)
    assert {"calls", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"} <= set(found["stages"]["image_encoder"])
    assert set(found["phases"]) == set(PHASES)
    assert found["frames"] == 4
    assert found["host"]["p50_ms"] == 15.0
    assert found["memory"]["rss_peak_mb"] == 300.0


def test_a_report_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(msgspec.json.encode(report(FRAMES)))
    assert read_report(path) == report(FRAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a profile"),
        ("[1, 2]", "not a profile"),
        ('{"frames": 3}', "not a profile; expected a file that `masklet profile --json` wrote"),
        ('{"schema": 99}', "a profile of schema 99, this masklet reads 1; profile again"),
        ('{"schema": 1}', "not a profile: Object missing required field"),
    ],
)
def test_a_file_that_is_no_report(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(MaskletError, match=message):
        read_report(path)


def test_a_report_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MaskletError, match=r"p\.json: cannot be read: No such file"):
        read_report(tmp_path / "p.json")


def test_the_roofline_by_hand() -> None:
    """2 GFLOP and 50 MB at 100 GFLOP/s and 10 GB/s: 20 ms of arithmetic, 5 of traffic."""
    found = report(FRAMES[:3]).roofline
    assert found is not None
    stage = found.stages["image_encoder"]
    assert stage.reached == "40%"
    assert (stage.limit_ms, stage.bound, stage.p50_ms, stage.share) == (20.0, "arithmetic", 50.0, 0.4)
    assert (stage.gflops, stage.intensity) == (40.0, 40.0)
    assert found.stages["memory_encoder"].share == 5.0


def test_a_stage_in_bfloat16_has_a_peak_of_its_own() -> None:
    """2 GFLOP at 400 GFLOP/s are 5 ms; the other stages keep FP32's peak."""
    costs = {name: GraphCost(2_000_000_000, 1_000_000) for name in ("image_encoder", "mask_decoder")}
    found = roofline(FRAMES[:3], costs, Machine(100.0, 10.0, 1, bf16_gflops=400.0), {"image_encoder"})
    assert found.stages["image_encoder"].limit_ms == pytest.approx(5.0)
    assert found.stages["mask_decoder"].limit_ms == pytest.approx(20.0)
    assert "400 in bf16" in str(roofline_table(found).title)
    drawn = roof(found, dict.fromkeys(costs, "red"))
    assert "100 GFLOP/s<" in drawn
    assert "400 GFLOP/s in bf16<" in drawn


def test_a_share_is_unknown_where_an_operator_was_not_counted() -> None:
    frames = FRAMES[:3]
    costs = {"image_encoder": GraphCost(2_000_000_000, 50_000_000, ("Secret inner",))}
    stage = roofline(frames, costs, Machine(100.0, 10.0, 1)).stages["image_encoder"]
    assert stage.share is None
    assert stage.reached == "unknown"


def test_the_roofline_is_of_the_sizes_that_most_calls_had() -> None:
    assert usual_sizes(FRAMES)["memory_attention"] == {"objects": 2, "memories": 7}
    assert usual_sizes([*FRAMES[2:], times(4, objects=3)])["mask_decoder"] == {"objects": 3}


def test_the_verdict_names_the_largest_part_and_what_to_try() -> None:
    """Of each frame the encoder takes 40 to 90 of some 100 ms, and memory attention 30 to 36."""
    found = report(FRAMES)
    where, what = verdict(found)
    largest, next_one = sorted((part.share for part in found.parts.values()), reverse=True)[:2]
    assert where == f"{largest:.0%} of the time runs image_encoder; next: memory_attention, {next_one:.0%}"
    assert "smaller --image-size" in what


def test_a_slow_sink_is_named_by_its_outputs() -> None:
    found = report(FRAMES)
    slow = msgspec.structs.replace(found.phases["sink"], share=0.9)
    found = msgspec.structs.replace(
        found,
        phases=found.phases | {"sink": slow},
        source=msgspec.structs.replace(found.source, outputs="overlay, masks"),
    )
    where, what = verdict(found)
    assert where.startswith("90% of the time writes the outputs (overlay, masks); next: image_encoder")
    assert "--overlay-preset ultrafast" in what


def test_shares_beyond_the_limit_are_doubted() -> None:
    """The memory encoder of these frames reaches five times what the machine allows."""
    assert any(line.startswith("memory_encoder reaches 500% of its limit") for line in doubts(report(FRAMES)))
