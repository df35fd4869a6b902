"""The model that Aisle's benchmark trains, as a PyTorch user would train it: DistributedDataParallel over Gloo, started by torchrun.

Arguments: folder with train.u16, then the recipe's parameters as name=value. Each rank says `pid RANK PID`; after each step rank 0 says
`step STEP LOSS RANKS RESTARTS`. With checkpointEvery, rank 0 keeps the state in the folder, and a restarted run goes on from there.
"""
import contextlib
import math
import os
import random
import sys

import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

folder = sys.argv[1]
recipe = dict(argument.split("=") for argument in sys.argv[2:])
whole = lambda name: int(recipe[name])
layers, width, heads, feed_forward = (whole("model." + name) for name in ("layers", "width", "heads", "feedForward"))
steps, slices, sequences, context, checkpoint_every = (whole(name) for name in ("steps", "slices", "sequencesPerSlice", "contextTokens", "checkpointEvery"))
vocabulary = 2048
rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
restarts = int(os.environ["TORCHELASTIC_RESTART_COUNT"])


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def matrix(inputs, outputs, deviation):
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=deviation)
    return linear


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        residual = 1 / math.sqrt(2 * layers)
        self.before_attention, self.before_feed_forward = Norm(), Norm()
        self.query_key_value = matrix(width, 3 * width, 1 / math.sqrt(3 * width))
        self.output = matrix(width, width, residual / math.sqrt(3 * width))
        self.gate_up = matrix(width, 2 * feed_forward, 1 / math.sqrt(3 * width))
        self.down = matrix(feed_forward, width, residual / math.sqrt(3 * feed_forward))

    def forward(self, x, cosine, sine, mask):
        batch, length, _ = x.shape
        query, key, value = self.query_key_value(self.before_attention(x)).view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
        query, key = (part * cosine + torch.cat((-part[..., part.shape[-1] // 2:], part[..., : part.shape[-1] // 2]), -1) * sine for part in (query, key))
        weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(width // heads) + mask, -1)
        x = x + self.output((weights @ value).transpose(1, 2).reshape(batch, length, width))
        gate, up = self.gate_up(self.before_feed_forward(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.norm = Norm()
        angles = torch.outer(torch.arange(context), 10_000 ** (-torch.arange(0, width // heads, 2) / (width // heads))).repeat(1, 2)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())
        self.register_buffer("mask", torch.full((context, context), -math.inf).triu(1))

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cosine, self.sine, self.mask)
        return F.cross_entropy(F.linear(self.norm(x), self.embedding.weight).view(-1, vocabulary), targets.reshape(-1))


def say(line):
    os.write(1, f"{line}\n".encode())  # whole: torchrun lets print write a line in two pieces, between which another rank may write


say(f"pid {rank} {os.getpid()}")
torch.set_num_threads(1)
torch.manual_seed(1)
if ranks > 1:
    dist.init_process_group("gloo")
with open(os.path.join(folder, "train.u16"), "rb") as file:
    train = torch.frombuffer(bytearray(file.read()), dtype=torch.int16).long()
samples = (len(train) - 1) // context
model = Model()
decaying = [parameter for parameter in model.parameters() if parameter.dim() > 1]
other = [parameter for parameter in model.parameters() if parameter.dim() == 1]
optimizer = torch.optim.AdamW([{"params": decaying, "weight_decay": 0.1}, {"params": other, "weight_decay": 0.0}], lr=1, betas=(0.9, 0.95), foreach=True)
first = 0
state = os.path.join(folder, "state.pt")
if restarts > 0 and os.path.exists(state):
    saved = torch.load(state)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    first = saved["step"]
trained = DistributedDataParallel(model) if ranks > 1 else model

for step in range(first, steps):
    order = random.Random(step).sample(range(samples), slices * sequences)
    own = range(rank, slices, ranks)
    total = 0.0
    for slice in own:
        starts = [sample * context for sample in order[slice * sequences : (slice + 1) * sequences]]
        batch = torch.stack([train[start : start + context + 1] for start in starts])
        silent = trained.no_sync() if ranks > 1 and slice + ranks < slices else contextlib.nullcontext()
        with silent:
            loss = trained(batch[:, :-1], batch[:, 1:]) / len(own)
            loss.backward()
        total += loss.item()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = float(recipe["optimizer.learningRate"]) * min(1, (step + 1) / whole("optimizer.warmupSteps"))
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    if rank == 0:
        say(f"step {step + 1} {total} {ranks} {restarts}")
        if checkpoint_every and (step + 1) % checkpoint_every == 0:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, state + ".part")
            os.replace(state + ".part", state)
