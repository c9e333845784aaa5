// Prints who is seen and how old it is: node receive.js [tcp://127.0.0.1:5555] [--every] [--frames N] [--json]
//
// Without --every the newest pose is read, however slow the reader; with it, every pose. --frames N ends after N poses.
// --json prints each pose as a line of JSON in place of one line a second.

import { parseArgs } from "node:util";
import { Subscriber } from "zeromq";
import { TOPIC, ageMs, decodePose } from "./pose.js";

const EVERY_HWM = 100_000; // how far an --every reader may fall behind: half an hour of poses

function usage(problem) {
  console.error(`${problem}\nusage: node receive.js [tcp://127.0.0.1:5555] [--every] [--frames N] [--json]`);
  process.exit(2);
}

function readArguments() {
  try {
    const options = { every: { type: "boolean" }, frames: { type: "string" }, json: { type: "boolean" } };
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const frames = values.frames === undefined ? Infinity : Number(values.frames);
    if (!(frames > 0)) usage(`--frames ${values.frames}: expected a number above 0`);
    return { ...values, frames, address: positionals[0] ?? "tcp://127.0.0.1:5555" };
  } catch (error) {
    return usage(error.message);
  }
}

const { address, every, frames, json } = readArguments();
const subscriber = new Subscriber({
  ...(every ? { receiveHighWaterMark: EVERY_HWM } : { conflate: true }),
  maxMessageSize: 4 << 20,
  reconnectInterval: 100,
  linger: 0,
});
try {
  subscriber.connect(address);
} catch (error) {
  usage(`${address}: cannot connect (${error.message})`);
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
  count += 1;
  sinceTold += 1;
  if (json) {
    const { seq, frame, state, person, score } = pose;
    const [rotations, trans] = [Array.from(pose.pose), Array.from(pose.trans)];
    console.log(JSON.stringify({ seq, frame, state, person, score, ageMs: ageMs(pose), pose: rotations, trans }));
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
