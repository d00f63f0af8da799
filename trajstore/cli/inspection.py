"""``list``, ``inspect``, ``du``: what the store holds, from manifests alone."""

from collections import Counter
from typing import Any

import click

from trajstore.cli.options import (
    examples,
    json_option,
    look,
    open_store,
    pass_store,
    reference_argument,
    version,
)
from trajstore.cli.output import (
    age,
    bar,
    chip,
    plain,
    print_json,
    print_line,
    print_pairs,
    print_table,
    size,
)


@click.command("list", epilog=examples("trajstore list", "trajstore list expert --json"))
@click.argument("name", required=False)
@json_option()
@pass_store
def list_versions(store: str, name: str | None, as_json: bool) -> int:
    """List the versions of the store, or of the dataset NAME."""
    from trajstore.cli.facts import check_there, complain_of_damage, seconds_since, summaries
    from trajstore.errors import NotFoundError

    opened = open_store(store)
    check_there(opened)
    names = opened.datasets() if name is None else [name]
    found = list(summaries(opened, names))
    if name is not None and not found:
        raise NotFoundError(f"{name}: expected a dataset in {store}, got no version of that name")
    if as_json:
        print_json(found)
    elif not found:
        print_line(f"{plain(store)}: no datasets yet")
    else:
        columns = "dataset version status >episodes >steps >size quota >scenarios >anomalies >age"
        rows = [_row(facts, seconds_since) for facts in found]
        print_table(columns.split(), rows)
    return complain_of_damage(found)


def _row(facts: dict[str, Any], seconds_since: Any) -> list[str]:  # noqa: ANN401 - a clock
    head = [plain(facts["dataset"]), facts["version"], chip(facts["status"])]
    used = size(facts["bytes"]) if "bytes" in facts else ""
    if "episodes" not in facts:
        return [*head, "", "", used, "", "", "", ""]
    return [
        *head,
        f"{facts['episodes']:,}",
        f"{facts['steps']:,}",
        used,
        bar(facts["bytes"], facts["quota_bytes"]),
        str(facts["scenarios"]),
        str(facts["anomalous_episodes"]),
        age(seconds_since(facts["sealed"])),
    ]


@click.command(
    epilog=examples("trajstore inspect expert@v3", "trajstore inspect archive:expert@v1 --json")
)
@reference_argument()
@json_option()
@pass_store
def inspect(store: str, reference: str, as_json: bool) -> int:
    """Show what a version holds, where it came from, and what was decided about it."""
    from trajstore.cli.facts import details

    opened = open_store(store)
    facts = details(opened, look(opened, reference))
    if as_json:
        print_json(facts)
        return 0
    _print_head(reference, facts)
    _print_fields(facts)
    if facts["scenario_counts"]:
        rows = [(plain(name), f"{count:,}") for name, count in facts["scenario_counts"].items()]
        print_table(["scenario", ">episodes"], sorted(rows))
    _print_anomalies(facts)
    _print_decisions(facts)
    origin = _leaves(facts["provenance"])
    _print_titled("provenance", {name: plain(_short(value)) for name, value in origin.items()})
    return 0


def _print_titled(title: str, pairs: dict[str, str]) -> None:
    """Names and values below a title, which a table would break at its own width."""
    print_line(f"[italic]{title}[/]")
    print_pairs(pairs)


def _print_head(reference: str, facts: dict[str, Any]) -> None:
    used = f"{size(facts['bytes'])} of {size(facts['quota_bytes'])}"
    _print_titled(
        plain(reference),
        {
            "status": chip(facts["status"]),
            "episodes": f"{facts['episodes']:,}",
            "steps": f"{facts['steps']:,}",
            "size": f"{used} {bar(facts['bytes'], facts['quota_bytes'])} in {facts['files']} files",
            "content": facts["content_digest"],
            "folder": plain(facts["path"]),
            "replay": _replay(facts),
        },
    )


def _replay(facts: dict[str, Any]) -> str:
    report = facts["replay"]
    if report is None:
        return "[dim]not replayed[/]"
    text = f"{report['equal']}/{len(report['episodes'])} episodes equal"
    if not facts["replay_is_current"]:
        return f"[yellow]{text}, of other data[/]"
    if report["differences"]:
        return f"[red]{text}[/]"
    return f"[green]{text}[/]"


