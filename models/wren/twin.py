#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The same network in PyTorch, for a machine with a GPU: the recipe of train.ini, trained there for longer.

    twin.py tokens FOLDER                   texts and conversations of FOLDER to FOLDER/tokens.npz; needs sentencepiece
    twin.py train  FOLDER [--epochs 12] ..  writes FOLDER/twin/: model.safetensors, config.json, tokenizer.model, log.tsv
    mixt convert   FOLDER/twin wren.gguf    and it is a model like any other

FOLDER is what `prepare` wrote, with train.ini copied there.  `train` needs torch (1.13 or later) and numpy and no network.
Only plain operations, seeds fixed: the same machine gives the same weights.  Stopped, it goes on from its last checkpoint.

Cost: all experts are computed for every token and the unchosen multiplied by zero; four times the arithmetic of the
chosen two, but three dense products per layer and no sorting.  A token costs about 90 MFLOP forward and back, so that
memory traffic is what limits it: `--measure` runs 30 steps and prints tokens per minute.
"""
import argparse
import json
import math
import os
import random
import shutil
import struct
import sys
import time

import numpy as np

CHAT_OPEN, CHAT_CLOSE, BOS, EOS = "<|im_start|>", "<|im_end|>", 1, 2


# ---- the recipe ----

def read_ini(path):
    """Sections as dicts; [phase] may come again, and so may train in it."""
    values, phases, section = {}, [], None
    for line in open(path, encoding="utf-8"):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = line[1:-1]
            if section == "phase":
                phases.append([])
            continue
        key, value = (part.strip() for part in line.split("=", 1))
        if section == "phase" and key == "train":
            phases[-1].append([value, 1.0])
        elif section == "phase" and key == "repeat":
            phases[-1][-1][1] = float(value)
        elif key == "held_out":
            values.setdefault("held_out", []).append(value)
        else:
            values[f"{section}.{key}"] = value
    return values, phases


# ---- tokens ----

def encode_chat(sp, messages, ids):
    """As src/train/chat.c: the whole conversation in ChatML; answers and the end of their turns are learned."""
    tokens, learned = [BOS], [False]
    for m in messages:
        head = sp.encode(f"{m['role']}\n")
        body = sp.encode(f"{m['role']}\n{m['content']}")
        assert body[:len(head)] == head
        turn = [ids[CHAT_OPEN]] + body + [ids[CHAT_CLOSE]] + sp.encode("\n")
        answer = m["role"] == "assistant"
        tokens += turn
        learned += [answer and i > len(head) for i in range(len(turn))]
    return [t if l else ~t for t, l in zip(tokens, learned)]


def tokens_command(folder):
    import sentencepiece
    sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "tokenizer.model"))
    ids = {s: sp.piece_to_id(s) for s in (CHAT_OPEN, CHAT_CLOSE)}
    values, phases = read_ini(os.path.join(folder, "train.ini"))
    out = {}
    for name in sorted({f for p in phases for f, _ in p} | set(values["held_out"])):
        text = open(os.path.join(folder, name), encoding="utf-8").read()
        if name.endswith(".jsonl"):
            docs = [encode_chat(sp, json.loads(l)["messages"], ids) for l in text.splitlines()]
        else:
            texts = [t.strip("\n\r \t") for t in text.split("<|endoftext|>\n")]
            docs = [[BOS] + d + [EOS] for d in sp.encode([t for t in texts if t])]
        out[name] = np.array([t for d in docs for t in d], np.int16)
        out[name + ":ends"] = np.cumsum([len(d) for d in docs]).astype(np.int64)
        print(f"{name}: {len(docs)} documents, {len(out[name])} tokens")
    np.savez_compressed(os.path.join(folder, "tokens.npz"), **out)


def documents(tokens, name):
    return np.split(tokens[name].astype(np.int32), tokens[name + ":ends"][:-1])


def sequences(docs, whole, n):
    """[m][n+1] tokens, ~id where given, and where each token's document begins.  Chats stay in one sequence."""
    rows, begins, row, begin, at = [], [], None, None, n + 1
    for doc, stays in zip(docs, whole):
        if stays:
            doc = doc[:n + 1]
            if at + len(doc) > n + 1:
                at = n + 1                                  # what is left of the row stays ~0, each its own beginning
        while len(doc):
            if at == n + 1:
                row, begin, at = np.full(n + 1, ~0, np.int32), np.arange(n + 1, dtype=np.int32), 0
                rows.append(row)
                begins.append(begin)
            take = min(len(doc), n + 1 - at)
            row[at:at + take], begin[at:at + take] = doc[:take], at
            at += take
            # The last token of a full sequence is only a target; the next begins with it.
            doc = doc[take - 1:] if at == n + 1 and take < len(doc) else doc[take:]
    return np.array(rows, np.int32), np.array(begins, np.int32)


