"""The check that refuses an edited map of segments which is no partition of the 25 cells."""

from clm_dagster.domains.segments.model import segment_map_problems
from clm_dagster.platform.assets.seed_assets import SeedCheck
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings


def segment_map_check(settings: Settings) -> SeedCheck:
    """Make the check; names are read from the file, so the order of loading cannot matter."""
    path = settings.sql_dir / "seeds" / "rfm_segment_names.csv"

    def check(connection: Connection, relation: str) -> list[str]:
        """The map names each of the 25 cells exactly once, with known names, all of them reachable."""
        cells = connection.frame(f"select * from {relation}")
        names = connection.frame("select segment from read_csv(?, header = true, delim = ',')", [str(path)])
        return segment_map_problems(cells, names["segment"])

    return check
