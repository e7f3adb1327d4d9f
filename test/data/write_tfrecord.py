"""Writes tensorflow-records.tfrecord beside itself: the fixture of tfrecord.test.ts and example.test.ts.

    python test/data/write_tfrecord.py

Written with TensorFlow 2.21. Three records: numbers of all kinds, one feature a record; an image as prepared ones are;
an Example without features.
"""

import pathlib

import tensorflow as tf


def bytes_of(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def integers(*values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def floats(*values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def example(features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


records = [
    example(
        {
            "text": bytes_of("Grüße".encode(), b""),
            "Größe": integers(0, 1, 127, 128, 300, -1, 2**53 - 1, -(2**53) + 1),
            "share": floats(0.5, -2.25, 1e30),
            "none": integers(),
        }
    ),
    example(
        {
            "image": bytes_of(bytes(range(12))),
            "height": integers(2),
            "width": integers(2),
            "channels": integers(3),
            "label": integers(7),
        }
    ),
    example({}),
]

path = pathlib.Path(__file__).with_name("tensorflow-records.tfrecord")
with tf.io.TFRecordWriter(str(path)) as writer:
    for record in records:
        writer.write(record)
