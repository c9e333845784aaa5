"""The bus: one XPUB socket on this host, conflated SUB sockets on the other side."""
