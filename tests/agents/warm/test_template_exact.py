"""A run that a template has forked is like one that Python has started: each script here is run both ways."""

from __future__ import annotations

import textwrap

import pytest
from warm_starter import Starter

FACTS = {
    "the module": """
        print(sorted(globals()), __name__, __doc__, __file__, __spec__, __package__, __cached__, type(__loader__))
        print(__loader__.path, __loader__.name, __annotations__, __builtins__ is sys.modules["builtins"])
        print(sys.modules["__main__"].__dict__ is globals())
    """,
    "the interpreter": """
        print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.executable, sys.prefix, sys.warnoptions, sys._xoptions)
        print(*map(type, [*sys.meta_path, *sys.path_hooks]), sys.gettrace(), sys.getprofile(), sys.getrecursionlimit())
        print(sys.getswitchinterval(), sys.excepthook is sys.__excepthook__, hasattr(sys, "last_value"))
        print(sys.exc_info(), sys.dont_write_bytecode, sys.pycache_prefix, "sitecustomize" in sys.modules)
    """,
    "the process": """
        import resource, threading, gc
        print(os.getcwd(), os.umask(0), os.getpgrp() == os.getpid() == os.getsid(0), os.nice(0))
        print([resource.getrlimit(each) for each in range(16)], os.sched_getaffinity(0))
        print(sorted(os.listdir("/proc/self/fd")))
        print([each.name for each in threading.enumerate()], threading.main_thread().ident > 0)
        print(threading.current_thread().native_id == os.getpid(), gc.isenabled(), gc.get_threshold())
        shown = ("SigP", "SigB", "SigI", "SigC", "Shd", "Threads", "NoNew")
        print([line for line in open("/proc/self/status") if line.startswith(shown)])
        print(open("/proc/self/comm").read(), os.readlink("/proc/self/exe"), os.readlink("/proc/self/root"))
        print(open("/proc/self/cmdline").read().replace("\\0", " ").split())
    """,
    "the variables": """
        import ctypes, subprocess
        print(sorted(os.environ.items()))
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_char_p
        print([getenv(name.encode()) for name in sorted(os.environ)], getenv(b"LIGHTSWEEP_TEMPLATE"))
        print(subprocess.run(["/usr/bin/env"], capture_output=True, text=True).stdout.count("\\n") == len(os.environ))
        mark = b"LIGHTSWEEP_TOKEN=" + os.environb[b"LIGHTSWEEP_TOKEN"]
        print(mark in open("/proc/self/environ", "rb").read().split(b"\\0"))
    """,
    "the signals": """
        import signal
        print([(each.name, str(signal.getsignal(each))[:30]) for each in signal.Signals], signal.pthread_sigmask(0, []))
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.set_wakeup_fd(-1))
    """,
    "the streams": """
        for each in sys.stdin, sys.stdout, sys.stderr:
            print(type(each), each.fileno(), each.isatty(), each.encoding, each.errors, each.line_buffering)
            print(each.write_through, each.name, each.mode, type(each.buffer), each.newlines, each.seekable())
        print(sys.stdin.read(), sys.stdout is sys.__stdout__)
        print(os.fstat(1).st_mode, os.fstat(0).st_rdev, os.get_inheritable(1), os.get_inheritable(0))
        try:
            input()
        except EOFError as error:
            print(error)
    """,
    "what is loaded": """
        import logging, random
        print(logging.root.handlers, logging.root.level, logging.getLogger("x").manager.loggerDict)
        logging.warning("said")
        logging.basicConfig(format="%(relativeCreated)d", force=True)
        record = logging.makeLogRecord({})
        print(logging.LogRecord("n", 1, "p", 1, "m", (), None).relativeCreated < 5000, record.process == os.getpid())
    """,
}


@pytest.mark.parametrize("name", FACTS)
def test_a_script_sees_what_it_always_sees(starter: Starter, name: str) -> None:
    starter.variables |= {"SOME": "value", "PYTHONHASHSEED": "0"}
    code, output = starter.both(
        '"""Doc."""\nimport os\nimport sys\n' + textwrap.dedent(FACTS[name]), "--x=1", "a b", ""
    )
    assert code == 0, output
    assert output.strip()


