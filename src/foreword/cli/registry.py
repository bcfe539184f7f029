"""`foreword registry`: a store of prompts as versions that never change and aliases that move; it refuses to change a version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.defaults import Verb, Verbs
from foreword.cli.talk import print_json, print_table, say

if TYPE_CHECKING:
    from foreword.registry import Registry, Version

registry = typer.Typer(name="registry", cls=Verbs, no_args_is_help=True, rich_markup_mode="rich")

Store = Annotated[
    Path,
    typer.Option("--store", "-s", envvar="FOREWORD_STORE", help="The store's folder (else FOREWORD_STORE)."),
]
Which = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION]", help="A prompt: name, name@3, name@DIGEST or name@alias.")
]

WORDING = ("instruction", "question", "answer", "separator", "stop", "empty_answers")
Elsewhere = Annotated[
    str, typer.Argument(metavar="URL", help="A store elsewhere: a folder, s3://..., or what fsspec opens.")
]


def _store(folder: Path) -> Registry:
    from foreword.registry import Registry

    return Registry(folder)


@registry.command(cls=Verb)
@o.takes(("choices", "max_new_tokens", "encoder", "seed"), o.COLUMNS, WORDING)
def add(
    store: Store,
    name: Annotated[str, typer.Option("--name", "-n", help="The name that it is served by.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="A prompt that `foreword tune` or PEFT wrote.")
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option("--alias", "-a", help="An alias that is to point to it, such as production.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="Without a folder: zero, few or icl (icl:bm25:3).")
    ] = None,
    demonstrations: Annotated[
        str | None, typer.Option("--demonstrations", help="A file of worked examples, kept with the prompt.")
    ] = None,
    parent: Annotated[
        list[str] | None, typer.Option("--parent", help="A version in the store that it was made from.")
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="A line for people.")] = None,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Keep a prompt as a version: the same contents are the same version.

    Examples:

      foreword registry add prompts/reviews --name reviews --store store

      foreword registry add --name tickets --method icl:bm25:3 --demonstrations train.jsonl --store store
    """
    from foreword.registry.adding import NewVersion, writer

    read = o.settings({name: flags[name] for name in ("choices", *WORDING)})
    new_version = NewVersion(
        folder=folder,
        method=method or "",
        seed=flags["seed"],
        template={key: value for key, value in read.items() if key in WORDING},
        demonstrations=demonstrations or "",
        columns=o.columns(flags),
        choices=read.get("choices", []),
        max_new_tokens=flags["max_new_tokens"],
        encoder=flags["encoder"] or "",
    )
    version, new = _store(store).add(
        name, writer(new_version), parents=parent or (), note=note or "", aliases=alias or ()
    )
    notes = _store(store).load(name, version).remarks
    if not new and (note or parent):
        notes = (*notes, "Its note and parents stay as they were, for a version never changes.")
    _added(name, version, new, notes, as_json)


def _added(name: str, version: Version, new: bool, notes: Sequence[str], as_json: bool) -> None:
    if as_json:
        print_json(_plain(name, version) | {"new": new, "notes": notes})
        return
    had = "" if new else " is there already:"
    say(f"{name}@{version.number}{had} {version.digest[:12]}")
    for note in notes:
        say(f"Note: {note}", style="dim")


@registry.command("list", cls=Verb)
def listing(store: Store, as_json: o.Json = False) -> None:
    """List the prompts: versions, aliases, method, task, scores."""
    from foreword.util import phrases

    prompts = _store(store)
    prompts.refuse_missing()
    rows = []
    for name in prompts.names():
        index = prompts.index(name)
        for version in index.versions:
            rows.append((name, version, index.aliases_of(version), prompts.summary(name, version)))
    if as_json:
        print_json(
            [_plain(name, version) | {"aliases": aliases, **summary} for name, version, aliases, summary in rows]
        )
        return
    cells = [
        [
            f"{name}@{version.number}",
            ", ".join(aliases),
            str(summary["method"]),
            str(summary["task"]),
            phrases.scores(summary["scores"]),
            version.digest[:12],
        ]
        for name, version, aliases, summary in rows
    ]
    columns = ("prompt", "aliases", "method", "task", "scores", "digest")
    print_table("", columns, cells, left=["prompt", "aliases", "method", "task", "scores"])


