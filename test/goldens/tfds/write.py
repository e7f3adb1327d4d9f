"""Writes the record files in this folder with TensorFlow, in the features of TensorFlow Datasets.

    python test/goldens/tfds/write.py

cifar10 3.0.2: `id` (bytes), `image` (PNG, 32x32 RGB), `label` (int64). celeb_a 2.1.0: `image` (JPEG, 218x178 RGB),
`attributes/<name>` (int64, 0 or 1), `landmarks/<name>` (int64). Images are plain colours that a test can tell apart;
celeb_a's are small, and its attributes are those of the number of the record in binary.
"""

import pathlib

import numpy as np
import tensorflow as tf

here = pathlib.Path(__file__).parent
table = here / '../../../samples/drawn-faces-celeba/list_attr_celeba.txt'
attributes = table.read_text().split('\n')[1].split()
landmarks = [f'{part}_{axis}' for part in ('lefteye', 'righteye', 'nose', 'leftmouth', 'rightmouth') for axis in 'xy']


def integer(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def text(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def colour(red, green, blue, height, width):
    return tf.constant(np.broadcast_to(np.uint8([red, green, blue]), (height, width, 3)))


def write(name, records):
    with tf.io.TFRecordWriter(str(here / name)) as writer:
        for features in records:
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def cifar(split, number):
    label = number % 10
    image = tf.io.encode_png(colour(20 * label, number, 0 if split == 'train' else 255, 32, 32)).numpy()
    return {'id': text(f'{split}_{number:05d}'.encode()), 'image': text(image), 'label': integer(label)}


def face(split, number):
    image = tf.io.encode_jpeg(colour(8 * number, 8 * number, 8 * number, 24, 16), quality=95).numpy()
    features = {'image': text(image)}
    features |= {f'landmarks/{name}': integer(60 + i) for i, name in enumerate(landmarks)}
    truth = {'Smiling': number & 1, 'Eyeglasses': number >> 1 & 1, 'Black_Hair': number >> 2 & 1}
    truth['Blond_Hair'] = 1 - truth['Black_Hair']
    return features | {f'attributes/{name}': integer(truth.get(name, 0)) for name in attributes}


write('cifar10-train.tfrecord-00000-of-00001', [cifar('train', i) for i in range(30)])
write('cifar10-test.tfrecord-00000-of-00001', [cifar('test', i) for i in range(10)])
write('celeb_a-train.tfrecord-00000-of-00002', [face('train', i) for i in range(9)])
write('celeb_a-train.tfrecord-00001-of-00002', [face('train', i) for i in range(9, 16)])
write('celeb_a-validation.tfrecord-00000-of-00001', [face('validation', i) for i in range(2)])
write('celeb_a-test.tfrecord-00000-of-00001', [face('test', i) for i in range(16, 24)])
