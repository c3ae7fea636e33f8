"""Writing a clip as DAVIS does: a video, its frames, and masks as palette PNGs (index = object id)."""

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]


def davis_palette() -> Bytes:
    """The 256 colours of PASCAL VOC and DAVIS [256, 3] RGB: bits of the index spread over the channels."""
    palette = np.zeros((256, 3), np.uint8)
    for index in range(256):
        rest = index
        for bit in range(7, -1, -1):
            for channel in range(3):
                palette[index, channel] |= ((rest >> channel) & 1) << bit
            rest >>= 3
    return palette


def palette_png(labels: Bytes) -> bytes:
    """Encode labels [H, W] as an 8-bit indexed PNG; OpenCV cannot."""
    image = Image.fromarray(labels)
    image.putpalette(davis_palette().tobytes())
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def write_video(path: Path, frames: Bytes, fps: float = 10.0) -> None:
    """Write frames [T, H, W, 3] RGB as an MPEG-4 file. Raises OSError if OpenCV cannot."""
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise OSError(f"cannot write the video {path}")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def write_clip(folder: Path, frames: Bytes, labels: Bytes) -> None:
    """Write video.mp4, frames/00000.png ... (lossless) and masks/00000.png ... (palette) into a folder."""
    for name in ("frames", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_video(folder / "video.mp4", frames)
    for index, (frame, mask) in enumerate(zip(frames, labels, strict=True)):
        cv2.imwrite(str(folder / "frames" / f"{index:05d}.png"), frame[..., ::-1])
        (folder / "masks" / f"{index:05d}.png").write_bytes(palette_png(mask))
