"""The command `clm explain`.

Belongs here: its options and its output. Does not: the explanations (`platform.trained_models.explaining`).
"""

from datetime import datetime
from pathlib import Path

import click

from clm_dagster.settings import load_settings


@click.command()
@click.argument("model")
@click.option(
    "--at",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    help="The as_of of the training, as in the table; default: the newest.",
)
def explain(model: str, at: datetime | None) -> None:
    """Explain all candidates of a training of MODEL, such as churn_model, in its MLflow runs."""
    from clm_dagster.component import settings_of_folder
    from clm_dagster.platform.trained_models.explaining import explain_training

    folder: Path | None = click.get_current_context().find_root().obj
    settings = load_settings() if folder is None else settings_of_folder(folder)
    explained = explain_training(settings, model, at.date() if at else None, click.echo)
    click.echo(str(explained))
