"""A condition says of each episode what it says in words; what is no condition is refused."""

import random
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from trajstore.choosing.evaluation import satisfied
from trajstore.errors import ArgumentError

ROWS = 60
rng = np.random.default_rng(5)
TAGS = np.empty(ROWS, object)
TAGS[:] = [frozenset(rng.choice(["blurred", "dark", "é"], rng.integers(0, 3))) for _ in range(ROWS)]
TABLE: dict[str, np.ndarray] = {
    "operator": rng.choice(["bo", "ann", "zoë", "and"], ROWS),
    "info/operator": rng.choice(["x", "y"], ROWS),
    "robot-id": rng.integers(0, 4, ROWS),
    "success": rng.integers(0, 2, ROWS).astype(bool),
    "length": rng.integers(1, 100, ROWS),
    "return": rng.normal(size=ROWS),
    "anomaly": rng.choice([0, 0.2, 1.2, np.nan], ROWS).astype(np.float32),
    "seed": rng.integers(0, 2**63, ROWS, dtype=np.uint64),
    "goal": rng.normal(size=(ROWS, 2)).astype(np.float32),
    "grid": rng.integers(0, 9, (ROWS, 2, 3)),
    "in": rng.integers(0, 3, ROWS),
    "tags": TAGS,
}
Row = dict[str, object]


def rows() -> list[Row]:
    plain = {name: list(column) for name, column in TABLE.items()}
    return [{name: values[row] for name, values in plain.items()} for row in range(ROWS)]


