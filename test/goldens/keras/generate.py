"""Writes the files beside it: small Keras networks of the published form, and what they answer.

WRN-10-1 dense and the masked WRN-pMoE (a gate mask over the whole map for each expert, then BatchNorm-ReLU-convolution),
with random weights on a coarse grid of numbers, so that they compress. Images are 16x16; the shortcut is created before
the convolutions that run beside it in one network and after them in the other, as people write it either way.

usage: python generate.py    (Keras 3 on TensorFlow)
"""
import gzip
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf

L = keras.layers
HERE = os.path.dirname(os.path.abspath(__file__))
EXPERTS, KEEP, PATCH, CLASSES = 4, 3, 1, 3


@keras.saving.register_keras_serializable()
class MaskGate(L.Layer):
    """Keeps the top patches of the map, scaled by their softmax over all patches; zero elsewhere."""

    def __init__(self, keep, patch, **kwargs):
        super().__init__(**kwargs)
        self.keep, self.patch = keep, patch

    def build(self, shape):
        self.router = self.add_weight(shape=(self.patch, self.patch, shape[-1], 1), name="router")

    def call(self, x):
        s = tf.nn.conv2d(x, self.router, self.patch, "VALID")
        b, h, w = tf.shape(s)[0], s.shape[1], s.shape[2]
        g = tf.nn.softmax(tf.reshape(s, (b, h * w)))
        kth = tf.math.top_k(g, self.keep).values[:, -1:]
        mask = tf.reshape(tf.where(g >= kth, g, 0.0), (b, h, w, 1))
        return x * tf.repeat(tf.repeat(mask, self.patch, 1), self.patch, 2)

    def get_config(self):
        return {**super().get_config(), "keep": self.keep, "patch": self.patch}


def norm_relu(x):
    return L.ReLU()(L.BatchNormalization()(x))


def block(x, filters, stride, shortcut_first):
    shortcut = L.Conv2D(filters, 1, stride)(x) if shortcut_first else None
    y = L.Conv2D(filters, 3, stride, "same")(norm_relu(x))
    y = L.Conv2D(filters, 3, 1, "same")(norm_relu(y))
    return L.Add()([L.Conv2D(filters, 1, stride)(x) if shortcut is None else shortcut, y])


def expert(x):
    return L.Conv2D(64 // EXPERTS, 1, 1, "same")(norm_relu(MaskGate(KEEP, PATCH)(x)))


def network(mixture):
    inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(16, 3, 1, "same")(inputs)
    x = block(block(x, 16, 1, mixture), 32, 2, mixture)
    if mixture:
        x = L.Conv2D(64, 3, 2, "same")(norm_relu(x))
        x = L.Concatenate()([expert(x) for _ in range(EXPERTS)])
    else:
        x = block(x, 64, 2, mixture)
    x = L.GlobalAveragePooling2D()(norm_relu(x))
    return keras.Model(inputs, L.Dense(CLASSES, activation="softmax")(x))


def coarse(model, seed):
    """Random weights of a trained network's size, in steps of 1/64."""
    draw = np.random.default_rng(seed)
    for weight in model.weights:
        shape = weight.shape
        if "variance" in weight.name or "gamma" in weight.name:
            value = draw.uniform(0.5, 1.5, shape)
        elif "router" in weight.name:
            value = draw.normal(0, 0.5, shape)
        elif len(shape) > 1:
            value = draw.normal(0, np.sqrt(1 / np.prod(shape[:-1])), shape)
        else:
            value = draw.normal(0, 0.2, shape)
        weight.assign(np.round(value * 64) / 64)


def compress(path):
    with open(path, "rb") as plain, open(path + ".gz", "wb") as packed:
        packed.write(gzip.compress(plain.read(), 9, mtime=0))
    os.remove(path)


# Blocks of one colour: images of noise would all look alike to the network.
images = np.kron(np.random.default_rng(0).integers(0, 256, (4, 4, 4, 3)), np.ones((1, 4, 4, 1), int)).astype(np.uint8)
answers = {}
for name, mixture, seed in (("dense.h5", False, 1), ("authors.weights.h5", True, 2)):
    keras.utils.clear_session()
    model = network(mixture)
    coarse(model, seed)
    answers[name] = model.predict(images.astype("float32") / 255, verbose=0).tolist()
    path = os.path.join(HERE, name)
    if name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    compress(path)

with open(os.path.join(HERE, "answers.json"), "w") as file:
    json.dump({"software": f"Keras {keras.__version__}", "images": images.ravel().tolist(), **answers}, file)
