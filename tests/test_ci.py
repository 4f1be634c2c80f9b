"`.ci/run` does its steps in order, stops where one fails, and says what it leaves out. Its tools are stand-ins here, which write down how they are called."
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = {'python3': 'for a in "$@"; do [ "$a" = .venv ] && mkdir -p .venv/bin && cp ../bin/pip ../bin/python .venv/bin/; done; true',
         'pip': '', 'python': '', 'git': '[ "$1" = status ] && echo $STATUS; true', 'apt-get': '', 'npm': '', 'pandoc': '', 'chromedriver': ''}
STEPS = ['python3 -m venv .venv', 'pip install -e .[dev]', 'python .ci/generate.py', 'git status --short -- nbs ltseg README.md',
         'python .ci/site.py', 'python3 -m venv .venv', 'pip install -e .[dev]', 'python -m pytest']


@pytest.fixture
def ci(tmp_path):
    "Runs it in a folder of its own, where the command that begins with `fails` fails and those in `missing` are not there."
    def run(fails='-', missing=(), status=''):
        for folder in ('bin', 'here/.ci'): (tmp_path/folder).mkdir(parents=True)
        shutil.copy(ROOT/'.ci'/'run', tmp_path/'here'/'.ci')
        for name, work in TOOLS.items():
            if name in missing: continue
            tool = tmp_path/'bin'/name
            tool.write_text(f'#!/bin/sh\ncall="{name} $*"; echo "$call" >> $LOG\ncase "$call" in "$FAILS"*) exit 3;; esac\n{work}\n')
            tool.chmod(0o755)
        for name in ['bash', 'sh', 'env', 'dirname', 'mkdir', 'cp', 'timeout', 'tail', 'id', 'cat']: (tmp_path/'bin'/name).symlink_to(shutil.which(name))
        env = dict(PATH=str(tmp_path/'bin'), LOG=str(tmp_path/'log'), FAILS=fails, STATUS=status)
        done = subprocess.run([tmp_path/'here'/'.ci'/'run'], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        calls = [c for c in (tmp_path/'log').read_text().splitlines() if not c.startswith(('python3 -c', 'python3 -V'))]
        return done.returncode, done.stdout + done.stderr, [c for c in calls if not c.startswith(('npm', 'apt-get'))]
    return run


def test_steps_in_order(ci):
    status, said, calls = ci()
    assert (status, calls) == (0, STEPS), said


@pytest.mark.parametrize('step', ['pip install', 'python .ci/generate.py', 'git status', 'python .ci/site.py', 'python -m pytest'])
def test_stops_where_a_step_fails(ci, step):
    status, said, calls = ci(fails=step)
    assert status and calls[-1].startswith(step), said


def test_stops_for_another_python(ci):
    status, said, calls = ci(fails='python3 -c')
    assert status and not calls and '3.11 or 3.12' in said


def test_stops_for_what_is_not_committed(ci):
    status, said, calls = ci(status='M nbs/20_motion.ipynb')
    assert status == 1 and 'M nbs/20_motion.ipynb' in said and 'generate.py' in said and 'python -m pytest' not in calls


def test_says_what_is_skipped(ci):
    status, said, calls = ci(fails='npm', missing=['pandoc', 'chromedriver', 'apt-get'])
    assert status == 0 and calls == [c for c in STEPS if 'site.py' not in c], said
    for word in ['No chromedriver', 'No axe-core', 'No quarto and no pandoc', 'npm failed']: assert word in said
