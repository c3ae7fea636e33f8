"""Pictures as JPEG, in memory."""

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]


def jpeg(image: U8, quality: int) -> bytes:
    """Encode an image [H, W, 3] RGB."""
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def decoded(data: bytes) -> U8:
    """The image [H, W, 3] RGB of a JPEG that `jpeg` made."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(bgr, np.uint8)[..., ::-1])
