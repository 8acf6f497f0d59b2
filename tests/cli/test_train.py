#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/cli/test_train.py - a tiny network learns a tiny language; it is stopped, killed, continued, and gives the same
bytes; what cannot be trained is a sentence."""
import json
import os
import random
import signal
import subprocess
import time
import unittest

from support import MIXT, Case, environment, main, mixt, model, scratch

BASE = {
    "model": {"layers": 2, "width": 32, "heads": 4, "kv_heads": 2, "experts": 4, "used": 2, "hidden": 32},
    "vocabulary": {},
    "data": {},
    "optimizer": {"steps": 40, "sequence": 32, "batch": 8, "rate": "5e-3", "warm_up": 5},
    "run": {"eval_steps": 20},
}


def text(name, n, seed):
    """Sentences of a language with few words: what follows is easy to guess."""
    draw = random.Random(seed)
    path = scratch(name)
    with open(path, "w") as out:
        for _ in range(n):
            who, what = draw.choice(("fox", "hen", "cat")), draw.choice(("saw", "met"))
            out.write(f"The {who} {what} the {draw.choice(('dog', 'cow'))}. The end.\n<|endoftext|>\n")
    return path


def chats(name, n):
    path = scratch(name)
    with open(path, "w") as out:
        for i in range(n):
            out.write(json.dumps({"prompt": f"what is {i % 7}?", "answer": f"It is {i % 7}."}) + "\n")
    return path


def config(name, **sections):
    """BASE with changes; a list is a key that comes several times."""
    path = scratch(name + ".ini")
    whole = {s: dict(BASE.get(s, {})) for s in list(BASE) + list(sections)}
    whole["vocabulary"]["model"] = model("vocabulary.gguf", "--vocab", 512)
    whole["data"].update(train=text("train.txt", 400, 1), held_out=text("held.txt", 40, 2))
    for section, keys in sections.items():
        whole[section].update(keys)
    with open(path, "w") as out:
        for section, keys in whole.items():
            out.write(f"[{section}]\n")
            for key, value in keys.items():
                for one in value if isinstance(value, list) else [value]:
                    if one is not None:
                        out.write(f"{key} = {one}\n")
    return path


def train(path, *words, **more):
    return mixt("train", path, *words, **more)


def content(path):
    with open(path, "rb") as file:
        return file.read()


class Learning(Case):
    @classmethod
    def setUpClass(cls):
        cls.path = config("whole")
        cls.done = train(cls.path, "--json", "-t", 1)
        cls.events = [json.loads(line) for line in cls.done.stdout.splitlines()] if cls.done.returncode == 0 else []
        cls.model = scratch("whole.run/model.gguf")

    def test_learns(self):
        self.expect(self.done, 0)
        steps = [e for e in self.events if e["event"] == "step"]
        self.assertEqual([e["step"] for e in steps], list(range(1, 41)))
        self.assertLess(steps[-1]["loss"], 0.5 * steps[0]["loss"])
        self.assertAlmostEqual(steps[4]["rate"], 5e-3)
        self.assertEqual(steps[-1]["tokens"], 40 * 8 * 32)
        for layer in steps[-1]["experts"]:
            self.assertAlmostEqual(sum(layer), 1, places=3)
        judged = [e for e in self.events if e["event"] == "judged"]
        self.assertEqual([e["step"] for e in judged], [20, 40])
        self.assertLess(judged[1]["bits_per_byte"], judged[0]["bits_per_byte"])
        self.assertEqual([e["event"] for e in self.events[-2:]], ["saved", "done"])

    def test_model_runs(self):
        said = self.expect(mixt("run", self.model, "The", "--temp", 0, "-n", 12), 0).stdout.decode()
        self.assertRegex(said, r"\b(saw|met|fox|hen|cat|the|end)\b")
        shown = json.loads(mixt("show", self.model, "--json").stdout)
        self.assertEqual(shown["layers"], 2)
        self.expect(mixt("check", self.model), 0)

    def test_report(self):
        page = content(scratch("whole.run/report.html")).decode()
        for part in ("<svg", "Loss", "bits per byte", "Perplexity", "Learning rate", "layer 1", "held.txt", "Entropy"):
            self.assertIn(part, page)
        for part in ("<script", "http://", "https://", "nan", "inf,"):
            self.assertNotIn(part, page)

    def test_any_threads(self):
        self.expect(train(config("threads"), "-t", 3), 0)
        self.assertEqual(content(self.model), content(scratch("threads.run/model.gguf")))

    def test_done_is_done(self):
        again = self.expect(train(self.path, "-o", scratch("again.gguf")), 0)
        self.assertIn("goes on after step 40 of 40", again.stderr.decode())
        self.assertEqual(content(self.model), content(scratch("again.gguf")))

    def test_types(self):
        for kind in ("f16", "bf16", "q8_0"):
            out = scratch(f"typed-{kind}.gguf")
            path = config("whole", run={"eval_steps": 20, "type": kind})
            self.expect(train(path, "-o", out), 0)
            self.expect(mixt("check", out), 0)
            self.assertLess(os.path.getsize(out), os.path.getsize(self.model))
        config("whole")

    def test_from(self):
        path = config("from", model={k: None for k in BASE["model"]} | {"from": self.model},
                      vocabulary={}, optimizer={"steps": 5, "warm_up": 1, "rate": "1e-4", "final_rate": "1e-5"})
        first = [json.loads(line) for line in self.expect(train(path, "--json"), 0).stdout.splitlines()]
        judged = [e for e in first if e["event"] == "judged"]
        mine = [e for e in self.events if e["event"] == "judged"][-1]
        self.assertEqual(judged[0]["step"], 0)
        self.assertAlmostEqual(judged[0]["loss"], mine["loss"], places=5)
        other = config("from-option", optimizer={"steps": 5, "warm_up": 1, "rate": "1e-4", "final_rate": "1e-5"})
        self.expect(train(other, "--from", self.model, "-o", scratch("from-option.gguf")), 0)
        self.assertEqual(content(scratch("from.run/model.gguf")), content(scratch("from-option.gguf")))
        wrong = config("from-wrong", model={"layers": 3})
        self.one_line_of(train(wrong, "--from", self.model), 64, "[model] layers: expected 2", "found 3")

    def one_line_of(self, done, code, *parts):
        """The last line is the failure; those before say what was read."""
        self.expect(done, code)
        last = done.stderr.decode().splitlines()[-1]
        for part in parts:
            self.assertIn(part, last)


class Interruption(Case):
    def killed(self, name, number, after, **more):
        """Starts, is stopped by a signal once `after` steps are done, goes on: the same bytes as in one go."""
        path = config(name, run={"eval_steps": 20, "checkpoint_steps": 3}, **more)
        whole = scratch(f"{name}-whole.gguf")
        self.expect(train(path, "-t", 1, "-o", whole), 0)
        for left in os.listdir(scratch(name + ".run")):
            os.remove(scratch(f"{name}.run/{left}"))
        steps = 0
        run = subprocess.Popen([MIXT, "train", path, "--json", "-t", "2"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=environment())
        for line in run.stdout:
            steps += json.loads(line)["event"] == "step"
            if steps == after:
                run.send_signal(number)
                break
        run.stdout.read()
        run.stdout.close()
        code = run.wait()
        self.assertFalse(os.path.exists(scratch(f"{name}.run/model.gguf")))
        on = self.expect(train(path, "-t", 3), 0)
        self.assertIn("goes on after step", on.stderr.decode())
        self.assertEqual(content(whole), content(scratch(f"{name}.run/model.gguf")))
        return code

    def test_kill(self):
        self.assertEqual(self.killed("killed", signal.SIGKILL, 11, optimizer={"steps": 60}), -signal.SIGKILL)

    def test_ctrl_c(self):
        self.assertEqual(self.killed("stopped", signal.SIGINT, 4, optimizer={"steps": 60, "accumulate": 3}), 130)

    def test_term(self):
        self.assertEqual(self.killed("ended", signal.SIGTERM, 7, optimizer={"steps": 60}), 143)

    def test_fresh(self):
        path = config("fresh")
        self.expect(train(path), 0)
        first = content(scratch("fresh.run/model.gguf"))
        changed = config("fresh", optimizer={"rate": "4e-3"})
        refused = self.expect(train(changed), 64).stderr.decode()
        self.assertIn("'[optimizer] rate = 0.005', the configuration has '[optimizer] rate = 0.004'", refused)
        self.assertNotEqual(content(scratch("fresh.run/model.gguf")), b"")
        self.expect(train(changed, "--fresh"), 0)
        self.assertNotEqual(content(scratch("fresh.run/model.gguf")), first)

    def test_broken_checkpoint(self):
        path = config("broken", optimizer={"steps": 4, "warm_up": 1})
        self.expect(train(path), 0)
        kept = scratch("broken.run/checkpoint.mixt")
        whole = content(kept)
        for damaged in (whole[:-9], whole[:100], whole[:len(whole) // 2] + b"x" + whole[len(whole) // 2 + 1:], b""):
            with open(kept, "wb") as file:
                file.write(damaged)
            said = self.expect(train(path), 65).stderr.decode()
            self.assertIn("expected a whole checkpoint", said)
        with open(kept, "wb") as file:
            file.write(whole)
        self.expect(train(path), 0)

    def test_other_texts(self):
        path = config("texts", optimizer={"steps": 4, "warm_up": 1}, data={"train": text("own.txt", 100, 3)})
        self.expect(train(path), 0)
        text("own.txt", 100, 4)
        said = self.expect(train(path), 64).stderr.decode()
        self.assertIn("was made from other texts", said)


class Chats(Case):
    def test_answers(self):
        path = config("chats", data={"train": chats("chats.jsonl", 300), "held_out": None},
                      optimizer={"steps": 400, "sequence": 64})
        self.expect(train(path), 0)
        said = mixt("run", scratch("chats.run/model.gguf"), "--chat", "what is 3?", "--temp", 0, "-n", 16)
        self.assertIn("It is 3.", self.expect(said, 0).stdout.decode())

    def test_no_format(self):
        bare = model("bare.gguf", "--vocab", 512)
        path = config("unknown", vocabulary={"model": bare, "template": "nonsense"})
        said = self.expect(train(path), 66).stderr.decode()
        self.assertIn("[vocabulary] template: expected a file or the name of a built-in format", said)

    def test_bad_line(self):
        broken = scratch("broken.jsonl")
        with open(broken, "w") as out:
            out.write('{"prompt": "a", "answer": "b"}\n{"prompt": "a"}\n')
        said = self.expect(train(config("bad-line", data={"train": broken})), 65).stderr.decode()
        self.assertIn("broken.jsonl:2: expected messages, prompt and answer", said)


class Adapters(Case):
    """Beside a quantised model that speaks the tiny language, adapters learn another one."""

    SMALL = {k: None for k in BASE["model"]}

    @classmethod
    def setUpClass(cls):
        base = train(config("base", optimizer={"steps": 80}))
        cls.base = scratch("base-q8.gguf")
        made = mixt("convert", scratch("base.run/model.gguf"), "--type", "q8_0", "-o", cls.base)
        if base.returncode or made.returncode:
            raise RuntimeError(base.stderr.decode() + made.stderr.decode())
        cls.other, cls.other_held = scratch("other.txt"), scratch("other-held.txt")
        for path, n, seed in ((cls.other, 300, 5), (cls.other_held, 40, 6)):
            draw = random.Random(seed)
            with open(path, "w") as out:
                for _ in range(n):
                    who, whom = draw.choice(("bird", "fish")), draw.choice(("me", "you"))
                    out.write(f"A {who} sang to {whom}!\n<|endoftext|>\n")

    def adapt(self, name, adapter, **sections):
        optimizer = {"steps": 60, "rate": "2e-2", "final_rate": "1e-3"} | sections.pop("optimizer", {})
        path = config(name, model=self.SMALL | {"from": self.base}, adapter=adapter, optimizer=optimizer,
                      data={"train": self.other, "held_out": self.other_held} | sections.pop("data", {}), **sections)
        done = self.expect(train(path, "--json", "-t", 2), 0)
        return path, [json.loads(line) for line in done.stdout.splitlines()]

    def losses(self, events):
        return [e["loss"] for e in events if e["event"] == "judged"]

    def judged_alone(self, name, merged):
        """What a merged model makes of the held-out text."""
        path = config(name, model=self.SMALL | {"from": merged}, optimizer={"steps": 1, "warm_up": 0},
                      data={"train": self.other, "held_out": self.other_held})
        return self.losses([json.loads(line) for line in self.expect(train(path, "--json"), 0).stdout.splitlines()])[0]

    def test_every_class(self):
        """Ranks and alphas apart: the file says what was learned, or merging would not give the same loss."""
        _, events = self.adapt("lora", {"attention_rank": 4, "attention_alpha": 8, "router_rank": 2, "expert_rank": 3,
                                        "expert_alpha": 12, "output_rank": 2})
        losses = self.losses(events)
        self.assertLess(losses[-1], 0.6 * losses[0])
        lora, merged = scratch("lora.run/adapter.gguf"), scratch("lora-merged.gguf")
        shown = json.loads(self.expect(mixt("lora", "show", lora, "--json"), 0).stdout)
        self.assertIn("blk.1.ffn_down_exps.weight", json.dumps(shown))
        self.expect(mixt("lora", "merge", self.base, lora, "--type", "f32", "-o", merged), 0)
        self.assertAlmostEqual(self.judged_alone("lora-alone", merged), losses[-1], places=4)
        alone = mixt("run", self.base, "A", "--temp", 0, "-n", 8).stdout
        beside = self.expect(mixt("run", self.base, "A", "--lora", lora, "--temp", 0, "-n", 8), 0).stdout
        self.assertNotEqual(alone, beside)
        self.assertEqual(beside, mixt("run", merged, "A", "--temp", 0, "-n", 8).stdout)

    def test_some_experts(self):
        _, events = self.adapt("some", {"expert_rank": 4, "experts": "1,3"})
        losses = self.losses(events)
        self.assertLess(losses[-1], losses[0])
        lora, merged = scratch("some.run/adapter.gguf"), scratch("some-merged.gguf")
        self.expect(mixt("lora", "merge", self.base, lora, "--type", "f32", "-o", merged), 0)
        self.assertAlmostEqual(self.judged_alone("some-alone", merged), losses[-1], places=4)

    def test_goes_on(self):
        path, _ = self.adapt("go", {"attention_rank": 2}, optimizer={"steps": 30})
        whole = content(scratch("go.run/adapter.gguf"))
        os.remove(scratch("go.run/checkpoint.mixt"))
        os.remove(scratch("go.run/adapter.gguf"))
        run = subprocess.Popen([MIXT, "train", path, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env=environment())
        for line in run.stdout:
            if json.loads(line)["step"] == 9:
                run.send_signal(signal.SIGINT)
                break
        run.stdout.read()
        run.stdout.close()
        self.assertEqual(run.wait(), 130)
        self.expect(train(path, "-t", 1), 0)
        self.assertEqual(whole, content(scratch("go.run/adapter.gguf")))

    def test_preferences(self):
        """The model learns to say what is preferred; the first loss is that of somebody who does not care: log 2."""
        pairs = scratch("pairs.jsonl")
        with open(pairs, "w") as out:
            for i in range(60):
                out.write(json.dumps({"prompt": f"q{i % 6}", "chosen": "The hen.", "rejected": "The cow."}) + "\n")
        held = scratch("pairs-held.jsonl")
        with open(held, "w") as out:
            out.write(json.dumps({"prompt": "q9", "chosen": "The hen.", "rejected": "The cow."}) + "\n")
        path, events = self.adapt("dpo", {"attention_rank": 4, "expert_rank": 4}, preference={"beta": 0.3},
                                  data={"train": pairs, "held_out": held},
                                  optimizer={"steps": 20, "batch": 4, "sequence": 64, "rate": "5e-3"})
        steps = [e for e in events if e["event"] == "step"]
        self.assertAlmostEqual(steps[0]["loss"], 0.693147, places=4)
        self.assertLess(steps[-1]["loss"], 0.2)
        self.assertEqual(steps[-1]["preferred"], 1)
        self.assertLess(self.losses(events)[-1], 0.3)
        whole = content(scratch("dpo.run/adapter.gguf"))
        self.expect(train(path, "--fresh", "-t", 3), 0)
        self.assertEqual(whole, content(scratch("dpo.run/adapter.gguf")))

    def test_wrongs(self):
        cases = (({"expert_rank": 2, "experts": "1,9"}, {}, "experts: expected numbers from 0 to 3"),
                 ({"expert_rank": 2, "experts": "1;2"}, {}, "experts: expected numbers from 0 to 3"))
        for adapter, more, says in cases:
            path = config("adapter-wrong", model=self.SMALL | {"from": self.base}, adapter=adapter, **more)
            said = self.expect(train(path), 64).stderr.decode()
            self.assertIn(says, said)
        said = self.expect(train(config("no-model", adapter={"expert_rank": 2})), 65).stderr.decode()
        self.assertIn("[adapter] needs a model to stand beside", said)
        path = config("odd", preference={"beta": 0.1}, optimizer={"batch": 3})
        self.assertIn("expected an even number", self.expect(train(path), 65).stderr.decode())
        path = config("no-pairs", preference={"beta": 0.1})
        self.assertIn("expected JSONL with prompt, chosen and rejected", self.expect(train(path), 65).stderr.decode())


class Wrong(Case):
    def says(self, done, code, *parts):
        self.expect(done, code)
        last = done.stderr.decode().splitlines()[-1]
        self.assertTrue(last.startswith("mixt train: "), last)
        for part in parts:
            self.assertIn(part, last)

    def test_configuration(self):
        self.says(train(config("w1", optimizer={"lerning_rate": 1})), 65, "w1.ini:", "expected one of steps, tokens")
        self.says(train(config("w2", data={"train": scratch("nowhere.txt")})), 66, "nowhere.txt: cannot open")
        self.says(train(config("w3", vocabulary={"model": scratch("nowhere.model")})), 66, "nowhere.model")
        self.says(train(config("w4", data={"held_out": scratch("train.txt")})), 65, "that is not learned")
        self.says(train(scratch("nowhere.ini")), 66, "nowhere.ini: cannot open")
        self.says(mixt("train"), 64, "expected CONFIG.ini")

    def test_outputs(self):
        path = config("w5")
        for target in (scratch("train.txt"), path, scratch("vocabulary.gguf")):
            before = content(target)
            self.says(train(path, "-o", target), 64, "output is the same file as the input")
            self.assertEqual(content(target), before)

    def test_no_number(self):
        path = config("w6", optimizer={"rate": 10, "final_rate": 10, "warm_up": 0, "clip": 0, "weight_decay": 10})
        done = train(path)
        if done.returncode:                 # a network may survive even this
            self.says(done, 1, "number")
            self.assertFalse(os.path.exists(scratch("w6.run/model.gguf")))

    def test_example(self):
        shown = self.expect(mixt("train", "--example"), 0).stdout.decode()
        for section in ("[model]", "[data]", "[optimizer]", "[experts]", "[run]"):
            self.assertIn(section, shown)


class Terminal(Case):
    def test_plain(self):
        done = self.expect(train(config("plain", optimizer={"steps": 4, "warm_up": 1})), 0)
        self.assertEqual(done.stdout, b"")
        self.assertNotIn(b"\033", done.stderr)
        self.assertIn(b"bits per byte", done.stderr)

    def test_live(self):
        import pty
        path = config("live", optimizer={"steps": 300})
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(MIXT, [MIXT, "train", path], environment())
        shown = b""
        until = time.time() + 60
        while time.time() < until:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0, shown[-500:])
        for part in (b"tokens/s", b"left", "\u2588".encode(), b"entropy", b"\033[48;5;"):
            self.assertIn(part, shown)
        self.assertTrue(shown.rstrip().endswith(b"model.gguf"), shown[-200:])


if __name__ == "__main__":
    main()