CONDITIONS: dict[str, Callable[[Row], object]] = {
    "operator == 'bo' and success and anomaly < 1": lambda r: (
        r["operator"] == "bo" and r["success"] and r["anomaly"] < 1
    ),
    "length >= 50 and not (operator in ['a', 'bo'])": lambda r: (
        r["length"] >= 50 and r["operator"] not in ("a", "bo")
    ),
    "'blurred' in tags": lambda r: "blurred" in r["tags"],
    "'é' not in tags or success": lambda r: "é" not in r["tags"] or r["success"],
    "return > 0": lambda r: r["return"] > 0,
    "return/length > 0.01": lambda r: r["return"] / r["length"] > 0.01,
    "info/operator == 'x'": lambda r: r["info/operator"] == "x",
    "robot-id == 2": lambda r: r["robot-id"] == 2,
    "`robot-id` != 2": lambda r: r["robot-id"] != 2,
    "length - 5 > 20": lambda r: r["length"] - 5 > 20,
    "length-5 > 20": lambda r: r["length"] - 5 > 20,
    "10 < length <= 50": lambda r: 10 < r["length"] <= 50,
    "seed % 2 == 1": lambda r: int(r["seed"]) % 2 == 1,
    "seed > 4611686018427387904": lambda r: int(r["seed"]) > 2**62,
    "-length < -50": lambda r: -int(r["length"]) < -50,
    "anomaly == 0.2": lambda r: r["anomaly"] == np.float32(0.2),
    "anomaly != anomaly": lambda r: bool(np.isnan(r["anomaly"])),
    "goal[0] > 0 and goal[-1] < 0": lambda r: r["goal"][0] > 0 and r["goal"][-1] < 0,
    "grid[1, 2] in (3, 4)": lambda r: r["grid"][1, 2] in (3, 4),
    "'n' in operator": lambda r: "n" in r["operator"],
    "operator in 'bo and ann'": lambda r: r["operator"] in "bo and ann",
    "operator == 'and'": lambda r: r["operator"] == "and",
    "operator == 'zoë'": lambda r: r["operator"] == "zoë",
    "operator < 'b'": lambda r: r["operator"] < "b",
    "`in` == 1": lambda r: r["in"] == 1,
    "success == True": lambda r: r["success"],
    "True": lambda r: True,
    "length in []": lambda r: False,
    "  length > 3\n": lambda r: r["length"] > 3,
    "length == 1e1 or length == 2": lambda r: r["length"] in (10, 2),
    "1e999 > length": lambda r: True,
    f"length < {10**300}": lambda r: True,
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_a_condition_says_what_it_says_of_a_single_episode(text: str) -> None:
    expected = [bool(CONDITIONS[text](row)) for row in rows()]
    found = satisfied(text, TABLE, ROWS)
    assert found.dtype == np.bool_
    assert found.tolist() == expected


ATOMS = [text for text in CONDITIONS if len(text) < 40 and "\n" not in text]


def test_made_up_conditions_join_as_their_parts_do() -> None:
    chance = random.Random(3)

    def made(depth: int) -> tuple[str, np.ndarray]:
        if depth == 0 or chance.random() < 0.2:
            text = chance.choice(ATOMS)
            return f"({text})", satisfied(text, TABLE, ROWS)
        one, other = made(depth - 1), made(depth - 1)
        word = chance.choice(["and", "or", "not"])
        if word == "not":
            return f"(not {one[0]})", ~one[1]
        join = np.logical_and if word == "and" else np.logical_or
        return f"({one[0]} {word} {other[0]})", join(one[1], other[1])

    for _ in range(300):
        text, expected = made(3)
        assert np.array_equal(satisfied(text, TABLE, ROWS), expected), text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a condition is text"),
        ("   ", "a condition is text"),
        ("lenght > 3", "'lenght'; did you mean length?"),
        ("info/operatr == 'x'", "did you mean info/operator"),
        ("`robot` == 1", "did you mean robot-id"),
        ("nothing == 'x'", "there are anomaly, goal"),
        ("operator == bo", "no field 'bo'"),
        ("length", "expected a truth value for each episode, got length, a number"),
        ("operator", "got operator, text"),
        ("length and success", "'and': expected a truth value, got length, a number; write a"),
        ("not operator", "'not': expected a truth value, got operator, text"),
        ("operator > 3", "'>': expected two numbers, two texts or two truth values"),
        ("length == 'a'", "got length, a number, and 'a', text"),
        ("success == 1", "got success, a truth value, and 1, a number"),
        ("success < True", "'<': expected numbers or texts"),
        ("goal > 1", "got goal, an array of shape (2,)"),
        ("goal[5] > 1", "index 5 is out of bounds"),
        ("goal[operator] > 1", "expected numbers of one component"),
        ("goal[0:1] > 1", "something else (Slice)"),
        ("length[0] > 1", "expected numbers of one component"),
        ("tags == 'x'", "got tags, a set of tags"),
        ("length in tags", "expected text before it"),
        ("'a' in length", "expected a list, text or tags behind it"),
        ("length in [1, 'a']", "'==': expected two numbers"),
        ("operator + 'x' == 'y'", "'+': expected a number, got operator, text"),
        ("length % 0 == 1", "'%' by 0"),
        (f"length + {10**400} > 1", "one too large"),
        ("[1, 2]", "lists of values stand behind 'in'"),
        ("length == None", "expected numbers, text, True or False"),
        ("length == 1j", "expected numbers, text, True or False"),
        ("operator == b'bo'", "expected numbers, text, True or False"),
        ("length is 3", "'is' (write ==)"),
        ("length ** 99 > 1", "a power"),
        ("__import__('os').system('true')", "a call"),
        ("operator.__class__ == 'x'", "a name with a dot"),
        ("(lambda: 1)", "something else (Lambda)"),
        ("[x for x in tags]", "something else (ListComp)"),
        ("(x := 3) > 2", "something else (NamedExpr)"),
        ("f'{length}' == 'x'", "something else"),
        ("length > 1 if success else success", "an if"),
        ("length >", "invalid syntax"),
        ("length = 3", "a condition"),
        ("length > 3; success", "a condition"),
        ("length > 3\nsuccess", "a condition"),
        ("import os", "a condition"),
        ("é > 1", "put text between quotes"),
        ("\u01920 > 1", "put text between quotes"),
        ("`length > 1", "put text between quotes"),
        ("length > 1 # 'é'\0", "a condition"),
        ("length > 3 " + "or length > 3 " * 400, "letters"),
        ("-" * 3000 + "length > 1", "is not a condition"),
        ("(" * 500 + "success" + ")" * 500, "a condition"),
        ("not " * 60 + "success", "within each other"),
        ("length in [" + "1," * 1200 + "]", "parts"),
        (3, "text, not 3"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text: object, told: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ArgumentError) as refused:
            satisfied(text, TABLE, ROWS)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_garbage_is_a_condition_or_refused() -> None:
    chance = random.Random(8)
    pieces = [*TABLE, *"+-*/%<>=!()[]{}`'\"#\\\n\t.,:;@~&|^ 0123456789", "and", "or", "not", "in"]
    pieces += ["==", "<=", "is", "lambda", "None", "'bo'", "1e9", "\0", "é", "\ud800", "**", "if"]
    refused = 0
    for _ in range(4000):
        text = " ".join(chance.choices(pieces, k=chance.randint(1, 9)))
        try:
            assert satisfied(text, TABLE, ROWS).shape == (ROWS,)
        except ArgumentError:
            refused += 1
    assert 3000 < refused < 4000


def test_columns_that_no_condition_names_are_not_read() -> None:
    class Some(dict[str, np.ndarray]):
        def __getitem__(self, name: str) -> np.ndarray:
            assert name == "length"
            return super().__getitem__(name)

    assert satisfied("length > 3", Some(TABLE), ROWS).any()
