"""`justpayme serve`: the real thing, everything in one command."""

import sys
from argparse import ArgumentParser, Namespace

from justpayme.runtime.command import OK, Command, CommandError
from justpayme.runtime.logs import set_up
from justpayme.runtime.parts import (
    add_address_arguments,
    database_server,
    listening_address,
    migrate,
    part_environment,
    program,
    serving_config,
    web_answers,
)
from justpayme.runtime.postgres import PostgresError
from justpayme.runtime.supervisor import Child, StoppedEarly, Supervisor, port_is_free


def add_arguments(parser: ArgumentParser) -> None:
    """Where to listen."""
    add_address_arguments(parser)


def run(arguments: Namespace) -> int:
    """Database, migrations, web and worker, until Ctrl-C or SIGTERM."""
    config = serving_config()
    set_up(config.log_level)
    host, port = listening_address(arguments, config)
    server = database_server(config)
    url = config.database_url or (server.url if server else "")
    supervisor = Supervisor(config.home, config.base_url, server)
    environment = part_environment(config, url)
    try:
        with supervisor.running():
            if not port_is_free(host, port):
                raise CommandError(
                    f"{host}:{port} is taken. Stop what uses it, or say --port and change "
                    "JUSTPAYME_BASE_URL with it."
                )
            migrate(environment)
            web = program("web", "--host", host, "--port", str(port))
            supervisor.add(Child("web", web, environment))
            supervisor.add(Child("worker", program("worker"), environment))
            if not supervisor.wait_for(lambda: web_answers(host, port), 60):
                raise CommandError("The web did not start in a minute; its words are above.")
            print(f"JustPayMe is at {config.base_url} (Ctrl-C stops it)", file=sys.stderr)
            supervisor.watch()
    except StoppedEarly:
        return OK
    except PostgresError as error:
        raise CommandError(str(error)) from error
    return OK


COMMAND = Command("serve", "run everything: database, web and worker", add_arguments, run)
