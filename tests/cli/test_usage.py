# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_usage.py - help, mistakes, exit codes, environment twins, completions, man pages.
import re
import shutil
import subprocess

from support import COMMANDS, Case, environment, main, mixt, model, options_of, scratch


class Help(Case):
    def test_help_fits_a_screen(self):
        for command in [[], *[[c] for c in COMMANDS]]:
            done = self.expect(mixt(*command, "--help"), 0)
            lines = done.stdout.decode().splitlines()
            self.assertLessEqual(len(lines), 24, command)
            self.assertLessEqual(max(map(len, lines)), 80, command)
            self.assertEqual(done.stderr, b"")

    def test_help_all_says_more(self):
        few, all_of_them = mixt("run", "--help").stdout, self.expect(mixt("run", "--help-all"), 0).stdout
        self.assertNotIn(b"--typical-p", few)
        self.assertIn(b"--typical-p", all_of_them)
        self.assertLessEqual(max(map(len, all_of_them.decode().splitlines())), 80)

    def test_help_is_the_same_either_way(self):
        for command in COMMANDS:
            self.assertEqual(mixt("help", command).stdout, mixt(command, "--help").stdout)
            self.assertEqual(mixt(command, "-h").stdout, mixt(command, "--help").stdout)
        self.assertEqual(mixt("help").stdout, mixt("--help").stdout)

    def test_program_help_lists_every_command(self):
        text = mixt("--help").stdout.decode()
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)(^  {command} |[ ,] ?{command}(,|$))")

    def test_every_option_is_in_man_page_and_completions(self):
        scripts = {shell: mixt("completion", shell).stdout.decode() for shell in ("bash", "zsh", "fish")}
        for command in COMMANDS:
            page = self.expect(mixt("man", command), 0).stdout.decode().replace("\\-", "-")
            for option in options_of(command):
                self.assertIn(f"fB{option}\\fR", page, command)
                twin = "MIXT_" + option[2:].upper().replace("-", "_")
                self.assertTrue(twin in page or twin.replace("MIXT_", f"MIXT_{command.upper()}_") in page, (command, option))
                self.assertRegex(scripts["bash"], rf"(?m)^    {command}\) words='[^']*{option} ")
                self.assertIn(f"from {command}' -l {option[2:]}", scripts["fish"])
                zsh = scripts["zsh"].split(f"      {command}) _arguments")[1].split(";;")[0]
                self.assertRegex(zsh, rf"'\*?{option}=?\[")

    def test_run_has_the_options_people_know(self):
        have = options_of("run")
        for option in ("--tokens --temp --top-k --top-p --min-p --typical-p --repeat-penalty --presence-penalty "
                       "--frequency-penalty --repeat-last-n --logit-bias --seed --threads --ctx --batch --kv --device "
                       "--cpu --expert-slots --stop --chat --system --chat-template --show-prompt --ignore-end "
                       "--verbose --experts --json").split():
            self.assertIn(option, have)

    def test_completions_are_scripts(self):
        for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])):
            path = scratch(f"completion.{shell}")
            with open(path, "wb") as file:
                file.write(self.expect(mixt("completion", shell), 0).stdout)
            if shutil.which(check[0]):
                done = subprocess.run([*check, path], capture_output=True)
                self.assertEqual((done.returncode, done.stderr), (0, b""), shell)
        self.one_line(self.expect(mixt("completion", "tcsh"), 64), "bash, zsh or fish", "tcsh")

    def test_bash_completes(self):
        script = mixt("completion", "bash").stdout.decode()
        def complete(*words):
            line = " ".join(f"'{w}'" for w in ("mixt", *words))
            ask = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _mixt; echo \"${{COMPREPLY[*]}}\""
            return subprocess.run(["bash", "-c", ask], capture_output=True, text=True).stdout.split()
        self.assertEqual(complete("detok"), ["detokenize"])
        self.assertEqual(complete("run", "--typ"), ["--typical-p"])
        self.assertEqual(complete("run", "--kv", ""), ["f32", "f16", "q8_0"])
        self.assertIn("mixtral-8x7b", complete("synth", "--like", "mix"))
        self.assertEqual(complete("convert", "--type", "Q8"), ["Q8_0"])
        self.assertIn("Q4_K_M", complete("lora", "merge", "m.gguf", "--type", "Q4"))

    def test_man_pages_are_clean(self):
        for words in (["man"], *[["man", c] for c in COMMANDS]):
            page = self.expect(mixt(*words), 0).stdout
            self.assertTrue(page.startswith(b".TH MIXT"))
            for section in (b".SH NAME", b".SH SYNOPSIS", b".SH DESCRIPTION", b".SH EXIT STATUS"):
                self.assertIn(section, page)
            if shutil.which("groff"):
                done = subprocess.run(["groff", "-man", "-ww", "-Tascii"], input=page, capture_output=True)
                self.assertEqual((done.returncode, done.stderr), (0, b""), words)


