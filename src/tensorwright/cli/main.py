"""The `wright` command line: reads the arguments, runs one subcommand, turns errors into exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType

from .. import __version__
from . import bench, build, convert, demo, exec, inspect, onnx, run, shim, verify
from .console import DEFECT, INTERRUPTED, OK, USAGE, Console, UsageError, exit_code

#: Commands that read no models, or have a flag of that name themselves.
NO_PLUGINS = ("demo", "exec", "shim")
COMMANDS = (demo, build, run, bench, inspect, verify, exec, convert, onnx, shim)

EPILOG = """\
first steps:
  wright demo                                      see all of it work, in less than a minute
  wright build model.onnx -o model.plan            compile and tune a model for this machine
  wright run model.plan --input image=photo.npy    run it
  wright bench model.onnx --vs onnxruntime         how fast is it?

exit codes: 0 done; 1 done, and the result is bad (verification failed); 2 wrong command line;
3 wrong model, plan or data; 4 not supported or not possible; 70 a defect of tensorwright; 130 interrupted.
TENSORWRIGHT_DEBUG=1 adds the Python traceback to errors."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Prose is filled to the terminal's width; examples stay as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return super()._fill_text(text, width, indent) if ":\n" in text else \
            argparse.HelpFormatter._fill_text(self, text, width, indent)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="wright", description="Compile trained networks into engines tuned for this machine, and run them.",
        epilog=EPILOG, formatter_class=Help)
    top.add_argument("--version", action="version", version=f"tensorwright {__version__}")
    add_commands(top, COMMANDS)
    return top


def add_commands(parent: argparse.ArgumentParser, modules: Iterable[ModuleType]) -> None:
    """A subcommand for each module; a module with COMMANDS is a family of them."""
    commands = parent.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in modules:
        name = module.__name__.rpartition(".")[2].replace("_", "-")
        sub = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION, epilog=module.EPILOG,
                                  formatter_class=Help)
        if hasattr(module, "COMMANDS"):
            add_commands(sub, module.COMMANDS)
            continue
        module.add_arguments(sub)
        if name not in NO_PLUGINS:
            sub.add_argument("--plugins", action="append", default=[], metavar="FILE.py|MODULE",
                             help="load plugins from a Python file or module first; may be given several times")
        common = sub.add_argument_group("output")
        common.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        common.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes on standard error")
        sub.set_defaults(run=module.run, command=sub.prog.partition(" ")[2])


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code. Errors are printed, not raised."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as stop:                           # argparse has printed help, or what is wrong
        return int(stop.code or 0)
    console = Console(options.json, options.quiet)
    try:
        for source in getattr(options, "plugins", ()):
            from ..plugins import load
            load(source)
        code: int = options.run(options, console)
        console.finish()
        return code
    except KeyboardInterrupt:
        console.note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()                               # whoever reads our output has had enough
        return OK
    except UsageError as error:
        print(f"wright {options.command}: {error}\nTry 'wright {options.command} --help'.", file=sys.stderr)
        return USAGE
    except Exception as error:
        from .. import settings
        code = exit_code(error)
        if settings.debug() or code == DEFECT:
            import traceback
            traceback.print_exc()
        console.error(error)
        if code == DEFECT:
            console.note("this is a defect of tensorwright: please report it with the text above")
        return code
    finally:
        console.close()


if __name__ == "__main__":
    raise SystemExit(main())
