"""`liqheat process`: one worker of the processors."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def process() -> None:
        """Turn position events into heatmap rows: one Faust worker; start more to share the partitions."""
        from liqheat.platform import logging, settings
        from liqheat.platform.kafka import create_topics
        from processors.pipeline import Pipeline
        from processors.worker.app import run

        loaded = settings.load()
        logging.configure(loaded.service.log_level, loaded.service.log_style)
        create_topics(loaded.kafka)
        run(loaded, Pipeline(loaded.signals))
