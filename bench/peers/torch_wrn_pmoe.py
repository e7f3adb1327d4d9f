"""Peer: one training step of WRN-10 and of a truly sparse WRN-pMoE in PyTorch (channels last).

Prints one JSON line: seconds of every step, peak memory, parameters.

usage: torch_wrn_pmoe.py wrn|pmoe [--batch 16] [--size 64] [--bf16] [--steps 7] ...
"""
import argparse
import json
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

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
p.add_argument("--bf16", action="store_true")
p.add_argument("--warm-up", type=int, default=2)
p.add_argument("--steps", type=int, default=7)
a = p.parse_args()


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.b1, self.c1 = nn.BatchNorm2d(i), nn.Conv2d(i, o, 3, stride, 1)
        self.b2, self.c2 = nn.BatchNorm2d(o), nn.Conv2d(o, o, 3, 1, 1)
        self.shortcut = nn.Conv2d(i, o, 1, stride)

    def forward(self, x):
        return self.shortcut(x) + self.c2(F.relu(self.b2(self.c1(F.relu(self.b1(x))))))


class PatchExperts(nn.Module):
    """Gathers the top patches of every expert, convolves them alone and sums what the pool would average."""

    def __init__(self, channels, k, l, patch, filters, kernel):
        super().__init__()
        self.k, self.l, self.p, self.f = k, l, patch, filters
        self.router = nn.Parameter(torch.randn(patch * patch * channels, k) * 1e-4)
        self.kernel = nn.Parameter(torch.randn(k, filters, channels, kernel, kernel) * 0.01)

    def forward(self, x):
        b, c, h, w = x.shape
        p, k, l = self.p, self.k, self.l
        n = (h // p) * (w // p)
        patches = x.permute(0, 2, 3, 1).reshape(b, h // p, p, w // p, p, c)
        patches = patches.permute(0, 1, 3, 2, 4, 5).reshape(b, n, p * p * c)
        values, index = (patches @ self.router).transpose(1, 2).topk(l)
        rows = index.unsqueeze(-1).expand(b, k, l, p * p * c)
        picked = torch.gather(patches.unsqueeze(1).expand(b, k, n, p * p * c), 2, rows)
        picked = (picked * values.softmax(-1).unsqueeze(-1)).reshape(b, k, l, p, p, c)
        outs = []
        for e in range(k):
            q = F.relu(picked[:, e].reshape(b * l, p, p, c).permute(0, 3, 1, 2))
            y = F.conv2d(q, self.kernel[e], padding=self.kernel.shape[-1] // 2)
            outs.append(y.mean((2, 3)).reshape(b, l, self.f).sum(1))
        return torch.cat(outs, 1)


class Net(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        narrow, middle, wide = (factor * a.widen for factor in (16, 32, 64))
        self.sparse = sparse
        self.stem, self.g1, self.g2 = nn.Conv2d(3, 16, 3, 1, 1), Block(16, narrow, 1), Block(narrow, middle, 2)
        if sparse:
            self.bn, self.c3 = nn.BatchNorm2d(middle), nn.Conv2d(middle, wide, 3, 2, 1)
            self.experts = PatchExperts(wide, a.experts, a.keep, a.patch, wide // a.experts, a.kernel)
        else:
            self.g3, self.bn = Block(middle, wide, 2), nn.BatchNorm2d(wide)
        self.head = nn.Linear(wide, a.classes)

    def forward(self, x):
        x = self.g2(self.g1(self.stem(x)))
        if self.sparse:
            return self.head(self.experts(self.c3(F.relu(self.bn(x)))))
        return self.head(F.relu(self.bn(self.g3(x))).mean((2, 3)))


net = Net(a.model == "pmoe")
for m in net.modules():
    if isinstance(m, nn.Conv2d):
        m.to(memory_format=torch.channels_last)
opt = torch.optim.SGD(net.parameters(), 0.1)
images = torch.rand(a.batch, 3, a.size, a.size).to(memory_format=torch.channels_last)
labels = torch.randint(0, a.classes, (a.batch,))


def step():
    opt.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
        loss = F.cross_entropy(net(images).float(), labels)
    loss.backward()
    opt.step()
    return loss.item()


times = []
for _ in range(a.warm_up + a.steps):
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
print(
    json.dumps(
        {
            "software": f"PyTorch {torch.__version__}",
            "seconds": {"step": times[a.warm_up :]},
            "facts": {
                "parameters": sum(parameter.numel() for parameter in net.parameters()),
                "peak bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            },
        }
    )
)
