"""A mail server that tells on standard output what it got: first its port, then each mail as a line of JSON."""

import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

settings = json.loads(sys.argv[1])


def tell(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Handler:
    refusals = settings["refuse"]

    async def handle_DATA(self, server, session, envelope):
        if self.refusals:
            code = self.refusals.pop(0)
            tell({"refused": code})
            return f"{code} not now"
        tell({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode(),
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "user": session.auth_data,
        })
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    if not isinstance(data, LoginPassword):
        return AuthResult(success=False, handled=False)
    user, password = data.login.decode(), data.password.decode()
    is_right = [user, password] == settings["login"]
    return AuthResult(success=is_right, handled=False, auth_data=user)


context = None
if settings["tls"] != "none":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings["certificate"], settings["key"])
options = {}
if settings["tls"] == "starttls":
    options = {"tls_context": context, "require_starttls": True}
elif settings["tls"] == "implicit":
    options = {"ssl_context": context}
if settings["login"]:
    options.update(authenticator=authenticate, auth_required=True, auth_require_tls=settings["tls"] == "starttls")
controller = Controller(Handler(), hostname="127.0.0.1", port=settings["port"], **options)
controller.start()
tell({"port": settings["port"]})
# It ends with whoever started it.
sys.stdin.read()
controller.stop()
