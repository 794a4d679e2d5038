"""All commands of `candor`, by name."""

import typer

from service.cli import (
    archive,
    database,
    decide,
    demo,
    erase,
    export,
    key,
    log,
    outside,
    purge,
    recover,
    reference,
    replay,
    serve,
    train,
    verify,
)

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
application.command("erase")(erase.erase)
application.command("purge")(purge.purge)
application.command("export")(export.export)
application.command("archive")(archive.archive)
application.command("demo")(demo.demo)
application.command("recover")(recover.recover)
application.add_typer(log.commands, name="log")
application.add_typer(database.commands, name="database")
application.add_typer(key.commands, name="key")
application.add_typer(erase.holds, name="hold")
application.add_typer(erase.key_encryption, name="key-encryption")
application.add_typer(outside.commands, name="outside")
application.add_typer(reference.commands, name="reference")
