"""Clear text in front of TLS with a client certificate, for h2load, which has no option for one: the
bytes of HTTP/2 pass as they are. Prints its port and serves until it is killed."""

import asyncio
import os
import ssl

HOST, PORT = os.environ["SEALGATE_ENDPOINT"].rsplit(":", 1)


def context():
    tls = ssl.create_default_context(cafile=os.environ["SEALGATE_CA"])
    tls.load_cert_chain(os.environ["SEALGATE_CERT"], os.environ["SEALGATE_KEY"])
    tls.set_alpn_protocols(["h2"])
    return tls


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve(reader, writer):
    upstream = await asyncio.open_connection(HOST, int(PORT), ssl=TLS, server_hostname="localhost")
    await asyncio.gather(copy(reader, upstream[1]), copy(upstream[0], writer))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


TLS = context()
asyncio.run(main())
