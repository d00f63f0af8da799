"""``list``, ``inspect``, ``du``: what the store holds, from manifests alone."""

import time
from collections import Counter

import click
import msgspec
import numpy as np

from trajstore.cli.facts import (
    Facts,
    check_there,
    complain_of_damage,
    counted,
    details,
    told_marks,
    version_lines,
)
from trajstore.cli.options import command, look, reference_argument
from trajstore.cli.output import (
    age,
    bar,
    chip,
    cut,
    plain,
    print_json,
    print_line,
    print_pairs,
    print_plugins,
    print_table,
    size,
)
from trajstore.curation.ancestry import generations, made_of
from trajstore.episode import anomalies
from trajstore.episode.provenance import leaves
from trajstore.errors import NotFoundError
from trajstore.store import Store


@command("trajstore list", "trajstore list expert --json", name="list")
@click.argument("name", required=False)
def list_versions(store: Store, name: str | None, as_json: bool) -> int:
    """List the versions of the store, or of the dataset NAME."""
    check_there(store)
    found = list(version_lines(store, store.datasets() if name is None else [name]))
    if name is not None and not found:
        raise NotFoundError(
            f"{name}: no dataset of that name in {store.root}; 'trajstore list' shows what there is"
        )
    if as_json:
        print_json(found)
    elif not found:
        print_line(f"{plain(store.root)}: no datasets yet")
    else:
        columns = "dataset version status >episodes >steps >size quota >scenarios >anomalies >age"
        rows = [[*_row(facts), told_marks(facts)] for facts in found]
        marked = any(row[-1] for row in rows)
        names = [*columns.split(), *(["marks"] if marked else [])]
        print_table(names, [row[: len(names)] for row in rows])
    return complain_of_damage(found)


def _row(facts: Facts) -> list[str]:
    row = counted(facts)
    if "scenarios" not in facts:
        return [*row, "", "", "", ""]
    return [
        *row,
        bar(facts["bytes"], facts["quota_bytes"]),
        str(facts["scenarios"]),
        str(facts["anomalous_episodes"]),
        age(time.time() - facts["sealed"]),
    ]


@command("trajstore inspect expert@v3", "trajstore inspect archive:expert@v1 --json")
@reference_argument()
def inspect(store: Store, reference: str, as_json: bool) -> None:
    """Show what a version holds, where it came from, and what was decided about it."""
    dataset = look(store, reference)
    line = store.ancestors(dataset)
    facts = details(store, dataset) | {"ancestors": msgspec.to_builtins(line)}
    if as_json:
        print_json(facts)
        return
    used = f"{size(facts['bytes'])} of {size(facts['quota_bytes'])}"
    pairs = {
        "status": chip(facts["status"]),
        "episodes": f"{facts['episodes']:,}{_gaps(facts)}",
        "steps": f"{facts['steps']:,}",
        "size": f"{used} {bar(facts['bytes'], facts['quota_bytes'])} in {facts['files']} files",
        "content": facts["content_digest"],
        "folder": plain(facts["path"]),
        "replay": _replay(facts),
    }
    if words := told_marks(facts):
        pairs["marks"] = words
    print_pairs(pairs, title=plain(reference))
    _print_fields(facts)
    _print_cameras(facts)
    rows = [(plain(name), f"{count:,}") for name, count in facts["scenario_counts"].items()]
    if rows:
        print_table(["scenario", ">episodes"], sorted(rows))
    kinds = Counter(found["kind"] for items in facts["anomalies"].values() for found in items)
    if kinds:
        marks = {int(index): items for index, items in facts["anomalies"].items()}
        unfit = anomalies.unfit(marks, facts["episodes"])
        told = {it: f"unfit: flags {n:,} episodes, does not score" for it, n in unfit.items()}
        found = [(plain(it), str(n), told.get(it, "")) for it, n in kinds.most_common()]
        print_table(["anomaly", ">times", ""], found)
    _print_decisions(facts)
    made = made_of(facts["provenance"])
    if made is not None:
        print_line(f"[italic]ancestry[/]: made by {plain(made)}")
        for depth, text in generations(line):
            print_line(f"{'  ' * depth}  from {plain(text)}")
    origin = {name[:150]: cut(value) for name, value in leaves(facts["provenance"])}
    print_pairs(origin, title="provenance")


