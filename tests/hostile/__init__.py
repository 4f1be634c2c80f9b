"""The table of hostile input: what is done, what it gets, and what it leaves behind. `test_hostile.py` runs every row, and
compares it with the page `nbs/98_hostile.ipynb`, which shows them. A section is a module of this package; `table.py` explains a row.
"""
from . import (flow, frames, videos, recordings, formats, folders, tables, weights, training, scores, job, left_behind, # noqa: F401
               archive, program, pages, exports, onnx, live, app) # the order of the sections # noqa: F401
from .made import clip, put_pictures, put_video # noqa: F401
from .page import HEAD, key, line, stored # noqa: F401
from .table import ROWS, snapshot # noqa: F401
