"""A private Apache Kafka: one process, broker and controller (KRaft), from its Maven jars."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.stack.cache import build_once, read_pins
from deploy.stack.command import Progress, run, silent
from deploy.stack.download import HERE, provide_jars
from deploy.stack.kafka_protocol import count_brokers
from deploy.stack.packages import ensure_program
from deploy.stack.ports import free_port
from deploy.stack.server import NotReady, Server

BROKER_JAR = "kafka_2.13-"
FORMAT_TIMEOUT_SECONDS = 120.0
DATA_FORMAT = 1
"""Counts up when what is formatted changes, so that caches of older code are not used."""

PARTITIONS = 4
CLUSTER_ID = "cGF5bWVudHMtc3RhY2stMQ"
"""Sixteen bytes in URL-safe base64; any will do."""

LISTS = ("listeners", "advertised.listeners", "listener.security.protocol.map")
"""Settings that are lists: what is given is added to ours."""

JVM_OPTIONS = (
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
)


class KafkaServer(Server):
    """One Kafka broker; topics appear when they are first used, with four partitions.

    Args:
        properties: Broker settings on top of ours, or instead of them.
        progress: Told what takes long.
    """

    kind = "kafka"
    start_timeout_seconds = 120.0
    stop_timeout_seconds = 30.0

    def __init__(
        self,
        *,
        properties: Mapping[str, object] | None = None,
        advertised_port: int | None = None,
        progress: Progress = silent,
    ) -> None:
        """Prepare a broker.

        Args:
            properties: What else is to be set; listeners come on top of ours.
            advertised_port: Where clients are told to connect, for a proxy that stands in between;
                the broker's own port if None.
            progress: Told of what takes time.
        """
        super().__init__(progress=progress)
        self._more_properties = properties or {}
        self._advertised_port = advertised_port

    @property
    def url(self) -> str:
        """The address as `PAYMENTS_BROKER_URL` takes it."""
        return f"kafka://{self.bootstrap}"

    @property
    def bootstrap(self) -> str:
        """The address as Kafka clients take it: `host:port`."""
        return f"127.0.0.1:{self.port}"

    def _provide(self) -> None:
        self._jars = provide_jars("kafka", progress=self._progress)
        self._java = ensure_program("java", "openjdk-17-jre-headless", progress=self._progress)
        self._template()

    def _template(self) -> Path:
        return build_once(f"kafka-data-{self._release()}-{DATA_FORMAT}", self._format)

    def _release(self) -> str:
        (jar,) = [name for name in read_pins("kafka") if name.startswith(BROKER_JAR)]
        return jar.removeprefix(BROKER_JAR).removesuffix(".jar")

    def _format(self, directory: Path) -> None:
        self._progress("Formatting the storage of Kafka ...")
        properties = directory / "server.properties"
        settings = _properties(directory, port=1, controller_port=2)
        properties.write_text(_lines(settings), encoding="utf-8")
        run(
            [
                *self._jvm(),
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={CLUSTER_ID}",
                f"--config={properties}",
            ],
            timeout_seconds=FORMAT_TIMEOUT_SECONDS,
        )
        properties.unlink()

    def _lay_out(self, directory: Path) -> None:
        shutil.copytree(self._template() / "data", directory / "data")
        self._controller_port = free_port()

    def _jvm(self) -> list[str]:
        classpath = ":".join(str(jar) for jar in self._jars)  # the pinned ones and no others
        logging = f"-Dlog4j2.configurationFile={HERE / 'kafka' / 'log4j2.properties'}"
        return [self._java, *JVM_OPTIONS, logging, "-cp", classpath]

    def _command(self) -> list[str]:
        properties = self.directory / "server.properties"
        settings = _properties(
            self.directory,
            port=self.port,
            controller_port=self._controller_port,
            advertised_port=self._advertised_port,
        )
        for name, value in self._more_properties.items():
            # Listeners come on top: the plain one stays for whoever owns the server.
            settings[name] = f"{settings[name]},{value}" if name in LISTS else value
        properties.write_text(_lines(settings), encoding="utf-8")
        return [*self._jvm(), "kafka.Kafka", str(properties)]

    def _probe(self) -> str:
        if count_brokers(self.port) == 0:
            raise NotReady("the controller has not let the broker in")
        return self._release()


def _lines(settings: Mapping[str, object]) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _properties(
    directory: Path, *, port: int, controller_port: int, advertised_port: int | None = None
) -> dict[str, object]:
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{advertised_port or port}",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": directory / "data",
        "num.partitions": PARTITIONS,
        "auto.create.topics.enable": "true",
        # One broker holds the only copy of everything.
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": PARTITIONS,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": PARTITIONS,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # After a crash the controller takes the broker back when its old session has run out:
        # this is most of the time that `kill` and `start` take (13 s with the default of 9 s).
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # A test does not wait three seconds for group members that will not come.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,  # nor six for one that was killed
        # A small machine: fewer threads, and no 128 MB set aside for compaction.
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "log.index.size.max.bytes": 1024 * 1024,
    }
