# SPDX-License-Identifier: Apache-2.0
# tests/cli/support.py - the program under test, a scratch folder, tiny models.
import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

MIXT = os.environ.get("MIXT")
if not MIXT or not os.access(MIXT, os.X_OK):
    print("skipped: MIXT names no program")
    sys.exit(77)

HOSTILE = os.environ.get("MIXT_HOSTILE") == "1"         # pages, caches and reads have other sizes, and runs take longer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import make_tiny_adapter  # noqa: E402,F401  and adapters for them
import make_tiny  # noqa: E402,F401  models that synth does not write

SCRATCH = tempfile.mkdtemp(prefix="mixt-cli-")
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)

# What people can type; help, man pages and completions must not forget any.
COMMANDS = ["run", "batch", "show", "check", "convert", "pack", "unpack", "tokenize", "detokenize", "prompt", "logits", "routes", "synth",
            "bench", "doctor", "plan", "train", "lora", "replay", "version", "help", "completion"]


def environment(**more):
    """The caller's environment without anything that changes what mixt does."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith("MIXT_") and k not in ("NO_COLOR", "COLORTERM", "COLUMNS")}
    clean.update(TERM="xterm-256color", LC_ALL="C.UTF-8", HOME=SCRATCH, XDG_STATE_HOME=os.path.join(SCRATCH, "state"))
    clean.update(more)
    return clean


def mixt(*words, given=b"", env=None, timeout=120, program=MIXT, **more):
    """Runs mixt with `given` on stdin; stdout and stderr come back as bytes."""
    if "stdin" not in more:
        more["input"] = given
    return subprocess.run([program, *map(str, words)], env=env or environment(), timeout=timeout,
                          stdout=more.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, **more)


def scratch(name):
    return os.path.join(SCRATCH, name)


def model(name="tiny.gguf", *shape):
    """A model with random weights, made once."""
    path = scratch(name)
    if not os.path.exists(path):
        made = mixt("synth", "--like", "tiny", "--seed", 7, *shape, "-o", path)
        if made.returncode:
            raise RuntimeError(f"mixt synth: exit {made.returncode}: {made.stderr.decode()}")
    return path


def options_of(command):
    """The long options of a command, out of --help-all."""
    text = mixt(command, "--help-all").stdout.decode()
    found = re.findall(r"(?m)^  (?:  |-\w, )?(?:  )?(--[a-z-]+)", text)
    return [option for option in found if option not in ("--help", "--help-all")]


class Case(unittest.TestCase):
    maxDiff = 2000

    def expect(self, done, code):
        self.assertEqual(done.returncode, code, f"stdout {done.stdout!r}\nstderr {done.stderr!r}")
        return done

    def one_line(self, done, *parts):
        """A failure is one line on stderr, begins with the program's name and says `parts`."""
        text = done.stderr.decode()
        self.assertEqual(text.count("\n"), 1, text)
        self.assertTrue(text.startswith("mixt"), text)
        for part in parts:
            self.assertIn(part, text)
        return text


def main():
    unittest.main(verbosity=1)
