"""Peers of routed networks on large images, in PyTorch, trained on the files of a run.

`sampling`: attention sampling (Katharopoulos and Fleuret, Processing megapixel images with deep attention-sampling models, 2019).
    A network of three 3x3 convolutions (8, 8, 1 channels, tanh) on the view gives a distribution over its pixels. L of them are
    drawn without replacement; the expected feature is estimated from their patches, and through this estimate the attention gets
    its gradient. Entropy is rewarded by 1e-4. Patches are drawn in tests as well.
`scored`: selection by the expert itself, the idea of Iterative Patch Selection (Bergner et al., 2023). Every cell is computed by the
    expert without gradient, a small head on its features scores it, the L best are computed again with gradient and summed by the
    softmax of their scores.

Both have the expert, head, optimizer (Adam, cosine, gradients clipped at norm 1), shifts and steps of the study's own networks.
Prints one JSON line, as `peers.jsonl` of a study takes them.

The files are those of scripts/study/large-images/task-files.ts; bench/large-images.ts writes them and runs this program.

usage: torch_large_images.py IMAGES {sampling,scored} [--threads 1]
"""
import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("images", type=Path)
parser.add_argument("method", choices=["sampling", "scored"])
parser.add_argument("--threads", type=int, default=1)
a = parser.parse_args()

torch.set_num_threads(a.threads)
run = json.loads((a.images / "run.json").read_text())
torch.manual_seed(run["seed"])
draw = np.random.default_rng(run["seed"])
CELL, MARGIN, SCALE, L = run["cell"], run["margin"], run["viewScale"], run["patches"]
PATCH = CELL + 2 * MARGIN
CHANNELS = (12, 24, 48)
NEGLIGIBLE, ENTROPY = 1e-5, 1e-4
FOUND = 0.7


class Half:
    def __init__(self, name):
        shape, things = run[name]["shape"], run[name]["things"]
        read = lambda kind, dtype: np.fromfile(a.images / f"{name}.{kind}", dtype)
        self.images = torch.from_numpy(read("images", np.uint8).reshape(shape[:3]))
        self.labels = torch.from_numpy(read("labels", np.int32)).long()
        self.objects = torch.from_numpy(read("objects", np.int32).reshape(shape[0], things, 5)).long()

    def batches(self, size, move):
        count = len(self.images)
        order = draw.permutation(count) if move else np.arange(count)
        for first in range(0, count, size):
            chosen = order[first : first + size]
            images, objects = self.images[chosen], self.objects[chosen]
            if move:
                images, objects = shifted(images, objects)
            yield images.float()[:, None] / 255, self.labels[chosen], objects


def shifted(images, objects):
    """Every image moved by whole pixels of the view, by up to `maxShift`; zeros come in."""
    steps = run["maxShift"] // SCALE
    shifts = draw.integers(-steps, steps + 1, (len(images), 2)) * SCALE
    reach = steps * SCALE
    padded = F.pad(images, (reach, reach, reach, reach))
    height, width = images.shape[1:]
    moved = [p[reach - y : reach - y + height, reach - x : reach - x + width] for p, (y, x) in zip(padded, shifts)]
    objects = objects.clone()
    objects[:, :, :2] += torch.from_numpy(shifts)[:, None]
    return torch.stack(moved), objects


