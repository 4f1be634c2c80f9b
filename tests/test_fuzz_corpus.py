"The inputs that fuzzing has found worth keeping, once more, without the fuzzer."
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent/'fuzz'
sys.path.insert(0, str(FUZZ))
from targets import SEALS, TARGETS


@pytest.mark.parametrize('name', TARGETS)
def test_corpus(name):
    "Every input, as it is and with its bytes cut, ends well or in an `InputError`."
    files = sorted((FUZZ/'corpus'/name).iterdir())
    assert files
    for data in map(Path.read_bytes, files):
        for part in (data, data[:len(data)//2], data[:-1], data + b'\0'):
            TARGETS[name](part)
            TARGETS[name](SEALS.get(name, bytes)(part))


def test_corpus_is_small():
    assert sum(f.stat().st_size for f in (FUZZ/'corpus').rglob('*') if f.is_file()) <= 200_000
