"""Writes nested.keras, nested.h5, nested.weights.h5 and half.h5 beside it, and nested.json: what the network answers;
and bfloat16.weights.h5, one layer that Keras stores as bfloat16.

A model within a model within a model, as transfer learning makes them. All its convolutions have one shape, so that only
their names or their places tell them apart. One of them is frozen: an .h5 file lists it after all others. half.h5 holds
the weights as float16, the last one in the other order of bytes. Weights are multiples of 1/16, exact in float16.

usage: python generate_nested.py    (Keras 3 on any backend, h5py)
"""
import gzip
import json
import os

import h5py
import keras
import numpy as np

L = keras.layers
HERE = os.path.dirname(os.path.abspath(__file__))


def conv(name):
    return L.Conv2D(2, 3, padding="same", activation="relu", name=name)


def network():
    inner = keras.Sequential([L.Input((4, 4, 2)), conv("zeta"), conv("alpha")], name="inner")
    image = L.Input((4, 4, 2))
    x = L.BatchNormalization(name="norm")(conv("beta")(image))
    backbone = keras.Model(image, conv("gamma")(inner(x)), name="backbone")
    image = L.Input((4, 4, 2))
    x = conv("last")(backbone(conv("first")(image)))
    model = keras.Model(image, L.Dense(3, name="head")(L.GlobalAveragePooling2D()(x)), name="whole")
    rng = np.random.default_rng(7)
    model.set_weights([rng.integers(-4, 13, w.shape) / 16 + (w.ndim == 1) / 4 for w in model.get_weights()])
    inner.get_layer("zeta").trainable = False
    return model


def halved(source, target):
    for key, value in source.attrs.items():
        target.attrs[key] = value
    for key, value in source.items():
        if isinstance(value, h5py.Group):
            halved(value, target.create_group(key))
        else:
            target.create_dataset(key, data=value[()].astype(">f2" if value.ndim == 2 else "<f2"))


def main():
    model = network()
    images = np.random.default_rng(3).integers(0, 9, (2, 4, 4, 2)) / 8
    answers = np.asarray(model.predict(images, verbose=0), "float64")
    with open(os.path.join(HERE, "nested.json"), "w") as file:
        json.dump({"images": images.ravel().tolist(), "answers": answers.ravel().tolist()}, file)
    names = ["nested.keras", "nested.h5", "nested.weights.h5", "half.h5"]
    for name in names[:2]:
        model.save(name)
    model.save_weights(names[2])
    with h5py.File(names[1]) as source, h5py.File(names[3], "w") as target:
        halved(source["model_weights"], target)
    names.append("bfloat16.weights.h5")
    layer = L.Dense(2, dtype="bfloat16")
    small = keras.Sequential([L.Input((2,)), layer])
    layer.set_weights([np.array([[1, 2], [3, -0.5]]), np.array([0.25, -1.5])])
    small.save_weights(names[4])
    for name in names:
        with open(name, "rb") as file, open(os.path.join(HERE, f"{name}.gz"), "wb") as out:
            out.write(gzip.compress(file.read(), mtime=0))
        os.remove(name)


main()
