# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_talk.py - a conversation at a terminal, typed through a pty.
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import termios
import time
import unittest

from support import MIXT, Case, environment, main, mixt, model, scratch

PATIENCE_S = 60


class Terminal:
    """mixt behind a terminal of 24 rows and 80 columns."""

    def __init__(self, *words, program=MIXT, **env):
        self.seen, self.status = b"", None
        words = [program, *map(str, words)]
        where = environment(**env)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(program, words, where)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode() if isinstance(text, str) else text)

    def read_some(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError:                 # the other side is gone
            return None
        self.seen += piece
        return bool(piece) or None

    def until(self, pattern, seconds=PATIENCE_S):
        """Everything up to and including the pattern; later calls go on behind it."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern.encode(), self.seen, re.S)
            if found:
                here, self.seen = self.seen[:found.end()], self.seen[found.end():]
                return here.decode("utf-8", "replace")
            if time.monotonic() > end or self.read_some(0.2) is None and not re.search(pattern.encode(), self.seen, re.S):
                raise AssertionError(f"waited for {pattern!r}, saw {self.seen!r}")

    def say(self, line):
        """At a prompt: types a line, waits for the next prompt, and returns what came between."""
        self.type(line + "\r")
        return plain(self.until(r">>> $"))

    def end(self, seconds=PATIENCE_S):
        end = time.monotonic() + seconds
        while self.read_some(0.2) is not None:
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                break
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return self.status


def plain(text):
    """Without escapes and carriage returns."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r", "", text)


