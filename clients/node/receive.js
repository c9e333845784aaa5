// Prints who is seen and how old it is: node receive.js [tcp://127.0.0.1:5555] [--keys FILE] [--every] [--frames N] [--json]
//
// Without --every the newest pose is read, however slow the reader; with it, every pose. --frames N ends after N poses.
// --keys FILE is this receiver's key, where the stream wants one; by default the one that HMMR_LIVE_KEYS names.
// --json prints each pose as a line of JSON in place of one line a second.

import { parseArgs } from "node:util";
import { loadKeys } from "./keys.js";
import { watchForRefusal } from "./refusal.js";

const NOTHING_YET_MS = 5000; // after as long without a pose it is said what may be wrong
const EVERY_HWM = 100_000; // how far an --every reader may fall behind: half an hour of poses

// Not by static imports, whose failure no program can put into words.
async function packages() {
  try {
    return { ...(await import("zeromq")), ...(await import("./pose.js")) };
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    console.error(`${error.message.split(" imported from")[0]}: run npm install in the folder of receive.js first`);
    return process.exit(2);
  }
}

function usage(problem) {
  console.error(`${problem}\nusage: node receive.js [tcp://127.0.0.1:5555] [--keys FILE] [--every] [--frames N] [--json]`);
  process.exit(2);
}

function readArguments() {
  try {
    const [flag, text] = [{ type: "boolean" }, { type: "string" }];
    const options = { every: flag, frames: text, json: flag, keys: text };
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const frames = values.frames === undefined ? Infinity : Number(values.frames);
    if (!(frames > 0)) usage(`--frames ${values.frames}: expected a number above 0`);
    const path = values.keys || process.env.HMMR_LIVE_KEYS;
    const keys = path ? loadKeys(path) : null;
    return { ...values, frames, keys, address: positionals[0] ?? "tcp://127.0.0.1:5555" };
  } catch (error) {
    return usage(error.message);
  }
}

const { address, every, frames, json, keys } = readArguments();
const { Subscriber, TOPIC, ageMs, decodePose } = await packages();
const curve = keys && { curveServerKey: keys.server, curvePublicKey: keys.public, curveSecretKey: keys.secret };
const hint = setTimeout(() => console.error("nothing yet: is the stream running there?"), NOTHING_YET_MS);
hint.unref();
let subscriber;
try {
  subscriber = new Subscriber({
    ...(every ? { receiveHighWaterMark: EVERY_HWM } : { conflate: true }),
    ...curve,
    maxMessageSize: 4 << 20,
    reconnectInterval: 100,
    linger: 0,
    heartbeatInterval: 500, // these three as docs/wire-format.md wants them of a receiver
    heartbeatTimeToLive: 1000,
    heartbeatTimeout: 5000,
  });
  watchForRefusal(subscriber, keys !== null, (words, final) => {
    console.error(`${address}: ${words}`);
    clearTimeout(hint);
    if (final) process.exit(2);
  });
  subscriber.connect(address);
} catch (error) {
  usage(`${address}: cannot connect (${error.message}); expected tcp://HOST:PORT`);
}
subscriber.subscribe(TOPIC);
console.error(`waiting for poses from ${address}`);

let last = { seq: -1, tPublishNs: -1n };
let count = 0;
let sinceTold = 0;
let bad = 0;
let toldMs = performance.now();
for await (const message of subscriber) {
  let pose;
  try {
    if (message.length !== 1) throw new Error(`${message.length} parts in place of one`);
    pose = decodePose(message[0]);
  } catch (error) {
    bad += 1;
    if (bad === 1) console.error(`refused: ${error.message}`);
    continue;
  }
  if (pose.seq === last.seq && pose.tPublishNs === last.tPublishNs) continue; // sent again for somebody who joined
  last = pose;
  clearTimeout(hint);
  count += 1;
  sinceTold += 1;
  if (json) {
    const { seq, frame, state, person, score } = pose;
    const lead = pose.lead && { ...pose.lead, pose: Array.from(pose.lead.pose), trans: Array.from(pose.lead.trans) };
    const [rotations, trans] = [Array.from(pose.pose), Array.from(pose.trans)];
    console.log(JSON.stringify({ seq, frame, state, person, score, ageMs: ageMs(pose), pose: rotations, trans, lead }));
  } else if (performance.now() - toldMs >= 1000) {
    const age = ageMs(pose);
    const [x, y, z] = Array.from(pose.trans, (metres) => metres.toFixed(2));
    const latency = age === null ? "another machine's clock" : `${age.toFixed(1)} ms`;
    const fps = (sinceTold * 1000) / (performance.now() - toldMs);
    console.log(`${pose.state}  ${fps.toFixed(0)} fps  latency ${latency}  pelvis ${x} ${y} ${z} m  refused ${bad}`);
    toldMs = performance.now();
    sinceTold = 0;
  }
  if (count >= frames) break;
}
subscriber.close();
