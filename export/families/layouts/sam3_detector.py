"""Files of SAM 3's detector alone, as Meta's trainer writes them: the names of the whole file without `detector.`."""

from dataclasses import replace

from masklet.export.checkpoints.layout import Layout
from masklet.export.families.layouts import sam3

# The tracker's pyramid lies in the backbone and is of no use without the tracker.
PYRAMID = (f"{sam3.BACKBONE}.sam2_convs.{{i}}.{{rest}}",)

LAYOUT = Layout(
    name="sam3-detector",
    marks=(f"{sam3.BACKBONE}.trunk.ln_pre.weight", "transformer.decoder.query_embed.weight"),
    names=replace(sam3.detector_names(), unused=(*sam3.detector_names().unused, *PYRAMID)),
    configure=sam3.configure_detector,
    why_none=sam3.WHY_NO_YAML,
)
