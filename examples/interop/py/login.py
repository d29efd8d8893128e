"""Logs in with Authlib and a private key, as its documentation says. Reads the settings of some
logins as JSON from standard input, and writes their answers as JSON."""

import json
import sys

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT


def login(client_id, key, algorithm, token_url, audience, jti):
    session = OAuth2Session(client_id, key, token_endpoint_auth_method="private_key_jwt")
    session.trust_env = False  # no proxy
    claims = {"jti": jti} if jti else None
    session.register_client_auth_method(PrivateKeyJWT(audience, claims=claims, alg=algorithm))
    try:
        return session.fetch_token(token_url, grant_type="client_credentials")
    except OAuthError as error:
        return {"error": error.error}


json.dump([login(**settings) for settings in json.load(sys.stdin)], sys.stdout)