def _gaps(facts: Facts) -> str:
    """How many episodes lie in the files that are none of the version's."""
    parts = [part for part in facts["parts"] if "recorded" in part]
    more = sum(part["recorded"][0] - part["episodes"] for part in parts)
    return f" (its files hold the rows of {more:,} more, left out)" if more else ""


def _replay(facts: Facts) -> str:
    report = facts["replay"]
    if report is None:
        return "[dim]not replayed[/]"
    text = f"{report['equal']}/{len(report['episodes'])} episodes equal"
    if not facts["replay_is_current"]:
        return f"[yellow]{text}, of other data[/]"
    return f"[{'red' if report['differences'] else 'green'}]{text}[/]"


def _print_fields(facts: Facts) -> None:
    columns = ["field", "axis", "shape", "dtype", "unit", ">mean", ">std", ">min", ">max"]
    rows = []
    for field in facts["schema"]:
        statistics = facts["statistics"].get(field["name"], {})
        shape = "x".join(map(str, field["shape"])) or "-"
        head = [plain(field["name"]), field["axis"], shape, field["dtype"], plain(field["unit"])]
        rows.append([*head, *(_span(statistics.get(it[1:])) for it in columns[5:])])
    print_table(columns, rows)
    named = [
        (plain(field["name"]), plain(", ".join(f"{i} {it}" for i, it in enumerate(field["names"]))))
        for field in facts["schema"]
        if field.get("names")
    ]
    if named:
        print_table(["field", "components"], named)


def _print_cameras(facts: Facts) -> None:
    rows = []
    for name, it in facts["cameras"].items():
        loss = "" if it["psnr_db"] is None else f"{it['psnr_db']:.1f} dB"
        share = f"1/{1 / it['share_of_raw']:.0f}" if it["share_of_raw"] else ""
        rows.append((plain(name), it["stated"], it["decoder"], size(it["bytes"]), share, loss))
    if rows:
        print_table(["camera", "codec", "decoder", ">size", ">of raw", ">PSNR of a sample"], rows)


def _span(values: object) -> str:
    """A number, or the least and the greatest of several, nested or not."""
    flat = np.ravel(np.array(values, np.float64))
    flat = flat[~np.isnan(flat)]
    if not len(flat):
        return ""
    low, high = flat.min(), flat.max()
    return f"{low:.4g}" if low == high else f"{low:.3g} .. {high:.3g}"


def _print_decisions(facts: Facts) -> None:
    verdict = facts["verdict"] or {"findings": [], "history": []}
    decided = [(it["time"], it["status"], "checks", it["why"]) for it in verdict["history"]]
    decided += [(it["time"], it["status"], it["by"], it["reason"]) for it in facts["reviews"]]
    if decided:
        rows = [(plain(at), chip(it), plain(by), plain(why)) for at, it, by, why in decided]
        print_table(["time", "status", "by", "why"], rows)
    found = [
        (it["severity"], plain(it["check"]), plain(it["message"])) for it in verdict["findings"]
    ]
    if found:
        print_table(["severity", "check", "finding"], found)
    print_plugins(verdict.get("plugins", {}))


@command("trajstore du", "trajstore du expert@v3")
@click.argument("reference", metavar="[REF]", required=False)
def du(store: Store, reference: str | None, as_json: bool) -> int:
    """Show the bytes of the store by version, or of the version REF by field."""
    if reference is None:
        return _du_store(store, as_json=as_json)
    used: Counter[str] = Counter()
    for path, record in look(store, reference).manifest.files.items():
        parts = path.split("/")
        place = parts[2:-1] if parts[0] == "parts" else parts[:-1]
        used["/".join(place) or "metadata"] += record.size
    if as_json:
        print_json(dict(used))
        return 0
    total = used.total()
    whole = total or 1
    rows = [
        (plain(name), size(count), f"{count / whole:.1%}") for name, count in used.most_common()
    ]
    print_table(["field", ">size", ">share"], [*rows, ("total", size(total), "")])
    return 0


def _du_store(store: Store, *, as_json: bool) -> int:
    check_there(store)
    known = list(version_lines(store, store.datasets()))
    found = [facts for facts in known if "bytes" in facts]
    total = sum(facts["bytes"] for facts in found)
    if as_json:
        print_json({"versions": found, "bytes": total})
    else:
        rows = [(*row[:3], row[5]) for row in map(counted, found)]
        columns = ["dataset", "version", "status", ">size"]
        print_table(columns, [*rows, ("total", "", "", size(total))])
    return complain_of_damage(known)
