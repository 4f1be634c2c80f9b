"Options, and the number of threads, for all tests."
import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Tests run side by side (`-n`), so each process has one thread, unless the environment says otherwise. Set before torch is imported.
for name in ['OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'OPENCV_FOR_THREADS_NUM']: os.environ.setdefault(name, '1')
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE') # threads that wait for others must not keep busy the cores that these need
os.environ.setdefault('WANDB_MODE', 'offline') # no service is called

# The same examples every time: a test that fails by chance helps nobody. A search for new ones is asked for by `--hypothesis-profile=search`.
settings.register_profile('ltseg', derandomize=True, database=None, deadline=None, max_examples=40,
                          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile('search', settings.get_profile('ltseg'), derandomize=False, max_examples=1000)
settings.load_profile('ltseg')


def pytest_addoption(parser):
    parser.addoption('--flags', default='', help='also run the notebook cells marked with these flags, such as "cuda slow"')


@pytest.fixture
def root() -> Path:
    "The top folder of the project."
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope='module')
def builder():
    "What builds the site, `.ci/site.py`; loaded anew for each module, since tests change it."
    spec = importlib.util.spec_from_file_location('site_builder', Path(__file__).resolve().parent.parent/'.ci'/'site.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
