# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_batch.py - mixt batch: the same text as mixt run, errors line by line, stopping and going on.
import json
import os
import re
import resource
import signal
import subprocess
import time

from support import HOSTILE, MIXT, Case, environment, main, mixt, model, scratch

TEXTS = ["Once upon a time", "The", "a b c a b c a b", "One two three four five six seven", "x", "Hello, world"]


def write(name, lines):
    path = scratch(name)
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            file.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
    return path


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def fresh(name):
    for path in (scratch(name), scratch(name) + ".part"):
        if os.path.exists(path):
            os.remove(path)
    return scratch(name)


class Answers(Case):
    def test_the_same_text_as_run(self):
        path = model()
        lines = [{"id": f"q{i}", "prompt": t, "seed": i, "temperature": 0.7 if i % 2 else 0, "max_tokens": 5 + 7 * i}
                 for i, t in enumerate(TEXTS)]
        out = fresh("same.out")
        for more in ((), ("--together", 1), ("--expert-slots", 3), ("--batch", 2)):
            fresh("same.out")
            self.expect(mixt("batch", path, write("same.in", lines), out, *more), 0)
            answers = read(out)
            self.assertEqual([a["line"] for a in answers], list(range(1, len(lines) + 1)))
            for line, answer in zip(lines, answers):
                alone = json.loads(self.expect(
                    mixt("run", path, line["prompt"], "-n", line["max_tokens"], "--seed", line["seed"], "--temp",
                         line["temperature"], "--json"), 0).stdout)
                self.assertEqual(answer["id"], line["id"])
                for key in ("text", "finish", "prompt_tokens", "answer_tokens", "seed"):
                    self.assertEqual(answer[key], alone[key], (key, line, more))
            self.assertFalse(os.path.exists(out + ".part"))

    def test_options_are_for_lines_that_say_nothing(self):
        lines = [{"prompt": "abc"}, {"prompt": "abc", "max_tokens": 3}, {"prompt": "abc", "stop": ["e", "a", "i"]},
                 {"prompt": "abc", "ignore_end": True, "top_k": 5, "top_p": 0.9, "min_p": 0.1, "typical_p": 0.9,
                  "repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": -0.5, "repeat_last_n": -1}]
        out = fresh("common.out")
        done = self.expect(mixt("batch", model(), write("common.in", lines), out, "-n", 9, "--seed", 5, "--temp", 0.9,
                                "--ignore-end", "--verbose"), 0)
        answers = read(out)
        self.assertEqual([a["answer_tokens"] for a in answers[:2]], [9, 3])
        self.assertTrue(answers[0]["text"].startswith(answers[1]["text"]))
        self.assertTrue(all(a["seed"] == 5 for a in answers))
        self.assertRegex(done.stderr.decode(), r"^4 prompts, 0 with errors; \d+ tokens read, \d+ written")
        self.assertIn("pace", done.stderr.decode())

    def test_what_was_used_is_recorded_and_learned(self):
        path, out, trace = model("batch-learns.gguf"), fresh("learn.out"), scratch("batch.trace")
        lines = write("learn.in", [{"prompt": text, "max_tokens": 4, "seed": 1} for text in TEXTS])
        said = json.loads(self.expect(mixt("batch", path, lines, out, "--ignore-end", "--expert-slots", 3, "--no-learn",
                                           "--record", trace, "--json"), 0).stdout)
        self.assertFalse(os.path.exists(path + ".use"))
        alone = [a["text"] for a in read(out)]
        told = json.loads(self.expect(mixt("replay", trace, "--json"), 0).stdout)
        self.assertEqual((told["steps"], told["rows"]), (said["steps"], said["rows"]))
        fresh("learn.out")
        self.expect(mixt("batch", path, lines, out, "--ignore-end", "--expert-slots", 3), 0)
        plan = json.loads(self.expect(mixt("plan", path, "--expert-slots", 3, "--json"), 0).stdout)
        self.assertEqual(plan["memory"]["hit_rate_from_rows"], said["rows"])
        without = json.loads(self.expect(mixt("plan", path, "--expert-slots", 3, "--no-learn", "--json"), 0).stdout)
        self.assertEqual(without["memory"]["hit_rate_from_rows"], 0)
        fresh("learn.out")                              # what was learned changes no text
        self.expect(mixt("batch", path, lines, out, "--ignore-end", "--expert-slots", 3), 0)
        self.assertEqual([a["text"] for a in read(out)], alone)

    def test_messages_are_rendered(self):
        messages = [{"role": "user", "content": "Sag etwas."}]
        out = fresh("chat.out")
        self.expect(mixt("batch", model(), write("chat.in", [{"messages": messages}]), out, "-n", 8, "--temp", 0,
                         "--chat-template", "chatml"), 0)
        alone = json.loads(mixt("run", model(), "Sag etwas.", "--chat", "-n", 8, "--temp", 0, "--chat-template",
                                "chatml", "--json").stdout)
        self.assertEqual(read(out)[0]["text"], alone["text"])

    def test_standard_input_and_json(self):
        out = fresh("stdin.out")
        given = "".join(json.dumps({"prompt": t, "max_tokens": 4}) + "\n\n" for t in TEXTS).encode()
        done = self.expect(mixt("batch", model(), "-", out, "--json", given=given), 0)
        said = json.loads(done.stdout)
        self.assertEqual([a["line"] for a in read(out)], [1, 3, 5, 7, 9, 11])
        self.assertEqual(said["prompts"], len(TEXTS))
        self.assertEqual(said["errors"], 0)
        self.assertEqual(said["together"], 1 if HOSTILE else len(TEXTS))
        self.assertLessEqual(said["token_p50_us"], said["token_p99_us"])


