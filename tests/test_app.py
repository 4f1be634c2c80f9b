"`ltseg app`: what its desk makes and deletes, whom its server answers and asks. The page in a browser is for test_app_page.py."
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from processes import program  # noqa: F401: a fixture

from ltseg.app import Desk, serve_app
from ltseg.cli import main
from ltseg.export import FORMATS
from ltseg.files import InputError
from ltseg.result import read_result
from ltseg.synthetic import demo_scene
from ltseg.video import write_video


@pytest.fixture
def clip(tmp_path):
    (tmp_path/'clips').mkdir()
    write_video(tmp_path/'clips'/'walk.mp4', demo_scene(7, (48, 80)).frames, fps=12)
    return tmp_path/'clips'/'walk.mp4'


def left(folder): return sorted(str(p.relative_to(folder)) for p in folder.rglob('*'))


def test_archives_hold_what_the_formats_write(clip, tmp_path):
    "Every format, each file byte for byte; when it is asked for again, it is not made again."
    pytest.importorskip('zarr')
    desk = Desk(clip.parent, method='em')
    desk.segment('visitor', clip, 2)
    job = desk.jobs['visitor']
    for name, write in FORMATS.items():
        archive, expected = job.export(name), write(read_result(job.out), tmp_path/name)
        with zipfile.ZipFile(archive) as found:
            files = {f for f in found.namelist() if not f.endswith('/')}
            assert files == {str(p.relative_to(expected)) for p in expected.rglob('*') if p.is_file()}, name
            assert all(found.read(f) == (expected/f).read_bytes() for f in files if f != 'export.json'), name
        before = archive.stat().st_mtime_ns
        assert job.export(name) == archive and archive.stat().st_mtime_ns == before
    assert {p.name for p in job.folder.iterdir()} == {'walk', *(f'walk-{name}.zip' for name in FORMATS)}
    desk.close()
    assert left(clip.parent) == []


def test_a_format_that_cannot_hold_it_leaves_the_rest(clip):
    desk = Desk(clip.parent, method='em')
    desk.segment('visitor', clip, 2)
    before = left(clip.parent)
    def full(result, out): raise InputError('coco', 'too many')
    with patch.dict(FORMATS, coco=full), pytest.raises(InputError, match='too many'): desk.jobs['visitor'].export('coco')
    assert left(clip.parent) == before
    assert desk.jobs['visitor'].export('csv').is_file()


class Waiting:
    "A method that finds nothing, once it is let on; it says when it has begun."
    max_segments, about = 2, dict(method='waiting')
    def __init__(self): self.begun, self.on = threading.Event(), threading.Event()
    def __call__(self, flow, K):
        self.begun.set()
        assert self.on.wait(60)
        return flow.new_ones(len(flow), K, *flow.shape[2:])/K


def test_who_leaves_stops_the_work(clip):
    "It ends between two frames, and what it has written is gone, with the video."
    method, errors = Waiting(), []
    desk = Desk(clip.parent, method=method, window=2, overlap=1)
    def work():
        try: desk.segment('visitor', clip, 2)
        except InputError as e: errors.append(str(e))
    work = threading.Thread(target=work)
    work.start()
    assert method.begun.wait(60)
    job, leaving = desk.jobs['visitor'], threading.Thread(target=desk.leave, args=('visitor',))
    leaving.start()
    while not job.stopped: time.sleep(.01)
    method.on.set()
    leaving.join(60), work.join(60)
    assert errors == ['walk.mp4: stopped'] and left(clip.parent) == []


def test_wrong_names_are_said_before_the_page_is_there(capsys):
    for words, said in ((['--weights', 'nosuch'], 'nosuch'), (['--method', 'em', '--weights', 'head'], '--weights'), (['--upload', '0'], 'from 1')):
        try: status = main(['app', *words])
        except SystemExit as e: status = e.code
        assert status == 2 and said in capsys.readouterr().err


# ---- with Gradio

