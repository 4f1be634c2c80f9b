from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption('--flags', default='', help='also run the notebook cells marked with these flags, such as "cuda slow"')


@pytest.fixture
def root() -> Path:
    "The top folder of the project."
    return Path(__file__).resolve().parent.parent