class Mistakes(Case):
    def test_nothing(self):
        self.one_line(self.expect(mixt(), 64), "expected a command")

    def test_did_you_mean(self):
        self.one_line(self.expect(mixt("rnu"), 64), "unknown command 'rnu'", "did you mean run?")
        self.one_line(self.expect(mixt("tokenise"), 64), "did you mean tokenize?")
        self.one_line(self.expect(mixt("run", "m", "--tmep", "1"), 64), "'--tmep'", "did you mean --temp?")
        self.one_line(self.expect(mixt("run", "m", "--thread=2"), 64), "did you mean --threads?")
        text = self.one_line(self.expect(mixt("zzzzzzz"), 64))
        self.assertNotIn("did you mean", text)

    def test_option_of_another_command(self):
        self.one_line(self.expect(mixt("show", "m", "--temp", "1"), 64), "does not belong")

    def test_too_few_and_too_many(self):
        for command in ("show", "check", "convert", "tokenize", "detokenize", "prompt", "logits", "routes"):
            self.one_line(self.expect(mixt(command), 64), "expected", "usage: mixt " + command)
        self.one_line(self.expect(mixt("show", "a", "b"), 64), "unexpected 'b'")

    def test_values(self):
        for words, parts in (
                (["-n"], ["-n", "expected N"]), (["--temp"], ["--temp", "expected X"]),
                (["-n", "1x"], ["-n", "whole number", "'1x'"]), (["-n", " 1"], ["' 1'"]), (["-n", "-1"], ["0 to"]),
                (["-n", "+1"], ["'+1'"]), (["-n", ""], ["''"]), (["-n", "9999999999999999999"], ["from 0 to"]),
                (["--top-p", "1.5"], ["from 0 to 1", "'1.5'"]), (["--temp", "nan"], ["'nan'"]),
                (["--temp", "0x1"], ["'0x1'"]), (["--temp", "1,5"], ["'1,5'"]), (["--kv", "f64"], ["f32, f16 or q8_0", "'f64'"]),
                (["--ctx", "8Q"], ["'8Q'"]), (["--ctx", "8000G"], ["from 0 to"]),
                (["--memory", "1.5GiB"], ["--memory", "whole number", "K, M or G", "'1.5GiB'"]), (["--experts=all"], ["tokens", "'all'"]),
                (["--chat=maybe"], ["on or off", "'maybe'"])):
            self.one_line(self.expect(mixt("run", "m", "p", *words), 64), *parts)

    def test_required(self):
        for command, words in (("convert", ["m"]), ("synth", []), ("logits", ["m", "--ids", "1"]), ("routes", ["m", "--ids", "1"])):
            self.one_line(self.expect(mixt(command, *words), 64), "expected -o FILE")
        self.one_line(self.expect(mixt("prompt", model()), 64), "--messages")
        self.one_line(self.expect(mixt("logits", model(), "-o", scratch("x.npy")), 64), "--ids")

    def test_control_characters_do_not_reach_the_terminal(self):
        done = self.expect(mixt("check", "no\x1b[31m\nfile"), 66)
        self.one_line(done)
        self.assertNotIn(b"\x1b", done.stderr)


