"""Which plans to try and which to go on with: the space, random draws, successive halving.

Contract: `draw` gives plans grouped by structure; `halve` trains their populations side by side and keeps rows.
"""

from trainwell.search.halving import Entry as Entry, Rung as Rung, halve as halve, ladder as ladder
from trainwell.search.space import COLUMN_SPACE as COLUMN_SPACE, STRUCTURE_SPACE as STRUCTURE_SPACE, draw as draw
