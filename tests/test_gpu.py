"What one call on a borrowed GPU does, in tiny sizes on the processor: from start to end, and when a step goes wrong."
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from hostile import snapshot
from processes import alone, needs_proc

from ltseg.files import InputError
from ltseg.gpu import STEPS, TINY, Stage, cuda_notebooks, main, run_steps
from ltseg.segmenter import Segmenter

ROOT = Path(__file__).resolve().parent.parent


def call(words):
    "`python -m ltseg.gpu WORDS` -> exit status."
    sys.modules.pop('ltseg.gpu', None)
    sys.argv = ['gpu', *words]
    try: runpy.run_module('ltseg.gpu', run_name='__main__', alter_sys=True)
    except SystemExit as e: return e.code


def test_all_steps(tmp_path):
    "The whole call: every step is done, the summary says so, and the weights can be used."
    before, out = snapshot(ROOT/'nbs'), tmp_path/'OUT'
    status = alone(call, [str(out), '--tiny', '--minutes', '30', '--commit', 'abc'])
    report = json.loads((out/'gpu.json').read_text('utf8'))
    told = {s['name']: s['told'] for s in report['steps']}
    assert [(s['name'], s['status']) for s in report['steps']] == [(n, 'done') for n in STEPS], report
    assert status == 0 and report['commit'] == 'abc'
    files = {p.name: p.stat().st_size for p in out.rglob('*')}
    assert len(files) <= 8 and max(files.values()) < 16*2**20 and {'gpu.json', 'gpu.md', 'network.safetensors', 'head.safetensors'} < files.keys()
    assert all(f'| {n} | done |' in (out/'gpu.md').read_text('utf8') for n in STEPS)
    assert (told['tests']['passed'], told['tests']['failed']) == (len(TINY.notebooks), '')
    assert told['machine']['versions']['torch'] == torch.__version__
    assert len(told['notebook']['log']) == 2 and TINY.notebook.items() <= json.loads(told['notebook']['settings']).items()
    assert [(r['T'], r['precision']) for r in told['speed']['speed']] == [(T, p) for T in TINY.lengths for p in ('fp32', 'bf16')] and len(TINY.frames) == 1
    assert all(r['GFLOP/frame'] > 0 and r['MB/frame'] > 0 for r in told['speed']['speed'])
    assert told['head']['network'] == 'network.safetensors'
    network, head, packaged = (Segmenter.from_pretrained(n).network.state_dict() for n in (out/'network.safetensors', out/'head.safetensors', 'default'))
    assert any((network[k] != packaged[k]).any() for k in network), 'nothing was trained'
    assert all((network[k] == head[k]).all() for k in network if not k.startswith('head.')), 'the head is on another network'
    assert snapshot(ROOT/'nbs') == before


def works(task): task.tell(dict(done=True))
def fails(task): raise InputError('device', 'it is not here')


def hangs(task):
    "Takes too long, and so does a program that it has started."
    program = subprocess.Popen(['sleep', '600'])
    task.tell(dict(program=program.pid))
    time.sleep(600)


def is_over(number):
    "Whether the process of this number has ended, even if nobody has asked for its status."
    try: return 'State:\tZ' in Path(f'/proc/{number}/status').read_text()
    except FileNotFoundError: return True


def dies(task): os.kill(os.getpid(), signal.SIGKILL)


@needs_proc
def test_a_step_that_goes_wrong_does_not_stop_the_next(tmp_path):
    steps = [Stage('fails', fails, .5, 'log'), Stage('hangs', hangs, .05, 'log'), Stage('dies', dies, .5, 'log'), Stage('works', works, 1., 'log')]
    report = run_steps(steps, tmp_path/'OUT', minutes=2)
    assert json.loads((tmp_path/'OUT'/'gpu.json').read_text('utf8')) == report
    assert [(s['name'], s['status']) for s in report['steps']] == [('fails', 'failed'), ('hangs', 'stopped'), ('dies', 'failed'), ('works', 'done')]
    fault, late, died, fine = report['steps']
    assert 'it is not here' in fault['error'] and 'it is not here' in (tmp_path/'OUT'/'log.log').read_text()
    assert 'not at its end' in late['error'] and is_over(late['told']['program'])
    assert 'ended with -9' in died['error'] and fine['told'] == dict(done=True)


def test_what_is_done_is_there_when_the_run_is_cut_off(tmp_path):
    "The summary is written before and after every step."
    def looks(task): seen.write_text((task.out/'gpu.json').read_text('utf8'))
    seen = tmp_path/'seen.json'
    run_steps([Stage('works', works, .5, 'log'), Stage('looks', looks, 1., 'log')], tmp_path/'OUT', minutes=2)
    assert [(s['name'], s['status']) for s in json.loads(seen.read_text())['steps']] == [('works', 'done'), ('looks', 'running')]


def test_a_run_is_not_overwritten(tmp_path, capsys):
    run_steps([], tmp_path/'OUT')
    before = snapshot(tmp_path)
    assert main([str(tmp_path/'OUT'), '--tiny']) == 2 and 'another folder' in capsys.readouterr().err
    assert main([str(tmp_path/'NEW'), '--only', 'teests']) == 2 and "did you mean 'tests'" in capsys.readouterr().err
    assert snapshot(tmp_path) == before


def test_notebooks_with_cells_for_a_gpu():
    "Motion fit, losses, EM, network, training step, head, appearance and the whole job are compared with the processor."
    wanted = {'20_motion', '25_losses', '30_em', '35_network', '84_segmenter', '86_head_training', '49_appearance', '52_inference'}
    assert wanted <= set(cuda_notebooks())


def test_the_way_to_the_weights_imports_little():
    "Neither what reads videos, nor what draws flow, nor a service for logs, nor Jupyter."
    code = 'import sys, ltseg.gpu; print(*{"av", "flowiz", "wandb", "IPython", "nbdev", "execnb", "tensorboard"} & set(sys.modules))'
    assert subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.split() == []
