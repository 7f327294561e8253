"""`liqheat topics create`: the topics of the pipeline, from the one enum that names them."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    topics = typer.Typer(help="Create and list the Kafka topics.", no_args_is_help=True)
    app.add_typer(topics, name="topics")

    @topics.command("create")
    def create() -> None:
        """Create the topics that are missing; the others stay as they are."""
        from liqheat.platform import settings
        from liqheat.platform.kafka import create_topics

        kafka = settings.load().kafka
        created = create_topics(kafka)
        for name in created:
            print(f"created {name}")
        print(f"{len(created)} created on {kafka.bootstrap_servers}")

    @topics.command("list")
    def list_topics() -> None:
        """List the topics with their key, partitions and retention."""
        from liqheat.platform import settings
        from liqheat.platform.topics import Topic

        kafka = settings.load().kafka
        for topic in Topic:
            configuration = ", ".join(f"{name}={value}" for name, value in topic.configuration().items())
            partitions = topic.partitions(kafka.partitions)
            print(f"{kafka.topic(topic)}: key {topic.value.key}, {partitions} partitions, {configuration}")
