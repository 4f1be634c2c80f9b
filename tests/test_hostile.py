"Every row of the table of hostile input gets what it states, in bounded memory, and leaves nothing half-written."
import warnings

import pytest
from hostile import ROWS


@pytest.mark.parametrize('row', ROWS, ids=[f'{r.section}-{r.what}' for r in ROWS])
def test_row(row, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        row.outcome(tmp_path)
    assert not [p for p in tmp_path.rglob('.*')] # temporary files
