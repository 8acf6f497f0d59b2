#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/plan/compare.py - what mixt plan predicts beside what mixt bench measures.

    bench/plan/compare.py build/release/apps/mixt [--folder /var/tmp] [--only NAME,..] [--json FILE]

For each row of CASES: make the model (random weights, true layers), measure the machine, plan with that profile, run the
bench, print predicted / measured; one model is on the disk at a time, at most 3 GB.  --under CMD puts CMD before every
command that measures (a lock, taskset).  Exit code 1 when something is further off than --tolerance.
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile

# name, mixt synth ..., more for plan and bench
CASES = [
    ("q4_k_m", "--like mixtral-8x7b --layers 3 --type Q4_K_M", ""),
    ("q8_0", "--like mixtral-8x7b --layers 2 --experts 6 --type Q8_0", ""),
    ("q6_k", "--like mixtral-8x7b --layers 2 --type Q6_K", ""),
    ("q5_k_m", "--like mixtral-8x7b --layers 2 --type Q5_K_M", ""),
    ("q3_k_m", "--like mixtral-8x7b --layers 4 --type Q3_K_M", ""),
    ("q2_k", "--like mixtral-8x7b --layers 4 --type Q2_K", ""),
    ("q4_0", "--like mixtral-8x7b --layers 3 --type Q4_0", ""),
    ("f16", "--like mixtral-8x7b --layers 2 --experts 3 --type F16", ""),
    ("22b-q4_k_m", "--like mixtral-8x22b --layers 2 --experts 6 --type Q4_K_M", ""),
    ("dense-q4_k_m", "--like mistral-7b --layers 16 --type Q4_K_M", ""),
    ("q8_0-kv", "--like mixtral-8x7b --layers 3 --type Q4_K_M", "--kv q8_0"),
    ("q4_k_m-half", "--like mixtral-8x7b --layers 3 --type Q4_K_M", "--expert-slots 12"),
    ("q4_k_m-quarter", "--like mixtral-8x7b --layers 3 --type Q4_K_M", "--expert-slots 6"),
    ("q8_0-half", "--like mixtral-8x7b --layers 2 --experts 6 --type Q8_0", "--expert-slots 6"),
    ("q4_k_m-budget", "--like mixtral-8x7b --layers 3 --type Q4_K_M", "--memory 2GiB"),
    ("22b-half", "--like mixtral-8x22b --layers 2 --experts 6 --type Q4_K_M", "--expert-slots 6"),
]


def run(words, env, under=()):
    done = subprocess.run([*under, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    if done.returncode:
        sys.exit(f"{shlex.join(words)}: exit {done.returncode}: {done.stderr.decode().strip()}")
    return done.stdout


def limits_of(bench, env):
    """The profile with the limits that the bench itself found: the memory of a shared machine gives 30 GB/s to one process
    and 60 to the next, and what is to be judged here is the plan, not the minute."""
    path = os.path.join(env["XDG_CACHE_HOME"], "mixt", "machine.json")
    with open(path) as file:
        profile = json.load(file)
    threads, machine = bench["engine"]["threads"], bench["machine"]
    for key, found in (("read", "read_bytes_per_s"), ("int8", "int8_ops_per_s"), ("f32", "f32_ops_per_s")):
        if machine[found]:
            profile[key] = [{"threads": threads, "per_second": machine[found]}]
    with open(path, "w") as file:
        json.dump(profile, file)


def measure(o, path, more, env, under):
    """Bench first, then the plans, with its limits of memory and products and the disk of a profile made just before."""
    disk = any(word in more for word in ("--expert-slots", "--memory"))
    run([o.mixt, "doctor", *([path] if disk else []), "--json"], env, under)
    bench = json.loads(run([o.mixt, "bench", path, "-p", ",".join(map(str, o.prompts)), "-n", "24", "-d", o.depths, "-r",
                            "3", "--rows", "1,8", "--json", *more], env, under))
    limits_of(bench, env)
    return {n: json.loads(run([o.mixt, "plan", path, "-p", str(n), "--context", "4096", "--json", *more], env))
            for n in o.prompts}, bench


def compare(plans, bench):
    """Rows of (what, predicted, measured), tokens per second; then bytes."""
    any_plan = next(iter(plans.values()))
    rows = []
    for test in bench["tests"]:
        if test["depth"] and test["kind"] != "generate":
            continue
        if test["kind"] == "prompt":
            rows.append((test["test"], plans[test["tokens"]]["prompt"]["tokens_per_s"], test["tokens_per_s"]))
        elif test["depth"] == 0:
            key = "write" if test["rows"] == 1 else "write_together"
            rows.append((test["test"], any_plan[key]["tokens_per_s"], test["tokens_per_s"]))
            if test["rows"] == 1:
                rows.append(("bytes a token", any_plan[key]["weight_bytes"], test["weight_bytes_per_step"]))
                if any_plan[key]["disk_bytes"]:
                    rows.append(("disk a token", any_plan[key]["disk_bytes"],
                                 test["disk_bytes"] / test["tokens"] / bench["engine"]["repetitions"]))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixt")
    parser.add_argument("--folder", default="/var/tmp")
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    parser.add_argument("--under", default="")
    parser.add_argument("--make-under", default="")
    parser.add_argument("--prompts", default="128,512")
    parser.add_argument("--depths", default="0")
    parser.add_argument("--tolerance", type=float, default=0.15)
    o = parser.parse_args()
    o.prompts = [int(n) for n in o.prompts.split(",")]
    only = [name for name in o.only.split(",") if name]
    kept, far = [], 0
    with tempfile.TemporaryDirectory(dir=o.folder, prefix="mixt-plan-") as folder:
        env = {**os.environ, "XDG_CACHE_HOME": folder}
        path, made = os.path.join(folder, "model.gguf"), None
        for name, synth, more in CASES:
            if only and name not in only:
                continue
            if made != synth:
                run([o.mixt, "synth", *synth.split(), "-o", path], env, shlex.split(o.make_under))
                made = synth
            plans, bench = measure(o, path, more.split(), env, shlex.split(o.under))
            limits = next(iter(plans.values()))["machine"]
            print(f"{name}: {synth} {more}; {limits['read_bytes_per_s'] / 1e9:.1f} GB/s, disk {limits['disk_bytes_per_s'] / 1e9:.2f}")
            for what, predicted, measured in compare(plans, bench):
                ratio = predicted / measured if measured else float("nan")
                far += not 1 - o.tolerance <= ratio <= 1 / (1 - o.tolerance)
                print(f"    {what:14s} {predicted:14.4g} {measured:14.4g}   {ratio:.2f}", flush=True)
            kept.append({"case": name, "synth": synth, "more": more, "plans": plans, "bench": bench})
    if o.json:
        with open(o.json, "w") as file:
            json.dump(kept, file, indent=1)
    return far > 0


if __name__ == "__main__":
    sys.exit(main())
