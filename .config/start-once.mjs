import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';

/** A tree that has not listened by then does not start, where an empty Node starts in EMPTY_START_MS. Busy machines get more. */
const LIMIT_MS = 20_000;
const EMPTY_START_MS = 150;
const LAST_LINES = 30;
/** Whoever does not start may not stop either: the time that it gets for that. */
const KILL_MS = 3000;

/**
 * Starts the app as a newcomer does, in a fresh folder, and takes it down again once it listens.
 * @returns how long it took until it listened, or, with the app's last lines, why it did not.
 */
export function startOnce(entry, folder) {
  fs.mkdirSync(folder, { recursive: true });
  let limitMs = fairLimitMs();
  const begun = performance.now();
  const names = ['PATH', 'HOME', 'TMPDIR', 'CI'];
  const inherited = names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  const app = spawn(process.execPath, [entry], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(inherited), PORT: '0', HOST: '127.0.0.1', LOG_FORMAT: 'pretty' },
  });
  // When the run is broken off meanwhile.
  process.once('exit', () => app.kill('SIGKILL'));
  let text = '';
  let result;
  let kill;
  return new Promise((resolve) => {
    const end = (failure) => {
      if (result) return;
      clearTimeout(limit);
      const last = text.trimEnd().split('\n').slice(-LAST_LINES).join('\n');
      result = { ms: performance.now() - begun, ...(failure && { failure: `${last}\n\n${failure}` }) };
      app.kill('SIGTERM');
      kill = setTimeout(() => app.kill('SIGKILL'), failure ? KILL_MS : limitMs);
    };
    const late = () => {
      // The machine may have become busy since.
      limitMs = Math.max(limitMs, fairLimitMs());
      const leftMs = limitMs - (performance.now() - begun);
      if (leftMs > 0) limit = setTimeout(late, leftMs);
      else end(`It did not listen within ${Math.round(limitMs / 1000)} s.`);
    };
    let limit = setTimeout(late, limitMs);
    for (const stream of [app.stdout, app.stderr])
      stream.on('data', (data) => {
        text += data;
        if (text.includes('Listening on ')) end();
      });
    app.once('error', (error) => end(error.message));
    app.once('close', (code, signal) => {
      end(`It ended by ${signal ?? `code ${code}`} before it listened.`);
      clearTimeout(kill);
      resolve(result);
    });
  });
}

function fairLimitMs() {
  const begun = performance.now();
  spawnSync(process.execPath, ['-e', '0']);
  return LIMIT_MS * Math.max(1, (performance.now() - begun) / EMPTY_START_MS);
}
