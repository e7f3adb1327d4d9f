"""Peer: training steps of a routed model in PyTorch, float32: one expert on the patches that a router keeps of large images.

The same as `routedModel` with its defaults: a view at 1/4, a router of 3x3 convolutions of stride 2 (8, 8 and 16 channels) and a 1x1
convolution, the contrast of each cell as a prior, the product gate, an expert of three convolutions of stride 2 (12, 24 and 48
channels) and the mean over the map. `dense` is the expert on whole images. A step starts from bytes in memory and ends with Adam.

Prints one JSON line: seconds and processor time of every step, and memory before the first and at most.

usage: torch_routed.py routed|dense [--size 512] [--batch 8] [--classes 10] [--cell 32] [--keep 10] [--threads 2] ...
"""
import argparse
import json
import resource
import time

import torch
import torch.nn.functional as F
from torch import nn

VIEW = 4

parser = argparse.ArgumentParser()
parser.add_argument("network", choices=["routed", "dense"])
parser.add_argument("--size", type=int, default=512)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--classes", type=int, default=10)
parser.add_argument("--cell", type=int, default=32)
parser.add_argument("--keep", type=int, default=10)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--warm-up", type=int, default=3)
parser.add_argument("--rounds", type=int, default=15)
a = parser.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(1)

MARGIN = a.cell // 4
PATCH = a.cell + 2 * MARGIN
CELLS = -(-a.size // a.cell)
WHOLE = CELLS * a.cell


def convolutions(channels):
    layers = []
    for before, after in zip(channels, channels[1:]):
        # As TensorFlow pads 'same' at stride 2: below and on the right.
        layers += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(before, after, 3, stride=2), nn.ReLU()]
    return layers


class Expert(nn.Sequential):
    def __init__(self):
        super().__init__(*convolutions([3, 12, 24, 48]))

    def forward(self, x):
        return super().forward(x).mean((2, 3))


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.expert, self.head = Expert(), nn.Linear(48, a.classes)

    def forward(self, images):
        x = images.permute(0, 3, 1, 2).float() / 255
        return self.head(self.expert(x))


class Routed(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = nn.Sequential(*convolutions([3, 8, 8, 16]), nn.Conv2d(16, 1, 1))
        self.attention = nn.Sequential(nn.Linear(48, 16), nn.Tanh(), nn.Linear(16, 1))
        self.expert, self.head = Expert(), nn.Linear(48, a.classes)

    def forward(self, images):
        view = views(images)
        scores = self.router(view).flatten(1) + contrast(view)
        kept, cells = scores.topk(a.keep)
        features = self.expert(cut(images, cells)).unflatten(0, (-1, a.keep))
        gates = (kept + self.attention(features).squeeze(2)).softmax(1)
        return self.head((gates[:, :, None] * features).sum(1))


def views(images):
    """(B,3,h,w) of whole cells: means of blocks; what lies outside of the image is 0."""
    means = F.avg_pool2d(images.permute(0, 3, 1, 2).float(), VIEW).round() / 255
    missing = WHOLE // VIEW - means.shape[2]
    return F.pad(means, (0, missing, 0, missing))


def contrast(view):
    """(B,N): the standard deviation in each cell's window, standardised over the cells."""
    reach, side = MARGIN // VIEW, a.cell // VIEW
    around = F.pad(view, (reach,) * 4)
    means = F.avg_pool2d(torch.cat([around.square(), around], 1), side + 2 * reach, side)
    variance = (means[:, :3] - means[:, 3:].square()).clamp_min(0)
    values = variance.mean(1).sqrt().flatten(1)
    return (values - values.mean(1, keepdim=True)) / (values.std(1, correction=0, keepdim=True) + 1e-3)


def cut(images, cells):
    """(B L,3,p,p): the patches of cells, cut out of the bytes of each image."""
    patches = torch.zeros(len(images) * a.keep, PATCH, PATCH, 3, dtype=torch.uint8)
    for number, cell in enumerate(cells.flatten().tolist()):
        image = images[number // a.keep]
        top, left = cell // CELLS * a.cell - MARGIN, cell % CELLS * a.cell - MARGIN
        part = image[max(0, top) : top + PATCH, max(0, left) : left + PATCH]
        first, start = max(0, -top), max(0, -left)
        patches[number, first : first + part.shape[0], start : start + part.shape[1]] = part
    return patches.permute(0, 3, 1, 2).float() / 255


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


images = torch.randint(0, 256, (a.batch, a.size, a.size, 3), dtype=torch.uint8)
labels = torch.arange(a.batch) % a.classes
network = Routed() if a.network == "routed" else Dense()
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
start_bytes = resident()
seconds, processor = [], []
for turn in range(-a.warm_up, a.rounds):
    start, used = time.perf_counter(), time.process_time()
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(network(images), labels)
    loss.backward()
    optimizer.step()
    loss.item()
    if turn >= 0:
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(
    json.dumps(
        {
            "software": f"PyTorch {torch.__version__}",
            "seconds": {"step": seconds, "step, processor": processor},
            "facts": {"start bytes": start_bytes, "peak bytes": peak_bytes},
        }
    )
)
