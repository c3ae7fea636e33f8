"""What a memory keeps of its cells: whole, pooled or foveated."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import PromptError
from masklet.runtime.pixels.quadtree import Quadtree
from masklet.runtime.tracking.memory_detail import BlockMemory, MemoryDetail, block_memory, usual_tokens

CHANNELS = 5


def memory(rows: int, columns: int, seed: int = 0) -> Tensor:
    return np.random.default_rng(seed).standard_normal((rows * columns, CHANNELS)).astype(np.float32)


def cells_of(tree: Quadtree, number: int) -> list[tuple[int, int]]:
    level = int(np.log2(tree.edge[number]))
    edge, (row, column) = int(tree.edge[number]), divmod(number - tree.starts[level], tree.shapes[level][1])
    rows, columns = range(row * edge, (row + 1) * edge), range(column * edge, (column + 1) * edge)
    return [(r, c) for r in rows for c in columns if r < tree.rows and c < tree.columns]


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 24), st.integers(2, 24), st.integers(1, 600), st.integers(0, 9))
def test_foveated_blocks_cover_every_cell_once_with_their_means(
    rows: int, columns: int, tokens: int, seed: int
) -> None:
    tree, given_cells = Quadtree(rows, columns), memory(rows, columns, seed)
    tokens = max(tokens, len(tree.blocks(tree.edges[-1])))
    kept = BlockMemory(rows, columns, MemoryDetail("foveated", tokens))
    content, blocks = kept(given_cells)
    assert content.shape == (kept.tokens, CHANNELS) == (min(tokens, rows * columns), CHANNELS)
    real = blocks[blocks < tree.padding]
    assert (blocks[len(real) :] == tree.padding).all()
    assert not content[len(real) :].any()
    assert len(blocks) - len(real) < 3  # a split adds three blocks at most; then there is no room for another one
    cells = given_cells.reshape(rows, columns, CHANNELS)
    covered = np.zeros((rows, columns), int)
    for number, mean in zip(real, content, strict=False):
        inside = cells_of(tree, int(number))
        np.testing.assert_allclose(mean, np.mean([cells[at] for at in inside], axis=0), atol=1e-5)
        for at in inside:
            covered[at] += 1
    assert (covered == 1).all()


def test_blocks_are_split_by_how_much_they_vary() -> None:
    """Every block that was split varies at least as much as every one that was kept whole."""
    tree, given_cells = Quadtree(16, 16), memory(16, 16)
    _, blocks = BlockMemory(16, 16, MemoryDetail("foveated", 100))(given_cells)
    cells = given_cells.reshape(16, 16, CHANNELS)

    def spread(number: int) -> float:
        inside = np.array([cells[at] for at in cells_of(tree, number)])
        return float(((inside - inside.mean(axis=0)) ** 2).sum())

    split = {int(tree.parent[number]) for number in blocks}
    for number in list(split):
        while tree.parent[number] != number:
            number = int(tree.parent[number])
            split.add(number)
    split -= set(blocks.tolist())
    assert min(map(spread, split)) >= max(spread(int(n)) for n in blocks if tree.edge[n] > 1) - 1e-4


def test_an_object_on_an_even_background_is_kept_cell_by_cell() -> None:
    mask = np.zeros((64, 64), np.float32)
    cv2.circle(mask, (40, 22), 10, 1, -1)  # 8 % of the map
    assert 0.07 < mask.mean() < 0.09
    content = np.zeros((64, 64, CHANNELS), np.float32)
    content[..., 0] = mask
    tree = Quadtree(64, 64)
    means, blocks = BlockMemory(64, 64, MemoryDetail("foveated", 640))(content.reshape(4096, CHANNELS))
    shown = np.zeros((64, 64), np.float32)
    for number, mean in zip(blocks, means, strict=True):
        if number < tree.padding:
            for at in cells_of(tree, int(number)):
                shown[at] = mean[0]
    np.testing.assert_allclose(shown, mask, atol=1e-5)
    assert usual_tokens(64, 64) == 640


def test_whole_and_pooled_memories() -> None:
    given_cells = memory(8, 12)
    whole, numbers = BlockMemory(8, 12, MemoryDetail("whole"))(given_cells)
    np.testing.assert_array_equal(whole, given_cells)
    np.testing.assert_array_equal(numbers, np.arange(96))
    pooled, _ = BlockMemory(8, 12, MemoryDetail("pooled", 2))(given_cells)
    wanted = given_cells.reshape(4, 2, 6, 2, CHANNELS).mean(axis=(1, 3)).reshape(24, CHANNELS)
    np.testing.assert_allclose(pooled, wanted, atol=1e-6)


@pytest.mark.parametrize("text", ["whole", "pooled:2", "pooled:4", "foveated", "foveated:640"])
def test_details_are_written_as_they_are_read(text: str) -> None:
    assert str(MemoryDetail.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "pooled", "pooled:x", "foveated:0", "whole:2", "fovea", "foveated:-3", "pooled:2.5"]
)
def test_other_details_are_refused(text: str) -> None:
    with pytest.raises(PromptError, match="wanted whole, pooled:2"):
        MemoryDetail.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pooled:3", "a map of 8 x 8 cells has pooled:2, pooled:4"),
        ("foveated:2", "2 tokens is too small; give 4 or more"),
    ],
)
def test_details_that_a_map_does_not_have(text: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        BlockMemory(8, 8, MemoryDetail.parse(text))


def test_a_model_with_whole_memories_has_no_other(variants_bundle: Path) -> None:
    whole = Bundle.load(variants_bundle, variant="128").model
    assert block_memory(whole, None) is None
    assert block_memory(whole, MemoryDetail("whole")) is None
    with pytest.raises(PromptError, match="export it with --foveated"):
        block_memory(whole, MemoryDetail("pooled", 2))
