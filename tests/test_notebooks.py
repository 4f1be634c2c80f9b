"Every notebook runs from top to bottom, in a process of its own."
import os
import subprocess
import sys
from pathlib import Path

import pytest

NBS = Path(__file__).resolve().parent.parent/'nbs'
NOTEBOOKS = sorted(p.relative_to(NBS) for p in NBS.rglob('*.ipynb')
                   if not any(part.startswith(('_', '.')) for part in p.relative_to(NBS).parts))
# nbdev's own runner; its command would count a notebook that opts out as a success.
RUN = '''
import sys
from pathlib import Path
from nbdev.config import get_config
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor
from nbdev.test import test_nb
path, flags = Path(sys.argv[1]), sys.argv[2].split()
nb = NBProcessor(path, procs=FrontmatterProc, process=True).nb
if str(nb.frontmatter_.get('skip_exec', False)).lower() == 'true': sys.exit(77)
passed, _ = test_nb(path, skip_flags=get_config().tst_flags.split(), force_flags=flags)
sys.exit(not passed)
'''


def environment(workers: int) -> dict:
    "Threads for one of `workers` processes: more threads than cores makes all of them slower. No service is called."
    n = str(max(1, (os.cpu_count() or 1)//max(1, workers)))
    threads = dict.fromkeys(['OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'OPENCV_FOR_THREADS_NUM'], n)
    return {**os.environ, **threads, 'WANDB_MODE': 'offline'}


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=str)
def test_notebook(notebook, request):
    workers = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))
    cmd = [sys.executable, '-c', RUN, str(NBS/notebook), request.config.getoption('--flags')]
    done = subprocess.run(cmd, cwd=NBS, env=environment(workers), stdin=subprocess.DEVNULL, timeout=900,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode == 77: pytest.skip('the notebook says skip_exec')
    if done.returncode: pytest.fail(f'{notebook}\n{done.stdout[-10_000:]}', pytrace=False)
