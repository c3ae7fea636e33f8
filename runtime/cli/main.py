"""The command line: `masklet VERB`. Verbs come from entry points, so each folder brings its own."""

import os
import signal
import sys
import warnings
from importlib.metadata import entry_points, version
from types import FrameType
from typing import Annotated, TextIO

import typer
from masklet.runtime.cli.help_panels import GroupedHelp
from masklet.runtime.errors import MaskletError, MaskletWarning

BAD_INPUT = 2
INTERNAL = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130
ORDER = [
    "export",
    "frame",
    "run",
    "annotate",
    "convert",
    "segment",
    "everything",
    "calibrate",
    "tune",
    "diagnose",
    "build",
    "profile",
    "archive",
    "serve",
    "inspect",
    "verify",
    "service",
    "doctor",
]  # as one needs them


def app() -> typer.Typer:
    """The command line with every verb that is installed."""
    commands = typer.Typer(
        help="Segment Anything on the edge: export a checkpoint to small ONNX graphs, run them on video, measure them.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    commands.callback()(_whole_program)
    verbs = {entry.name: entry for entry in entry_points(group="masklet.verbs")}
    for name in sorted(verbs, key=lambda n: (ORDER.index(n) if n in ORDER else len(ORDER), n)):
        commands.command(name, cls=GroupedHelp)(verbs[name].load())
    return commands


def main() -> None:
    """Run the command line. Bad input ends with one line on stderr and exit code 2, Ctrl-C with 130."""
    signal.signal(signal.SIGTERM, _stop)
    warnings.showwarning = _warn
    try:
        app()()
    except MaskletError as error:
        _end(f"error: {error}", BAD_INPUT)
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except SystemExit as end:
        if not _was_interrupted(end):
            raise
        _end("interrupted", INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output has closed it: nobody reads a message
        sys.exit(0)
    except Exception as error:
        if os.environ.get("MASKLET_DEBUG"):
            raise
        what = " ".join(str(error).split())
        _end(f"internal error: {type(error).__name__}: {what}; MASKLET_DEBUG=1 shows where", INTERNAL)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"masklet {version('masklet')}")
        raise typer.Exit


def _whole_program(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the verb; with them typer keeps the verb's name even if only one is installed."""


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show masklet's own warnings in one line each; hide those of other packages, which a user cannot act on."""
    if issubclass(category, MaskletWarning):
        print(f"masklet: warning: {message}", file=sys.stderr)


def _was_interrupted(end: SystemExit) -> bool:
    """Whether typer turned an unhandled Ctrl-C into this exit, which it does without a message."""
    return end.__context__ is not None and isinstance(end.__context__.__cause__, KeyboardInterrupt)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(line: str, code: int) -> None:
    print(f"masklet: {line}", file=sys.stderr)
    sys.exit(code)
