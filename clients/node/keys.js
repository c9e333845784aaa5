// A receiver's key file, as `python -m realtime.keys add NAME` makes it (docs/wire-format.md).

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const FIELDS = ["server", "public", "secret"];
const Z85 = /^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/;

/**
 * Path of a file, or of a folder, whose "local" key it is then → {server, public, secret}, 40 characters of Z85 each.
 * Throws Error, with one line that says why and what to do.
 */
export function loadKeys(path) {
  let lines;
  try {
    const file = statSync(path).isDirectory() ? join(path, "local.key") : path;
    lines = readFileSync(file, "latin1").split(/\r?\n/);
  } catch (error) {
    const next = "on the stream's machine, python -m realtime.keys add NAME makes NAME.key to copy here";
    throw new Error(`keys ${path}: cannot be read (${error.code}); ${next}`);
  }
  const fields = {};
  for (const line of lines) {
    const at = line.indexOf("=");
    if (!line.startsWith("#") && at > 0) fields[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  for (const name of FIELDS) {
    if (!Z85.test(fields[name] ?? "")) throw new Error(`keys ${path}: no key of a receiver, or damaged (${name}: no key)`);
  }
  return fields;
}
