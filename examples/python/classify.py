"""Classifies images with an exported network: python classify.py MODEL.onnx IMAGE...

Needs onnxruntime, numpy and pillow; nothing of patch-moe. The model comes from
`pmoe export RUN --format onnx --out MODEL.onnx`.
"""

import json
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image

session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
model_input = session.get_inputs()[0]
facts = session.get_modelmeta().custom_metadata_map
about = json.loads(facts["inputs"])[model_input.name]
is_nchw = about["axes"] == "batch,channels,height,width"
_, *sides = model_input.shape
height, width, channels = sides[1:] + sides[:1] if is_nchw else sides
classes = json.loads(facts.get("classes", "[]"))


def pixels(path):
    image = Image.open(path).convert("RGB" if channels == 3 else "L").resize((width, height), Image.BILINEAR)
    array = np.asarray(image, np.uint8).reshape(height, width, channels)
    if about["dtype"] == "float32":
        array = array.astype(np.float32) / 255
    return array.transpose(2, 0, 1) if is_nchw else array


batch = np.stack([pixels(path) for path in sys.argv[2:]])
(probabilities,) = session.run(None, {model_input.name: batch})
for path, row in zip(sys.argv[2:], probabilities):
    best = int(row.argmax())
    print(f"{path}: {classes[best] if classes else best} {row[best]:.1%}")