@registry.command(cls=Verb)
def show(store: Store, which: Which, as_json: o.Json = False) -> None:
    """Show a version: certificate, wording, demonstrations, files, parents, aliases; every file is checked."""
    from foreword.registry.compare import described

    prompts = _store(store)
    index, version = prompts.resolve(which)
    values = described(prompts.load(index.name, version))
    whole = _plain(index.name, version) | {"aliases": index.aliases_of(version), "files": version.files, **values}
    whole["folder"] = str(prompts.place(index.name, version))
    decided = [
        decision
        for decision in index.decisions
        if version.digest in (decision["candidate_digest"], decision["production_digest"])
    ]
    if decided:
        whole["decisions"] = decided
    if as_json:
        print_json(whole)
        return
    rows = [[key, json.dumps(value, ensure_ascii=False)] for key, value in whole.items()]
    print_table(f"{index.name}@{version.number}", ("what", "value"), rows, left=["what", "value"])


@registry.command(cls=Verb)
def diff(
    store: Store,
    which: Which,
    other: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="The other version.")],
    as_json: o.Json = False,
) -> None:
    """Show how two versions differ: settings, scores, numbers, demonstrations."""
    from foreword.registry.compare import difference

    prompts = _store(store)
    both = [prompts.resolve(reference) for reference in (which, other)]
    differences = difference(*(prompts.load(index.name, version) for index, version in both))
    if as_json:
        print_json(differences)
        return
    rows = [
        [key, *(json.dumps(value, ensure_ascii=False) for value in pair)]
        for key, pair in differences["settings"].items()
    ]
    heads = [f"{index.name}@{version.number}" for index, version in both]
    columns = ("setting", heads[0], heads[1] if heads[0] != heads[1] else "the same")
    print_table("", columns, rows, left=columns)
    if differences["numbers"]:
        say(
            f"The soft prompts lie {differences['numbers']['relative_distance']:.3g} of the first's length apart, cosine "
            f"{differences['numbers']['cosine']:.4f}."
        )
    counts = differences["demonstrations"]
    if any(counts.values()):
        say(
            f"Demonstrations: {counts['both']} in both, {counts['only_first']} in the first alone, {counts['only_second']} in the second."
        )


@registry.command(cls=Verb)
def tag(
    store: Store,
    which: Which,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="Such as production.")],
    as_json: o.Json = False,
) -> None:
    """Let an alias point to a version; it points nowhere else then."""
    _print_alias(_store(store).tag(which, alias), which.partition("@")[0], alias, as_json)


@registry.command(cls=Verb)
def untag(
    store: Store,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    alias: Annotated[str, typer.Argument(metavar="ALIAS")],
    as_json: o.Json = False,
) -> None:
    """Take an alias away; its versions stay."""
    _store(store).untag(name, alias)
    _gone(f"{name}@{alias}", as_json)


@registry.command(cls=Verb)
def rollback(
    store: Store,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    alias: Annotated[str, typer.Argument(metavar="[ALIAS]")] = "production",
    as_json: o.Json = False,
) -> None:
    """Let an alias point to where it pointed before."""
    _print_alias(_store(store).rollback(name, alias), name, alias, as_json)


