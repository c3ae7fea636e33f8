"""Rounding to bfloat16 within a graph that is computed in FP32, which OpenVINO 2026.4 does for half of the numbers.

Memories are rounded to bfloat16 last of all. OpenVINO's vectorised conversion cuts half of each vector off instead.
"""

from typing import Any

import numpy as np

SPLIT = 2.0**16 + 1  # leaves 24 - 16 = 8 significant bits, as bfloat16 has (Dekker 1971, Veltkamp's splitting)


def round_to_nearest(model: Any) -> None:
    """Put exact arithmetic in the place of each conversion to bfloat16 and back, in place.

    c = SPLIT x; c - (c - x) is x rounded to 8 bits, to the nearest, for |x| up to 2^111.
    """
    from openvino import Type, opset13

    split = opset13.constant(np.array(SPLIT, np.float32))
    for back in model.get_ordered_ops():
        there = back.input_value(0).get_node() if back.get_type_name() == "Convert" else None
        if there is None or there.get_type_name() != "Convert" or there.get_element_type() != Type.bf16:
            continue
        x = there.input_value(0)
        scaled = opset13.multiply(x, split)
        rounded = opset13.subtract(scaled, opset13.subtract(scaled, x)).output(0)
        rounded.get_tensor().set_names(back.output(0).get_tensor().get_names())
        back.output(0).replace(rounded)
    model.validate_nodes_and_infer_types()
