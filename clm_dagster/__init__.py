"""Customer lifecycle management for e-commerce, as a Dagster project on DuckDB."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clm_dagster.component import ShopComponent

__all__ = ["ShopComponent"]


def __getattr__(name: str) -> object:
    """Return the component, which `dg` finds here as `clm_dagster.ShopComponent`.

    It is imported where it is asked for: Dagster takes seconds, and `clm --help` needs none of it.
    """
    if name == "ShopComponent":
        from clm_dagster.component import ShopComponent

        return ShopComponent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the component too, as `dg list components` looks for it by `dir`."""
    return sorted({*globals(), *__all__})
