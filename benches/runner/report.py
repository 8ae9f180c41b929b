"""Turns samples into Markdown, and puts it between README.md's markers."""

import datetime
import os
import pathlib
import platform
import re
import subprocess
import tomllib
from statistics import median

from contestants import BENCHES, nginx_program, php_fpm

README = BENCHES / "README.md"
# Beyond this share of the cores taken by others, timings are weather: the same pair of programs
# has shown 1.9 and 1.0 within minutes. They are printed, but neither judged nor written down.
BUSY = 0.15
NAMES = {"rps": "requests/s", "cpu_us": "CPU/request", "lost": "lost updates",
         "total_us": "CPU/request of server and redis", "trips": "round trips"}
# What hardly depends on how busy the machine is.
COUNTS = ("lost", "trips")


def ratio(samples, metric, who, than):
    """Median, least and greatest of the per-round ratios."""
    ratios = [
        getattr(ours, metric) / getattr(theirs, metric)
        for ours, theirs in zip(samples[who], samples[than])
        if getattr(theirs, metric)
    ]
    return (median(ratios), min(ratios), max(ratios)) if ratios else None


def span(values):
    """A ratio with its range, as text."""
    return "" if values is None else f"{values[0]:.2f} ({values[1]:.2f}–{values[2]:.2f})"


def table(suite, samples, conditions):
    """One suite as a section."""
    labels = {c.key: c.label for c in suite.contestants}
    reference = labels[suite.reference]
    counts_lost = any(s.lost is not None for runs in samples.values() for s in runs)
    head = ["", "requests/s", f"x {reference}", "CPU µs/request", f"x {reference}",
            "p50 µs", "p99 µs"] + (["lost of acknowledged"] if counts_lost else [])
    with_redis = any(s.commands is not None for runs in samples.values() for s in runs)
    if with_redis:
        head[4:5] = [head[4], "redis's CPU µs", "both", f"x {reference}"]
        head += ["redis's reads/request", "round trips", "commands"]
    lines = [row(head), row(["---"] + ["---:"] * (len(head) - 1))]
    for key, runs in samples.items():
        cells = [
            labels[key],
            f"{median(s.rps for s in runs):,.0f}",
            span(ratio(samples, "rps", key, suite.reference)),
            f"{median(s.cpu_us for s in runs):.1f}",
            span(ratio(samples, "cpu_us", key, suite.reference)),
            f"{median(s.p50_us for s in runs):,.0f}",
            f"{median(s.p99_us for s in runs):,.0f}",
        ]
        if counts_lost:
            lost, asked = sum(s.lost or 0 for s in runs), sum(s.requests for s in runs)
            cells.append(f"{lost:,} of {asked:,}")
        if with_redis:
            cells[5:5] = [
                f"{median(s.redis_us for s in runs):.1f}",
                f"{median(s.total_us for s in runs):.1f}",
                span(ratio(samples, "total_us", key, suite.reference)),
            ]
            cells += [
                f"{median(s.reads for s in runs):.2f}",
                f"{median(s.trips for s in runs):.2f}",
                ", ".join(f"{name} {number:.2f}" for name, number in runs[-1].commands.items()),
            ]
        refused = sum(s.refused for s in runs)
        if refused:
            cells[0] += f" ({refused:,} refused)"
        lines.append(row(cells))
    verdicts = [verdict(budget, samples, labels) for budget in suite.budgets
                if budget.what in COUNTS or not is_busy(samples)]
    if is_busy(samples):
        verdicts.append("- No verdict on timings: others kept the machine busy.")
    return "\n".join([f"### {suite.title}", "", conditions, "", *lines, "",
                      *filter(None, verdicts)])


def foreign(samples):
    """The shares of the cores that others took."""
    return [s.foreign for runs in samples.values() for s in runs]


def is_busy(samples):
    """Whether the timings are not worth keeping."""
    return median(foreign(samples)) > BUSY


def verdict(budget, samples, labels):
    """A budget line and whether it is met."""
    if budget.who not in samples or (budget.than and budget.than not in samples):
        return None
    sign = "≥" if budget.at_least else "≤"
    who = labels[budget.who].strip("*")
    if budget.what == "trips":
        # Pulses and time-outs of a background are no round trips of a request.
        seen = round(median(s.trips for s in samples[budget.who]), 1)
        aim, shown = f"{budget.factor:g}", f"{seen:g}"
    elif budget.than is None:
        seen = sum(getattr(s, budget.what) for s in samples[budget.who])
        aim, shown = f"{budget.factor:g}", f"{seen:,}"
    else:
        seen, low, high = ratio(samples, budget.what, budget.who, budget.than)
        aim = f"{budget.factor:g} x {labels[budget.than]}"
        shown = f"{seen:.2f} ({low:.2f}–{high:.2f})"
    met = seen >= budget.factor if budget.at_least else seen <= budget.factor
    mark = "met" if met else "**missed**"
    return f"- {who}, {NAMES[budget.what]} {sign} {aim}: {shown}, {mark}"


def counted_table(counts, labels, conditions):
    """Instructions per request."""
    lines = ["### Instructions per request, one keep-alive connection", "", conditions, "",
             row(["", "path", "instructions/request", "x first of its path"]),
             row(["---", "---", "---:", "---:"])]
    first = {}
    for (path, key), count in counts.items():
        base = first.setdefault(path, count)
        lines.append(row([labels[key], f"`{path}`", f"{count:,.0f}", f"{count / base:.2f}"]))
    return "\n".join(lines) + "\n"


def row(cells):
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def conditions(load_before, samples, rounds, seconds):
    """When, how often, and how quiet the machine was."""
    others, times = foreign(samples), f"{rounds} interleaved rounds" if rounds > 1 else "one round"
    return (
        f"{now()}, maypole at {commit()}; {times} of {seconds:g} s; other "
        f"processes took {median(others):.0%} of the cores meanwhile (at most {max(others):.0%}); "
        f"load average before: {load_before:.2f}."
    )


def now():
    """The date and time of the measurement."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def commit():
    """The state of the source."""
    described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=BENCHES,
                               capture_output=True, text=True, check=False)
    return described.stdout.strip() or "an unknown commit"


def machine():
    """The machine and every version that matters."""
    lock = tomllib.loads((BENCHES / "Cargo.lock").read_text())
    wanted = ["may", "may_minihttp", "axum", "tower-sessions", "poem", "actix-web",
              "actix-session", "hyper", "tokio", "redis", "fred", "tower-sessions-redis-store"]
    crates = [f"{p['name']} {p['version']}" for p in lock["package"] if p["name"] in wanted]
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    tools = [
        said(["rustc", "--version"], r"rustc \S+"),
        said([php_fpm(), "-v"], r"PHP \S+"),
        said([nginx_program(), "-v"], r"nginx/\S+"),
        said(["wrk", "-v"], r"wrk \S+"),
        said(["redis-server", "--version"], r"v=[\d.]+").replace("v=", "redis-server "),
        said(["valgrind", "--version"], r"valgrind-\S+"),
    ]
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux "
            f"{platform.release()}; {', '.join(tools)}; {', '.join(crates)}.\n")


def said(command, pattern):
    """The version a program tells."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(pattern, result.stdout + result.stderr)
    return found[0] if found else command[0]


def write(key, text):
    """Replaces the section `key` of README.md."""
    begin, end = f"<!-- {key}: begin -->", f"<!-- {key}: end -->"
    readme = README.read_text()
    before, found_begin, rest = readme.partition(begin)
    _old, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise SystemExit(f"README.md has no markers for {key}")
    README.write_text(f"{before}{begin}\n{text.rstrip()}\n{end}{after}")