class Halving(nn.Conv2d):
    """A 3x3 convolution of stride 2 that pads below and to the right, as TensorFlow does, and ReLU."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 3, 2)
        nn.init.trunc_normal_(self.weight, std=math.sqrt(2 / (9 * inputs)) / 0.8796, a=-2, b=2)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        return F.relu(super().forward(F.pad(x, (0, x.shape[-1] % 2 == 0, 0, x.shape[-2] % 2 == 0))))


class Expert(nn.Sequential):
    def __init__(self):
        super().__init__(*(Halving(i, o) for i, o in zip((1, *CHANNELS), CHANNELS)))

    def forward(self, patches):
        return super().forward(patches).mean((2, 3))


def patches_at(images, corners):
    """(B L, 1, patch, patch) of corners (B, L, 2), 0 outside of the images."""
    padded = F.pad(images[:, 0], (PATCH, PATCH, PATCH, PATCH))
    offsets = torch.arange(PATCH)
    rows = (corners[..., 0] + PATCH)[..., None, None] + offsets[:, None]
    columns = (corners[..., 1] + PATCH)[..., None, None] + offsets
    which = torch.arange(len(images))[:, None, None, None]
    return padded[which, rows, columns].flatten(0, 1)[:, None]


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.expert = Expert()
        self.head = nn.Linear(CHANNELS[-1], run["classes"])
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, images, corners):
        return self.expert(patches_at(images, corners)).view(*corners.shape[:2], -1)


class Sampling(Network):
    def __init__(self):
        super().__init__()
        layers = []
        for inputs, outputs in ((1, 8), (8, 8), (8, 1)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.Tanh()]
            nn.init.xavier_uniform_(layers[-2].weight)
            nn.init.zeros_(layers[-2].bias)
        self.attention = nn.Sequential(*layers[:-1])

    def forward(self, images):
        view = F.avg_pool2d(images, SCALE)
        smooth = self.attention(view).flatten(1).softmax(1) + NEGLIGIBLE
        attention = smooth / smooth.sum(1, keepdim=True)
        # The L largest of log a + Gumbel noise are a draw without replacement, in its order.
        noise = -torch.empty_like(attention).exponential_().log()
        drawn = (attention.detach().log() + noise).topk(L, 1).indices
        columns = view.shape[-1]
        centres = torch.stack((drawn // columns, drawn % columns), -1) * SCALE + SCALE // 2
        corners = centres - PATCH // 2
        own = attention.gather(1, drawn)
        before = own.cumsum(1) - own
        features = self.features(images, corners)
        seen = (own[..., None] * features).cumsum(1) - own[..., None] * features
        left = (own / (own / (1 - before)).detach())[..., None] * features
        entropy = -(attention * attention.log()).sum(1).mean()
        return self.head((seen + left).mean(1)), corners, -ENTROPY * entropy

    def products(self, view):
        return view[0] * view[1] * 9 * (8 + 64 + 8) + L * expert_products()


class Scored(Network):
    def __init__(self):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(CHANNELS[-1], 16), nn.Tanh(), nn.Linear(16, 1))
        for layer in (self.score[0], self.score[2]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, images):
        rows, columns = images.shape[2] // CELL, images.shape[3] // CELL
        grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)) * CELL - MARGIN
        with torch.no_grad():
            padded = F.pad(images, (MARGIN, MARGIN, MARGIN, MARGIN))
            every = F.unfold(padded, PATCH, stride=CELL).transpose(1, 2)
            every = every.reshape(-1, 1, PATCH, PATCH)
            scores = torch.cat([self.score(self.expert(part)) for part in every.split(4096)])
        best = scores.view(len(images), -1).topk(L, 1).indices
        corners = grid[best]
        features = self.features(images, corners)
        gates = self.score(features).softmax(1)
        return self.head((gates * features).sum(1)), corners, 0.0

    def products(self, view):
        cells = (view[0] * SCALE // CELL) * (view[1] * SCALE // CELL)
        return (cells + L) * (expert_products() + CHANNELS[-1] * 16 + 16)


def expert_products():
    sides = [math.ceil(PATCH / 2**k) for k in (1, 2, 3)]
    return sum(9 * s * s * i * o for s, i, o in zip(sides, (1, *CHANNELS), CHANNELS))


def found(corners, objects):
    """How many things that decide the class there are, and of how many enough lies in one patch."""
    decides = objects[..., 4] == 1
    overlap = 1
    for axis in (0, 1):
        low = torch.maximum(corners[:, None, :, axis], objects[:, :, None, axis])
        high = torch.minimum(corners[:, None, :, axis] + PATCH, (objects[..., axis] + objects[..., axis + 2])[:, :, None])
        overlap = overlap * (high - low).clamp_min(0)
    share = overlap.amax(2) / (objects[..., 2] * objects[..., 3])
    return decides.sum().item(), (decides & (share >= FOUND)).sum().item()


def test(model, half):
    right, things, hits = 0, 0, 0
    with torch.no_grad():
        for images, labels, objects in half.batches(32, move=False):
            logits, corners, _ = model(images)
            right += (logits.argmax(1) == labels).sum().item()
            there, seen = found(corners, objects)
            things, hits = things + there, hits + seen
    return right / len(half.labels), hits / things


model = {"sampling": Sampling, "scored": Scored}[a.method]()
train, held_out = Half("train"), Half("test")
optimizer = torch.optim.Adam(model.parameters(), run["learningRate"], eps=1e-7)
per_epoch = math.ceil(len(train.labels) / run["batchSize"])
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, run["epochs"] * per_epoch)
recalls, seconds = [], 0.0
for epoch in range(run["epochs"]):
    start = time.perf_counter()
    right, loss_sum, things, hits = 0, 0.0, 0, 0
    for images, labels, objects in train.batches(run["batchSize"], move=True):
        logits, corners, penalty = model(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        (loss + penalty).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        schedule.step()
        right += (logits.argmax(1) == labels).sum().item()
        loss_sum += loss.item() * len(labels)
        there, seen = found(corners, objects)
        things, hits = things + there, hits + seen
    seconds += time.perf_counter() - start
    recalls.append(hits / things)
accuracy, recall = test(model, held_out)
height, width = run["train"]["shape"][1:3]
print(
    json.dumps(
        {
            "variant": {"sampling": "attention sampling", "scored": "scored by the expert"}[a.method],
            "program": f"PyTorch {torch.__version__}",
            "setting": run["setting"],
            "samples": run["samples"],
            "seed": run["seed"],
            "testAccuracy": accuracy,
            "trainAccuracy": right / len(train.labels),
            "trainLoss": loss_sum / len(train.labels),
            "recall": recall,
            "recalls": recalls,
            "epochs": run["epochs"],
            "steps": run["epochs"] * per_epoch,
            "seconds": seconds,
            "parameters": sum(p.numel() for p in model.parameters()),
            "multiplyAdds": model.products((height // SCALE, width // SCALE)) + CHANNELS[-1] * run["classes"],
        }
    )
)
