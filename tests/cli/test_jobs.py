# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_jobs.py - tokenize, detokenize, prompt, logits, routes, synth, convert, check, show.
import json
import os

import numpy

from support import Case, main, make_tiny, make_tiny_adapter, mixt, model, scratch

IDS = "1,403,407,261,378,300,299"
TEXTS = ["Hello", "Once upon a time", " leading", "trailing ", "two\n\nlines\n", "caf\u00e9 \u2603 \U0001f600", "\ttab  two blanks", ""]


class Text(Case):
    def test_round_trip(self):
        for text in TEXTS:
            ids = self.expect(mixt("tokenize", model(), given=text.encode()), 0).stdout
            self.assertRegex(ids.decode(), r"^(\d+( \d+)*)?\n$")
            self.assertEqual(self.expect(mixt("detokenize", model(), given=ids), 0).stdout.decode(), text)
            if text:
                self.assertEqual(self.expect(mixt("detokenize", model(), *ids.decode().split()), 0).stdout.decode(), text)

    def test_half_a_character_is_written_as_it_is(self):
        snowman = "\u2603".encode()
        ids = self.expect(mixt("tokenize", model(), given=snowman), 0).stdout.decode().split()
        self.assertGreaterEqual(len(ids), 3, "expected a character that the small vocabulary spells in bytes")
        for n in (1, 2, 3):
            self.assertEqual(self.expect(mixt("detokenize", model(), *ids[:len(ids) - 3 + n]), 0).stdout, snowman[:n])

    def test_special(self):
        plain = mixt("tokenize", model(), given=b"Hello").stdout
        special = self.expect(mixt("tokenize", model(), "--special", given=b"Hello"), 0).stdout
        self.assertEqual(special, b"1 " + plain)
        self.assertEqual(mixt("tokenize", model(), given=b"<s>").stdout.split()[0] == b"1", False)
        self.assertEqual(self.expect(mixt("detokenize", model(), "1"), 0).stdout, b"")
        self.assertEqual(self.expect(mixt("detokenize", model(), "--special", "1"), 0).stdout, b"<s>")

    def test_bad_ids(self):
        for word in ("99999999", "1x", "0x1", "1.0", "99999999999999999999"):
            self.one_line(self.expect(mixt("detokenize", model(), "5", word), 64), f"'{word}'", "id 2")
            self.one_line(self.expect(mixt("detokenize", model(), given=b"5 " + word.encode()), 65), f"'{word}'", "id 2")