@pytest.fixture
def served(tmp_path, monkeypatch):
    "Serves with these options; all temporary files are below `tmp_path/temporary`."
    pytest.importorskip('gradio', reason='no Gradio here: pip install "ltseg[app]"')
    (tmp_path/'temporary').mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path/'temporary'))
    return lambda **options: serve_app(method='em', **options)


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({})) # urllib's own would keep a proxy for all later tests


def answer(address, data=None, **headers):
    "(status, content) of a request."
    try:
        with DIRECT.open(urllib.request.Request(address, data, headers)) as found: return found.status, found.read()
    except urllib.error.HTTPError as e: return e.code, e.read()


def upload(address, name, content):
    body = (f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n').encode() + content + b'\r\n--x--\r\n'
    return answer(address + 'gradio_api/upload', body, **{'Content-Type': 'multipart/form-data; boundary=x'})


def settings(): return {name: value for name, value in os.environ.items() if 'GRADIO' in name or 'proxy' in name.lower()}


ASKED = [] # (event, whom) of sockets, since it was emptied


def listen_in(event, args):
    if event == 'socket.connect': ASKED.append(args[1])
    if event == 'socket.getaddrinfo': ASKED.append(args[:2])


def test_the_server(served, tmp_path, monkeypatch):
    "It is of this machine alone, asks no other, takes no more than it says, and leaves nothing; a proxy does not stand in its way."
    for name in ('http_proxy', 'HTTP_PROXY'): monkeypatch.setenv(name, 'http://127.0.0.1:9')
    for name in ('no_proxy', 'NO_PROXY'): monkeypatch.delenv(name, raising=False)
    sys.addaudithook(listen_in)
    ASKED.clear()
    before = settings()
    with served(upload=1) as address:
        port = int(address.split(':')[2].strip('/'))
        assert [c.laddr.ip for c in psutil.Process().net_connections('inet') if c.status == 'LISTEN' and c.laddr.port == port] == ['127.0.0.1']
        assert answer(address)[0] == answer(address, Origin=f'http://localhost:{port}')[0] == 200
        for strange in (dict(Host='evil.example'), dict(Host=f'evil.example:{port}'), dict(Origin='http://evil.example'), dict(Origin='null')):
            assert answer(address, **strange)[0] == 403, strange
        assert upload(address, 'a.mp4', bytes(500_000))[0] == 200
        home, = (tmp_path/'temporary').iterdir()
        assert [p.stat().st_size for p in home.rglob('*.mp4')] == [500_000]
        assert upload(address, 'b.mp4', bytes(1_100_000))[0] == 413
        assert [p.name for p in home.rglob('*') if p.is_file() and p.stat().st_size] == ['a.mp4']
        for path in ('/etc/passwd', f'{tmp_path}/clips'): assert answer(f'{address}gradio_api/file={path}')[0] in (403, 404)
    assert left(tmp_path/'temporary') == [] and settings() == before
    hosts = {str(whom[0]) for whom in ASKED if isinstance(whom, tuple)}
    assert hosts <= {'127.0.0.1', 'localhost', '::1'}, hosts
    with pytest.raises(OSError): socket.create_connection(('127.0.0.1', port), timeout=5)


def test_after_an_error_nothing_is_left(served, tmp_path):
    with pytest.raises(ZeroDivisionError):
        with served(): 1/0
    assert left(tmp_path/'temporary') == []


def test_control_c(served, tmp_path, program):
    "The program says where the page is, and ends as the others do."
    process, said = program('app', '--method', 'em', '--port', '0', said=tmp_path/'said'), tmp_path/'said'
    while not (found := re.search(r'open (http://127\.0\.0\.1:\d+/)', said.read_text() if said.exists() else '')):
        time.sleep(.1)
        assert process.is_alive(), said.read_text()
    assert answer(found[1])[0] == 200
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 130 and 'ltseg: stopped' in said.read_text() and 'Traceback' not in said.read_text(), said.read_text()
