"""Servers from Debian's packages, on loopback ports and folders of our own.

Each is started at its first use and stopped with the tests.
"""

import glob
import os
import pathlib
import shutil
import subprocess

from interop.kit.daemons import Daemon, as_user, free_port
from support import tls


class Server:
    """A running server: `port`, and `version` as it tells it itself."""

    #: The name of the program, and the user that it runs as under root.
    program = ""
    user: str | None = None
    #: What shows the version.
    version_option = "--version"

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.path = self.find(self.program)
        self.cert, self.key = tls.write_files(str(folder))
        self.own(folder)
        self.log = folder / "log"
        self.daemon = self.start()

    def find(self, program: str) -> str:
        """Debian puts servers where the PATH of a user has none."""
        places = os.environ["PATH"].split(":") + ["/usr/sbin"]
        path = shutil.which(program, path=":".join(places))
        if path is None:
            raise FileNotFoundError(f"{program} is not installed")
        return path

    def own(self, folder: pathlib.Path) -> None:
        """Give the folder, and the key in it, to the server's user."""
        os.chmod(self.key, 0o600)
        if self.user is not None and os.geteuid() == 0:
            for path in (folder, self.cert, self.key):
                shutil.chown(path, self.user, self.user)
            # The folders above were made for us alone.
            for above in folder.parents:
                if above.stat().st_mode & 0o001 == 0:
                    above.chmod(above.stat().st_mode | 0o011)

    def run(self, *command: str, **kwargs) -> str:
        """Run a command of the set-up as the server's user."""
        done = subprocess.run(
            as_user(self.user) + list(command), text=True, cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=120, **kwargs,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def launch(self, *arguments: str, **kwargs) -> Daemon:
        return Daemon(
            [self.path, *arguments], self.log, port=self.port,
            user=self.user, cwd=self.folder, **kwargs,
        )

    def start(self) -> Daemon:
        raise NotImplementedError

    def version(self) -> str:
        done = subprocess.run(
            [self.path, self.version_option], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        words = done.stdout.replace(",", " ").replace("/", " ").split()
        numbers = [word for word in words if word.strip("v=")[:1].isdigit()]
        return numbers[0].strip("v=").partition("-")[0]

    def stop(self) -> None:
        self.daemon.stop()


class Postgres(Server):
    """User postgres, database postgres, no password; TLS on the port."""

    program = "postgres"
    user = "postgres"

    def find(self, program: str) -> str:
        found = sorted(
            glob.glob(f"/usr/lib/postgresql/*/bin/{program}"),
            key=lambda path: int(path.split("/")[4]),
        )
        return found[-1] if found else super().find(program)

    def start(self) -> Daemon:
        data = self.folder / "data"
        self.run(
            os.path.join(os.path.dirname(self.path), "initdb"),
            "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--no-sync",
        )
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder, "ssl": "on",
            "ssl_cert_file": self.cert, "ssl_key_file": self.key,
            "fsync": "off", "max_connections": 60,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return self.launch("-D", str(data), *options)

    def url(self, scheme: str = "postgresql") -> str:
        return f"{scheme}://postgres@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        # SIGTERM waits for the clients.
        self.daemon.stop(2)


class MariaDB(Server):
    """User tester with password secret, database test; TLS on the port."""

    program = "mariadbd"
    user = "mysql"

    def start(self) -> Daemon:
        data = self.folder / "data"
        self.run(
            self.find("mariadb-install-db"), "--no-defaults",
            f"--datadir={data}", "--skip-test-db",
            "--auth-root-authentication-method=normal",
        )
        script = self.folder / "init.sql"
        script.write_text(
            "create database test character set utf8mb4;\n"
            "create user tester@'%' identified by 'secret';\n"
            "grant all on test.* to tester@'%';\n"
        )
        return self.launch(
            "--no-defaults", f"--datadir={data}", f"--port={self.port}",
            "--bind-address=127.0.0.1", f"--socket={self.folder}/socket",
            f"--ssl-cert={self.cert}", f"--ssl-key={self.key}",
            f"--init-file={script}", f"--pid-file={self.folder}/pid",
            "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
        )

    def settings(self, database: str = "db") -> dict:
        return {
            "host": "127.0.0.1", "port": self.port, "user": "tester",
            "password": "secret", database: "test",
        }

    def url(self, scheme: str) -> str:
        return f"{scheme}://tester:secret@127.0.0.1:{self.port}/test"


class Redis(Server):
    """No password; TLS on `tls_port`."""

    program = "redis-server"

    def start(self) -> Daemon:
        self.tls_port = free_port()
        return self.launch(
            "--port", str(self.port), "--bind", "127.0.0.1",
            "--tls-port", str(self.tls_port), "--tls-cert-file", self.cert,
            "--tls-key-file", self.key, "--tls-ca-cert-file", self.cert,
            "--tls-auth-clients", "no", "--save", "", "--appendonly", "no",
            "--dir", str(self.folder), "--enable-debug-command", "local",
        )

    def version(self) -> str:
        return super().version().removeprefix("v=")


class RabbitMQ(Server):
    """User guest with password guest."""

    program = "rabbitmq-server"
    user = "rabbitmq"

    def find(self, program: str) -> str:
        # The one on the PATH is a wrapper that has a user and paths fixed.
        real = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        return real if os.path.exists(real) else super().find(program)

    def start(self) -> Daemon:
        self.epmd_port = free_port()
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
        )
        env = {
            **os.environ, "HOME": str(self.folder),
            "RABBITMQ_BASE": str(self.folder),
            "RABBITMQ_NODENAME": f"interop{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        return self.launch(env=env)

    def version(self) -> str:
        lines = self.daemon.output().split("RabbitMQ ")
        return lines[1].split()[0]

    def stop(self) -> None:
        super().stop()
        # It was started in the background, in a session of its own.
        subprocess.run(
            ["epmd", "-port", str(self.epmd_port), "-kill"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )


class Mosquitto(Server):
    """Lets everybody in."""

    program = "mosquitto"
    user = "mosquitto"
    version_option = "-h"

    def start(self) -> Daemon:
        config = self.folder / "conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
        )
        return self.launch("-c", str(config))


class Nats(Server):
    program = "nats-server"

    def start(self) -> Daemon:
        return self.launch("-a", "127.0.0.1", "-p", str(self.port))


class Nginx(Server):
    """Serves what `configure` says, which may be said again and again."""

    program = "nginx"
    version_option = "-v"

    def start(self) -> Daemon:
        self.write("")
        return self.launch("-p", str(self.folder), "-c", "conf")

    def write(self, locations: str, above: str = "") -> None:
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "conf").write_text(f"""
            {user}
            daemon off;
            worker_processes 1;
            pid {self.folder}/pid;
            error_log stderr;
            events {{ worker_connections 1024; }}
            http {{
                access_log off;
                {above}
                server {{
                    listen 127.0.0.1:{self.port};
                    {locations}
                }}
            }}
        """)

    def configure(self, locations: str, above: str = "") -> None:
        """Take other locations, with connections on the old ones ended."""
        self.write(locations, above)
        self.daemon.stop(3)
        self.daemon = self.launch("-p", str(self.folder), "-c", "conf")


SERVERS = {
    "postgres": Postgres, "mariadb": MariaDB, "redis": Redis,
    "nginx": Nginx, "rabbitmq": RabbitMQ, "mosquitto": Mosquitto,
    "nats": Nats,
}
