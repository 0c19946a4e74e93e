"""Makes the indexes of the bridges, and the page that counts what is in them.

python -m lossreg_bridges index timm          the installed version, into the folder of the plugin
python -m lossreg_bridges catalogue           docs/catalogue.md
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from lossreg_bridges.bridge import Bridge
from lossreg_bridges.index import write_index


def main(arguments: list[str] | None = None) -> None:
    """Runs a command.

    Args:
        arguments: The words of the command line; None is the process's own.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lossreg_bridges", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    index = commands.add_parser("index", help="try all components of the installed version, and write the index")
    index.add_argument("name", help="the bridge, such as timm")
    index.add_argument("--out", type=Path, help="the file; the one that comes with lossreg unless given")
    index.add_argument(
        "--all", action="store_true", help="try all: also what is in the index already, and each member of a family"
    )
    index.add_argument("--quiet", action="store_true", help="show no progress")
    index.set_defaults(run=_index)
    catalogue = commands.add_parser("catalogue", help="write the page that counts what the indexes have")
    catalogue.add_argument("--out", type=Path, default=Path("docs/catalogue.md"))
    catalogue.set_defaults(run=_catalogue)
    options = parser.parse_args(arguments)
    options.run(options)


def bridge_named(name: str) -> Bridge:
    """The bridge of a name.

    Raises:
        SystemExit: If there is none.
    """
    try:
        found: Bridge = importlib.import_module(f"lossreg_{name}.plugin").BRIDGE
    except (ImportError, AttributeError):
        raise SystemExit(f"there is no bridge {name!r}") from None
    return found


def _index(options: argparse.Namespace) -> None:
    from lossreg_bridges.bridge import index_of
    from lossreg_bridges.making import make_index, summary_of

    bridge = bridge_named(options.name)
    known = None if options.all or not bridge.snapshot.exists() else index_of(bridge, None)
    made = make_index(bridge, known, _silent if options.quiet else _progress, every=options.all)
    write_index(made, options.out or bridge.snapshot)
    counts = ", ".join(f"{count} {kind} ({out} left out)" for kind, count, out in summary_of(made))
    sys.stderr.write(f"{bridge.package} {made.version}: {counts}\n")


def _silent(done: int, total: int, name: str) -> None:
    del done, total, name


def _progress(done: int, total: int, name: str) -> None:
    sys.stderr.write(f"\r\x1b[K{done}/{total} {name}" if name else "\r\x1b[K")
    sys.stderr.flush()


def _catalogue(options: argparse.Namespace) -> None:
    from lossreg_bridges.catalogue import page

    options.out.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
