#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A training step of ours beside torch's, on the same cores: compare.py BENCH_STEP [--steps N] [--threads N]

Both run the network of step.c: forward, back, AdamW, with 8 sequences of 256 tokens.  They take turns step by step, so
that a busy neighbour hurts both alike; medians are compared.  Torch is given an implementation without waste: rows are
gathered by expert, the causal mask is made once, nothing is computed twice.  Torch's BF16 is its autocast.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

L, D, H, K, HEAD, E, U, F, V, B, T = 6, 256, 4, 2, 64, 8, 2, 256, 4096, 8, 256


def torch_network(torch):
    nn, fn = torch.nn, torch.nn.functional

    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.g = nn.Parameter(torch.ones(D))

        def forward(self, x):
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.g

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.n1, self.n2 = Norm(), Norm()
            self.qkv = nn.Linear(D, (H + 2 * K) * HEAD, bias=False)
            self.o = nn.Linear(H * HEAD, D, bias=False)
            self.router = nn.Linear(D, E, bias=False)
            self.gate_up = nn.ModuleList(nn.Linear(D, 2 * F, bias=False) for _ in range(E))
            self.down = nn.ModuleList(nn.Linear(F, D, bias=False) for _ in range(E))

        def attention(self, x, mask, cosine, sine):
            q, k, v = self.qkv(x).view(B, T, H + 2 * K, HEAD).split([H, K, K], 2)

            def turn(y):
                a, b = y[..., 0::2], y[..., 1::2]
                return torch.stack([a * cosine - b * sine, a * sine + b * cosine], -1).flatten(-2)

            q = turn(q).transpose(1, 2)
            k = turn(k).repeat_interleave(H // K, 2).transpose(1, 2)
            v = v.repeat_interleave(H // K, 2).transpose(1, 2)
            p = ((q @ k.transpose(-1, -2)) / HEAD**0.5 + mask).softmax(-1)
            return self.o((p @ v).transpose(1, 2).reshape(B, T, H * HEAD))

        def mixture(self, x):
            rows = x.reshape(-1, D)
            scores = self.router(rows).float()
            top, chosen = scores.topk(U, -1)
            weights = top.softmax(-1)
            p = scores.softmax(-1)
            share = torch.bincount(chosen.flatten(), minlength=E).float() / chosen.numel()
            self.balance = E * (share * p.mean(0)).sum()
            order = chosen.flatten().argsort()
            counts = torch.bincount(chosen.flatten(), minlength=E).tolist()
            at = order // U
            answers = []
            for e, part in enumerate(rows[at].split(counts)):
                gate, up = self.gate_up[e](part).chunk(2, -1)
                answers.append(self.down[e](fn.silu(gate) * up))
            y = torch.cat(answers) * weights.flatten()[order, None]
            return torch.zeros_like(rows, dtype=y.dtype).index_add(0, at, y).view_as(x)

        def forward(self, x, *how):
            x = x + self.attention(self.n1(x), *how)
            return x + self.mixture(self.n2(x))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(V, D)
            self.layers = nn.ModuleList(Layer() for _ in range(L))
            self.norm, self.out = Norm(), nn.Linear(D, V, bias=False)
            for p in self.parameters():
                if p.dim() > 1:
                    nn.init.normal_(p, std=0.02)

        def forward(self, tokens, targets, *how):
            x = self.embed(tokens)
            for layer in self.layers:
                x = layer(x, *how)
            loss = fn.cross_entropy(self.out(self.norm(x)).flatten(0, 1), targets.flatten())
            return loss + 0.01 * sum(layer.balance for layer in self.layers) / L

    return Network()


def run_torch(bf16, n_threads):
    """Answers each line with the milliseconds of a step, as step.c does."""
    import torch

    torch.set_num_threads(n_threads)
    torch.manual_seed(1)
    network = torch_network(torch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    tokens = torch.randint(V, (B, T))
    targets = tokens.flatten().roll(-1).view(B, T)
    mask = torch.full((T, T), -float("inf")).triu(1)
    angle = torch.arange(T)[:, None] * 1e4 ** (-torch.arange(0, HEAD, 2) / HEAD)
    how = mask, angle.cos()[:, None], angle.sin()[:, None]
    print(torch.__version__, flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(tokens, targets, *how)
        loss.backward()
        passed = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        end = time.perf_counter()
        print(f"{1e3 * (end - begin):.3f} {1e3 * (passed - begin):.3f} {loss.item():.6f}", flush=True)


def start(command):
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def step(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline().split()[0])


def compare(arguments, mode):
    words = ["threads", str(arguments.threads)] + (["bf16"] if mode == "bf16" else [])
    ours = start([arguments.program, *words])
    operations, peak, _ = map(float, ours.stdout.readline().split())
    theirs = start([sys.executable, __file__, arguments.program, "--torch", mode, "--threads", str(arguments.threads)])
    version = theirs.stdout.readline().strip()
    if not version:
        print("skipped: torch is not here")
        sys.exit(77)
    pairs = [(step(ours), step(theirs)) for _ in range(arguments.steps + 1)][1:]    # the first touches memory
    for process in (ours, theirs):
        process.stdin.close()
        process.wait()
    a, b = (statistics.median(times) for times in zip(*pairs))
    print(f"{mode:5} ours {a:7.1f} ms, torch {version} {b:7.1f} ms: {b / a:.2f} times as fast; "
          f"{B * T / a * 1e3:.0f} against {B * T / b * 1e3:.0f} tokens/s; "
          f"{operations / a / 1e6:.0f} GFLOP/s, {1e3 * operations / a / peak:.0%} of the F32 peak {peak / 1e9:.0f}")
    return {"mode": mode, "ours_ms": [p[0] for p in pairs], "torch_ms": [p[1] for p in pairs],
            "torch": version, "operations": operations, "f32_peak_per_s": peak, "threads": arguments.threads}


def cpu_name():
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--modes", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--json", help="write every time to this file")
    parser.add_argument("--torch", choices=["f32", "bf16"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch:
        return run_torch(arguments.torch == "bf16", arguments.threads)
    results = [compare(arguments, mode) for mode in arguments.modes]
    if arguments.json:
        with open(arguments.json, "w") as out:
            json.dump({"cpu": cpu_name(), "load": os.getloadavg()[0], "results": results}, out, indent=1)


if __name__ == "__main__":
    main()
