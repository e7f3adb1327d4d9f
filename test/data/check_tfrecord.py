"""Reads a folder of prepared images with TensorFlow and prints one JSON line about it.

    python test/data/check_tfrecord.py FOLDER

TensorFlow checks both checksums of every record; the images are counted by label and summed up.
"""

import collections
import json
import pathlib
import sys

import tensorflow as tf

folder = pathlib.Path(sys.argv[1])
features = {
    "image": tf.io.FixedLenFeature([], tf.string),
    **{key: tf.io.FixedLenFeature([], tf.int64) for key in ("height", "width", "channels", "label")},
}
result = {}
for half in ("train", "test"):
    files = sorted(str(path) for path in folder.glob(f"{half}-*.tfrecord"))
    labels = collections.Counter()
    pixels = 0
    shapes = set()
    for record in tf.data.TFRecordDataset(files):
        parsed = tf.io.parse_single_example(record, features)
        shape = [int(parsed[key]) for key in ("height", "width", "channels")]
        image = tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), shape)
        pixels += int(tf.reduce_sum(tf.cast(image, tf.int64)))
        labels[int(parsed["label"])] += 1
        shapes.add(tuple(shape))
    result[half] = {
        "files": len(files),
        "labels": {str(label): count for label, count in sorted(labels.items())},
        "pixelSum": pixels,
        "shapes": sorted(shapes),
    }
print(json.dumps(result))
