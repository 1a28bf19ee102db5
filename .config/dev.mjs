// `npm run dev`: the tree, rebuilt and phased-restarted whenever a source changes. A build that fails changes nothing.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { COPIED } from './copied.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const WATCHED = ['lib', 'jobs', 'migrations'];
/** Editors write a file several times. */
const SETTLE_MS = 150;

function build() {
  return spawnSync(process.execPath, [path.join(root, '.config/build.mjs')], { stdio: 'inherit' }).status === 0;
}

if (!build()) process.exit(1);
const tree = spawn(process.execPath, [path.join(root, 'dist/server.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
tree.once('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
// The tree leads its own stop; we end with it.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => tree.kill(signal));

/** Puts a template or a text in its place in dist/, which takes no compiler. */
function copy(file) {
  const next = path.join(root, 'dist/.next');
  fs.copyFileSync(path.join(root, file), next);
  fs.renameSync(next, path.join(root, 'dist', file));
}

const changed = new Set();
let timer;
function onChange(folder, file) {
  changed.add(path.join(folder, file ?? ''));
  clearTimeout(timer);
  timer = setTimeout(() => {
    const files = [...changed];
    changed.clear();
    const exist = (file) => fs.existsSync(path.join(root, file)) && fs.existsSync(path.join(root, 'dist', file));
    if (files.every((file) => file.startsWith('lib') && COPIED.test(file) && exist(file))) {
      console.log(`* ${files.join(', ')} has changed: copying`);
      for (const file of files) copy(file);
    } else {
      console.log(`* ${files.join(', ')} has changed: building`);
      if (!build()) return console.log('* The build failed: the old code serves on');
    }
    tree.kill('SIGUSR2');
    if (files.some((file) => file.startsWith('migrations')))
      console.log('* Migrations run at a start: stop and start again for this one');
  }, SETTLE_MS);
}
for (const folder of WATCHED)
  fs.watch(path.join(root, folder), { recursive: true }, (_event, file) => onChange(folder, file));
