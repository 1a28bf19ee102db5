// `npm test`: every test file, in two lanes side by side, since most tests wait for processes more than they work. Each lane
// is a mocha run of its own, with its own servers and its own check for what was left behind. `npm test -- <files>`: only those.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const mocha = path.join(root, 'node_modules/mocha/bin/mocha.js');
const lanes = Math.min(2, os.availableParallelism());

function testFiles() {
  const all = fs.readdirSync(path.join(root, 'test'), { recursive: true });
  return all
    .filter((file) => file.endsWith('.test.ts') && !file.includes('node_modules'))
    .map((file) => path.join('test', file))
    .sort();
}

/** @returns the exit code. What the lane prints goes to `write`. */
function run(args, write) {
  return new Promise((resolve, reject) => {
    const lane = spawn(process.execPath, [mocha, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [lane.stdout, lane.stderr]) stream.on('data', write);
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => lane.kill(signal));
    lane.once('error', reject);
    lane.once('close', (code) => resolve(code ?? 1));
  });
}

const own = process.argv.slice(2);
const colour = process.stdout.isTTY ? ['--color'] : [];
// Neighbours are of one kind and take about as long: dealt out in turn, each lane gets its share of every kind.
const files = testFiles();
const shares =
  own.length > 0 ? [own] : Array.from({ length: lanes }, (_, i) => files.filter((_, j) => j % lanes === i));
const later = [];
const runs = shares.map((args, i) =>
  run([...colour, ...args], i === 0 ? (data) => process.stdout.write(data) : (data) => later.push(data)),
);
const codes = await Promise.all(runs);
for (const data of later) process.stdout.write(data);
codes.forEach((code, i) => {
  if (code !== 0) process.stdout.write(`\nlane ${i + 1} of ${shares.length} failed with ${code}, see above\n`);
});
process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