@registry.command(cls=Verb)
def rm(
    store: Store,
    which: Which,
    everything: Annotated[bool, typer.Option("--all", help="All versions and aliases of the name.")] = False,
    as_json: o.Json = False,
) -> None:
    """Take out a version that no alias points to, or with --all a whole name."""
    from foreword.util.errors import ForewordError

    prompts = _store(store)
    if everything and "@" in which:
        raise ForewordError(f"--all takes a name with all its versions, and {which} names one; leave one of them out.")
    if everything:
        prompts.remove_all(which)
        _gone(which, as_json)
    else:
        _gone(f"{which.partition('@')[0]}@{prompts.remove(which).number}", as_json)


@registry.command(cls=Verb)
def gc(store: Store, as_json: o.Json = False) -> None:
    """Remove what killed writers left; what an index names is never touched."""
    prompts = _store(store)
    prompts.refuse_missing()
    gone = [str(path) for path in prompts.collect()]
    if as_json:
        print_json({"removed": gone})
    else:
        say(f"{len(gone)} folders were left over and are gone.")


@registry.command(cls=Verb)
def export(
    store: Store,
    which: Which,
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder, which PEFT opens too.")],
    as_json: o.Json = False,
) -> None:
    """Write a version to a folder: a PEFT folder with foreword's certificate, as `foreword tune` writes it."""
    version = _store(store).export(which, out)
    name = which.partition("@")[0]
    if as_json:
        print_json(_plain(name, version) | {"out": str(out)})
    else:
        say(f"{name}@{version.number} is in {out}")


@registry.command(cls=Verb)
def push(
    store: Store,
    which: Which,
    url: Elsewhere,
    alias: Annotated[
        list[str] | None, typer.Option("--alias", "-a", help="An alias that is to point to it there.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody read the hub's repository, where it is made now.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Copy a version to a store elsewhere, where it has that store's next number, or to hf://OWNER/NAME, a repository of the hub that PEFT
    opens (private where it is new, aliases as tags)."""
    from foreword.registry.hub import SCHEME, Hub
    from foreword.registry.remote import Remote
    from foreword.util.errors import ForewordError

    if url.startswith(SCHEME):
        version, new = Hub(url).push(_store(store), which, aliases=alias or (), public=public)
    elif public:
        raise ForewordError(
            f"--public is for repositories of the hub (hf://OWNER/NAME), and {url} is none; leave it out."
        )
    else:
        version, new = Remote(url).push(_store(store), which, aliases=alias or ())
    _moved(which, version, new, url, as_json)


@registry.command(cls=Verb)
def pull(
    store: Store,
    url: Elsewhere,
    which: Which,
    alias: Annotated[
        list[str] | None, typer.Option("--alias", "-a", help="An alias that is to point to it here.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Copy a version from a store elsewhere, each file checked, or from hf://OWNER/NAME (NAME\\[@REVISION]: the name here, and the branch,
    tag or commit there)."""
    from foreword.registry.hub import SCHEME, Hub
    from foreword.registry.remote import Remote

    source: Hub | Remote = Hub(url) if url.startswith(SCHEME) else Remote(url)
    version, new = source.pull(_store(store), which, aliases=alias or ())
    _moved(which, version, new, str(store), as_json)


def _moved(which: str, version: Version, new: bool, place: str, as_json: bool) -> None:
    name = which.partition("@")[0]
    if as_json:
        print_json(_plain(name, version) | {"new": new})
    else:
        say(f"{name}@{version.number} {'is' if new else 'was there already'} in {place}: {version.digest[:12]}")


def _plain(name: str, version: Version) -> dict[str, Any]:
    return {
        "name": name,
        "version": version.number,
        "digest": version.digest,
        "added": version.added,
        "parents": list(version.parents),
        "note": version.note,
    }


def _print_alias(version: Version, name: str, alias: str, as_json: bool) -> None:
    if as_json:
        print_json(_plain(name, version) | {"alias": alias})
    else:
        say(f"{name}@{alias} is {name}@{version.number} now.")


def _gone(what: str, as_json: bool) -> None:
    if as_json:
        print_json({"removed": what})
    else:
        say(f"{what} is gone.")
