# The first program on the far side of a connection. Its text is sent, so it is written for any Python 3.
import importlib.abc
import importlib.util
import json
import sys

MARK = "MGIMPLANTSEG-AGENT 2 %s\n"
OLDEST = (3, 11)


class SentModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules among the texts that came through the connection; nothing is written to a disk."""

    def __init__(self, texts):
        self.texts = texts

    def find_spec(self, name, path=None, target=None):
        """Where a module is, if it is one of these."""
        if name not in self.texts:
            return None
        is_package = any(other.startswith(name + ".") for other in self.texts)
        return importlib.util.spec_from_loader(name, self, is_package=is_package)

    def exec_module(self, module):
        """Fill a module from its text."""
        name = module.__spec__.name
        module.__file__ = "<sent>/" + name.replace(".", "/") + ".py"
        exec(compile(self.texts[name], module.__file__, "exec"), module.__dict__)


def main(stdin, stdout):
    """Read the modules, then answer requests."""
    stdout.write((MARK % sys.version.split()[0]).encode("ascii"))
    stdout.flush()
    if sys.version_info[:2] < OLDEST:
        return
    start = json.loads(stdin.readline().decode("ascii"))
    sys.meta_path.insert(0, SentModules(start["modules"]))
    from MgImplantSegLib.jobs.agent.serve import serve

    settings = start["settings"]
    serve(settings, stdin, stdout)


main(sys.stdin.buffer, sys.stdout.buffer)
