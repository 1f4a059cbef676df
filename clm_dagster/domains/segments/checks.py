"""Check of the segment map: it must assign a segment to each of the 25 cells.

Belongs here: the check. Does not belong here: validation of the map (`model`).
"""

from clm_dagster.domains.segments.model import segment_map_problems
from clm_dagster.platform.assets.seed_assets import SeedCheck
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings


def segment_map_check(settings: Settings) -> SeedCheck:
    """Return the check. It reads the segment names from the file, so that the order of loading does not matter."""
    path = settings.sql_dir / "seeds" / "rfm_segment_names.csv"

    def check(connection: Connection, relation: str) -> list[str]:
        """The map assigns a known segment to each of the 25 cells exactly once, and uses every segment."""
        cells = connection.frame(f"select * from {relation}")
        names = connection.frame("select segment from read_csv(?, header = true, delim = ',')", [str(path)])
        return segment_map_problems(cells, names["segment"])

    return check
