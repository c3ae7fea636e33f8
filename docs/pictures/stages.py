"""The diagram of SAM 2's stages on one frame: which stage reads what, and what goes into the memory bank.

    python docs/pictures/stages.py

Writes docs/explanation/stages.svg.
"""

from html import escape
from pathlib import Path

OUT = Path(__file__).parent.parent / "explanation" / "stages.svg"
WIDTH, HEIGHT = 900, 380
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #20252b }
.small { font-size: 11px; fill: #5b6570 }
.stage { fill: #d9eeea; stroke: #00897b; stroke-width: 1.5 }
.host { fill: #fff; stroke: #8a949e; stroke-width: 1.2; stroke-dasharray: 4 3 }
.bank { fill: #fdf0d8; stroke: #c98a14; stroke-width: 1.5 }
path { fill: none; stroke: #5b6570; stroke-width: 1.4; marker-end: url(#arrow) }
"""
# name, what it is, x, y, width, kind
BOXES = {
    "frame": ("frame", "uint8 RGB", 20, 60, 90, "host"),
    "encoder": ("image_encoder", "once per frame", 150, 60, 140, "stage"),
    "attention": ("memory_attention", "objects in a batch", 350, 60, 150, "stage"),
    "decoder": ("mask_decoder", "objects in a batch", 560, 60, 140, "stage"),
    "masks": ("masks", "at the frame's size", 770, 60, 110, "host"),
    "prompt": ("prompt", "points, box", 560, 180, 140, "host"),
    "mask_prompt": ("mask_prompt_encoder", "for a mask prompt", 335, 180, 170, "stage"),
    "memory": ("memory_encoder", "mask and features", 560, 290, 140, "stage"),
    "bank": ("memory bank", "per object, fixed size", 350, 290, 150, "bank"),
}
BOX_HEIGHT = 54
# path, label and its position
ARROWS = (
    ("M110,87 L144,87", "", 0, 0),
    ("M290,87 L344,87", "", 0, 0),
    ("M500,87 L554,87", "", 0, 0),
    ("M700,87 L764,87", "", 0, 0),
    ("M630,180 L630,120", "", 0, 0),
    ("M505,200 L530,200 L530,105 L554,105", "", 0, 0),
    ("M425,290 L425,240 L310,240 L310,104 L344,104", "memories, pointers", 316, 256),
    ("M560,317 L506,317", "new memory", 499, 362),
    ("M590,114 L590,150 L325,150 L325,310 L344,310", "pointer", 332, 144),
    ("M665,114 L665,150 L740,150 L740,317 L706,317", "mask", 746, 240),
    ("M290,72 L318,72 L318,30 L640,30 L640,54", "features of fine levels", 420, 24),
)


def box(name: str, note: str, x: int, y: int, width: int, kind: str) -> str:
    """A rectangle with a name and a note below it."""
    middle = x + width / 2
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{BOX_HEIGHT}" rx="6"/>'
        f'<text x="{middle}" y="{y + 24}" text-anchor="middle">{escape(name)}</text>'
        f'<text class="small" x="{middle}" y="{y + 41}" text-anchor="middle">{escape(note)}</text>'
    )


def main() -> None:
    """Write the diagram."""
    arrows = "".join(
        f'<path d="{d}"/>' + (f'<text class="small" x="{x}" y="{y}">{escape(label)}</text>' if label else "")
        for d, label, x, y in ARROWS
    )
    marker = (
        '<defs><marker id="arrow" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8" style="fill:#5b6570;marker-end:none;stroke:none"/></marker></defs>'
    )
    boxes = "".join(box(*one) for one in BOXES.values())
    OUT.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="The stages of SAM 2 on one frame"><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{marker}{arrows}{boxes}</svg>\n'
    )


if __name__ == "__main__":
    main()
