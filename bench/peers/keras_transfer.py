"""Peer: the head of a frozen network trained in Keras, graph mode, float32: the same network, images, epochs and batches as
bench/keras-transfer.ts, which writes them and reads the answer.

Trains for each seed on features that `predict` computed once, and for the first one with the body computed in every epoch as well
(`trainable = False`, so that its BatchNorm uses moving averages). Prints one JSON line: test accuracies and the median times of an
epoch after the first, by the clock and of the processors.

usage: keras_transfer.py FOLDER [--seeds 5] [--epochs 20] [--batch 32] [--rate 0.01]
"""
import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

L = tf.keras.layers

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--seeds", type=int, default=5)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--rate", type=float, default=0.01)
parser.add_argument("--features", help="those of the other side: float32, then 32 bytes")
a = parser.parse_args()

task = json.load(open(os.path.join(a.folder, "task.json")))


def stored(name, dtype, shape):
    return np.fromfile(os.path.join(a.folder, name), dtype).reshape(shape)


def images(half):
    shape = [task[half]["count"], *task["shape"]]
    return stored(half + ".images", np.uint8, shape).astype("float32") / 255, stored(half + ".labels", np.int32, shape[0])


def body():
    x = inputs = tf.keras.Input(task["shape"])
    for filters, stride in task["blocks"]:
        x = L.Conv2D(filters, 3, stride, "same", use_bias=False)(x)
        x = L.ReLU()(L.BatchNormalization(epsilon=1e-3)(x))
    network = tf.keras.Model(inputs, L.GlobalAveragePooling2D()(x))
    weights = [stored(f"weight{i}", np.float32, shape) for i, shape in enumerate(task["weights"])]
    # A layer's weights come together: kernel; gamma, beta, moving mean, moving variance.
    layers = [layer for layer in network.layers if layer.weights]
    for layer in layers:
        count = len(layer.weights)
        layer.set_weights(weights[:count])
        weights = weights[count:]
    network.trainable = False
    return network


class Clock(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.clock, self.processor = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.clock.append(time.perf_counter() - self.began[0])
        self.processor.append(time.process_time() - self.began[1])

    def medians(self):
        return {"clock": statistics.median(self.clock[1:]), "processor": statistics.median(self.processor[1:])}


def train(model, x, y, times):
    model.compile(
        tf.keras.optimizers.Adam(a.rate, epsilon=1e-7),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    clock = Clock()
    history = model.fit(x, y, batch_size=a.batch, epochs=a.epochs, shuffle=True, verbose=0, callbacks=[clock])
    times.append(clock.medians())
    return history.history["loss"][-1]


def typical(times):
    return {name: statistics.median(time[name] for time in times) for name in ("clock", "processor")}


(x, y), (test_x, test_y) = images("train"), images("test")
accuracies, losses, computed, kept = [], [], [], []
for seed in range(1, a.seeds + 1):
    tf.keras.utils.set_random_seed(seed)
    network = body()
    features = network.predict(x, verbose=0)
    head = tf.keras.Sequential([tf.keras.Input(features.shape[1:]), L.Dense(task["classes"])])
    losses.append(train(head, features, y, kept))
    accuracies.append(float(head.evaluate(network.predict(test_x, verbose=0), test_y, verbose=0)[1]))
    if seed == 1:
        train(tf.keras.Sequential([network, L.Dense(task["classes"])]), x, y, computed)
others = np.fromfile(a.features, np.float32)[:-8].reshape(features.shape)
print(
    json.dumps(
        {
            "accuracies": accuracies,
            "losses": losses,
            "difference": float(np.abs(features - others).max()),
            "largest": float(np.abs(others).max()),
            "computed": typical(computed),
            "kept": typical(kept),
            "versions": {"keras": tf.keras.__version__, "tensorflow": tf.__version__},
        }
    )
)
