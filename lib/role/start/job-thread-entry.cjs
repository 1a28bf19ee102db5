// The entry of a thread that performs jobs. tsx registers itself in the main thread only, so the thread does it again.
const { createRequire } = require('node:module');
const { pathToFileURL } = require('node:url');
const { workerData } = require('node:worker_threads');

async function main() {
  if (process.execArgv.some((flag) => /\btsx\b/.test(flag))) {
    const requireOfApp = createRequire(workerData.manifest);
    requireOfApp('tsx/cjs/api').register();
    // Its hooks do not work from CommonJS.
    const file = requireOfApp.resolve('tsx/esm/api').replace(/cjs$/, 'mjs');
    (await import(pathToFileURL(file).href)).register();
  }
  require('./job-thread');
}

void main();
