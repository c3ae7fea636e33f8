"""A calibration report as tables in the terminal."""

from masklet.calibration.report.report import Report
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

WIDTH = 130  # columns if the output is not a terminal


def show(report: Report) -> None:
    """Print the report."""
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    if report.measured is not None and report.measured.busy:
        console.print(
            f"[yellow]the machine was busy[/yellow]: load {report.measured.load:.1f} on {report.measured.cores} cores; "
            "speeds mean little",
            highlight=False,
        )
    if report.precision.bf16_tensors:
        console.print(f"{report.precision} ran on {report.ran_on}, FP32 on ONNX Runtime", highlight=False, markup=False)
    console.print(_stages(report))
    if report.speed is not None:
        console.print(f"one call of every stage: {report.speed:.2f}x as fast as FP32", highlight=False)
    figures = report.figures
    console.print(
        f"mask IoU with FP32 {figures.iou:.4f} (worst frame {figures.least_iou:.3f}, drift {figures.drift:+.4f}) over "
        f"{figures.frames} frames; masks lost {figures.lost}, gained {figures.gained}; FP32 has a mask in "
        f"{figures.seen} of {figures.of} object frames after the prompts",
        highlight=False,
    )
    if report.phrases and figures.matched_iou is not None:
        console.print(
            f"instances of {', '.join(report.phrases)}: mask IoU of matched instances {figures.matched_iou:.4f}, "
            f"score difference {figures.score_difference:.4f}, ids switched {figures.switched}",
            highlight=False,
        )
    if figures.jf is not None and figures.drop is not None:
        console.print(
            f"J&F {figures.jf:.2f}, FP32 {figures.jf_fp32:.2f}: {figures.drop:+.2f} points lost", highlight=False
        )
    console.print(f"{len(report.trials)} trials; {'within' if report.within else 'beyond'} the limits", highlight=False)


def _stages(report: Report) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("stage", no_wrap=True)
    table.add_column("precision")
    for name in ("MB", "of FP32", "ms", "speed", "difference", "IoU alone", "J&F alone"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, figures in report.stages.items():
        alone = report.alone.get(name)
        table.add_row(
            name,
            str(figures.choice),
            f"{figures.bytes / 1e6:.2f}",
            f"{figures.bytes / figures.fp32_bytes:.2f}",
            "" if figures.ms is None else f"{figures.ms:.1f}",
            figures.speed,
            f"{figures.worst:.1e}" if figures.parity else "",
            f"{alone.iou:.4f}" if alone else "",
            f"{alone.jf:.2f}" if alone and alone.jf is not None else "",
        )
    return table