def _print_fields(facts: dict[str, Any]) -> None:
    columns = ["field", "axis", "shape", "dtype", "unit", ">mean", ">std", ">min", ">max"]
    rows = []
    for field in facts["schema"]:
        statistics = facts["statistics"].get(field["name"], {})
        shape = "x".join(map(str, field["shape"])) or "-"
        numbers = [_span(statistics.get(name)) for name in ("mean", "std", "min", "max")]
        rows.append(
            [plain(field["name"]), field["axis"], shape, field["dtype"], plain(field["unit"])]
        )
        rows[-1].extend(numbers)
    print_table(columns, rows)


def _span(values: Any) -> str:  # noqa: ANN401 - a number, or nested lists of them
    """A number, or the least and the greatest of several."""
    flat = [value for value in _flat(values) if value is not None]
    if not flat:
        return ""
    low, high = min(flat), max(flat)
    return f"{low:.4g}" if low == high else f"{low:.3g} .. {high:.3g}"


def _flat(values: Any) -> list[Any]:  # noqa: ANN401 - see above
    if not isinstance(values, list):
        return [values]
    return [leaf for value in values for leaf in _flat(value)]


def _print_anomalies(facts: dict[str, Any]) -> None:
    kinds = Counter(found["kind"] for items in facts["anomalies"].values() for found in items)
    if kinds:
        rows = [(plain(kind), str(count)) for kind, count in kinds.most_common()]
        print_table(["anomaly", ">times"], rows)


def _print_decisions(facts: dict[str, Any]) -> None:
    verdict = facts["verdict"] or {"findings": [], "history": []}
    rows = [
        (plain(entry["time"]), chip(entry["status"]), "checks", plain(entry["why"]))
        for entry in verdict["history"]
    ]
    rows += [
        (
            plain(review["time"]),
            chip(review["status"]),
            plain(review["by"]),
            plain(review["reason"]),
        )
        for review in facts["reviews"]
    ]
    if rows:
        print_table(["time", "status", "by", "why"], rows)
    if verdict["findings"]:
        print_table(
            ["severity", "check", "finding"],
            [
                (found["severity"], plain(found["check"]), plain(found["message"]))
                for found in verdict["findings"]
            ],
        )


def _leaves(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots."""
    leaves: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict) and value:
            leaves |= _leaves(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 160 else f"{text[:150]}... ({len(text):,} letters)"


@click.command(epilog=examples("trajstore du", "trajstore du expert@v3"))
@click.argument("reference", metavar="[REF]", required=False)
@json_option()
@pass_store
def du(store: str, reference: str | None, as_json: bool) -> int:
    """Show the bytes of the store by version, or of the version REF by field."""
    from trajstore.cli.facts import check_there

    opened = open_store(store)
    if reference is None:
        check_there(opened)
        return _du_store(opened, as_json=as_json)
    used: Counter[str] = Counter()
    for path, record in version(store, reference).manifest.files.items():
        used[_owner(path)] += record.size
    if as_json:
        print_json(dict(used))
    else:
        total = used.total()
        rows = [
            (plain(name), size(count), f"{count / total:.1%}") for name, count in used.most_common()
        ]
        print_table(["field", ">size", ">share"], [*rows, ("total", size(total), "")])
    return 0


def _owner(path: str) -> str:
    """The array that a file belongs to, whatever the part it lies in."""
    parts = path.split("/")
    if parts[0] == "parts":
        parts = parts[2:]
    return "/".join(parts[:-1]) or "metadata"


def _du_store(opened: Any, *, as_json: bool) -> int:  # noqa: ANN401 - a Store
    from trajstore.cli.facts import complain_of_damage, summaries

    known = list(summaries(opened, opened.datasets()))
    found = [facts for facts in known if "bytes" in facts]
    total = sum(facts["bytes"] for facts in found)
    if as_json:
        print_json({"versions": found, "bytes": total})
    else:
        rows = [
            (plain(facts["dataset"]), facts["version"], chip(facts["status"]), size(facts["bytes"]))
            for facts in found
        ]
        columns = ["dataset", "version", "status", ">size"]
        print_table(columns, [*rows, ("total", "", "", size(total))])
    return complain_of_damage(known)