class Mistakes(Case):
    def test_a_wrong_line_ends_nobody_else(self):
        wrong = [("{", "JSON"), ("[]", "object"), ({"prompt": "a", "maxtokens": 4}, "unknown field 'maxtokens'"),
                 ({"max_tokens": 4}, "prompt or messages"), ({"prompt": "a", "messages": []}, "prompt or messages"),
                 ({"prompt": 7}, "prompt"), ({"prompt": "a", "temperature": "hot"}, "temperature"),
                 ({"prompt": "a", "temperature": -1}, "temperature"), ({"prompt": "a", "top_k": 1.5}, "top_k"),
                 ({"prompt": "a", "seed": -1}, "seed"), ({"prompt": "a", "stop": 3}, "stop"),
                 ({"prompt": "a", "ignore_end": 1}, "ignore_end"), ({"id": [], "prompt": "a"}, "id"),
                 ('{"prompt":"a","prompt":"b"}', "JSON"), ({"messages": 3}, "messages"),
                 ({"prompt": "a " * 9000}, "context")]
        lines = []
        for line, _ in wrong:
            lines += [line, {"id": len(lines), "prompt": "good", "max_tokens": 2}]
        out = fresh("wrong.out")
        done = self.expect(mixt("batch", model(), write("wrong.in", lines), out), 65)
        answers = read(out)
        self.assertEqual(len(answers), len(lines))
        for i, (line, part) in enumerate(wrong):
            self.assertIn(part, answers[2 * i]["error"], line)
            self.assertEqual(answers[2 * i]["line"], 2 * i + 1)
            self.assertEqual(answers[2 * i + 1]["answer_tokens"], 2)
        self.assertIn("line 1: expected JSON", done.stderr.decode())
        self.assertIn(f"{len(wrong)} with errors", done.stderr.decode())

    def test_files_that_cannot_be(self):
        good = write("good.in", [{"prompt": "a", "max_tokens": 1}])
        self.one_line(self.expect(mixt("batch", model(), scratch("nowhere"), fresh("no.out")), 66), "nowhere")
        self.one_line(self.expect(mixt("batch", model(), write("empty.in", [""]), fresh("no.out")), 65), "none")
        self.one_line(self.expect(mixt("batch", model(), good, good), 64), "same file")
        self.one_line(self.expect(mixt("batch", model(), good, model()), 64), "same file")
        self.one_line(self.expect(mixt("batch", model(), good, "-"), 64))
        self.assertFalse(os.path.exists(scratch("no.out.part")))

    def test_a_full_disk(self):
        lines = [{"prompt": t, "max_tokens": 200, "ignore_end": True} for t in TEXTS * 3]
        out = fresh("full.out")
        def small():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        done = subprocess.run([MIXT, "batch", model(), write("full.in", lines), out, "--seed", "3"], env=environment(),
                              capture_output=True, preexec_fn=small, timeout=100)
        self.expect(done, 74)
        self.assertIn("full.out", done.stderr.decode())
        self.assertFalse(os.path.exists(out))
        self.expect(mixt("batch", model(), scratch("full.in"), out, "--seed", 3, "--resume"), 0)
        kept = read(out)
        self.expect(mixt("batch", model(), scratch("full.in"), fresh("full2.out"), "--seed", 3), 0)
        self.assertEqual(kept, read(scratch("full2.out")))


