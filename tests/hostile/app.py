"`ltseg app`: names, numbers and ports that are wrong are said before there is a page, and a video that is none on it."
import socket
import sys
from unittest.mock import patch

from .made import clip, put_video
from .table import ltseg, row


@row('App', 'without Gradio', 'pip install "ltseg[app]"')
def _(d):
    with patch.dict(sys.modules, gradio=None): ltseg('app', '--method', 'em', '--port', 0)

@row('App', 'a port that is taken', 'port', 'another number')
def _(d):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 28_317))
        taken.listen()
        ltseg('app', '--method', 'em', '--port', 28_317)

@row('App', 'weights that are not there', 'nosuch.safetensors')
def _(d): ltseg('app', '--weights', d/'nosuch.safetensors')

@row('App', 'uploads without a size', 'from 1')
def _(d): ltseg('app', '--upload', 0)

@row('App', 'a video that is none', 'a.mp4', 'a complete video')
def _(d):
    from ltseg.app import Desk
    (d/'a.mp4').write_bytes(b'no video'*100)
    yield
    Desk(d, method='em').segment('visitor', d/'a.mp4', 2)

@row('App', 'more segments than the method finds', 'K', '255')
def _(d):
    from ltseg.app import Desk
    put_video(d/'a.mp4', clip(), 'mpeg4', 'yuv420p')
    yield
    Desk(d, method='em').segment('visitor', d/'a.mp4', 256)
