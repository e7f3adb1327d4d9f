"""Times Pillow on the JPEG files of a folder, decoded from memory to RGB of one size, and prints one JSON line."""

import argparse
import io
import json
import pathlib
import time

import PIL
from PIL import Image

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--images", type=int, default=1500)
parser.add_argument("--side", type=int, default=64)
parser.add_argument("--warm-up", type=int, default=1)
parser.add_argument("--rounds", type=int, default=5)
a = parser.parse_args()

files = [path.read_bytes() for path in sorted(a.folder.glob("*.jpg"))]


def decode(data, draft):
    image = Image.open(io.BytesIO(data))
    if draft:
        image.draft("RGB", (a.side, a.side))
    return image.convert("RGB").resize((a.side, a.side), Image.Resampling.BILINEAR).tobytes()


def timed(draft):
    start = time.perf_counter()
    for i in range(a.images):
        decode(files[i % len(files)], draft)
    return time.perf_counter() - start


seconds = {"full": [], "draft": []}
for turn in range(-a.warm_up, a.rounds):
    for name, draft in (("full", False), ("draft", True)):
        elapsed = timed(draft)
        if turn >= 0:
            seconds[name].append(elapsed)
print(
    json.dumps({"software": f"Pillow {PIL.__version__}", "seconds": seconds, "facts": {"images": a.images}})
)
