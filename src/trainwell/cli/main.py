"""The entry point: from arguments to an exit code.

0: done. 2: the user's input is at fault. 1: a fault of ours. An error is one line on standard error.
"""

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

from cyclopts.exceptions import CycloptsError, MissingArgumentError, UnusedCliTokensError

from trainwell.cli.app import app

DEBUG = "TRAINWELL_DEBUG"  # environment variable: 1 shows the traceback of a fault of ours


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` are those of the process unless given."""
    try:
        app(
            sys.argv[1:] if arguments is None else arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_none",
        )
        sys.stdout.flush()
    except CycloptsError as error:
        first = os.environ.get("RANK", "0") == "0"  # of several processes with the same arguments one speaks
        return _say(_wrong_arguments(error), 2) if first else 2
    except BrokenPipeError:  # as in `trainwell list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _say("stopped at once; 'trainwell resume RUN' goes on with a run", 1)
    except Exception as error:
        return _fail(error)
    return 0


def _fail(error: Exception) -> int:
    from trainwell.base import InputError, ProcessError  # late: it brings numpy, which help need not wait for

    if isinstance(error, InputError):
        return _say(str(error), 2) if error.tell else 2
    if isinstance(error, ProcessError):
        return _say(str(error), 1)
    if os.environ.get(DEBUG) == "1":
        traceback.print_exception(error)
    with tempfile.NamedTemporaryFile("w", prefix="trainwell-", suffix=".log", delete=False, encoding="utf-8") as log:
        traceback.print_exception(error, file=log)
    what = f"{type(error).__name__}: {error}".strip(": ")
    return _say(f"a fault of trainwell's own ({what}); please report it with the file '{log.name}'", 1)


def _say(message: str, code: int) -> int:
    print("trainwell: error:", " ".join(message.split()), file=sys.stderr)
    return code


def _wrong_arguments(error: CycloptsError) -> str:
    """What is wrong with the command line, and how to mend it."""
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        message = f"Unexpected argument '{error.unused_tokens[0]}'."
    elif isinstance(error, MissingArgumentError) and error.argument is not None:
        message = f"{error.keyword} needs a value." if error.keyword else f"{error.argument.name} is missing."
    else:
        message = str(error)
    command = " ".join(["trainwell", *(error.command_chain or ())])
    return f"{message} See '{command} --help'."
