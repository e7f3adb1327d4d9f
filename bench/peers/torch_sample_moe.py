"""Peer: one full-batch training step of a sample-level mixture of cubic experts in PyTorch, float32.

Softmax gate, noise in the choice only, experts by normalised gradient descent, router by gradient descent. Two forms:
`sorted` gives each expert the samples that chose it, `all` computes every expert on every sample.

Prints one JSON line: seconds of every step of both forms.

usage: torch_sample_moe.py [--samples 16000] [--patches 4] [--width 50] [--experts 8] [--filters 8] ...
"""
import argparse
import json
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--samples", type=int, default=16000)
parser.add_argument("--patches", type=int, default=4)
parser.add_argument("--width", type=int, default=50)
parser.add_argument("--experts", type=int, default=8)
parser.add_argument("--filters", type=int, default=8, help="of each of the two outputs of an expert")
parser.add_argument("--warm-up", type=int, default=2)
parser.add_argument("--rounds", type=int, default=15)
a = parser.parse_args()

M, J, OUTPUTS = a.experts, a.filters, 2
torch.manual_seed(1)
x = torch.randn(a.samples, a.patches, a.width)
labels = torch.randint(0, OUTPUTS, (a.samples,))


def weights():
    bound = a.width**-0.5
    router = torch.randn(a.width, M) * 0.1
    kernel = torch.empty(M, a.width, OUTPUTS * J).uniform_(-bound, bound)
    bias = torch.empty(M, 1, OUTPUTS * J).uniform_(-bound, bound)
    return [w.requires_grad_() for w in (router, kernel, bias)]


def answers_all(chosen, kernel, bias):
    flat = kernel.permute(1, 0, 2).reshape(a.width, -1)
    z = x @ flat + bias.reshape(-1)
    sums = (z**3).reshape(a.samples, a.patches, M, OUTPUTS, J).sum((1, 4))
    return sums[torch.arange(a.samples), chosen]


def answers_sorted(chosen, kernel, bias):
    order = chosen.argsort()
    counts = torch.bincount(chosen, minlength=M).tolist()
    parts = []
    for own, filters, shift in zip(x[order].split(counts), kernel, bias):
        z = own @ filters + shift
        parts.append((z**3).reshape(len(own), a.patches, OUTPUTS, J).sum((1, 3)))
    return torch.empty(a.samples, OUTPUTS).index_copy(0, order, torch.cat(parts))


def step(answers, router, kernel, bias):
    scores = x.sum(1) @ router
    chosen = (scores + torch.rand(a.samples, M)).argmax(1)
    gates = scores.softmax(1).gather(1, chosen[:, None])
    loss = F.cross_entropy(gates * answers(chosen, kernel, bias), labels)
    by_router, by_kernel, by_bias = torch.autograd.grad(loss, (router, kernel, bias))
    with torch.no_grad():
        norm = (by_kernel.square().sum((1, 2)) + by_bias.square().sum((1, 2))).sqrt().clamp_min(1e-30)
        kernel -= 1e-3 * by_kernel / norm[:, None, None]
        bias -= 1e-3 * by_bias / norm[:, None, None]
        router -= 0.1 * by_router
    return loss.item()


forms = {"sorted": (answers_sorted, weights()), "all": (answers_all, weights())}
seconds = {name: [] for name in forms}
for turn in range(-a.warm_up, a.rounds):
    for name, (answers, own) in forms.items():
        start = time.perf_counter()
        step(answers, *own)
        elapsed = time.perf_counter() - start
        if turn >= 0:
            seconds[name].append(elapsed)
print(json.dumps({"software": f"PyTorch {torch.__version__}", "seconds": seconds, "facts": {}}))
