#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Loss and every gradient of small networks, against torch's automatic differentiation.

The network is written here once more, from the papers, in torch; it gets our weights, our batch and our choices of
experts (which are discrete), and must arrive at our logits, losses and gradients.  In floats the relative l2 error of
every tensor is below 1e-4.  With products of BF16 numbers it is as large as their rounding makes it; see `bf16_bound`.
"""
import math
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

torch.set_num_threads(1)
TYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32}


def read_case(folder, name):
    arrays, at = {}, 0
    blob = (folder / f"{name}.bin").read_bytes()
    for line in (folder / f"{name}.txt").read_text().splitlines():
        key, kind, rows, cols = line.split()
        shape = int(rows), int(cols)
        n_bytes = shape[0] * shape[1] * np.dtype(TYPES[kind]).itemsize
        arrays[key] = np.frombuffer(blob[at : at + n_bytes], TYPES[kind]).reshape(shape)
        at += n_bytes
    assert at == len(blob)
    return arrays


class Twin:
    """One case in torch."""

    def __init__(self, arrays, real):
        self.real = real
        self.a = arrays
        self.w = {k[6:]: torch.tensor(np.array(v), dtype=real, requires_grad=True)
                  for k, v in arrays.items() if k.startswith("value:")}
        self.tokens = torch.tensor(np.array(arrays["tokens"])).long()
        self.n_sequences, self.n_tokens = self.tokens.shape
        self.starts = torch.tensor(np.array(arrays["starts"])).long()

    def number(self, name):
        return float(self.a[name][0, 0])

    def size(self, name):
        return int(self.number(name))

    def linear(self, x, name):
        y = x @ self.w[f"{name}.weight"].T
        if f"{name}.weight.lora_a" in self.w:
            scale = self.number("out_scale" if name == "output" else "adapter_scale")
            y = y + scale * (x @ self.w[f"{name}.weight.lora_a"].T) @ self.w[f"{name}.weight.lora_b"].T
        return y

    def norm(self, x, name):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.number("eps")) * self.w[f"{name}.weight"][0]

    def turn(self, x):
        """x [B][T][heads][d]: neighbours turn by their place in their text."""
        n = self.size("n_turned")
        place = torch.arange(self.n_tokens) - self.starts                           # [B][T]
        angle = place[..., None].double() * self.number("base") ** (-torch.arange(0, n, 2).double() / n)
        c, s = angle.cos().to(self.real)[:, :, None], angle.sin().to(self.real)[:, :, None]
        a, b = x[..., 0:n:2], x[..., 1:n:2]
        turned = torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)
        return torch.cat([turned, x[..., n:]], -1)

    def seen(self):
        i, j = torch.arange(self.n_tokens)[:, None], torch.arange(self.n_tokens)[None]
        seen = (j <= i) & (j >= self.starts[:, :, None])
        return seen & (i - j < self.size("window")) if self.size("window") else seen

    def attention(self, x, layer):
        heads, keys, d = self.size("n_heads"), self.size("n_kv_heads"), self.size("head_size")
        shape = self.n_sequences, self.n_tokens, -1, d
        q = self.turn(self.linear(x, f"blk.{layer}.attn_q").view(shape))
        k = self.turn(self.linear(x, f"blk.{layer}.attn_k").view(shape)).repeat_interleave(heads // keys, 2)
        v = self.linear(x, f"blk.{layer}.attn_v").view(shape).repeat_interleave(heads // keys, 2)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(d)
        p = scores.masked_fill(~self.seen()[:, None], -math.inf).softmax(-1)
        y = torch.einsum("bhij,bjhd->bihd", p, v).reshape(self.n_sequences, self.n_tokens, heads * d)
        return self.linear(y, f"blk.{layer}.attn_output")

    def expert(self, x, layer, e):
        name = "" if self.size("dense") else f".{e}"
        hidden = torch.nn.functional.silu(self.linear(x, f"blk.{layer}.ffn_gate{name}"))
        return self.linear(hidden * self.linear(x, f"blk.{layer}.ffn_up{name}"), f"blk.{layer}.ffn_down{name}")

    def mixture(self, x, layer):
        """Our choice when it is known, else the largest scores."""
        if self.size("dense"):
            return self.expert(x, layer, 0)
        n_experts, used = self.size("n_experts"), self.size("n_used")
        rows = x.reshape(-1, x.shape[-1])
        scores = self.linear(rows, f"blk.{layer}.ffn_gate_inp")
        chosen = scores.topk(used, -1).indices
        served = torch.ones_like(chosen, dtype=self.real)
        if f"experts:{layer}" in self.a:
            chosen = torch.tensor(np.array(self.a[f"experts:{layer}"])).long()
            served = torch.tensor(np.array(self.a[f"places:{layer}"]) >= 0).to(self.real)
        weights = scores.gather(1, chosen).softmax(-1) * served
        p = scores.softmax(-1)
        share = torch.nn.functional.one_hot(chosen, n_experts).sum((0, 1)).to(self.real) / chosen.numel()
        self.balance = self.balance + n_experts * (share * p.mean(0)).sum()
        self.z = self.z + scores.logsumexp(-1).square().mean()
        y = torch.zeros_like(rows)
        for e in range(n_experts):
            at, slot = (chosen == e).nonzero(as_tuple=True)
            y = y.index_add(0, at, weights[at, slot, None] * self.expert(rows[at], layer, e))
        return y.view_as(x)

    def run(self):
        self.balance = self.z = torch.zeros((), dtype=self.real)
        n_layers = self.size("n_layers")
        x = self.w["token_embd.weight"][self.tokens]
        for layer in range(n_layers):
            x = x + self.attention(self.norm(x, f"blk.{layer}.attn_norm"), layer)
            x = x + self.mixture(self.norm(x, f"blk.{layer}.ffn_norm"), layer)
        x = self.norm(x, "output_norm")
        logits = x @ self.w["token_embd.weight"].T if self.size("tied") else self.linear(x, "output")
        self.logits = logits.reshape(-1, logits.shape[-1])
        targets = torch.tensor(np.array(self.a["targets"])).long().flatten()
        self.loss = torch.nn.functional.cross_entropy(self.logits, targets, ignore_index=-1)
        self.balance, self.z = self.balance / n_layers, self.z / n_layers
        (self.loss + self.number("balance") * self.balance + self.number("router_z") * self.z).backward()


def error(want, got):
    want, got = want.astype(np.float64), got.astype(np.float64)
    size = np.linalg.norm(want)
    return np.linalg.norm(want - got) / size if size else float(np.abs(got).max())


def compare(name, arrays, real):
    """Relative l2 errors of every tensor, by name."""
    twin = Twin(arrays, real)
    twin.run()
    errors = {"logits": error(twin.logits.detach().numpy(), arrays["logits"])}
    for key, value in (("loss", twin.loss), ("judged", twin.loss), ("balance_loss", twin.balance), ("z_loss", twin.z)):
        if not (twin.size("dense") and key in ("balance_loss", "z_loss")):
            errors[key] = abs(value.item() - arrays[key][0, 0]) / abs(value.item())
    for key, weight in twin.w.items():
        grad = np.zeros(weight.shape) if weight.grad is None else weight.grad.numpy()
        errors[f"grad:{key}"] = error(grad, arrays[f"grad:{key}"])
    worst = max(errors, key=errors.get)
    print(f"  {name:10} {str(real)[6:]:8} {len(errors):3} tensors, worst {errors[worst]:.2e} ({worst})")
    return errors


def bf16_bound(arrays):
    """A product of numbers rounded to BF16 (2^-9 at most, 2^-9/sqrt(3) on average, both sides) is off by about
    2^-8.3 of its size where errors add up as in a walk.  Forward and back a gradient has passed at most 2 * (4 per
    layer + 1) of them, twice as many with adapters, each as large as the whole in the worst case: their root sum of
    squares, doubled because rounding of one moves what the next rounds."""
    n_layers, adapters = arrays["n_layers"][0, 0], arrays["adapter_scale"][0, 0] > 0
    return 2 * 2**-8.3 * math.sqrt(2 * (4 * n_layers + 1) * (2 if adapters else 1))


def main():
    program = pathlib.Path(os.environ["MIXT_BINARY_DIR"], "tests/train/train_twin")
    failed = 0
    for mode in ("f32", "bf16"):
        with tempfile.TemporaryDirectory(prefix="mixt-twin-") as scratch:
            folder = pathlib.Path(scratch)
            subprocess.run([program, folder] + ["bf16"] * (mode == "bf16"), check=True)
            print(f"{mode}: relative l2 error against torch {torch.__version__}")
            for path in sorted(folder.glob("*.txt")):
                arrays = read_case(folder, path.stem)
                for real in (torch.float32, torch.float64) if mode == "f32" else (torch.float64,):
                    bound = 1e-4 if mode == "f32" else bf16_bound(arrays)
                    for key, off in compare(path.stem, arrays, real).items():
                        if not off < bound:
                            print(f"FAIL {path.stem} {mode} {key}: relative error {off:.3e}, allowed {bound:.3e}")
                            failed += 1
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
