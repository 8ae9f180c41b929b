"""What is measured, with whom, and what the budgets say."""

from dataclasses import dataclass

from contestants import (
    ACTIX, AXUM, BACKENDS, MINIHTTP, MINIHTTP_STILL, PHP, PHP_KEPT, PLAIN_MAYPOLE, POEM,
    maypole,
)

SESSIONS = [maypole(backend) for backend in BACKENDS] + [AXUM, POEM, ACTIX, PHP, PHP_KEPT]


@dataclass
class Budget:
    """`what` of `who` against a factor times that of `than`; for `lost`, against the factor."""

    who: str
    what: str
    at_least: bool
    factor: float
    than: str | None = None


@dataclass
class Suite:
    """One table. The first of `reference` is what the ratios are taken against."""

    key: str
    title: str
    contestants: list
    reference: str
    path: str = "/"
    options: tuple = ()
    budgets: tuple = ()
    wrk: bool = False


SUITES = [
    Suite(
        "plain",
        "Plain text, 13 bytes, no session",
        [MINIHTTP, PLAIN_MAYPOLE, POEM, AXUM, ACTIX, MINIHTTP_STILL],
        "minihttp",
        budgets=(
            Budget("maypole", "rps", True, 1.0, "minihttp"),
            Budget("maypole", "cpu_us", False, 1.0, "minihttp"),
            Budget("maypole", "cpu_us", False, 0.8, "poem"),
        ),
        wrk=True,
    ),
    Suite(
        "read",
        "Session read, each connection its own session",
        SESSIONS,
        "php",
        path="/read",
        options=("--jar", "own", "--first", "/bump"),
    ),
    Suite(
        "bump",
        "Session bump, each connection its own session",
        SESSIONS,
        "php",
        path="/bump",
        options=("--jar", "own", "--check", "/read"),
        budgets=(
            Budget("maypole-file", "rps", True, 4.0, "php"),
            Budget("maypole-file", "rps", True, 4.0, "php-kept"),
            Budget("maypole-file", "lost", False, 0),
        ),
    ),
    Suite(
        "shared",
        "Session bump, all connections on one session",
        SESSIONS,
        "php",
        path="/bump",
        options=("--jar", "shared", "--check", "/read"),
        budgets=tuple(Budget(f"maypole-{b}", "lost", False, 0) for b in BACKENDS),
    ),
]

# Instructions are counted, not timed: path, contestants, requests.
COUNTED = [
    ("/", [MINIHTTP, PLAIN_MAYPOLE, MINIHTTP_STILL, POEM, AXUM], 10000),
    ("/bump", [maypole(backend) for backend in BACKENDS] + [POEM, AXUM], 3000),
]
