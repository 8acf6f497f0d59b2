# SPDX-License-Identifier: Apache-2.0
"""Our templates against Jinja2 itself, byte for byte.

Three parts: every template of models in $MIXT_TEST_DATA with many conversations; snippets, each about
one thing (jinja_snippets.py); random expressions (jinja_random.py).  Where Jinja2 renders, the text must
be equal; where it fails, ours must fail.  Jinja2 is set up as chat templates expect it.

    oracle_jinja.py [--seed N] [--random N] [--every N] [WORD in the names of templates]

Of the conversations each template meets every 6th, another sixth than its neighbour; --every 1 is all.
"""
import argparse
import datetime
import json
import os
import subprocess
import sys
import warnings

SKIPPED = 77
NOW = 1721822400            # 2024-07-24 12:00 UTC
HERE = os.path.dirname(os.path.abspath(__file__))

try:
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox
except ImportError:
    print("skipped: Debian's python3-jinja2 is not here")
    sys.exit(SKIPPED)

sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import jinja_conversations
import jinja_random
import jinja_snippets


class Generation(jinja2.ext.Extension):
    """{% generation %}: passes its body on."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(pattern):
    return datetime.datetime.utcfromtimestamp(NOW).strftime(pattern)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


warnings.simplefilter("ignore")         # of Python, about the code Jinja2 makes
ENV = environment()
COMPILED = {}


class Case:
    """One rendering.  Everything but the source is JSON text."""
    def __init__(self, name, source, messages="[]", tools="", extra="", prompt=True):
        self.name, self.source, self.messages = name, source, messages
        self.tools, self.extra, self.prompt = tools, extra, prompt

    def theirs(self):
        """(True, text) or (False, why)."""
        try:
            if self.source not in COMPILED:
                COMPILED.clear()
                COMPILED[self.source] = ENV.from_string(self.source)
            variables = dict(bos_token="<s>", eos_token="</s>", documents=None)
            variables.update(json.loads(self.extra) if self.extra else {})
            return True, COMPILED[self.source].render(
                messages=json.loads(self.messages), tools=json.loads(self.tools) if self.tools else None,
                add_generation_prompt=self.prompt, **variables)
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"

    def bytes(self):
        parts = [part.encode() for part in (self.source, self.messages, self.tools, self.extra)]
        head = " ".join(str(len(part)) for part in parts) + f" {int(self.prompt)} {NOW}\n"
        return head.encode() + b"".join(parts)


class Driver:
    def __init__(self):
        path = os.path.join(os.environ.get("MIXT_BINARY_DIR", "."), "tests", "test_unit_text_template")
        path = os.environ.get("MIXT_TEMPLATE_DRIVER", path)
        if not os.access(path, os.X_OK):
            print(f"skipped: {path} is not built")
            sys.exit(SKIPPED)
        self.path = path
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.path, "--render"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=dict(os.environ, TZ="UTC"))

    def ours(self, case):
        """(True, text, spans) or (False, sentence, [])."""
        self.process.stdin.write(case.bytes())
        self.process.stdin.flush()
        head = self.process.stdout.readline().split()
        if len(head) != 3:
            self.process.wait()
            print(f"{case.name}: the driver died with {self.process.returncode}\n{case.source!r}\n{case.messages!r}")
            sys.exit(1)
        status, n_bytes, n_spans = map(int, head)
        text = self.process.stdout.read(n_bytes).decode()
        spans = [tuple(map(int, self.process.stdout.readline().split())) for _ in range(n_spans)]
        return status == 0, text, spans


def difference(want, got):
    at = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
    begin = max(0, at - 60)
    return f"  at {at}\n  want ...{want[begin:at + 80]!r}\n  got  ...{got[begin:at + 80]!r}"


class Score:
    def __init__(self):
        self.rendered = self.refused = self.wrong = 0

    def compare(self, driver, case, verbose=True):
        theirs, want = case.theirs()
        ours, got, spans = driver.ours(case)
        if theirs and ours and want == got:
            self.rendered += 1
            return spans
        if not theirs and not ours:
            self.refused += 1
            return None
        self.wrong += 1
        if verbose and self.wrong <= 40:
            print(f"DIFFERENT {case.name}: Jinja2 {'renders' if theirs else 'fails'}, we {'render' if ours else 'fail'}")
            if len(case.source) < 600:
                print(f"  source {case.source!r}")
            print(f"  messages {case.messages[:300]}")
            print(difference(want, got) if theirs and ours else f"  want {want[:300]!r}\n  got  {got[:300]!r}")
        return None


def templates(word):
    root = os.environ.get("MIXT_TEST_DATA")
    root = root or os.path.join(os.environ.get("MIXT_SOURCE_DIR", os.path.join(HERE, "..", "..", "..")), "..", "shared", "data")
    folder = os.path.join(root, "meta", "templates")
    if not os.path.isdir(folder):
        print(f"skipped: {folder} is not here (set MIXT_TEST_DATA)")
        return
    for name in sorted(os.listdir(folder)):
        if name.endswith(".jinja") and word in name:
            with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:
                yield name, file.read()


def compare_templates(driver, word, every, score):
    n = 0
    conversations = list(jinja_conversations.all())
    for name, source in templates(word):
        before = score.rendered
        n += 1
        for case_name, messages, tools, extra, prompt in conversations[n % every::every]:
            case = Case(f"{name} / {case_name}", source, messages, tools, extra, prompt)
            score.compare(driver, case)
        if score.rendered == before:
            print(f"{name}: nothing rendered")
    return n


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", type=int, default=4000)
    parser.add_argument("--every", type=int, default=6)
    parser.add_argument("word", nargs="?", default="")
    options = parser.parse_args()
    driver, bad = Driver(), 0
    score = Score()
    n = compare_templates(driver, options.word, options.every, score)
    print(f"templates of models: {n}; {score.rendered} prompts equal, {score.refused} refused by both, {score.wrong} different")
    bad += score.wrong
    if not options.word:
        score = Score()
        for name, source, extra in jinja_snippets.all():
            score.compare(driver, Case(name, source, jinja_snippets.MESSAGES, "", extra))
        print(f"snippets: {score.rendered} equal, {score.refused} refused by both, {score.wrong} different")
        bad += score.wrong
        score = Score()
        for i, source in enumerate(jinja_random.expressions(options.seed, options.random)):
            score.compare(driver, Case(f"random {i} (seed {options.seed})", source, jinja_snippets.MESSAGES, "", jinja_random.EXTRA))
        print(f"random, seed {options.seed}: {score.rendered} equal, {score.refused} refused by both, {score.wrong} different")
        bad += score.wrong
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
