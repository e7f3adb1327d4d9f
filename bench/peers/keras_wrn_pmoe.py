"""Peer: one training step of WRN-10 and of the masked WRN-pMoE in Keras, graph mode.

The mixture is computed as the published TensorFlow code does it: a gate mask over the whole map, then
BatchNorm-ReLU-convolution per expert on everything. Prints one JSON line: seconds of every step, peak memory, parameters.

usage: keras_wrn_pmoe.py wrn|pmoe [--batch 16] [--size 64] [--steps 7] ...
"""
import argparse
import json
import os
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

L = tf.keras.layers

p = argparse.ArgumentParser()
p.add_argument("model", choices=["wrn", "pmoe"])
p.add_argument("--batch", type=int, default=16)
p.add_argument("--size", type=int, default=64)
p.add_argument("--classes", type=int, default=4)
p.add_argument("--widen", type=int, default=10)
p.add_argument("--experts", type=int, default=8)
p.add_argument("--keep", type=int, default=2)
p.add_argument("--patch", type=int, default=4)
p.add_argument("--kernel", type=int, default=3)
p.add_argument("--warm-up", type=int, default=2)
p.add_argument("--steps", type=int, default=7)
a = p.parse_args()


class MaskGate(L.Layer):
    """Keeps the top patches of the map, scaled by their softmax over all patches; zero elsewhere."""

    def __init__(self, keep, patch):
        super().__init__()
        self.keep, self.patch = keep, patch

    def build(self, shape):
        self.router = self.add_weight(
            shape=(self.patch, self.patch, shape[-1], 1), initializer=tf.keras.initializers.RandomNormal(stddev=1e-4)
        )

    def call(self, x):
        s = tf.nn.conv2d(x, self.router, self.patch, "VALID")
        b, h, w = tf.shape(s)[0], s.shape[1], s.shape[2]
        g = tf.nn.softmax(tf.reshape(s, (b, h * w)))
        kth = tf.math.top_k(g, self.keep).values[:, -1:]
        mask = tf.reshape(tf.where(g >= kth, g, 0.0), (b, h, w, 1))
        return x * tf.repeat(tf.repeat(mask, self.patch, 1), self.patch, 2)


def norm_relu(x):
    return L.ReLU()(L.BatchNormalization()(x))


def block(x, filters, stride):
    y = L.Conv2D(filters, 3, stride, "same")(norm_relu(x))
    y = L.Conv2D(filters, 3, 1, "same")(norm_relu(y))
    return L.Add()([L.Conv2D(filters, 1, stride)(x), y])


def expert(x):
    return L.Conv2D(64 * a.widen // a.experts, a.kernel, 1, "same")(norm_relu(MaskGate(a.keep, a.patch)(x)))


inputs = tf.keras.Input((a.size, a.size, 3))
x = block(block(L.Conv2D(16, 3, 1, "same")(inputs), 16 * a.widen, 1), 32 * a.widen, 2)
if a.model == "wrn":
    x = block(x, 64 * a.widen, 2)
else:
    x = L.Conv2D(64 * a.widen, 3, 2, "same")(norm_relu(x))
    x = L.Concatenate()([expert(x) for _ in range(a.experts)])
x = L.GlobalAveragePooling2D()(norm_relu(x))
model = tf.keras.Model(inputs, L.Dense(a.classes, activation="softmax")(x))
model.compile(tf.keras.optimizers.SGD(0.1), "categorical_crossentropy")
images = np.random.rand(a.batch, a.size, a.size, 3).astype("float32")
labels = np.eye(a.classes, dtype="float32")[np.random.randint(0, a.classes, a.batch)]

times = []
for _ in range(a.warm_up + a.steps):
    start = time.perf_counter()
    model.train_on_batch(images, labels)
    times.append(time.perf_counter() - start)
print(
    json.dumps(
        {
            "software": f"Keras {tf.keras.__version__} on TensorFlow {tf.__version__}",
            "seconds": {"step": times[a.warm_up :]},
            "facts": {
                "parameters": model.count_params(),
                "peak bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            },
        }
    )
)