ENDS = {
    "0": "",
    "code": "sys.exit(3)",
    "none": "sys.exit()",
    "text": "sys.exit('over')",
    "true": "sys.exit(True)",
    "large": "sys.exit(256 + 7)",
    "object": "raise SystemExit([1, 2])",
    "error": "1 / 0",
    "deep": "def f(n):\n    return f(n - 1) if n else {}['key']\nf(5)",
    "chained": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('bad') from error",
    "imported": "import helper\nhelper.fail()",
    "syntax": "def f(:\n    pass",
    "interrupt": "raise KeyboardInterrupt",
    "sigint": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(60)",
    "sigterm": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "sigkill": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "abort": "import os\nos.abort()",
    "at once": "import os\nprint('shown', flush=True)\nos._exit(7)",
    "hook": "sys.excepthook = lambda *given: print('hook', given[0], given[2].tb_frame.f_code.co_name)\n1 / 0",
    "last": "import atexit\natexit.register(lambda: print(repr(sys.last_value), sys.last_traceback.tb_lineno))\n1 / 0",
    "generator": "def g():\n    try:\n        yield\n    finally:\n        print('closed')\nx = g()\nnext(x)",
    "deleted": "class A:\n    def __del__(self):\n        print('gone', self.me is self)\na = A()\na.me = a",
    "closed": "sys.stdout.close()\nsys.stderr.write('still')",
    "missing": "import no_such_module",
    "detached": "import io\ntext = io.TextIOWrapper(open('raw.txt', 'wb'))\nraw = text.detach()\ntext.me = text",
    "proxies": "import weakref\nclass A:\n    __class__ = property(lambda self: 1 / 0)\na = A()\n"
    "p = weakref.proxy(a)\nkept = [a, p, weakref.proxy(type('B', (), {})())]",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_script_ends_as_it_always_does(starter: Starter, name: str) -> None:
    starter.write("helper.py", "def fail():\n    raise LookupError('of the helper')\n")
    starter.both(f"import ctypes\nimport sys\n{ENDS[name]}\n")


def test_what_a_script_leaves_open_is_written(starter: Starter) -> None:
    """Of a library's objects too, though the exit passes over its modules."""
    starter.install("holder", "kept = []\n")
    source = """
        import ctypes
        import gzip

        import holder

        class Part:
            def __del__(self):
                self.file.write("by __del__")

        own = Part()
        own.file = open("own.txt", "w")
        own.me = own
        holder.kept.append(open("held.txt", "w"))
        holder.kept[0].write("of a library")
        open("lines.txt", "wb").write(b"a line")
        libc = ctypes.CDLL(None)
        libc.printf(b"by C's printf")
        libc.strdup.restype = ctypes.c_void_p
        libc.__cxa_atexit(libc.puts, ctypes.c_void_p(libc.strdup(b", by its last handlers")), None)
    """
    found = []
    for warm in (False, True):
        starter.write("train.py", source)
        code, output = starter.run(["train.py"], warm)
        texts = {name: (starter.directory / f"{name}.txt").read_text() for name in ("own", "held", "lines")}
        found.append((code, output, texts))
        for name in texts:
            (starter.directory / f"{name}.txt").unlink()
    assert found[0] == found[1]
    assert found[1][:2] == (0, "by C's printf, by its last handlers\n")
    assert found[1][2] == {"own": "by __del__", "held": "of a library", "lines": "a line"}


def test_the_objects_of_libraries_are_not_taken_apart(starter: Starter) -> None:
    """Which would take half a second with a trainer's libraries; Python promises no ``__del__`` at its exit."""
    starter.install(
        "library",
        """
        import ctypes
        import os

        class Thing:
            def __del__(self, write=os.write):
                write(1, b"library\\n")

        thing = Thing()
        libc = ctypes.CDLL(None)
        libc.strdup.restype = ctypes.c_void_p
        libc.__cxa_atexit(libc.puts, ctypes.c_void_p(libc.strdup(b"its handler in C")), None)
        """,
    )
    starter.write("train.py", "import library\n\nprint(library.Thing.__name__, flush=True)\n")
    assert starter.run(["train.py"], False) == (0, "Thing\nlibrary\nits handler in C\n")
    assert starter.run(["train.py"], True) == (0, "Thing\n")


@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_the_end_comes_in_the_usual_order(starter: Starter, unbuffered: str) -> None:
    starter.variables["PYTHONUNBUFFERED"] = unbuffered
    code, output = starter.both(
        """
        import atexit
        import concurrent.futures
        import threading
        import time
        import weakref

        def after(event, text, then):
            event.wait()
            print(text)
            then.set()

        class Thing:
            pass

        thing = Thing()
        weakref.finalize(thing, print, "finalized")
        atexit.register(print, "at exit 1")
        atexit.register(print, "at exit 2")
        first, second, third = threading.Event(), threading.Event(), threading.Event()
        threading.Thread(target=after, args=(second, "thread", third)).start()
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        pool = concurrent.futures.ThreadPoolExecutor(1)
        pool.submit(after, first, "pool", second)
        print("end of the script", end=" ")
        first.set()
        """
    )
    assert code == 0
    assert output == "end of the script pool\nthread\nat exit 2\nat exit 1\nfinalized\n"


def test_an_uncaught_error_has_only_the_user_s_lines(starter: Starter) -> None:
    _, output = starter.both("import sys\n\ndef f():\n    raise ValueError('bad')\n\nf()\n")
    assert output.count("File") == 2
    assert "template" not in output


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing(starter: Starter, method: str) -> None:
    code, output = starter.both(
        f"""
        import multiprocessing
        import pickle

        class Thing:
            def __init__(self, value):
                self.value = value

        def work(thing):
            return Thing(thing.value + 1)

        if __name__ == "__main__":
            print(pickle.loads(pickle.dumps(Thing(1))).value, pickle.dumps(Thing))
            context = multiprocessing.get_context("{method}")
            with context.Pool(2) as pool:
                print([each.value for each in pool.map(work, [Thing(1), Thing(2)])])
            queue = context.Queue()
            worker = context.Process(target=queue.put, args=(5,), name="w")
            worker.start()
            print(queue.get(), worker.name, multiprocessing.parent_process())
            worker.join()
            print(worker.exitcode)
        """
    )
    assert code == 0, output
    assert "[2, 3]" in output


@pytest.mark.parametrize("how", ["PYTHONFAULTHANDLER=1", ""])
def test_faulthandler(starter: Starter, how: str) -> None:
    name, _, value = how.partition("=")
    starter.variables |= {name: value} if name else {}
    enable = "" if how else "import faulthandler\nfaulthandler.enable()\n"
    starter.write("train.py", f"{enable}import ctypes\ndef crash():\n    ctypes.string_at(0)\ncrash()\n")
    found = [starter.run(["train.py"], warm) for warm in (False, True)]
    assert found[0][0] == found[1][0] == -11
    cold, warm = ([line for line in text.splitlines() if not line.startswith("Current thread")] for _, text in found)
    assert cold == warm
    assert cold[0] == "Fatal Python error: Segmentation fault"


@pytest.mark.parametrize("options", [["-u"], ["-O"], ["-OOB"], ["-s", "-u"]])
def test_options_of_python(starter: Starter, options: list[str]) -> None:
    starter.options = options
    starter.both('import sys\n"""x"""\nprint(sys.flags, sys.orig_argv, __debug__)\nassert False, "not with -O"\n', "a")


def test_variables_that_python_reads_as_it_starts(starter: Starter) -> None:
    starter.variables |= {"PYTHONHASHSEED": "5", "PYTHONWARNINGS": "error::UserWarning", "PYTHONDEVMODE": "1"}
    starter.variables |= {"PYTHONPATH": str(starter.directory / "more"), "PYTHONUTF8": "1", "TZ": "Asia/Tokyo"}
    code, output = starter.both(
        "import sys\nimport time\nprint(hash('a'), sys.path, sys.flags, time.localtime(0), sys.warnoptions)\n"
        "import warnings\nwarnings.warn('bad')\n"
    )
    assert code == 1
    assert "UserWarning: bad" in output


def test_a_script_of_another_folder_and_by_a_link(starter: Starter) -> None:
    starter.write("real/helper.py", "name = 'real'\n")
    source = "import sys\nimport helper\nprint(sys.path[0], __file__, sys.argv, helper.name)\n"
    starter.both(source, name="real/train.py")
    (starter.directory / "link.py").symlink_to("real/train.py")
    (starter.directory / "folder").symlink_to("real")
    for name in ("link.py", "./folder/train.py", str(starter.directory / "real" / "train.py")):
        assert starter.run([name], True) == starter.run([name], False)


def test_what_imports_print_is_in_the_output_of_each_run(starter: Starter) -> None:
    starter.install("noisy", "import warnings\nprint('from the import')\nwarnings.warn('old', DeprecationWarning, 2)\n")
    starter.install("logs", "import logging, atexit\nlogging.warning('logged')\natexit.register(print, 'at exit')\n")
    code, output = starter.both("import noisy\nimport logs\nprint('script')\n")
    assert code == 0
    assert "from the import" in output
    assert "train.py:1: DeprecationWarning: old" in output
    assert "logged" in output
    assert output.endswith("script\nat exit\n")


def test_another_sitecustomize_runs_once(starter: Starter) -> None:
    starter.install("sitecustomize", "import sys\nprint('mine', sys.argv[0], __file__)\n")
    code, output = starter.both("import sys\nprint(sys.modules['sitecustomize'].__file__)\n")
    assert code == 0
    assert output.count("mine") == 1


def test_no_module_is_loaded_for_the_template(starter: Starter) -> None:
    starter.write("train.py", "import sys\nprint(sorted(sys.modules))\n")
    cold, warm = (set(eval(starter.run(["train.py"], each)[1])) for each in (False, True))
    assert warm - cold <= {"__future__", "_socket", "atexit", "select", "gc"}  # small ones of Python's own
    assert cold - warm == set()


def test_random_numbers_are_those_of_a_fresh_process(starter: Starter) -> None:
    source = """
        import random
        import multiprocessing
        import numpy as np
        if {seeded}:
            random.seed(1)
            np.random.seed(1)
        print(random.random(), np.random.rand(), np.random.default_rng(1).random())
        print("" if {seeded} else bytes(multiprocessing.current_process().authkey))
    """
    starter.both(source.format(seeded=True))
    starter.write("train.py", source.format(seeded=False))
    found = [starter.run(["train.py"], True)[1].split() for _ in range(3)]
    assert all(len({words[place] for words in found}) == 3 for place in (0, 1, 3))


def test_own_modules_are_those_of_the_moment(starter: Starter) -> None:
    """Also those that an own module imports, and what is in the script itself."""
    for value in (1, 22, 333):  # of other lengths, since Python goes by time and length
        starter.write("helper/__init__.py", "from .below import value\n")
        starter.write("helper/below.py", f"import json\nvalue = {value}\n")
        code, output = starter.both(f"import os\nfrom helper import value\nprint(value, {value})\n")
        assert (code, output) == (0, f"{value} {value}\n")


def test_coded_values_set_for_an_import_precede_it(starter: Starter) -> None:
    starter.install("reads", "import os\nvalue = os.environ['VALUE'], os.environ.get('OTHER')\n")
    _, output = starter.both(
        """
        import os
        os.environ["VALUE"] = "1"
        os.environ.setdefault("OTHER", "2")
        import reads
        print(reads.value, os.environ["VALUE"])
        """
    )
    assert output == "('1', '2') 1\n"
    _, output = starter.both("import os\nos.environ['VALUE'] = str(2)\nimport reads\nprint(reads.value)\n")
    assert output == "('2', None)\n"


def test_a_class_may_keep_what_an_import_finds_in_os(starter: Starter) -> None:
    """As ``pathlib`` of Python 3.10 does, which a function in Python would turn into a method."""
    starter.install("keeper", "import os\n\nclass Accessor:\n    mkdir = os.mkdir\n")
    code, output = starter.both(
        """
        import os

        import keeper

        keeper.Accessor().mkdir("made", 0o755)
        print(os.path.isdir("made"))
        os.rmdir("made")
        """
    )
    assert (code, output) == (0, "True\n")
