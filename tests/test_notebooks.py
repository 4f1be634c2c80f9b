"""Every notebook runs from top to bottom, in a process of its own, and prints what is stored in it.

The process is a fork of one that has imported the slow libraries, once for all notebooks.
"""
import multiprocessing
import os
from pathlib import Path

import pytest
from notebook import NBS, run

NOTEBOOKS = sorted(p.relative_to(NBS) for p in NBS.rglob('*.ipynb')
                   if not any(part.startswith(('_', '.')) for part in p.relative_to(NBS).parts))
SLOW = ['pytest', 'execnb.shell', 'nbdev.showdoc', 'nbdev.processors', 'fastcore.test', # to import; not of this folder: it is not on the path there
        'torch', 'torch.utils.tensorboard', 'pytorch_lightning', 'matplotlib.pyplot', 'scipy.ndimage', 'scipy.optimize', 'pandas', 'cv2', 'av']


@pytest.fixture(scope='session')
def processes():
    "Starts processes that need not import what is slow."
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(SLOW)
    return context


def reported(notebook: Path, flags: list, report, said: Path):
    "Runs in the process of its own: sends what went wrong; whatever libraries and programs say goes into the file `said`."
    with open(said, 'w') as file:
        for n in (1, 2): os.dup2(file.fileno(), n)
    multiprocessing.set_start_method(None, force=True) # as in a process of one's own: it was set to that of this one
    report.send(run(notebook, flags))


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=str)
def test_notebook(notebook, processes, tmp_path, request):
    report, sender = processes.Pipe(duplex=False)
    flags = request.config.getoption('--flags').split()
    process = processes.Process(target=reported, args=(NBS/notebook, flags, sender, tmp_path/'said'))
    process.start()
    sender.close()
    try: found = report.recv() if report.poll(900) else ['no end after 15 minutes']
    except EOFError: found = ['the process died']
    process.kill()
    process.join()
    if found: pytest.fail('\n\n'.join([str(notebook), *found, (tmp_path/'said').read_text()[-5000:]]), pytrace=False)