def held_sequences(tokens, name, n, most):
    """About `most` tokens of a held-out file, spread evenly."""
    rows, begins = sequences(documents(tokens, name), [name.endswith(".jsonl")] * len(tokens[name + ":ends"]), n)
    every = max(1, len(rows) * n // most) if most else 1
    return rows[::every], begins[::every]


def phase_sequences(tokens, phase, times, n, rng):
    docs = []
    for name, repeat in phase:                              # every access to `tokens` unpacks again
        all_docs = documents(tokens, name)
        left = repeat * times
        while left > 0:
            order = rng.sample(range(len(all_docs)), max(1, int(round(min(left, 1.0) * len(all_docs)))))
            docs += [(all_docs[i], name.endswith(".jsonl")) for i in order]
            left -= 1
    rng.shuffle(docs)
    rows, begins = sequences([d for d, _ in docs], [w for _, w in docs], n)
    order = list(range(len(rows)))
    rng.shuffle(order)
    return rows[order], begins[order]


# ---- the network ----

def build(values, device):
    import torch
    import torch.nn.functional as F
    from torch import nn

    number = lambda key: int(values["model." + key])
    D, L, H, K, d = (number(k) for k in ("width", "layers", "heads", "kv_heads", "head_size"))
    E, U, W = number("experts"), number("used"), number("hidden")
    V = int(values["vocabulary.size"])

    def draw(*shape, answers=False):
        return nn.Parameter(torch.randn(*shape) * (0.02 / math.sqrt(2 * L) if answers else 0.02))

    def norm(x, gain):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * gain

    def turn(x, cos, sin):
        one, two = x.chunk(2, -1)                           # Hugging Face's pairs: (i, i + d/2)
        return torch.cat((one * cos - two * sin, two * cos + one * sin), -1)

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn_norm, self.ffn_norm = nn.Parameter(torch.ones(D)), nn.Parameter(torch.ones(D))
            self.q, self.k, self.v, self.o = draw(H * d, D), draw(K * d, D), draw(K * d, D), draw(D, H * d, answers=True)
            self.router = draw(E, D)
            self.gate, self.up, self.down = draw(E * W, D), draw(E * W, D), draw(D, E * W, answers=True)

        def forward(self, x, cos, sin, mask):
            B, T, _ = x.shape
            h = norm(x, self.attn_norm)
            heads = lambda w, n: F.linear(h, w).view(B, T, n, d).transpose(1, 2)
            q, k, v = turn(heads(self.q, H), cos, sin), turn(heads(self.k, K), cos, sin), heads(self.v, K)
            q, k, v = q.to(v.dtype), *(t.to(v.dtype).repeat_interleave(H // K, 1) for t in (k, v))
            if hasattr(F, "scaled_dot_product_attention"):
                a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            else:
                a = (q @ k.transpose(-1, -2) / math.sqrt(d)).masked_fill(~mask, -1e30).float().softmax(-1).to(v.dtype) @ v
            x = x + F.linear(a.transpose(1, 2).reshape(B, T, H * d), self.o)

            h = norm(x, self.ffn_norm)
            with torch.autocast(h.device.type, enabled=False):
                scores = F.linear(h.float(), self.router)   # the router is never rounded
            top, chosen = scores.topk(U, -1)
            weights = torch.zeros_like(scores).scatter(-1, chosen, top.softmax(-1))
            inner = F.silu(F.linear(h, self.gate)) * F.linear(h, self.up)
            inner = (inner.view(B, T, E, W) * weights[..., None].to(inner.dtype)).reshape(B, T, E * W)
            x = x + F.linear(inner, self.down)

            flat = scores.softmax(-1).view(-1, E)
            uses = torch.zeros_like(scores).scatter(-1, chosen, 1.0).view(-1, E)
            balance = E * (uses.mean(0) / U * flat.mean(0)).sum()
            z = torch.logsumexp(scores, -1).pow(2).mean()
            entropy = -(flat * flat.clamp_min(1e-30).log()).sum(-1).mean()
            return x, balance, z, uses.sum(0).detach(), entropy.detach()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out, self.out_norm = draw(V, D), draw(V, D), nn.Parameter(torch.ones(D))
            self.layers = nn.ModuleList(Layer() for _ in range(L))

        def forward(self, tokens, begins):
            B, T = tokens.shape
            at = torch.arange(T, device=tokens.device)
            mask = (begins[:, :, None] == begins[:, None, :]) & (at[None, :, None] >= at[None, None, :])
            angle = (at[None] - begins)[..., None].float() * 10000.0 ** (-torch.arange(0, d, 2, device=tokens.device) / d)
            cos, sin = angle.cos()[:, None], angle.sin()[:, None]
            x, extra = F.embedding(tokens, self.embed), []
            for layer in self.layers:
                x, *rest = layer(x, cos, sin, mask[:, None])
                extra.append(rest)
            return F.linear(norm(x, self.out_norm), self.out), extra

    torch.manual_seed(int(values["optimizer.seed"]))
    return Net().to(device), torch, F


def loss_of(net, torch, F, rows, begins, device):
    """(sum of -log p, targets, extra); a given token is no target."""
    rows = torch.as_tensor(rows.astype(np.int64), device=device)
    begins = torch.as_tensor(begins.astype(np.int64), device=device)
    tokens = torch.where(rows < 0, ~rows, rows)
    # A token is a target where it is learned and its document did not begin just there.
    learned = (rows[:, 1:] >= 0) & (begins[:, 1:] == begins[:, :-1])
    with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=device != "cpu"):
        logits, extra = net(tokens[:, :-1], begins[:, :-1])
    targets = torch.where(learned, tokens[:, 1:], torch.full_like(tokens[:, 1:], -100))
    loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    return loss, learned.sum(), extra


# ---- training ----

def learning_rate(values, step, steps):
    top, end, warm = (float(values["optimizer." + k]) for k in ("rate", "final_rate", "warm_up"))
    if step < warm:
        return top * (step + 1) / warm
    return end + 0.5 * (top - end) * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def judge(net, torch, F, held, batch, device):
    out = []
    with torch.no_grad():
        for rows, begins in held:
            total, n = 0.0, 0
            for i in range(0, len(rows), batch):
                loss, targets, _ = loss_of(net, torch, F, rows[i:i + batch], begins[i:i + batch], device)
                total, n = total + float(loss), n + int(targets)
            out.append(total / max(1, n))
    return out


def save_safely(torch, state, path):
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


def train_command(args):
    folder, out = args.folder, os.path.join(args.folder, "twin")
    os.makedirs(out, exist_ok=True)
    values, phases = read_ini(os.path.join(folder, "train.ini"))
    values["vocabulary.size"] = 4096
    for given in args.set:
        key, value = given.split("=", 1)
        values[key] = value
    tokens = np.load(os.path.join(folder, "tokens.npz"))
    n, batch = int(values["optimizer.sequence"]), args.batch or int(values["optimizer.batch"])
    rng = random.Random(int(values["optimizer.seed"]))
    parts = [phase_sequences(tokens, p, args.epochs, n, rng) for p in phases]
    rows, begins = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
    held = [held_sequences(tokens, h, n, int(values["data.held_out_tokens"])) for h in values["held_out"]]

    device = args.device
    net, torch, F = build(values, device)
    torch.backends.cuda.matmul.allow_tf32 = False
    n_params = sum(p.numel() for p in net.parameters())
    matrices, vectors = ([p for p in net.parameters() if (p.dim() > 1) == m] for m in (True, False))
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": float(values["optimizer.weight_decay"])},
                                   {"params": vectors, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(float(values["optimizer.beta1"]), float(values["optimizer.beta2"])), eps=1e-8)
    steps, step = len(rows) // batch, 0
    print(f"{n_params / 1e6:.2f} M parameters, {len(rows)} sequences of {n}, {steps} steps of {batch}", flush=True)
    kept = os.path.join(out, "checkpoint.pt")
    if os.path.exists(kept) and not args.measure:
        state = torch.load(kept, map_location=device)
        if state["steps"] != steps:
            sys.exit(f"{kept} is of a run of {state['steps']} steps, this one has {steps}: remove it or give the same options")
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    log = open(os.path.join(out, "log.tsv"), "a" if step else "w", encoding="utf-8")
    run = torch.compile(net) if args.compile else net
    began = saved = time.time()
    began_step, stop = step, min(steps, step + 30) if args.measure else args.steps or steps
    while step < min(stop, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(values, step, steps)
        some = slice(step * batch, (step + 1) * batch)
        loss, targets, extra = loss_of(run, torch, F, rows[some], begins[some], device)
        balance, z = (sum(e[i] for e in extra) / len(extra) for i in (0, 1))    # as src/train/routes.c
        total = loss / targets + float(values["experts.balance"]) * balance + float(values["experts.router_z"]) * z
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), float(values["optimizer.clip"]))
        optimizer.step()
        step += 1
        if step % args.look == 0 or step == stop:
            use = ["/".join("%.3f" % u for u in (e[2] / e[2].sum()).tolist()) for e in extra]
            entropy = ["%.3f" % float(e[3]) for e in extra]
            there = judge(net, torch, F, held, batch, device) if step % (10 * args.look) == 0 or step == stop else []
            speed = (step - began_step) * batch * n / (time.time() - began)
            words = [str(step), "%.4f" % float(loss / targets)] + ["%.4f" % h for h in there]
            print(" ".join(words), f"{60 * speed:.3g} tokens/min, {(steps - step) * batch * n / speed / 60:.1f} min left", flush=True)
            log.write("\t".join(words + [",".join(entropy)] + use) + "\n")
            log.flush()
        if not args.measure and (time.time() - saved > 60 * args.minutes or step == min(stop, steps)):
            save_safely(torch, {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "steps": steps}, kept)
            saved = time.time()
    if not args.measure:
        write_model(net, values, folder, out)


# ---- the model as Hugging Face has it ----

def tensors_of(net, E, W):
    cpu = lambda t: t.detach().float().cpu().numpy()
    yield "model.embed_tokens.weight", cpu(net.embed)
    for i, l in enumerate(net.layers):
        at = f"model.layers.{i}."
        yield at + "input_layernorm.weight", cpu(l.attn_norm)
        for name, t in (("q", l.q), ("k", l.k), ("v", l.v), ("o", l.o)):
            yield f"{at}self_attn.{name}_proj.weight", cpu(t)
        yield at + "post_attention_layernorm.weight", cpu(l.ffn_norm)
        yield at + "block_sparse_moe.gate.weight", cpu(l.router)
        for e in range(E):
            part = slice(e * W, (e + 1) * W)
            for name, t in (("w1", l.gate[part]), ("w2", l.down[:, part]), ("w3", l.up[part])):
                yield f"{at}block_sparse_moe.experts.{e}.{name}.weight", cpu(t)
    yield "model.norm.weight", cpu(net.out_norm)
    yield "lm_head.weight", cpu(net.out)


def write_model(net, values, folder, out):
    number = lambda key: int(values["model." + key])
    header, data, at = {}, [], 0
    for name, t in tensors_of(net, number("experts"), number("hidden")):
        raw = np.ascontiguousarray(t, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
        data.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(out, "model.safetensors.part"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.writelines(data)
    os.replace(os.path.join(out, "model.safetensors.part"), os.path.join(out, "model.safetensors"))
    config = {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_act": "silu", "torch_dtype": "float32",
              "hidden_size": number("width"), "intermediate_size": number("hidden"), "num_hidden_layers": number("layers"),
              "num_attention_heads": number("heads"), "num_key_value_heads": number("kv_heads"), "head_dim": number("head_size"),
              "num_local_experts": number("experts"), "num_experts_per_tok": number("used"), "rms_norm_eps": 1e-5,
              "rope_theta": 10000.0, "max_position_embeddings": number("context"), "vocab_size": int(values["vocabulary.size"]),
              "tie_word_embeddings": False, "sliding_window": None, "bos_token_id": BOS, "eos_token_id": EOS}
    chatml = ("{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
              "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
    words = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False,
             "tokenizer_class": "LlamaTokenizer", "chat_template": chatml}
    for name, what in (("config.json", config), ("tokenizer_config.json", words)):
        with open(os.path.join(out, name), "w", encoding="utf-8") as f:
            json.dump(what, f, indent=2)
            f.write("\n")
    shutil.copy(os.path.join(folder, "tokenizer.model"), os.path.join(out, "tokenizer.model"))


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("command", choices=["tokens", "train"])
    args.add_argument("folder")
    args.add_argument("--epochs", type=float, default=1.0, help="multiplies every repeat of the recipe")
    args.add_argument("--batch", type=int, help="sequences of a step (otherwise the recipe's)")
    args.add_argument("--steps", type=int, help="stop after so many steps of the run, with a checkpoint")
    args.add_argument("--device", default="cuda")
    args.add_argument("--minutes", type=float, default=2.0, help="between checkpoints")
    args.add_argument("--look", type=int, default=20, help="steps between lines of the log")
    args.add_argument("--measure", action="store_true", help="30 steps, nothing written: what a run would take")
    args.add_argument("--compile", action="store_true", help="torch.compile, where torch has it")
    args.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="instead of the recipe's value")
    args = args.parse_args()
    tokens_command(args.folder) if args.command == "tokens" else train_command(args)


if __name__ == "__main__":
    main()
