// This file is preloaded into every process of a tree. It counts the calls of each function while a file names a phase,
// and writes the counts of that phase to a file when the next one begins or the process ends.
const fs = require('node:fs');
const path = require('node:path');
const { Session } = require('node:inspector');

const folder = process.env.WALK_FOLDER;
const phaseFile = path.join(folder, 'phase');
const OURS = path.join(__dirname, '../../dist/lib');
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });

let phase = '';

function take() {
  const calls = {};
  session.post('Profiler.takePreciseCoverage', (error, taken) => {
    if (error) throw error;
    for (const { url, functions } of taken.result) {
      const file = nameOf(url.replace('file://', ''));
      if (file === undefined) continue;
      for (const { functionName, ranges } of functions) {
        const [{ count, startOffset }] = ranges;
        if (count > 0) calls[`${file} ${functionName}@${startOffset}`] = count;
      }
    }
  });
  return calls;
}

/** Path within the repository; undefined for code that is not ours. */
function nameOf(file) {
  return file.startsWith(OURS) ? path.join('lib', path.relative(OURS, file)).replace(/\.js$/, '.ts') : undefined;
}

function write() {
  const calls = take();
  if (phase === '') return;
  const file = path.join(folder, `${process.pid}.${phase}.json`);
  fs.writeFileSync(`${file}.draft`, JSON.stringify({ title: process.title, calls }));
  fs.renameSync(`${file}.draft`, file);
}

setInterval(() => {
  const next = fs.existsSync(phaseFile) ? fs.readFileSync(phaseFile, 'utf8') : '';
  if (next === phase) return;
  write();
  phase = next;
  if (phase !== '') fs.writeFileSync(path.join(folder, `${process.pid}.${phase}.begun`), '');
}, 20).unref();

process.once('exit', write);
