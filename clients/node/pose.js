// Pose messages of the bus (docs/wire-format.md, schema version 1).

import { decode } from "@msgpack/msgpack";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export const TOPIC = "pose ";
const VERSION = 1;
const STATES = ["tracking", "warming", "held", "lost"];
// Checked while decoding, before anything is made of it.
const LIMITS = { maxStrLength: 4096, maxBinLength: 4 << 20, maxArrayLength: 256, maxMapLength: 256, maxExtLength: 0 };

/**
 * Buffer → {seq, frame, tCaptureNs (BigInt), tPublishNs (BigInt), clock, person, state, score, body,
 * pose (Float32Array of 24 × axis-angle), betas (10), trans (3, metres), joints (24 × 3, metres about the pelvis),
 * lead: null, or {ms, pose, trans, confidence}: the pose to show, as old as it will be when it is seen}.
 * Camera frame: x right, y down, z forward. Throws Error for anything but a valid pose message.
 */
export function decodePose(message) {
  const topic = message.subarray(0, TOPIC.length).toString("latin1");
  if (topic !== TOPIC) throw new Error(`not a pose message: it starts with ${JSON.stringify(topic)}`);
  const fields = decode(message.subarray(TOPIC.length), { ...LIMITS, useBigInt64: true });
  if (fields === null || typeof fields !== "object" || Array.isArray(fields)) throw new Error("not a map");
  const version = integer(fields, "v");
  if (version > VERSION) throw new Error(`schema version ${version} is newer than this program's ${VERSION}: update it`);
  if (!STATES.includes(fields.state)) throw new Error(`state: ${fields.state} is none of ${STATES}`);
  const theta = floats(fields, "theta", 85);
  return {
    seq: integer(fields, "seq"),
    frame: integer(fields, "frame"),
    tCaptureNs: nanoseconds(fields, "t_capture_ns"),
    tPublishNs: nanoseconds(fields, "t_publish_ns"),
    clock: text(fields, "clock"),
    person: integer(fields, "person"),
    state: fields.state,
    score: Number(fields.score),
    body: text(fields, "body"),
    pose: theta.subarray(3, 75),
    betas: theta.subarray(75),
    trans: floats(fields, "trans", 3),
    joints: floats(fields, "joints", 72),
    lead: fields.lead === undefined ? null : lead(fields.lead),
  };
}

function lead(entry) {
  if (entry === null || typeof entry !== "object" || Array.isArray(entry)) throw new Error("lead: not a map");
  const pose = floats(entry, "pose", 72);
  return { ms: Number(entry.ms), pose, trans: floats(entry, "trans", 3), confidence: Number(entry.confidence) };
}

/** Milliseconds since the picture reached the program; null on another machine, or where its clock is not told. */
export function ageMs(pose) {
  return pose.clock === clockId() ? Number(process.hrtime.bigint() - pose.tCaptureNs) / 1e6 : null;
}

let ownClock;

/** Id of this machine's monotonic clock, which is also Node's: on Linux; elsewhere "". */
export function clockId() {
  if (ownClock === undefined) {
    try {
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
      ownClock = createHash("sha256").update(boot).digest("hex").slice(0, 16);
    } catch {
      ownClock = "";
    }
  }
  return ownClock;
}

function nanoseconds(fields, key) {
  const value = fields[key];
  if (typeof value === "bigint" ? value < 0n : !(Number.isInteger(value) && value >= 0)) throw new Error(`${key}: not a stamp`);
  return BigInt(value);
}

function integer(fields, key) {
  const value = Number(nanoseconds(fields, key));
  if (!Number.isSafeInteger(value)) throw new Error(`${key}: too large`);
  return value;
}

function text(fields, key) {
  if (typeof fields[key] !== "string") throw new Error(`${key}: not a string`);
  return fields[key];
}

function floats(fields, key, count) {
  const bytes = fields[key];
  if (!(bytes instanceof Uint8Array) || bytes.length !== 4 * count) throw new Error(`${key}: not ${count} floats`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(count); // read one by one: the bytes need not lie at a multiple of four
  for (let i = 0; i < count; i += 1) {
    values[i] = view.getFloat32(4 * i, true);
    if (!Number.isFinite(values[i])) throw new Error(`${key}: holds NaN or infinity`);
  }
  return values;
}