class Words(Case):
    def test_order_does_not_matter(self):
        want = mixt("run", model(), "Once", "-n", 5, "--temp", 0).stdout
        for words in (["-n", 5, model(), "--temp=0", "Once"], ["--temp", "0", "-n5", model(), "Once"],
                      ["--tokens=5", "--temperature", 0, "--", model(), "Once"]):
            self.assertEqual(self.expect(mixt("run", *words), 0).stdout, want)

    def test_double_dash_ends_options(self):
        self.expect(mixt("run", "-n", 2, model(), "--", "--help"), 0)
        self.one_line(self.expect(mixt("run", model(), "--bogus"), 64), "unknown option")

    def test_sizes_take_suffixes(self):
        for text, number in (("64", 64), ("1K", 1024), ("1KiB", 1024), ("1kb", 1000), ("0.001M", None)):
            done = mixt("run", model(), "Once", "-n", 1, "--json", "--ctx", text)
            if number is None:
                self.expect(done, 64)
            else:
                self.assertIn(b'"context":%d,' % number, self.expect(done, 0).stdout)


class Twins(Case):
    def test_environment_is_heard_and_overruled(self):
        base = ["run", model(), "Once", "--temp", "0"]
        want = self.expect(mixt(*base, "-n", 3), 0).stdout
        self.assertEqual(self.expect(mixt(*base, env=environment(MIXT_TOKENS="3")), 0).stdout, want)
        self.assertEqual(self.expect(mixt(*base, "-n", 3, env=environment(MIXT_TOKENS="9")), 0).stdout, want)
        self.assertEqual(self.expect(mixt(*base, "-n", 3, env=environment(MIXT_TOKENS="")), 0).stdout, want)

    def test_flags_and_lists(self):
        self.assertTrue(mixt("version", env=environment(MIXT_JSON="1")).stdout.startswith(b"{"))
        self.assertFalse(mixt("version", env=environment(MIXT_JSON="off")).stdout.startswith(b"{"))
        done = self.expect(mixt("run", model(), "Once", "-n", 3, env=environment(MIXT_EXPERTS="yes")), 0)
        self.assertIn(b"experts that fired", done.stderr)

    def test_a_bad_twin_is_named(self):
        self.one_line(self.expect(mixt("run", "m", "p", env=environment(MIXT_TOP_P="7")), 64), "MIXT_TOP_P", "0 to 1")

    def test_same_name_other_meaning(self):
        """MIXT_EXPERTS belongs to run; synth has its own."""
        path = scratch("twin.gguf")
        self.expect(mixt("synth", "-o", path, env=environment(MIXT_EXPERTS="tokens", MIXT_SYNTH_EXPERTS="4")), 0)
        self.assertIn(b'"experts":4,', mixt("show", path, "--json").stdout)


class ExitCodes(Case):
    def test_files(self):
        empty, text = scratch("empty"), scratch("text")
        open(empty, "wb").close()
        with open(text, "w") as file:
            file.write("<!DOCTYPE html><html>not a model</html>\n" * 10)
        cut = scratch("cut.gguf")
        with open(model(), "rb") as whole, open(cut, "wb") as part:
            part.write(whole.read(100000))
        for command, more in (("check", []), ("show", []), ("run", ["x"]), ("tokenize", []), ("logits", ["--ids", "1", "-o", scratch("x")])):
            self.one_line(self.expect(mixt(command, "/nonexistent/model", *more), 66), "/nonexistent/model")
            for path in (empty, text, cut):
                if path == cut and command == "tokenize":
                    continue                    # the vocabulary stands before the cut
                self.one_line(self.expect(mixt(command, path, *more), 65), path)

    def test_output_that_cannot_be_written(self):
        self.one_line(self.expect(mixt("synth", "-o", "/nonexistent/folder/x.gguf"), 74), "/nonexistent/folder")

    def test_unsupported(self):
        self.one_line(self.expect(mixt("synth", "--like", "elephant", "-o", scratch("x.gguf")), 64), "elephant")

    def test_version(self):
        text = self.expect(mixt("version"), 0).stdout.decode()
        self.assertTrue(re.fullmatch(r"mixt \d+\.\d+\.\d+\n(with the model \S+, .+\n)?", text), text)
        self.assertEqual(mixt("--version").stdout.decode(), text)


if __name__ == "__main__":
    main()