class Prompt(Case):
    def write(self, content):
        path = scratch("messages.json")
        with open(path, "w") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def test_text_and_ids(self):
        path = self.write([{"role": "user", "content": "Hi"}])
        text = self.expect(mixt("prompt", model(), "--messages", path, "--chat-template", "chatml"), 0).stdout
        self.assertEqual(text, b"<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        closed = self.expect(mixt("prompt", model(), "-m", path, "--chat-template", "chatml", "--no-generation-prompt"), 0).stdout
        self.assertEqual(closed, b"<|im_start|>user\nHi<|im_end|>\n")
        with open(path, "rb") as file:
            self.assertEqual(mixt("prompt", model(), "-m", "-", "--chat-template", "chatml", given=file.read()).stdout, text)
        ids = self.expect(mixt("prompt", model(), "-m", path, "--ids"), 0).stdout
        self.assertRegex(ids.decode(), r"^\d+( \d+)*\n$")

    def test_the_users_text_never_becomes_a_control_token(self):
        path = self.write([{"role": "user", "content": "a</s>b<s>c"}])
        ids = self.expect(mixt("prompt", model(), "-m", path, "--ids"), 0).stdout.split()
        self.assertNotIn(b"2", ids)
        self.assertNotIn(b"1", ids[1:])

    def test_bad_messages(self):
        for content in ("", "{", '{"role":"user"}', "[" * 100000):
            self.one_line(self.expect(mixt("prompt", model(), "-m", self.write(content)), 65))
        self.one_line(self.expect(mixt("prompt", model(), "-m", "/nonexistent"), 66), "/nonexistent")


class Arrays(Case):
    def logits(self, *words, name="l.npy"):
        path = scratch(name)
        self.expect(mixt("logits", model(), *words, "-o", path), 0)
        return numpy.load(path)

    def test_logits(self):
        last, rows = self.logits("--ids", IDS), self.logits("--ids", IDS, "--all")
        self.assertEqual((last.dtype, rows.dtype), (numpy.float32, numpy.float32))
        self.assertEqual((last.shape, rows.shape), ((1024,), (7, 1024)))
        self.assertEqual(last.tobytes(), rows[-1].tobytes())

    def test_same_bytes_however_it_is_computed(self):
        want = self.logits("--ids", IDS, "--all").tobytes()
        for words in (["--threads", 1], ["--threads", 3], ["--ubatch", 1], ["--ubatch", 3], ["--batch", 64], ["--expert-slots", 9]):
            self.assertEqual(self.logits("--ids", IDS, "--all", *words).tobytes(), want, words)

    def test_long(self):
        """More ids than one piece; a session that ends at a boundary."""
        ids = ",".join(str(3 + i * 37 % 1000) for i in range(520))
        rows = self.logits("--ids", ids, "--all", "--ubatch", 100)
        self.assertEqual(rows.shape, (520, 1024))
        self.assertEqual(rows.tobytes(), self.logits("--ids", ids, "--all").tobytes())
        self.assertEqual(rows[-1].tobytes(), self.logits("--ids", ids).tobytes())

    def test_devices_and_caches_are_close(self):
        want = self.logits("--ids", IDS, "--all", "--kv", "f32", "--device", "ref").astype(float)
        # Activations of eight bits turn a route now and then, and a row with another expert is another row: a rough
        # bound.  The sharp ones are in tests/golden.
        for words, most in ((["--kv", "f32"], 0.15), (["--kv", "f16"], 0.15), (["--kv", "f32", "--cpu", "ref"], 0.15)):
            got = self.logits("--ids", IDS, "--all", *words).astype(float)
            error = numpy.linalg.norm(got - want) / numpy.linalg.norm(want)
            self.assertLess(error, most, words)         # weights are quantised: so are activations
            self.assertTrue(numpy.isfinite(got).all())

    def test_ids_from_files(self):
        want = self.logits("--ids", IDS).tobytes()
        path = scratch("ids.txt")
        with open(path, "w") as file:
            file.write(IDS.replace(",", "\n") + "\n")
        self.assertEqual(self.logits("--ids", "@" + path).tobytes(), want)
        done = self.expect(mixt("logits", model(), "--ids", "@-", "-o", scratch("s.npy"), given=IDS.encode()), 0)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(numpy.load(scratch("s.npy")).tobytes(), want)

    def test_bad_ids(self):
        for ids, code in (("1,2,x", 64), ("1024", 64), ("-1", 64), ("", 64), (",", 64), ("@/nonexistent", 66), ("1;2", 64),
                          ("1,,2", 64), (",1", 64), ("1, ,2", 64)):
            done = self.expect(mixt("logits", model(), "--ids", ids, "-o", scratch("bad.npy")), code)
            self.one_line(done)
            self.assertFalse(os.path.exists(scratch("bad.npy")))
        self.one_line(mixt("logits", model(), "--ids", "1,2,1024", "-o", scratch("bad.npy")), "id 3", "'1024'", "0 to 1023")

    def test_one_comma_between_ids(self):
        want = self.logits("--ids", "1,403,407").tobytes()
        for ids in ("1, 403 ,407", "1 403 407", " 1,\n403,\t407,\n"):
            self.assertEqual(self.logits("--ids", ids).tobytes(), want, ids)
        self.one_line(mixt("logits", model(), "--ids", "1,,2", "-o", scratch("bad.npy")), "id 2", "found ''")
        self.assertEqual(mixt("detokenize", model(), "403,", "407").stdout, mixt("detokenize", model(), "403", "407").stdout)

    def test_routes(self):
        out, weights = scratch("r.npy"), scratch("w.npy")
        self.expect(mixt("routes", model(), "--ids", IDS, "-o", out, "--weights", weights), 0)
        r, w = numpy.load(out), numpy.load(weights)
        self.assertEqual((r.dtype, w.dtype), (numpy.int32, numpy.float32))
        self.assertEqual((r.shape, w.shape), ((4, 7, 2), (4, 7, 2)))
        self.assertTrue(((r >= 0) & (r < 8)).all())
        self.assertTrue((r[..., 0] != r[..., 1]).all())
        self.assertTrue((w[..., 0] >= w[..., 1]).all())
        self.assertTrue(numpy.allclose(w.sum(-1), 1, atol=1e-6))
        self.one_line(self.expect(mixt("routes", model("dense.gguf", "--experts", -1), "--ids", "1", "-o", out), 65), "dense")


class Models(Case):
    def test_synth_shapes(self):
        path = model("shaped.gguf", "--layers", 3, "--width", 128, "--hidden", 256, "--heads", 4, "--kv-heads", 2, "--experts", 4,
                     "--used", 1, "--type", "Q8_0", "--context", "1K", "--window", 64)
        shown = json.loads(self.expect(mixt("show", path, "--json"), 0).stdout)
        for key, want in dict(layers=3, width=128, hidden=256, heads=4, kv_heads=2, experts=4, experts_used=1, context=1024,
                              window=64).items():
            self.assertEqual(shown[key], want, key)

    def test_synth_is_repeatable(self):
        def bytes_of(seed, name):
            self.expect(mixt("synth", "--seed", seed, "--layers", 1, "-o", scratch(name)), 0)
            with open(scratch(name), "rb") as file:
                return file.read()
        self.assertEqual(bytes_of(3, "a"), bytes_of(3, "b"))
        self.assertNotEqual(bytes_of(3, "a"), bytes_of(4, "b"))

    def test_skew_shows_in_the_routes(self):
        ids = ",".join(str(3 + i * 37 % 1000) for i in range(400))
        shares = {}
        for skew in (0, 1.5):
            path, out = model(f"skew{skew}.gguf", "--router-skew", skew), scratch("skew.npy")
            self.expect(mixt("routes", path, "--ids", ids, "-o", out), 0)
            shares[skew] = numpy.sort(numpy.bincount(numpy.load(out).ravel(), minlength=8))[::-1] / (400 * 2 * 4)
        self.assertLess(shares[0][0], 0.25)
        self.assertGreater(shares[1.5][0], 1.5 * shares[0][0])

    def test_check_and_show(self):
        done = self.expect(mixt("check", model()), 0)
        self.assertEqual(done.stdout.count(b"\n"), 1)
        self.assertIn(b"8 experts", done.stdout)
        text = self.expect(mixt("show", model()), 0).stdout.decode()
        self.assertLessEqual(len(text.splitlines()), 24)
        self.assertLessEqual(max(map(len, text.splitlines())), 120)
        for word in ("mixtral", "8 in each layer, 2 used", "GiB" if "GB" in text else "MiB", "Q4_K", "template", "tokenizer", "ends"):
            self.assertIn(word, text)
        self.assertGreater(len(mixt("show", model(), "--tensors").stdout), len(text))

    def test_show_counts_as_people_do(self):
        flat = self.expect(mixt("show", model("flat.gguf", "--experts", -1, "--layers", 1, "--width", 64, "--hidden", 96,
                                               "--type", "Q8_0")), 0)
        text = flat.stdout.decode()
        self.assertIn(" 1 layer,", text)
        self.assertRegex(text, r"parameters +\d{1,3},\d{3}\n")       # once, and all of them are used
        self.assertRegex(text, r"(?m)^feed-forward ")
        self.assertNotRegex(text, r"(?m)^experts +\d")
        self.assertRegex(mixt("show", model()).stdout.decode(), r"parameters +[\d.]+ M \([\d,]+\), [\d.,]+( M)? used for a token\n")

    def test_check_says_warnings(self):
        """A tensor nobody asked for is no failure, but is said: once, where the report goes."""
        shape = make_tiny.SHAPES["mixtral"]
        tensors = make_tiny.gguf_tensors(shape, make_tiny.weights(shape, 1), "F32")
        tensors.append(("blk.0.foo.weight", "F32", numpy.zeros((4, 4), numpy.float32)))
        path = scratch("extra.gguf")
        make_tiny.write_gguf(path, make_tiny.gguf_settings(shape), tensors)
        done = self.expect(mixt("check", path), 0)
        self.one_line(done, "mixt check: ", "blk.0.foo.weight")
        told = self.expect(mixt("check", path, "--json"), 0)
        self.assertEqual(told.stderr, b"")
        told = json.loads(told.stdout)
        self.assertEqual((told["ok"], len(told["warnings"])), (True, 1))
        self.assertIn(told["warnings"][0], done.stderr.decode())
        self.assertEqual(json.loads(mixt("check", model(), "--json").stdout)["warnings"], [])

    def test_convert(self):
        path = scratch("q8.gguf")
        self.expect(mixt("convert", model("f32.gguf", "--type", "F32", "--layers", 1), "-o", path, "--type", "q8_0"), 0)
        classes = {c["name"]: c["formats"] for c in json.loads(mixt("show", path, "--json").stdout)["classes"]}
        self.assertEqual((classes["experts"], classes["norms"]), ("Q8_0", "F32"))
        self.one_line(self.expect(mixt("convert", model(), "-o", scratch("x"), "--type", "q3"), 64), "Q8_0", "'q3'")
        self.one_line(mixt("convert", path, "-o", path))


class Adapters(Case):
    def setUp(self):
        self.shape = make_tiny.SHAPES["mixtral"]
        self.model, self.adapter = scratch("mixtral.gguf"), scratch("adapter.gguf")
        make_tiny.make_gguf(self.model, self.shape)
        make_tiny_adapter.make_adapter(self.adapter, self.shape, kind="F16", experts=[1, 3])

    def logits(self, path, *words):
        out = scratch("logits.npy")
        self.expect(mixt("logits", path, "--ids", "1,5,9", "-o", out, "--kv", "f32", *words), 0)
        return numpy.load(out)

    def test_scales(self):
        plain, whole = self.logits(self.model), self.logits(self.model, "--lora", self.adapter)
        self.assertGreater(numpy.abs(whole - plain).max(), 0.01)
        self.assertTrue(numpy.array_equal(whole, self.logits(self.model, "--lora", self.adapter + ":1.0")))
        self.assertTrue(numpy.array_equal(plain, self.logits(self.model, "--lora", self.adapter + ":0")))
        twice = self.logits(self.model, "--lora", self.adapter + ":0.5", "--lora", self.adapter + ":0.5")
        self.assertLess(numpy.abs(twice - whole).max(), 1e-3)
        self.assertGreater(numpy.abs(whole - self.logits(self.model, "--lora", self.adapter + ":-2e-1")).max(), 0.01)

    def test_merge(self):
        merged = scratch("merged.gguf")
        self.expect(mixt("lora", "merge", self.model, self.adapter + ":0.5", "-o", merged), 0)
        want, got = self.logits(self.model, "--lora", self.adapter + ":0.5"), self.logits(merged)
        self.assertLess(numpy.abs(want - got).max(), 1e-3)
        self.expect(mixt("lora", "merge", self.model, self.adapter, "--type", "q8_0", "-o", merged), 0)
        classes = {c["name"]: c["formats"] for c in json.loads(mixt("show", merged, "--json").stdout)["classes"]}
        self.assertEqual(classes["experts"], "Q8_0")
        self.one_line(self.expect(mixt("lora", "merge", self.model, self.adapter, "--type", "q9", "-o", merged), 64), "Q4_K_M", "'q9'")

    def test_merge_into_a_mix(self):
        """As if the merged model had been converted: weights are rounded once."""
        big, adapter, plain = scratch("big.gguf"), scratch("big-adapter.gguf"), scratch("plain.gguf")
        shape = make_tiny.Shape(**{**vars(self.shape), "D": 256, "F": 256})
        make_tiny.make_gguf(big, shape)
        make_tiny_adapter.make_adapter(adapter, shape, kind="F32")
        self.expect(mixt("lora", "merge", big, adapter, "-o", plain), 0)
        for kind in ("Q4_K_M", "q2_k", "Q5_0"):
            once, twice = scratch("once.gguf"), scratch("twice.gguf")
            self.expect(mixt("lora", "merge", big, adapter, "--type", kind, "-o", once), 0)
            self.expect(mixt("convert", plain, "--type", kind, "-o", twice), 0)
            with open(once, "rb") as a, open(twice, "rb") as b:
                self.assertEqual(a.read(), b.read(), kind)
            self.expect(mixt("check", once), 0)

    def test_show(self):
        done = self.expect(mixt("lora", "show", self.adapter), 0)
        self.assertIn(b"blk.0.ffn_up_exps.weight", done.stdout)
        self.assertIn(b"2 of 8 experts", done.stdout)
        told = json.loads(self.expect(mixt("lora", "show", self.adapter, "--json"), 0).stdout)
        pair = {p["name"]: p for p in told["pairs"]}["blk.2.ffn_down_exps.weight"]
        self.assertEqual((pair["rank"], pair["rows"], pair["cols"], pair["experts"], pair["adapted"], pair["format_a"]),
                         (4, self.shape.D, self.shape.F, 8, 2, "F16"))
        self.assertEqual((told["alpha"], told["architecture"]), (8, "llama"))

    def test_refusals(self):
        odd = scratch("odd-adapter.gguf")
        make_tiny_adapter.make_adapter(odd, make_tiny.SHAPES["odd"])
        for words, code, part in (
                (["run", self.model, "x", "--lora", odd], 65, ".lora_"),
                (["run", self.model, "x", "--lora", self.model], 65, "found a model"),
                (["run", self.model, "x", "--lora", scratch("none.gguf")], 66, "none.gguf"),
                (["run", self.model, "x", "--lora", ":2"], 64, "expected FILE"),
                (["run", self.model, "x", "--lora", self.adapter + ":inf"], 64, "finite"),
                (["run", self.adapter, "x"], 65, "found an adapter"), (["check", self.adapter], 65, "found an adapter"),
                (["lora", "show", self.model], 65, "found a model"), (["lora", "take", self.model], 64, "merge or show"),
                (["lora", "merge", self.model, "-o", scratch("x.gguf")], 64, "at least one adapter"),
                (["lora", "merge", self.model, self.adapter], 64, "-o FILE"),
                (["lora", "merge", self.model, self.adapter, "-o", self.model], 64, "same file"),
                (["lora", "show", self.adapter, self.adapter], 64, "one adapter")):
            self.one_line(self.expect(mixt(*words), code), part)

    def test_the_adapter_is_spared(self):
        before = open(self.adapter, "rb").read()
        done = mixt("lora", "merge", self.model, self.adapter, "-o", self.adapter)
        self.assertNotEqual(done.returncode, 0)
        self.one_line(done, "same file as the input")
        self.assertEqual(open(self.adapter, "rb").read(), before)


if __name__ == "__main__":
    main()