class Stopping(Case):
    LINES = [{"id": i, "prompt": f"{t} {i}", "max_tokens": 20 if HOSTILE else 150, "ignore_end": True, "seed": i}
             for i, t in enumerate(TEXTS * 12)]

    def whole(self):
        out = fresh("whole.out")
        self.expect(mixt("batch", model(), write("long.in", self.LINES), out), 0)
        with open(out, "rb") as file:
            return file.read()

    def stop(self, out, number):
        """Begins, and sends a signal once a few answers are there."""
        running = subprocess.Popen([MIXT, "batch", model(), scratch("long.in"), out, "--together", "4", "--threads", "1"],
                                   env=environment(), stderr=subprocess.PIPE)
        for _ in range(2000):
            if os.path.exists(out + ".part") and os.path.getsize(out + ".part") > 300 or running.poll() is not None:
                break
            time.sleep(0.005)
        running.send_signal(number)
        return running.communicate(timeout=60)[1].decode(), running.returncode

    def test_stopped_and_gone_on(self):
        want = self.whole()
        for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
            out = fresh("stopped.out")
            said, got = self.stop(out, number)
            if got == 0:
                self.skipTest("it was done before it could be stopped")
            self.assertEqual(got, code)
            self.assertFalse(os.path.exists(out))
            if number == signal.SIGINT:
                self.assertRegex(said, rf"\d+ of {len(self.LINES)} answers are in .*--resume")
            self.one_line(self.expect(mixt("batch", model(), scratch("long.in"), out), 64), "--resume")
            with open(out + ".part", "ab") as file:             # half a line: a crash of the machine
                file.write(b'{"line":')
            done = self.expect(mixt("batch", model(), scratch("long.in"), out, "--resume", "--json"), 0)
            self.assertGreater(json.loads(done.stdout)["kept"], 0)
            with open(out, "rb") as file:
                self.assertEqual(file.read(), want)

    def test_lines_may_be_added(self):
        want = self.whole()
        out = fresh("more.out")
        self.expect(mixt("batch", model(), write("more.in", self.LINES[:10]), out), 0)
        done = self.expect(mixt("batch", model(), write("more.in", self.LINES), out, "--resume", "--json"), 0)
        self.assertEqual(json.loads(done.stdout)["kept"], 10)
        with open(out, "rb") as file:
            self.assertEqual(file.read(), want)
        done = self.expect(mixt("batch", model(), scratch("more.in"), out, "--resume", "--json"), 0)
        self.assertEqual(json.loads(done.stdout)["answer_tokens"], 0)

    def test_what_failed_is_asked_again(self):
        want = self.whole()
        lines = list(self.LINES[:12])
        broken = {2: dict(lines[2], max_tokens="many"), 7: dict(lines[7], temperature=-1), 11: "{"}
        out = fresh("again.out")
        asked = write("again.in", [broken.get(i, line) for i, line in enumerate(lines)])
        self.expect(mixt("batch", model(), asked, out), 65)
        self.assertEqual([a["line"] - 1 for a in read(out) if "error" in a], list(broken))
        for mended in ([7], list(broken)):
            kept = sum("error" not in a for a in read(out))
            errors = len(broken) - len(mended)
            asked = write("again.in", [line if i in mended else broken.get(i, line) for i, line in enumerate(lines)])
            done = self.expect(mixt("batch", model(), asked, out, "--resume", "--json"), 65 if errors else 0)
            told = json.loads(done.stdout)
            self.assertEqual((told["kept"], told["errors"]), (kept, errors))
        with open(out, "rb") as file:
            self.assertEqual(file.read().splitlines(), want.splitlines()[:12])

    def test_another_input_is_refused(self):
        out = fresh("other.out")
        self.expect(mixt("batch", model(), write("other.in", self.LINES[:4]), out), 0)
        self.expect(mixt("batch", model(), write("other.in", self.LINES[1:4]), out, "--resume"), 65)
        self.assertEqual(len(read(out)), 4)

    def test_answers_to_another_input_stay(self):
        out = fresh("mine.out")
        write("long.in", self.LINES)
        if self.stop(out, signal.SIGINT)[1] == 0:
            self.skipTest("it was done before it could be stopped")
        with open(out + ".part", "rb") as file:
            before = file.read()
        for first in (1, 0):                                        # another at the first line, another at the second
            other = self.LINES[first:first + 1] + self.LINES[2:]
            self.one_line(self.expect(mixt("batch", model(), write("other.in", other), out, "--resume"), 65),
                          "expected the answer to line")
            with open(out + ".part", "rb") as file:
                self.assertEqual(file.read(), before)


class Speculation(Case):
    def test_guesses_do_not_change_the_text(self):
        for temp in (0, 0.6):
            words = ("run", model(), "a b c a b c a b", "-n", 200, "--temp", temp, "--seed", 3, "--ignore-end", "--json")
            want = json.loads(self.expect(mixt(*words, "--speculate", "off"), 0).stdout)
            self.assertEqual(want["timings"]["guessed"], 0)
            for n in ("auto", 1, 4, 15):
                got = json.loads(self.expect(mixt(*words, "--speculate", n), 0).stdout)
                self.assertEqual((got["text"], got["finish"]), (want["text"], want["finish"]), n)
                self.assertLessEqual(got["timings"]["guessed_right"], got["timings"]["guessed"])

    def test_it_wants_a_number(self):
        for value in ("16", "-1", "many", "3x", ""):
            self.one_line(self.expect(mixt("run", model(), "a", "--speculate", value), 64), "--speculate")

    def test_how_long_tokens_took(self):
        done = self.expect(mixt("run", model(), "a", "-n", 20, "--ignore-end", "--verbose", "--temp", 0), 0)
        self.assertTrue(re.search(r"half of the tokens within [\d.]+ ms, 95 % [\d.]+, 99 % [\d.]+, all [\d.]+",
                                  done.stderr.decode()), done.stderr)


if __name__ == "__main__":
    main()
