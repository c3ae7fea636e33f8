"""Write the averaged weights of a run as a `save_pretrained` folder in FP16 safetensors.

python demos/nano/publish.py RUN demos/nano/checkpoint
"""

import argparse
import sys
from pathlib import Path

import transformers
from model import nano_config, new_model
from state import averaged

LARGEST_BYTES = 12 * 2**20


def publish(run: Path, destination: Path) -> int:
    """Write config.json and model.safetensors; returns the bytes of the weights.

    Raises ValueError where the folder holds no run, or its weights would be larger than the 12 MB that ship.
    """
    recipe, weights = averaged(run)
    model = new_model(nano_config(recipe.size, recipe.hidden, recipe.widths), recipe.seed)
    model.load_state_dict(weights)
    size = 2 * sum(value.numel() for value in model.state_dict().values())
    if size > LARGEST_BYTES:
        raise ValueError(f"{run}: {size / 2**20:.1f} MB in FP16, expected at most {LARGEST_BYTES / 2**20:.0f}")
    destination.mkdir(parents=True, exist_ok=True)
    model.half().eval().save_pretrained(destination)
    written = destination / "model.safetensors"
    written.chmod(0o644)  # safetensors writes it for its owner alone
    return written.stat().st_size


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and publish."""
    parser = argparse.ArgumentParser(prog="publish.py", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("destination", type=Path)
    chosen = parser.parse_args(arguments)
    transformers.logging.set_verbosity_error()
    try:
        size = publish(chosen.run, chosen.destination)
    except (ValueError, OSError) as error:
        print(f"publish.py: {error}", file=sys.stderr)
        return 2
    print(f"{chosen.destination}: {size / 2**20:.2f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
