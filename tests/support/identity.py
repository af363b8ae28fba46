"""An identity provider: signs tokens, serves its public keys, rotates them, and breaks down."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER, AUDIENCE = "https://identity.test", "payment-service"
SCOPES = "payments:read payments:write refunds:write exceptions:write"


class SigningKey:
    """A key pair with a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.private = rsa.generate_private_key(65537, 2048)

    @property
    def public_pem(self) -> bytes:
        """Write the public key as everybody may have it."""
        return self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    def public(self) -> dict[str, Any]:
        """Describe the public key for a JWKS document."""
        described = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**described, "kid": self.name, "use": "sig", "alg": "RS256"}


def claims(**changes: Any) -> dict[str, Any]:
    """Write valid claims; a change to None leaves one out."""
    now = int(time.time())
    valid = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "tester", "tenant_id": "shop", "scope": SCOPES,
        "iat": now, "exp": now + 600,
    }  # fmt: skip
    return {name: value for name, value in (valid | changes).items() if value is not None}


def encoded(part: Any) -> bytes:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def handmade(header: Any, payload: Any, key: bytes | None = None) -> str:
    """Write a token as an attacker does, signed by HMAC if there is a key."""
    signed = encoded(header) + b"." + encoded(payload)
    signature = hmac.new(key, signed, hashlib.sha256).digest() if key is not None else b""
    return (signed + b"." + encoded(signature)).decode()


class IdentityProvider:
    """What stands at the JWKS address."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = [SigningKey("key-1")]
        self.answer: bytes | None = None  # instead of the keys
        self.status = 200
        self.asked = 0

    def document(self) -> bytes:
        """Write the JWKS document."""
        if self.answer is not None:
            return self.answer
        return json.dumps({"keys": [key.public() for key in self.keys]}).encode()

    def token(self, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """Sign a token with the newest key."""
        key = self.keys[-1]
        named = {"kid": key.name} | (headers or {})
        return jwt.encode(claims(**changes), key.private, algorithm="RS256", headers=named)


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """Serve one on a free port of this machine."""
    provider = IdentityProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked += 1
            body = provider.document()
            self.send_response(provider.status)
            if provider.status in {301, 302}:
                self.send_header("Location", provider.url)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}/jwks"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
