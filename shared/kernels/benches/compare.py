"""Measures stock Burn, these kernels and PyTorch in turn, and prints the README's tables.

usage: python benches/compare.py [--rounds N] [--runs N] [--threads N ...] [--filter TEXT] [--torch PYTHON] [--save FILE]
       python benches/compare.py --from FILE     (the tables of an earlier measurement)

A round runs the benches and then pytorch.py, for each number of threads; it takes a few minutes. A time is the least
of all rounds (`--median`: the median of the rounds' medians). PYTHON is an interpreter that has PyTorch, by default
this one; `--torch ""` leaves PyTorch out. Nothing else should run on the machine.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
WHO = ["stock", "ours", "torch"]


def output(command, **environment):
    print("+", *(f"{key}={value}" for key, value in environment.items()), *command, file=sys.stderr, flush=True)
    process = subprocess.run(
        command, cwd=HERE.parent, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return process.stdout


def measure(options, save):
    arguments = ["--runs", str(options.runs), "--filter", options.filter]
    text = ""
    for _ in range(options.rounds):
        for threads in options.threads:
            commands = []
            for bench in ("operations", "networks"):
                cargo = ["cargo", "bench", "-q", "-p", "rekindle-kernels", "--profile", "dev", "--bench", bench, "--"]
                commands.append(cargo + arguments)
                if options.torch:
                    python = [options.torch, str(HERE / "pytorch.py"), "--only", bench, "--threads", str(threads)]
                    commands.append(python + arguments)
            for command in commands:
                lines = output(command, RAYON_NUM_THREADS=str(threads))
                text += lines
                print(lines, file=save, end="", flush=True)
    return text


def read(text):
    """{(name, who, threads): [rows of four times]} in order of appearance, and {name: {parameter counts}}."""
    times, parameters = {}, {}
    for line in text.splitlines():
        columns = re.split(r"\s{2,}", line.strip())
        if len(columns) == 3 and columns[1] == "parameters":
            parameters.setdefault(columns[0], set()).add(int(columns[2]))
        elif len(columns) == 7 and columns[1] in WHO:
            name, who, threads, *values = columns
            times.setdefault((name, who, int(threads)), []).append([float(value) for value in values])
    return times, parameters


def number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def ratio(dividend, divisor):
    return number(dividend / divisor) if dividend and divisor else "–"


def table(times, names, titles, median):
    all_threads = sorted({threads for _, _, threads in times})

    def time(name, who, threads, part):
        rows = times.get((name, who, threads))
        if rows is None:
            return None
        values = [row[2 * part + median] for row in rows]
        return statistics.median(values) if median else min(values)

    def count(threads):
        return f"{threads} thread" + ("s" if threads > 1 else "")

    head = [titles[0], *(f"{title}, {count(threads)}" for threads in all_threads for title in titles[1:])]
    head += ["stock / ours", "ours / PyTorch"]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for name in names:
        cells = [name]
        for threads in all_threads:
            for part in range(2):
                cells.append(" / ".join(number(time(name, who, threads, part)) for who in WHO))
        stock, ours, torch = (time(name, who, all_threads[-1], 1) for who in WHO)
        rows.append(cells + [ratio(stock, ours), ratio(ours or stock, torch)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def tables(text, median):
    times, parameters = read(text)
    for name, counts in parameters.items():
        if len(counts) > 1:
            sys.exit(f"{name} isn't one network: {sorted(counts)} parameters")
    names = list(dict.fromkeys(name for name, _, _ in times))
    kind = "medians" if median else "minima"
    for titles, chosen in (
        (["operation", "forward", "forward + backward"], [name for name in names if name not in parameters]),
        (["network", "forward", "training step"], [name for name in names if name in parameters]),
    ):
        if chosen:
            print(f"ms, {kind}: stock Burn / ours / PyTorch; the ratios are of the last column of times.\n")
            print(table(times, chosen, titles, median), end="\n\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--filter", default="")
    parser.add_argument("--torch", default=sys.executable)
    parser.add_argument("--save", default=os.devnull)
    parser.add_argument("--from", dest="earlier")
    parser.add_argument("--median", action="store_true")
    options = parser.parse_args()
    if options.earlier:
        text = pathlib.Path(options.earlier).read_text()
    else:
        with open(options.save, "w") as save:
            text = measure(options, save)
    tables(text, options.median)


main()
