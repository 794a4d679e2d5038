"""All commands of `candor`, by name."""

import typer

from service.cli import decide, demo, key, outside, reference, replay, serve, train, verify

application = typer.Typer(
    name="candor",
    help="Order decisions that explain themselves, and can prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
application.command("serve")(serve.serve)
application.command("train")(train.train)
application.command("decide")(decide.decide)
application.command("verify")(verify.verify)
application.command("replay")(replay.replay)
application.command("demo")(demo.demo)
application.add_typer(key.commands, name="key")
application.add_typer(outside.commands, name="outside")
application.add_typer(reference.commands, name="reference")
