"""The outputs of a run: which sinks are opened, and where they write."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from masklet.runtime.errors import SinkError
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.sinks.kind import OnResume, Opening, SinkKind, StagesSince, Target
from masklet.runtime.sinks.known import sink_kinds
from masklet.runtime.sinks.output_file import STANDARD_OUTPUT
from masklet.runtime.sinks.rotation import Rotated, Rotation
from masklet.runtime.sinks.sink import Sink, Sinks
from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of a stream.

    targets: target of each output, by name of its kind; outputs that are not named are left out.
    keep:    for kinds that continue a file after a restart: bytes after which to append; None to replace the file.
    settings: values of the options that kinds of sink declare, by name; only those that were given.
    """

    targets: Mapping[str, Target] = field(default_factory=dict)
    keep: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Target | None:
        return self.targets.get(name)

    @property
    def times_stages(self) -> bool:
        """Whether an output logs the latencies of stages."""
        return any(kind.times_stages for kind, _ in self._chosen())

    def open(
        self,
        fps: float,
        prompts: Schedule | None = None,
        stages: StagesSince = lambda number: [],
        began_ns: int | None = None,
    ) -> Sinks:
        """Open a sink for each output. If one cannot be opened, closes the others and raises SinkError.

        prompts: prompts of the run, for sinks that show them. stages: latencies of stages, for those that log them.
        began_ns: time of the day at time 0 of the source, for sinks that state it.
        """
        opening = Opening(fps, self.keep, self.settings, prompts or {}, stages, began_ns)
        with ExitStack() as on_failure:
            sinks: list[Sink] = []
            for kind, target in self._chosen():
                sinks.append(self._open(kind, target, opening))
                on_failure.callback(sinks[-1].close)
            on_failure.pop_all()
        return Sinks(sinks)

    def _open(self, kind: SinkKind, target: Target, opening: Opening) -> Sink:
        rotation = Rotation.of(self.settings)
        if rotation is None or not kind.rotates:
            return kind.open(target, opening)

        def anew(keep: int | None) -> Sink:
            return kind.open(target, replace(opening, keep=keep))

        return Rotated(Path(target), rotation, anew, opening.keep)

    def check_folders(self) -> None:
        """Raise SinkError for an output that cannot be written, before anything is replaced."""
        rotation = Rotation.of(self.settings)
        for kind, target in self._chosen():
            if rotation is not None and kind.rotates and target == STANDARD_OUTPUT:
                raise SinkError("--rotate needs files; standard output cannot be rotated")
            kind.check(target)

    def spare(self, source: str) -> None:
        """Raise SinkError if an output is the source itself, because opening the output would delete its content."""
        for _, target in self._chosen():
            path = Path(target)
            if path.is_file() and Path(source).exists() and path.samefile(source):
                raise SinkError(f"{path}: is the source itself; write the output to another file")

    def mapped(self, change: Callable[[Target], Target]) -> Self:
        """The same outputs with other targets."""
        return replace(self, targets={name: change(target) for name, target in self.targets.items()})

    def chosen(self, on_resume: OnResume) -> dict[str, Target]:
        """The targets of the outputs with this kind of resuming."""
        return {kind.name: target for kind, target in self._chosen() if kind.on_resume is on_resume}

    def __str__(self) -> str:
        return ", ".join(str(target) for _, target in self._chosen())

    def _chosen(self) -> list[tuple[SinkKind, Target]]:
        return [(kind, self.targets[kind.name]) for kind in sink_kinds() if kind.name in self.targets]
