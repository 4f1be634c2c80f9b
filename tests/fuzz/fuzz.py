"""Coverage-guided fuzzing of one reader: `python tests/fuzz/fuzz.py TARGET [options of libFuzzer] [CORPUS …]`.

Needs atheris (`pip install atheris`, Python 3.11). Every execution may end in an `InputError` or well; any other
exception, five seconds, or 2 GB of memory end the run and leave the input in a file.
"""
import os
import sys

import atheris

os.environ['OPENCV_LOG_LEVEL'] = 'OFF'  # else a line for every damaged picture
with atheris.instrument_imports(include=['ltseg.flow', 'ltseg.splits', 'zipfile', 'numpy.lib._format_impl']):
    from targets import BASE, SEALS, TARGETS


def main():
    name = sys.argv.pop(1)
    seal = SEALS.get(name)
    BASE.mkdir(exist_ok=True)

    def mutate(data, most, seed):
        data = atheris.Mutate(data, most)
        return seal(data)[:most] if seed % 8 else data  # some keep their wrong checksums

    limits = ['-timeout=5', '-rss_limit_mb=2048', '-max_len=1024']
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:]], TARGETS[name], **(dict(custom_mutator=mutate) if seal else {}))
    atheris.Fuzz()


if __name__ == '__main__': main()
