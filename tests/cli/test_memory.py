# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_memory.py - a budget holds for the whole process, and the text does not know of it.
import json
import os
import subprocess
import time

from support import HOSTILE, MIXT, Case, environment, main, mixt, model, scratch

MIB = 1 << 20
# 8 layers of 8 experts, 1.25 MB each, and 16 KiB of keys and values for a token.
SHAPE = ("--layers", 8, "--width", 512, "--hidden", 768, "--heads", 8, "--kv-heads", 8, "--head-size", 64,
         "--experts", 8, "--used", 2, "--context", 4096, "--type", "Q8_0")


def large():
    return model("large.gguf", *SHAPE)


def unperturbed():
    """The tests of the hostile build set MALLOC_PERTURB_, with which malloc() writes over all that it takes from the
    system; with it what an allocation at a huge page's beginning leaves out in front, up to 2 MiB each time.  Nobody
    counts that, as otherwise it is addresses and no memory."""
    clean = environment()
    clean.pop("MALLOC_PERTURB_", None)
    return clean


def watched(*words):
    """The most a process held, sampled every few milliseconds; (bytes, samples, stdout, stderr, exit code)."""
    process = subprocess.Popen([MIXT, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=unperturbed())
    most = samples = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/statm") as file:
                most = max(most, int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE"))
            samples += 1
        except (OSError, IndexError):
            pass
        time.sleep(0.005)
    out, err = process.communicate()
    return most, samples, out, err, process.returncode


def sanitized():
    """Shadow memory is resident too."""
    with open(MIXT, "rb") as file:
        return b"__asan_init" in (binary := file.read()) or b"__tsan_init" in binary


class Budget(Case):
    def test_the_process_holds_no_more(self):
        if sanitized():
            self.skipTest("a sanitizer takes memory of its own")
        words = ("run", large(), "a b c d e f g h " * 90, "-n", 300, "--ignore-end", "--temp", 0, "--ctx", 1400, "--json")
        free = self.expect(mixt(*words), 0)
        most_free, _, _, _, _ = watched(*words)
        for limit in (112, 100):
            most, samples, out, err, code = watched(*words, "--memory", f"{limit}MiB")
            self.assertEqual(code, 0, err)
            self.assertGreater(samples, 5)
            self.assertLessEqual(most, limit * MIB)
            told = json.loads(out)
            self.assertEqual(told["text"], json.loads(free.stdout)["text"], "the bytes do not know of it")
            memory = told["memory"]
            self.assertEqual(memory["limit_bytes"], limit * MIB)
            self.assertLessEqual(sum(memory[key] for key in memory if key != "limit_bytes"), limit * MIB)
            self.assertGreater(memory["kv_bytes"], 1000 * 16 * 1024)
            self.assertGreater(told["timings"]["expert_read_bytes"], 0)
        if not HOSTILE:                                         # two experts are in memory there
            self.assertGreater(most_free, 112 * MIB, "or there was nothing to hold back")

    def test_too_little_is_said_before_anything_is_read(self):
        for words in (("run", large(), "Once"), ("bench", large())):
            done = self.expect(mixt(*words, "--memory", "40MiB"), 71)
            self.one_line(done, "large.gguf", "does not fit in memory", "needs at least", "the budget is 40.0 MiB", "mixt plan")

    def test_a_context_that_does_not_fit(self):
        done = self.expect(mixt("run", large(), "Once", "--memory", "96MiB", "--ctx", "4K"), 71)
        self.one_line(done, "context of 4096 tokens", "64.0 MiB", "--ctx")

    def test_words_for_sizes(self):
        tiny = model()
        want = self.expect(mixt("run", tiny, "Once", "-n", 8, "--temp", 0), 0).stdout
        for size in ("1G", "1GiB", "1GB", "2000MB"):
            self.assertEqual(self.expect(mixt("run", tiny, "Once", "-n", 8, "--temp", 0, "--memory", size), 0).stdout, want)
        for size in ("lots", "-1G", "1.5.2G", "1TT"):
            self.one_line(self.expect(mixt("run", tiny, "Once", "--memory", size), 64), "--memory", size)

    def test_verbose_says_who_holds_what(self):
        limit = "160MiB" if sanitized() else "96MiB"
        text = self.expect(mixt("run", large(), "Once", "-n", 8, "--ctx", 512, "--memory", limit, "-v"), 0).stderr.decode()
        for word in ("memory", "at most", "experts", "keys and values", "scratch", "program"):
            self.assertIn(word, text)


if __name__ == "__main__":
    main()
