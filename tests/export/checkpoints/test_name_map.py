"""Rules of names: each reads both ways."""

from pathlib import Path

import pytest
import torch
from masklet.export.checkpoints.name_map import NameMap, Rule
from masklet.runtime.errors import SpecError

RULES = """
unused = ["freqs.{i}"]
[names]
"a.{i}.norm{j}.{p}" = "b.{i}.layer_norm{j}.{p}"
[cut]
"attn.in_proj_{p}" = ["q.{p}", "k.{p}", "v.{p}"]
[copied]
"pe" = ["one.pe", "two.pe"]
[transposed]
"projection" = "linear.weight"
[stacked]
"points.weight" = ["points.0.weight", "points.1.weight"]
"""


@pytest.fixture
def names(tmp_path: Path) -> NameMap:
    (tmp_path / "rules.toml").write_text(RULES)
    return NameMap.read(tmp_path / "rules.toml")


def tensors(prefix: str = "") -> dict[str, torch.Tensor]:
    found = {
        "a.3.norm12.weight": torch.randn(4),
        "attn.in_proj_weight": torch.randn(6, 2),
        "attn.in_proj_bias": torch.randn(6),
        "pe": torch.randn(2, 3),
        "projection": torch.randn(2, 5),
        "points.0.weight": torch.randn(1, 4),
        "points.1.weight": torch.randn(1, 4),
    }
    return {prefix + name: tensor for name, tensor in found.items()}


def test_every_rule_reads_both_ways(names: NameMap) -> None:
    theirs = tensors()
    ours = names.forward(theirs)
    assert set(ours) == {
        *("b.3.layer_norm12.weight", "q.weight", "k.weight", "v.weight", "q.bias", "k.bias", "v.bias"),
        *("one.pe", "two.pe", "linear.weight", "points.weight"),
    }
    assert torch.equal(ours["k.weight"], theirs["attn.in_proj_weight"][2:4])
    assert torch.equal(ours["linear.weight"], theirs["projection"].T)
    assert torch.equal(ours["points.weight"][1:], theirs["points.1.weight"])
    back = names.backward(ours)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_names_that_no_rule_takes(names: NameMap) -> None:
    strange = ["a.3.norm1.lora_A", "a.x.norm1.weight", "head.weight", "xa.3.norm1.weight", "freqs.2", "freqs.x"]
    assert names.unmapped([*tensors(), *strange]) == [name for name in strange if name != "freqs.2"]


def test_a_stack_that_lacks_a_part_is_left_out(names: NameMap) -> None:
    theirs = tensors()
    del theirs["points.1.weight"]
    assert "points.weight" not in names.forward(theirs)
    assert names.their_name("points.weight") == "points.0.weight"
    assert names.their_name("b.7.layer_norm1.bias") == "a.7.norm1.bias"
    assert names.their_name("k.bias") == "attn.in_proj_bias"


def test_maps_below_a_prefix_and_together(names: NameMap) -> None:
    both = names + names.under("tracker.", "tracker_model.")
    theirs = {**tensors(), **tensors("tracker.")}
    ours = both.forward(theirs)
    assert both.unmapped(theirs) == []
    assert torch.equal(ours["tracker_model.one.pe"], theirs["tracker.pe"])
    assert len(ours) == 2 * 11


def test_sides_that_do_not_hold_the_same_placeholders_are_refused() -> None:
    with pytest.raises(SpecError, match="do not hold the same placeholders"):
        Rule(("a.{i}.weight",), ("a.weight",))
