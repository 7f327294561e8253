"""Why a broker does not let us in: a refused password or a certificate that is not trusted, called that.

kafka-python only says that it could not reach anybody: it misses the broker's last answer before the connection ends.
So where a client fails and the cluster is guarded, one connection is tried with aiokafka, which reads that answer.
"""

import asyncio
import ssl
import threading
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from liqheat.platform.settings import Kafka

_SECONDS = 4.0
_REFUSED = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)


def ssl_context(kafka: Kafka) -> ssl.SSLContext | None:
    """Return what TLS to the brokers is checked and signed with, None where the protocol has none.

    Raises:
        OSError: a file of the settings cannot be read; `ssl.SSLError` where it is no certificate or key.
    """
    if not kafka.security_protocol.endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=str(kafka.ssl_ca_file) if kafka.ssl_ca_file else None)
    if kafka.ssl_certificate_file is not None:
        password = kafka.ssl_key_password.get_secret_value() if kafka.ssl_key_password else None
        context.load_cert_chain(kafka.ssl_certificate_file, kafka.ssl_key_file, password)
    return context


def refusal(kafka: Kafka) -> str | None:
    """Try one connection to each broker; return which credential was refused, None where none was.

    Blocks for some seconds; callable from any thread, on an event loop or off it.
    """
    if kafka.security_protocol == "PLAINTEXT":
        return None
    answers: list[str | None] = []
    # An event loop may run in this thread already, so the try has a thread of its own.
    thread = threading.Thread(
        target=lambda: answers.append(asyncio.run(_try(kafka))), name="kafka refusal", daemon=True
    )
    thread.start()
    thread.join(2 * _SECONDS)
    return answers[0] if answers else None


async def _try(kafka: Kafka) -> str | None:
    for server in kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            async with asyncio.timeout(_SECONDS):
                connection = await create_conn(host, int(port), **_options(kafka))
                # With TLS 1.3 a broker refuses our certificate only after the handshake.
                await asyncio.sleep(0.2)
                refused_late = not connection.connected()
                connection.close()
        except _REFUSED:
            return (
                f"Kafka at {server} refused the user {kafka.sasl_username!r}; "
                "check LIQHEAT_KAFKA__SASL_MECHANISM, __SASL_USERNAME and __SASL_PASSWORD"
            )
        except (KafkaError, OSError, ValueError, TimeoutError) as error:
            if (cause := _tls_cause(error)) is not None:
                return _certificates(server, cause)
            continue
        if refused_late and kafka.security_protocol.endswith("SSL"):
            return _certificates(server, "it ended the connection")
    return None


def _certificates(server: str, cause: str) -> str:
    return (
        f"Kafka at {server} and this service do not trust each other's certificates ({cause}); "
        "check LIQHEAT_KAFKA__SSL_CA_FILE, __SSL_CERTIFICATE_FILE and __SSL_KEY_FILE"
    )


def _options(kafka: Kafka) -> dict[str, Any]:
    options: dict[str, Any] = {
        "security_protocol": kafka.security_protocol,
        "ssl_context": ssl_context(kafka),
        "request_timeout_ms": round(_SECONDS * 1_000),
    }
    if kafka.sasl_mechanism is not None and kafka.sasl_password is not None:
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password.get_secret_value(),
        }
    return options


def _tls_cause(error: BaseException | None) -> str | None:
    """Return the TLS library's own words where they are behind `error`."""
    while error is not None:
        if isinstance(error, ssl.SSLError) or "SSL" in str(error):
            return str(error)
        error = error.__cause__ or error.__context__
    return None
