"""The blocks of a map: numbered once, in rows, each within the one around it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.runtime.pixels.quadtree import Quadtree

SIDES = st.integers(2, 24)
few = settings(deadline=None, max_examples=20)


def boxes(tree: Quadtree) -> list[tuple[int, int, int]]:
    """Top, left and edge of each block by its number."""
    return [
        (row * edge, column * edge, edge)
        for edge in tree.edges
        for row in range(-(-tree.rows // edge))
        for column in range(-(-tree.columns // edge))
    ]


@few
@given(SIDES, SIDES)
def test_blocks_of_an_edge_cover_the_map_once(rows: int, columns: int) -> None:
    tree = Quadtree(rows, columns)
    every = boxes(tree)
    assert tree.edges == [2**level for level in range(len(tree.edges))]
    assert min(rows, columns) // 2 // 2 < tree.edges[-1] <= max(1, min(rows, columns) // 2)
    for edge in tree.edges:
        covered = np.zeros((rows, columns), int)
        for number in tree.blocks(edge):
            top, left, size = every[number]
            assert tree.edge[number] == size == edge
            block = covered[top : top + size, left : left + size]
            assert block.size == tree.cells[number]
            block += 1
        assert (covered == 1).all()
    assert tree.padding == len(tree.cells) == len(every)


@few
@given(SIDES, SIDES)
def test_a_block_lies_within_its_parent(rows: int, columns: int) -> None:
    tree = Quadtree(rows, columns)
    every = boxes(tree)
    for number, (top, left, edge) in enumerate(every):
        above_top, above_left, above = every[tree.parent[number]]
        if edge == tree.edges[-1]:
            assert tree.parent[number] == number
        else:
            assert above == 2 * edge
            assert above_top <= top < above_top + above
            assert above_left <= left < above_left + above


@few
@given(SIDES, SIDES)
def test_sums(rows: int, columns: int) -> None:
    values = np.random.default_rng(0).integers(-9, 9, (rows, columns, 3)).astype(np.float32)
    tree = Quadtree(rows, columns)
    wanted = [values[top : top + edge, left : left + edge].sum(axis=(0, 1)) for top, left, edge in boxes(tree)]
    np.testing.assert_array_equal(tree.sums(values), wanted)


@pytest.mark.parametrize(("rows", "columns", "edges"), [(64, 64, 6), (72, 72, 6), (36, 64, 5), (8, 8, 3), (2, 2, 1)])
def test_the_largest_blocks_are_two_to_the_shorter_side(rows: int, columns: int, edges: int) -> None:
    tree = Quadtree(rows, columns)
    assert len(tree.edges) == edges
    assert all(b == 2 * a for a, b in pairwise(tree.edges))
