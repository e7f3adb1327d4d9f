"""Writes test/goldens/pillow.json: what Pillow 12.3 makes of two small random images.

    python3 test/data/augmentation/write_pillow.py
"""

import json
import random
from pathlib import Path

import PIL
from PIL import Image, ImageEnhance, ImageOps


def image(height, width, seed, value):
    chance = random.Random(seed)
    pixels = bytes(value(chance) for _ in range(height * width * 3))
    return Image.frombytes("RGB", (width, height), pixels)


def record(picture):
    return list(picture.tobytes())


small = image(9, 12, 5, lambda chance: chance.randrange(20, 230))
dark = image(24, 24, 6, lambda chance: chance.randrange(256) * chance.randrange(256) // 255)
size = small.size
results = {
    "brighten 1.4": ImageEnhance.Brightness(small).enhance(1.4),
    "contrast 1.6": ImageEnhance.Contrast(small).enhance(1.6),
    "saturate 0.3": ImageEnhance.Color(small).enhance(0.3),
    "grey": small.convert("L").convert("RGB"),
    "sharpen 1.8": ImageEnhance.Sharpness(small).enhance(1.8),
    "sharpen 0": ImageEnhance.Sharpness(small).enhance(0.0),
    "posterize 3": ImageOps.posterize(small, 3),
    "solarize 100": ImageOps.solarize(small, 100),
    "autocontrast": ImageOps.autocontrast(small),
    "equalize": ImageOps.equalize(dark),
    "rotate 25": small.rotate(25, resample=Image.BILINEAR),
    "rotate -90": small.rotate(-90, resample=Image.BILINEAR),
    "shear x 0.3": small.transform(size, Image.AFFINE, (1, -0.3, 0, 0, 1, 0), Image.BILINEAR),
    "shear y 0.3": small.transform(size, Image.AFFINE, (1, 0, 0, -0.3, 1, 0), Image.BILINEAR),
    "crop": small.crop((2, 1, 9, 6)).resize(size, Image.BILINEAR),
}
content = {
    "pillow": PIL.__version__,
    "small": record(small),
    "dark": record(dark),
    "results": {name: record(picture) for name, picture in results.items()},
}
path = Path(__file__).parents[2] / "goldens" / "pillow.json"
path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
