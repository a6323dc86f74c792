"""Which plans to try and which to go on with: the space, random draws, successive halving.

Contract: `draw` gives plans grouped by structure; `halve` trains their populations side by side and keeps rows.
"""

from trainwell.search.halving import Entry as Entry, Rung as Rung, halve as halve, ladder as ladder
from trainwell.search.space import (
    COLUMN_SPACE as COLUMN_SPACE,
    DENSE_SPACE as DENSE_SPACE,
    STRUCTURE_SPACE as STRUCTURE_SPACE,
    Space as Space,
    draw as draw,
    has_use as has_use,
    module_space as module_space,
)
