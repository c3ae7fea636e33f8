"""Manifests that are damaged at random, as a bad disk, a bad tool or a forger would damage them."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2, 3, 7, 64, 10**6, 10**9, 2**31, 2**63 - 1, -(2**63), 2**70, 0.5, -1.5, 1e300),
    *("", "\0", "../x", "x\ny", "[/bold]", "x" * 5000, "objects", "memories", "float32", "image", "video", "mask"),
    *([], {}, [1], ["objects"], {"name": "x"}),
)
SIZES = (1, 2, 3, 5, 8, 16, 31, 10**6, 10**9)


class Mutator:
    """Damages manifests; the same for the same seed. said: what was done to the last one."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.said: list[str] = []

    def mutate(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """A damaged copy: mostly of the model, mostly by one change."""
        tree = copy.deepcopy(manifest)
        self.said = []
        for _ in range(self._rng.choice((1, 1, 1, 2, 3))):
            often, seldom = (self._replace, self._everywhere), (self._delete, self._nudge, self._swap)
            change = self._rng.choice((*often, *often, *seldom, self._repeat, self._rename, self._shuffle))
            change(tree)
        return tree

    def _pick(self, tree: dict[str, Any]) -> tuple[Any, Any]:
        """A container and a key in it."""
        under = tree["model"] if isinstance(tree.get("model"), dict) and self._rng.random() < 0.85 else tree
        places = list(_places(under))
        return self._rng.choice(places) if places else (tree, "model")

    def _replace(self, tree: dict[str, Any]) -> None:
        holder, key = self._pick(tree)
        self._note("replace", key, holder.get(key) if isinstance(holder, dict) else holder[key])
        holder[key] = copy.deepcopy(self._rng.choice(VALUES))
        self.said[-1] += f" by {str(holder[key])[:40]!r}"

    def _delete(self, tree: dict[str, Any]) -> None:
        holder, key = self._pick(tree)
        self._note("delete", key, holder.pop(key, None) if isinstance(holder, dict) else holder.pop(key))

    def _nudge(self, tree: dict[str, Any]) -> None:
        numbers = [(h, k) for h, k in _places(tree) if type(h[k]) in (int, float)]
        if numbers:
            holder, key = self._rng.choice(numbers)
            self._note("nudge", key, holder[key])
            holder[key] = self._rng.choice((holder[key] + 1, holder[key] - 1, holder[key] * 2, -holder[key]))

    def _swap(self, tree: dict[str, Any]) -> None:
        (one, at), (other, there) = self._pick(tree), self._pick(tree)
        self._note("swap", at, there)
        one[at], other[there] = copy.deepcopy(other[there]), copy.deepcopy(one[at])

    def _repeat(self, tree: dict[str, Any]) -> None:
        lists = [h[k] for h, k in _places(tree) if isinstance(h[k], list) and h[k]]
        if lists:
            chosen = self._rng.choice(lists)
            item = copy.deepcopy(self._rng.choice(chosen))
            self._note("repeat", "", item)
            chosen.insert(self._rng.randrange(len(chosen) + 1), item)

    def _shuffle(self, tree: dict[str, Any]) -> None:
        lists = [h[k] for h, k in _places(tree) if isinstance(h[k], list) and len(h[k]) > 1]
        if lists:
            chosen = self._rng.choice(lists)
            self._rng.shuffle(chosen)
            self._note("shuffle", "", chosen)

    def _rename(self, tree: dict[str, Any]) -> None:
        holders = [h for h, k in _places(tree) if isinstance(h, dict)]
        if holders:
            holder = self._rng.choice(holders)
            key = self._rng.choice(list(holder))
            self._note("rename", key, "")
            holder[self._rng.choice(("x", "", *holder))] = holder.pop(key)

    def _everywhere(self, tree: dict[str, Any]) -> None:
        """Change a name or a size wherever it stands, so that what shares it still agrees."""
        values = [h[k] for h, k in _places(tree.get("model", {})) if type(h[k]) in (int, str)]
        if values:
            old = self._rng.choice(values)
            new = self._rng.choice(SIZES if isinstance(old, int) else (*map(str, values), "", "x", "\0"))
            self._note("everywhere", old, new)
            for holder, key in _places(tree):
                if type(holder[key]) is type(old) and holder[key] == old:
                    holder[key] = new

    def _note(self, what: str, where: Any, value: Any) -> None:
        self.said.append(f"{what} {where!r} {json.dumps(value, default=str)[:60]}")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with every key or index in it."""
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, value in items:
        yield tree, key
        yield from _places(value)
