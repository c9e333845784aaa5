// Whether a stream has us: libzmq tells nobody but the monitor of a socket that a handshake failed.

const ENOUGH = 3; // a stream that begins or ends just then may fail one

/**
 * Calls `tell(words, final)` once, when the stream at the other end of `socket` (of the package zeromq) refuses it.
 * final: nothing will ever come, for libzmq does not try again. hasKeys: whether the socket has keys.
 */
export async function watchForRefusal(socket, hasKeys, tell) {
  let failures = 0;
  for await (const { type } of socket.events) {
    if (type === "handshake") failures = 0;
    if (!type.startsWith("handshake:error")) continue;
    failures += 1;
    if (type === "handshake:error:auth" && hasKeys) {
      return tell("the stream refuses this key; on its machine, python -m realtime.keys list shows who may receive", true);
    }
    const final = type === "handshake:error:protocol";
    if (final || failures >= ENOUGH) {
      const why = hasKeys ? "the stream takes no keys, or others than this one" : "the stream wants a key (--keys FILE)";
      return tell(`refused: ${why}, or is none of hmmr-live`, final);
    }
  }
  return undefined;
}
