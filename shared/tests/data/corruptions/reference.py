"""Writes the expected values of the corruptions that have no random part, computed by other people's libraries.

    pip install numpy scipy scikit-image opencv-python-headless pillow
    python reference.py

color.bin and gray.bin: for each kind of KINDS and each severity the pixels of a procedural image, 19 rows of 16, whose
row and column add up to a multiple of 4; channels come one after the other. sheen.bin: water's sheen over drops of
16 x 16 pixels. Last written with NumPy 2.4.6, SciPy 1.17.1, scikit-image 0.26.0, OpenCV 5.0.0 and Pillow 13.0.0.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import color, filters

HERE = Path(__file__).parent
ROWS, COLUMNS = 19, 16


def image(channels):
    y, x, c = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), np.arange(channels), indexing="ij")
    values = 3 * x * x + 5 * y * y + (2 * c + 1) * x * y + 40 * c + 60 * ((x // 4 + y // 5) % 2)
    return np.squeeze(values % 256).astype(np.uint8)


def clipped(values):
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)


def on_hsv(pixels, change):
    unit = pixels / 255
    hsv = color.rgb2hsv(unit if unit.ndim == 3 else np.stack([unit] * 3, axis=-1))
    changed = color.hsv2rgb(change(hsv))
    return clipped(changed if unit.ndim == 3 else changed[..., 0])


def defocus_blur(pixels, severity):
    radius, alias = [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)][severity]
    y, x = np.mgrid[-8:9, -8:9]
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), (3, 3), alias)
    return clipped(cv2.filter2D(pixels / 255, -1, kernel))


def zoom_blur(pixels, severity):
    factors = np.arange(1, [1.06, 1.11, 1.16, 1.21, 1.26][severity], 0.01)
    unit = (pixels / 255).astype(np.float32)
    total = unit.copy()
    for factor in factors:
        crop = [int(np.ceil(side / factor)) for side in unit.shape[:2]]
        start = [(side - part) // 2 for side, part in zip(unit.shape, crop)]
        part = unit[start[0] : start[0] + crop[0], start[1] : start[1] + crop[1]]
        part = ndimage.zoom(part, (factor, factor) + (1,) * (unit.ndim - 2), order=1)
        trim = [(large - side) // 2 for large, side in zip(part.shape, unit.shape)]
        total += part[trim[0] : trim[0] + ROWS, trim[1] : trim[1] + COLUMNS]
    return clipped(total / (len(factors) + 1))


def brightness(pixels, severity):
    added = [0.05, 0.1, 0.15, 0.2, 0.3][severity]
    if pixels.ndim == 2:
        return clipped(pixels / 255 + added)
    return on_hsv(pixels, lambda hsv: np.dstack([hsv[..., :2], np.clip(hsv[..., 2] + added, 0, 1)]))


def contrast(pixels, severity):
    mean = (pixels / 255).mean((0, 1))
    return clipped((pixels / 255 - mean) * [0.75, 0.5, 0.4, 0.3, 0.15][severity] + mean)


def pixelate(pixels, severity):
    share = [0.95, 0.9, 0.85, 0.75, 0.65][severity]
    small = Image.fromarray(pixels).resize((int(COLUMNS * share), int(ROWS * share)), Image.BOX)
    return np.array(small.resize((COLUMNS, ROWS), Image.BOX))


def jpeg_compression(pixels, severity):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=[80, 65, 58, 50, 40][severity])
    return np.array(Image.open(file))


def gaussian_blur(pixels, severity):
    sigma = [0.4, 0.6, 0.7, 0.8, 1][severity]
    return clipped(filters.gaussian(pixels / 255, sigma, channel_axis=-1 if pixels.ndim == 3 else None))


def saturate(pixels, severity):
    factor, offset = [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)][severity]

    def change(hsv):
        hsv[..., 1] = np.clip(hsv[..., 1] * factor + offset, 0, 1)
        return hsv

    return on_hsv(pixels, change)


def drops():
    y, x = np.mgrid[0:16, 0:16]
    centers = [(2, 3), (7, 10), (13, 5), (11, 14), (5, 0)]
    near = np.min([(y - top) ** 2 + (x - left) ** 2 for top, left in centers], axis=0)
    return np.where(near < 9, 250 - 8 * near, 0).astype(np.uint8)


def sheen(layer):
    distance = cv2.distanceTransform(255 - cv2.Canny(layer, 50, 150), cv2.DIST_L2, 5)
    distance = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    light = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    return cv2.blur(cv2.filter2D(cv2.equalizeHist(distance), cv2.CV_8U, light), (3, 3))


KINDS = [
    defocus_blur, zoom_blur, brightness, contrast, pixelate, jpeg_compression, gaussian_blur, saturate,
]  # fmt: skip

for name, channels in [("color", 3), ("gray", 1)]:
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    picked = (y + x) % 4 == 0
    expected = bytearray()
    for kind in KINDS:
        for severity in range(5):
            result = kind(image(channels), severity).reshape(ROWS, COLUMNS, channels)
            expected += b"".join(result[..., channel][picked].tobytes() for channel in range(channels))
    (HERE / f"{name}.bin").write_bytes(expected)
(HERE / "sheen.bin").write_bytes(sheen(drops()).tobytes())