class Talk(Case):
    def setUp(self):
        self.t = None

    def tearDown(self):
        if self.t and self.t.status is None:
            os.kill(self.t.pid, signal.SIGKILL)
            self.t.end()

    def start(self, *words, **env):
        self.t = Terminal("run", model(), "--temp", 0, "--chat-template", "chatml", *words, **env)
        self.t.until(r">>> $")
        return self.t

    def messages(self, t):
        path = scratch("talk.json")
        self.assertIn("saved", t.say(f"/save {path}"))
        with open(path) as file:
            return json.load(file)

    def test_a_session(self):
        t = self.start("-n", 5)
        first = t.say("Hello there")
        self.assertGreater(len(first.strip().splitlines()), 1, first)
        t.say("And again")
        said = self.messages(t)
        self.assertEqual([m["role"] for m in said], ["user", "assistant"] * 2)
        self.assertEqual([m["content"] for m in said][::2], ["Hello there", "And again"])
        self.assertIn(said[1]["content"].strip(), first)
        t.type("/bye\r")
        self.assertEqual(t.end(), 0)

    def test_the_answer_is_that_of_one_shot(self):
        t = self.start("-n", 8)
        t.say("Hello there")
        want = mixt("run", model(), "Hello there", "--chat", "--temp", 0, "-n", 8, "--chat-template", "chatml").stdout.decode()
        self.assertEqual(self.messages(t)[1]["content"], want[:-1].lstrip(" \n"))

    def test_known_tokens_are_not_read_again(self):
        t = self.start("-n", 5, "--verbose")
        self.assertIn(" 0 of them known", t.say("Hello there my friend"))
        known = int(re.search(r"(\d+) of them known", t.say("And again")).group(1))
        self.assertGreater(known, 10)

    def test_several_lines(self):
        t = self.start("-n", 2)
        t.type('"""\r')
        t.until(r"\.\.\. $")
        t.type("first line\r")
        t.until(r"\.\.\. $")
        t.say('second "line"""')
        t.say('"""on one"""')
        self.assertEqual([m["content"] for m in self.messages(t)][::2], ['first line\nsecond "line', "on one"])

    def test_paste(self):
        t = self.start("-n", 2)
        t.type("\x1b[200~pasted one\r\npasted two\n/bye\x1b[201~")
        t.until("/bye")
        t.say(" end")
        content = self.messages(t)[0]["content"]
        self.assertIn(content, ("pasted one\npasted two\n/bye end", "pasted one\n\npasted two\n/bye end"))

    def test_unicode(self):
        t = self.start("-n", 2)
        t.say("caf\u00e9 \u2603 \U0001f600")
        self.assertEqual(self.messages(t)[0]["content"], "caf\u00e9 \u2603 \U0001f600")

    def test_ctrl_c_stops_the_answer(self):
        t = self.start("--ignore-end", "--ctx", "4K")
        t.type("Tell me everything\r")
        t.until(r"everything\s+\S+ \S+ \S+")
        start = time.monotonic()
        t.type("\x03")
        t.until(r">>> $")
        self.assertLess(time.monotonic() - start, 20)
        said = self.messages(t)
        self.assertEqual([m["role"] for m in said], ["user", "assistant"], "what was said was said")
        self.assertTrue(said[1]["content"])
        self.assertIn("512", t.say("/set tokens 512") + t.say("/show settings"))
        t.type("\x04")
        self.assertEqual(t.end(), 0)

    def test_ctrl_c_while_the_question_is_read(self):
        """One step over thousands of rows: it stops in the middle, and the conversation goes on."""
        deep = model("deep.gguf", "--layers", 60)
        self.t = t = Terminal("run", deep, "--chat-template", "chatml", "--batch", "4K", "--threads", 1, "-n", 2, "--ctx", "4K")
        t.until(r">>> $")
        t.say("Hello")
        held = self.messages(t)
        t.type("\x1b[200~" + "word " * 800 + "last\x1b[201~")
        t.until("last")
        t.type("\r")
        time.sleep(1)
        start = time.monotonic()
        t.type("\x03")
        t.until(r">>> $")
        self.assertLess(time.monotonic() - start, 30, "answered within a layer, also under a sanitizer")
        self.assertEqual(self.messages(t), held, "a question that got no answer was not asked")
        t.say("And again")
        self.assertEqual(len(self.messages(t)), len(held) + 2)

    def test_what_ends_the_conversation(self):
        """kill, and a terminal that closes: waiting for a line, and in an answer."""
        for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            for line, seen in (("", None), ("Tell me everything\r", r"everything\s+\S+ \S+ \S+")):
                t = self.start("--ignore-end", "--ctx", "4K")
                t.type(line)
                if seen:
                    t.until(seen)
                os.kill(t.pid, number)
                self.assertEqual(t.end(), code, line)

    def test_ctrl_d_ends_the_line(self):
        t = self.start("-n", 2)
        t.type("\x04")
        self.assertEqual(t.end(), 0)
        self.assertTrue(plain(t.seen.decode()).endswith("\n"), t.seen)

    def test_ctrl_c_clears_the_line(self):
        t = self.start("-n", 2)
        t.type("never mind")
        t.until("never mind")
        t.type("\x03")
        t.until(r">>> $")
        t.say("what counts")
        self.assertEqual([m["content"] for m in self.messages(t)][::2], ["what counts"])
        t.type("\x03")
        self.assertIn("/bye leaves", plain(t.until(r">>> $")))
        t.type("\x04")
        self.assertEqual(t.end(), 0)

    def test_a_window_that_changes_and_a_pause(self):
        t = self.start("-n", 2)
        t.type("half a ")
        t.until("half a ")
        fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))      # sends SIGWINCH
        os.kill(t.pid, signal.SIGSTOP)
        os.kill(t.pid, signal.SIGCONT)
        t.type("sentence\r")
        t.until(r"sentence[^>]*\n.*>>> $")              # the line may be drawn anew first, prompt and all
        self.assertEqual(self.messages(t)[0]["content"], "half a sentence")

    def test_ctrl_c_leaves_the_fence(self):
        t = self.start("-n", 2)
        t.type('"""one\r')
        t.until(r"\.\.\. $")
        t.type("\x03")
        t.until(r">>> $")
        self.assertEqual(self.messages(t), [])

    def test_set(self):
        t = self.start("-n", 4)
        one = t.say("Hello")
        t.say("/clear")
        self.assertIn("did you mean temp", t.say("/set tmep 1"))
        self.assertIn("0 to 100", t.say("/set temp hot"))
        self.assertIn("ID=X", t.say("/set logit-bias 3"))
        t.say("/set parameter temperature 5")
        t.say("/set top_k 0")
        t.say("/set top-p 1")
        t.say("/set min-p 0")
        t.say("/set seed 3")
        settings = t.say("/show")
        self.assertRegex(settings, r"temp +5\n")
        self.assertRegex(settings, r"seed +3\n")
        two = t.say("Hello")
        self.assertNotEqual(one, two)
        t.say("/clear")
        t.say("/set seed 3")
        self.assertEqual(t.say("Hello"), two)

    def test_system(self):
        t = self.start("-n", 2, "--system", "Be kind")
        self.assertIn("Be kind", t.say("/show system"))
        t.say("Hello")
        t.say("/set system Be very brief")
        t.say("/clear")
        t.say("Hi")
        said = self.messages(t)
        self.assertEqual([m["role"] for m in said], ["system", "user", "assistant"])
        self.assertEqual(said[0]["content"], "Be very brief")
        self.assertIn("<|im_start|>system\nBe very brief<|im_end|>", t.say("/show prompt"))
        t.say("/set system")
        self.assertEqual(self.messages(t)[0]["role"], "user")

    def test_quotes_around_a_value(self):
        t = self.start("-n", 2)
        for typed, want in (('"be nice"', "be nice"), ("'be nice'", "be nice"), ('"a" and "b"', '"a" and "b"'), ("it's", "it's"),
                            ('"', '"'), ("'tis \"so\"", "'tis \"so\"")):
            t.say(f"/set system {typed}")
            self.assertEqual([m["content"] for m in self.messages(t)], [want], typed)
        t.say('/set system ""')
        self.assertEqual(self.messages(t), [])
        path = scratch("a name.json")
        self.assertIn("saved", t.say(f'/save "{path}"'))
        self.assertTrue(os.path.exists(path))
        self.assertIn("loaded", t.say(f"/load '{path}'"))

    def test_save_and_load(self):
        t = self.start("-n", 3)
        t.say("Remember this")
        saved = self.messages(t)
        prompt = self.expect(mixt("prompt", model(), "--messages", scratch("talk.json"), "--chat-template", "chatml"), 0).stdout
        self.assertIn(b"Remember this", prompt)
        t.say("/clear")
        self.assertEqual(self.messages(t), [])
        with open(scratch("talk2.json"), "w") as file:
            json.dump(saved, file)
        self.assertIn("loaded 2 messages", t.say(f"/load {scratch('talk2.json')}"))
        self.assertEqual(self.messages(t), saved)
        with open(scratch("broken.json"), "w") as file:
            file.write('[{"role": "user", "content": 3}]')
        self.assertIn("message 1", t.say(f"/load {scratch('broken.json')}"))
        for content, part in (('{"role": 1}', "expected an array"), ("[1,", "broken.json: expected JSON, found at line 1, column ")):
            with open(scratch("broken.json"), "w") as file:
                file.write(content)
            self.assertIn(part, plain(t.say(f"/load {scratch('broken.json')}")))
        self.assertIn("cannot open", t.say("/load /nonexistent.json"))
        self.assertIn("name of a file", t.say("/save"))
        self.assertEqual(self.messages(t), saved, "a failed load changes nothing")

    def test_save_spares_what_is_read(self):
        mine, link, form = scratch("spared.gguf"), scratch("spared-link"), scratch("form.jinja")
        shutil.copy(model(), mine)
        os.symlink(mine, link)
        with open(form, "w") as file:
            file.write("{{ messages[0]['content'] }}")
        self.t = t = Terminal("run", mine, "-n", 2, "--chat-template", form)
        t.until(r">>> $")
        for path in (mine, link, form):
            self.assertIn("same file as the input", t.say(f"/save {path}"))
        self.assertIn("name of a file", t.say("/save -"))
        with open(mine, "rb") as copy, open(model(), "rb") as file:
            self.assertEqual(copy.read(), file.read())
        with open(form) as file:
            self.assertTrue(file.read().startswith("{{"))

    def test_help_and_unknown(self):
        t = self.start()
        text = t.say("/?")
        for command in ("/set", "/show", "/save", "/load", "/clear", "/bye", '"""', "Ctrl-C"):
            self.assertIn(command, text)
        self.assertIn("did you mean /show", t.say("/sohw"))
        self.assertIn("/? lists", t.say("/zzzzzz"))
        self.assertIn("chatml", t.say("/show template"))
        self.assertIn("architecture", t.say("/show model"))
        self.assertIn("expected model", t.say("/show nonsense"))

    def test_experts(self):
        t = self.start("-n", 4, "--experts")
        self.assertIn("experts that fired: 4 tokens", t.say("Hello"))
        self.assertNotIn("fired", t.say("/set experts off") + t.say("More"))
        self.assertIn("experts of each token", t.say("/set experts tokens") + t.say("More"))

    def test_full_context(self):
        t = self.start("--ctx", 64, "--ignore-end")
        for line, part in (("Hello", "64 of 64"), ("and so on, and so on", "room for 64")):
            text = t.say(line)
            self.assertIn(part, text)
            self.assertRegex(text, r"/clear begins anew; try --ctx \d+\n")
        self.assertEqual(len(self.messages(t)), 2, "a question that got no answer was not asked")
        t.say("/clear")
        t.say("/set tokens 3")
        self.assertNotIn("room for", t.say("Hello"))

    def test_history(self):
        state = scratch("history-state")
        t = self.start("-n", 2, XDG_STATE_HOME=state)
        t.say("an unusual sentence")
        t.type("\x04")
        self.assertEqual(t.end(), 0)
        path = os.path.join(state, "mixt", "history")
        self.assertEqual(os.stat(path).st_mode & 0o077, 0, "nobody else reads it")
        t = self.start("-n", 2, XDG_STATE_HOME=state)
        t.type("\x1b[A")
        t.until("an unusual sentence")
        t.say("!")
        self.assertEqual(self.messages(t)[0]["content"], "an unusual sentence!")

    def test_stdout_holds_the_answers_only(self):
        out = scratch("answers")
        command = f"exec '{MIXT}' run '{model()}' --temp 0 -n 4 --chat-template chatml >'{out}'"
        pid, fd = pty.fork()
        if pid == 0:
            os.execve("/bin/sh", ["sh", "-c", command], environment())
        self.t = Terminal.__new__(Terminal)
        self.t.pid, self.t.fd, self.t.seen, self.t.status = pid, fd, b"", None
        self.t.until(r">>> $")
        self.t.say("Hello")
        said = self.messages(self.t)
        self.t.type("\x04")
        self.assertEqual(self.t.end(), 0)
        with open(out) as file:
            self.assertEqual(file.read(), said[1]["content"] + "\n")

    def test_json_needs_a_prompt(self):
        self.t = Terminal("run", model(), "--json")
        self.t.until("expected PROMPT")
        self.assertEqual(self.t.end(), 64)

    def test_no_template(self):
        bare = scratch("bare.gguf")
        if not os.path.exists(bare):                # the key in the file gets another name
            with open(model(), "rb") as file:
                data = file.read()
            if b"tokenizer.chat_template" not in data:
                raise unittest.SkipTest("the model has no template of its own")
            with open(bare, "wb") as file:
                file.write(data.replace(b"tokenizer.chat_template", b"tokenizer.chat_tomplate", 1))
        self.t = Terminal("run", bare)
        self.t.until("--chat-template")
        self.assertEqual(self.t.end(), 65)


if __name__ == "__main__":
    main()
