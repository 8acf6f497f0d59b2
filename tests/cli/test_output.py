# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_output.py - what goes where: stdout, stderr, pipes, full disks, Ctrl-C, colours, JSON.
import json
import os
import pty
import re
import resource
import signal
import subprocess
import time

from support import MIXT, Case, environment, main, mixt, model, scratch


def on_terminal(*words, env):
    """stderr is a terminal of 80 columns; returns (exit code, stdout, stderr)."""
    import fcntl, struct, termios
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    done = subprocess.Popen([MIXT, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=env)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(mine, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(mine)
    out = done.stdout.read()
    done.stdout.close()
    return done.wait(), out, seen


class Purity(Case):
    def test_stdout_holds_the_continuation_only(self):
        plain = self.expect(mixt("run", model(), "Once upon", "-n", 12, "--temp", 0), 0)
        self.assertEqual(plain.stderr, b"")
        self.assertTrue(plain.stdout.endswith(b"\n"))
        loud = self.expect(mixt("run", model(), "Once upon", "-n", 12, "--temp", 0, "--verbose", "--experts", "--show-prompt"), 0)
        self.assertEqual(loud.stdout, plain.stdout)
        for word in (b"Once upon", b"load", b"prompt", b"answer", b"tokens/s", b"experts that fired"):
            self.assertIn(word, loud.stderr)
        self.assertNotIn(b"\x1b", loud.stderr)
        self.assertNotIn(b"\r", loud.stderr)

    def test_same_seed_same_text(self):
        base = ["run", model(), "Once", "-n", 20, "--temp", 1, "--seed"]
        one = self.expect(mixt(*base, 5, "--threads", 1), 0).stdout
        self.assertEqual(self.expect(mixt(*base, 5, "--threads", 3), 0).stdout, one)
        self.assertNotEqual(self.expect(mixt(*base, 6), 0).stdout, one)
        drawn = {self.expect(mixt(*base[:-1]), 0).stdout for _ in range(3)}
        self.assertGreater(len(drawn), 1, "without --seed it is drawn")

    def test_the_seed_that_was_drawn_can_be_asked_for(self):
        first = json.loads(mixt("run", model(), "Once", "-n", 20, "--temp", 1, "--json").stdout)
        again = json.loads(mixt("run", model(), "Once", "-n", 20, "--temp", 1, "--json", "--seed", first["seed"]).stdout)
        self.assertEqual(again["text"], first["text"])
        self.assertLess(first["seed"], 1 << 53, "a number JavaScript keeps exactly")

    def test_always_utf8(self):
        for seed in range(4):
            for words in ([], ["--json"]):
                done = self.expect(mixt("run", model(), "Once", "-n", 200, "--temp", 5, "--top-k", 0, "--top-p", 1, "--min-p", 0,
                                        "--seed", seed, "--ignore-end", *words), 0)
                done.stdout.decode("utf-8")

    def test_stop_text(self):
        whole = self.expect(mixt("run", model(), "Once", "-n", 30, "--temp", 0, "--ignore-end"), 0).stdout[:-1]
        stop = whole.decode()[8:12]
        done = self.expect(mixt("run", model(), "Once", "-n", 30, "--temp", 0, "--ignore-end", "--stop", "\x01never", "--stop", stop), 0)
        self.assertEqual(done.stdout[:-1], whole[:whole.index(stop.encode())])

    def test_logit_bias(self):
        base = ["run", model(), "Once", "-n", 3, "--temp", 0, "--json", "--experts=tokens"]
        ids = [t["id"] for t in json.loads(self.expect(mixt(*base, "--logit-bias", "300=100"), 0).stdout)["experts"]["tokens"]]
        self.assertEqual(ids[1:], [300, 300])
        self.one_line(self.expect(mixt("run", model(), "x", "--logit-bias", "99999999=1"), 64), "from 0 to")
        self.one_line(self.expect(mixt("run", model(), "x", "--logit-bias", "3=many"), 64), "ID=X")


class Stdin(Case):
    def test_piped_text_is_the_prompt(self):
        base = ["-n", 8, "--temp", 0]
        want = self.expect(mixt("run", model(), "Once upon a time", *base), 0).stdout
        for prompt, given in (([], b"Once upon a time"), ([], b"Once upon a time\n"), (["Once upon"], b" a time"),
                              (["Once upon"], b" a time\n"), (["Once upon a time"], b"")):
            self.assertEqual(self.expect(mixt("run", model(), *prompt, *base, given=given), 0).stdout, want, (prompt, given))

    def test_chat(self):
        done = self.expect(mixt("run", model(), "Sum up:", "-n", 1, "--chat", "--system", "Be brief", "--show-prompt",
                                "--chat-template", "chatml", given=b"the text\n"), 0)
        self.assertIn(b"<|im_start|>system\nBe brief<|im_end|>", done.stderr)
        self.assertIn(b"<|im_start|>user\nSum up:\nthe text<|im_end|>", done.stderr)
        self.one_line(self.expect(mixt("run", model(), "x", "--system", "y"), 64), "--chat")

    def test_a_conversation_needs_a_terminal(self):
        """With nothing at all the model goes on from its BOS."""
        self.expect(mixt("run", model(), "-n", 2), 0)

    def test_binary_prompt(self):
        self.expect(mixt("run", model(), "-n", 2, given=bytes(range(256))), 0)
        self.expect(mixt("run", model(), "-n", 2, "--chat", "--chat-template", "chatml", given=bytes(range(256))), 0)


class Context(Case):
    def test_too_long_a_prompt(self):
        done = self.expect(mixt("run", model(), "word " * 100, "--ctx", 32), 1)
        text = self.one_line(done, "room for 32")
        advice = int(re.search(r"try --ctx (\d+)", text).group(1))
        self.expect(mixt("run", model(), "word " * 100, "--ctx", advice, "-n", 1), 0)

    def test_a_full_context_is_said_with_both_numbers(self):
        done = self.expect(mixt("run", model(), "Once", "--ctx", 24, "--ignore-end"), 0)
        self.one_line(done, "24 of 24", "--ctx 48")
        self.assertEqual(self.expect(mixt("run", model(), "Once", "--ctx", 24, "-n", 4), 0).stderr, b"")


class Trouble(Case):
    def test_full_disk(self):
        for words in (["run", model(), "Once", "-n", 4], ["show", model()], ["version"], ["--help"], ["run", "--help"],
                      ["completion", "bash"], ["run", model(), "Once", "-n", 4, "--json"]):
            with open("/dev/full", "wb") as full:
                self.one_line(self.expect(mixt(*words, stdout=full), 74), "standard output", "No space left")

    def test_stdout_closed(self):
        done = subprocess.run(["bash", "-c", f"'{MIXT}' version >&-"], env=environment(), capture_output=True)
        self.assertEqual(done.returncode, 74)

    def test_reader_leaves(self):
        """mixt run | head -c 1: ends soon, quietly, and is no failure."""
        start = time.monotonic()
        mine = subprocess.Popen([MIXT, "run", model(), "Once", "--ignore-end"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=environment())
        self.assertEqual(len(mine.stdout.read(1)), 1)
        mine.stdout.close()
        self.assertEqual(mine.stderr.read(), b"")
        mine.stderr.close()
        self.assertEqual(mine.wait(60), 0)
        self.assertLess(time.monotonic() - start, 60)

    def test_interrupt(self):
        mine = subprocess.Popen([MIXT, "run", model(), "Once", "--ignore-end", "--temp", "0", "--ctx", "1000"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=environment())
        first = mine.stdout.read(3)
        mine.send_signal(signal.SIGINT)
        rest, err = mine.communicate(timeout=60)
        self.assertEqual(mine.returncode, 130, err)
        self.assertEqual(err, b"")
        self.assertTrue((first + rest).endswith(b"\n"))
        whole = mixt("run", model(), "Once", "--ignore-end", "--temp", 0, "--ctx", 1000).stdout
        got = (first + rest).decode()[:-1].rstrip("\ufffd")      # a character may have been cut
        self.assertTrue(whole.decode().startswith(got), f"want the beginning of\n{whole.decode()!r}\ngot\n{got!r}")

    def test_interrupt_while_waiting_for_text(self):
        mine = subprocess.Popen([MIXT, "run", model(), "Once"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, bufsize=0, env=environment())
        self.assertIn(b"standard input", mine.stderr.readline(), "it says what it waits for")
        mine.send_signal(signal.SIGINT)
        self.assertEqual(mine.wait(60), 130)
        for pipe in (mine.stdin, mine.stdout, mine.stderr):
            pipe.close()

    def test_memory(self):
        """What does not fit is a failure of its own, and the message says what to change."""
        def small():
            resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
        if mixt("version", preexec_fn=small).returncode:
            self.skipTest("a sanitizer wants more address space")
        long = model("long.gguf", "--context", "2M")
        self.one_line(self.expect(mixt("run", long, "Once", "--ctx", "2M", preexec_fn=small), 71), "--ctx")

    def job(self, *words, before=(), **more):
        return subprocess.Popen([*before, MIXT, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, bufsize=0, env=environment(), **more)

    def ended(self, mine, *signals):
        for number in signals:
            mine.send_signal(number)
        rest, err = mine.communicate(timeout=60)
        self.assertEqual(err, b"")              # and it closes the pipes
        return mine.returncode, rest

    def test_what_ends_a_job_leaves_nothing_behind(self):
        """Neither Ctrl-C, nor kill, nor a terminal that closes; kill and its kin may come twice."""
        folder = scratch("ended")
        os.mkdir(folder)
        big = os.path.join(folder, "big.gguf")
        source = model("source.gguf", "--layers", 8, "--type", "F32", "--experts", 64)
        for signals, code in (([signal.SIGINT], 130), ([signal.SIGTERM], 143), ([signal.SIGHUP], 129),
                              ([signal.SIGTERM, signal.SIGTERM], 143), ([signal.SIGHUP, signal.SIGHUP], 129)):
            for words in (["synth", "--like", "mixtral-8x7b", "--layers", 2, "--type", "Q4_K_M"], ["convert", source, "--type", "q8_0"]):
                mine = self.job(*words, "-o", big)
                end = time.monotonic() + 60
                while not os.listdir(folder) and time.monotonic() < end:
                    time.sleep(0.002)
                self.assertEqual(self.ended(mine, *signals), (code, b""), (words, signals))
                self.assertEqual(os.listdir(folder), [])

    def test_nohup(self):
        """Who was started to outlive the terminal does."""
        path = scratch("nohup.gguf")
        mine = self.job("synth", "--layers", 30, "-o", path, before=["nohup"])
        while not any(name.startswith(".nohup") for name in os.listdir(os.path.dirname(path))) and mine.poll() is None:
            time.sleep(0.002)
        mine.send_signal(signal.SIGHUP)
        mine.communicate(timeout=60)
        self.assertEqual(mine.returncode, 0)
        self.assertIn(b"8 experts", self.expect(mixt("check", path), 0).stdout)
        os.unlink(path)

    def test_what_ends_an_answer(self):
        for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            mine = self.job("run", model(), "Once", "--ignore-end", "--ctx", 4000, "--temp", 0)
            first = mine.stdout.read(3)
            got, rest = self.ended(mine, number)
            self.assertEqual(got, code)
            self.assertTrue((first + rest).endswith(b"\n"))

    def test_interrupt_within_a_step(self):
        """A step of all the rows of a long prompt takes many seconds; nobody waits for its end."""
        deep = model("deep.gguf", "--layers", 60)
        mine = self.job("run", deep, "word " * 1900, "--batch", "4K", "--threads", 1)
        time.sleep(1)
        self.assertIsNone(mine.poll(), "it was over before anybody could stop it")
        start = time.monotonic()
        self.assertEqual(self.ended(mine, signal.SIGINT), (130, b""))
        self.assertLess(time.monotonic() - start, 30)


class Map(Case):
    def test_colours(self):
        words = ["run", model(), "Once", "-n", 4, "--temp", 0, "--experts"]
        code, out, err = on_terminal(*words, env=environment())
        self.assertEqual(code, 0)
        self.assertNotIn(b"\x1b", out)
        self.assertIn(b"\x1b[48;5;", err)
        self.assertIn(b"even load", err)
        self.assertIn(b"\x1b[48;2;", on_terminal(*words, env=environment(COLORTERM="truecolor"))[2])
        self.assertNotIn(b"\x1b[48", on_terminal(*words, env=environment(NO_COLOR="1"))[2])
        self.assertNotIn(b"\x1b[48", on_terminal(*words, env=environment(TERM="dumb"))[2])
        self.assertIn(b"\x1b[48", on_terminal(*words, env=environment(NO_COLOR=""))[2])

    def test_numbers(self):
        """Shares of a layer add up, within the rounding of each."""
        words = ["run", model(), "Once", "-n", 10, "--temp", 0, "--ignore-end"]
        err = self.expect(mixt(*words, "--experts"), 0).stderr.decode()
        fired = json.loads(self.expect(mixt(*words, "--experts", "--json"), 0).stdout)["experts"]["fired"]
        self.assertIn("10 tokens, 2 of 8", err)
        rows = {}
        for line in err.splitlines()[3:]:
            for panel in re.split(r" {4,}(?=\d+ )", line):
                numbers = [0 if w == "." else int(w) for w in panel.split()]
                rows[numbers[0]] = numbers[1:]
        self.assertEqual(len(rows), len(fired))
        for layer, counts in enumerate(fired):
            self.assertEqual(sum(counts), 20)
            for share, count in zip(rows[layer], counts):
                self.assertLessEqual(abs(share - 100 * count / 20), 0.5)

    def test_wide_models_wrap(self):
        wide = model("wide.gguf", "--experts", 64, "--used", 4, "--layers", 2, "--hidden", 256)
        done = self.expect(mixt("run", wide, "Once", "-n", 4, "--experts"), 0)
        lines = done.stderr.decode().splitlines()
        self.assertLessEqual(max(map(len, lines[1:])), 80)
        header = " ".join(lines).split()
        for expert in (0, 18, 19, 63):
            self.assertIn(str(expert), header)

    def test_each_token(self):
        err = self.expect(mixt("run", model(), "Once", "-n", 3, "--experts=tokens", "--ignore-end"), 0).stderr.decode()
        self.assertEqual(len(re.findall(r'(?m)^ +\d+ ".*"(?: +\d,\d){4}$', err)), 3, err)

    def test_dense(self):
        dense = model("dense.gguf", "--experts", -1)
        self.one_line(self.expect(mixt("run", dense, "Once", "-n", 3, "--experts"), 0), "dense")


class Progress(Case):
    def test_a_bar_at_a_terminal_only(self):
        words = ["synth", "--layers", 60, "--type", "Q4_K_M", "-o", scratch("bar.gguf")]
        code, out, err = on_terminal(*words, env=environment())
        self.assertEqual((code, out), (0, b""))
        if err:                                     # a fast disk needs no bar
            self.assertRegex(err, rb"\r.*writing +\d+ %")
            self.assertTrue(err.endswith(b"\r\x1b[K"), "it is wiped away")
        self.assertEqual(self.expect(mixt(*words), 0).stderr, b"")
        os.unlink(scratch("bar.gguf"))

    def test_a_bar_moves_within_a_step(self):
        """One step over the network, long because the reference device is slow: the bar goes from layer to layer."""
        words = ["run", model("deep.gguf", "--layers", 12), "Once upon a time there was " * 12, "-n", 1, "--device", "ref", "-t", 1]
        code, _, err = on_terminal(*words, env=environment())
        self.assertEqual(code, 0, err)
        shares = [int(n) for n in re.findall(rb"reading the prompt +(\d+) %", err)]
        self.assertGreater(len(set(shares)), 1, err)
        self.assertEqual(shares, sorted(shares))
        self.assertTrue(0 < shares[-1] < 100, shares)
        self.assertTrue(err.endswith(b"\r\x1b[K"), "it is wiped away")


class Json(Case):
    def test_run(self):
        said = json.loads(self.expect(mixt("run", model(), "Once", "-n", 6, "--temp", 0, "--json", "--experts=tokens", "--ignore-end"), 0).stdout)
        plain = mixt("run", model(), "Once", "-n", 6, "--temp", 0, "--ignore-end").stdout.decode()
        self.assertEqual(said["text"] + "\n", plain)
        self.assertEqual((said["finish"], said["answer_tokens"]), ("length", 6))
        self.assertEqual(len(said["experts"]["tokens"]), 6)
        for token in said["experts"]["tokens"]:
            for experts, weights in zip(token["experts"], token["weights"]):
                self.assertEqual(len(set(experts)), 2)
                self.assertGreaterEqual(weights[0], weights[1])
                self.assertAlmostEqual(sum(weights), 1, places=5)

    def test_others(self):
        shown = json.loads(self.expect(mixt("show", model(), "--json"), 0).stdout)
        self.assertEqual(sum(c["bytes"] for c in shown["classes"]), shown["weight_bytes"])
        self.assertEqual(sum(c["parameters"] for c in shown["classes"]), shown["parameters"])
        self.assertEqual(sum(c["parameters_active"] for c in shown["classes"]), shown["parameters_active"])
        self.assertTrue(json.loads(self.expect(mixt("check", model(), "--json"), 0).stdout)["ok"])
        bad = mixt("check", "/nonexistent", "--json")
        self.assertEqual(bad.returncode, 66)
        self.assertFalse(json.loads(bad.stdout)["ok"])
        self.assertIn("version", json.loads(mixt("version", "--json").stdout))


if __name__ == "__main__":
    main()
