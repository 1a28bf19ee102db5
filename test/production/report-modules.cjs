// Preloaded into every process of a tree: writes down, at its end, which files of ours it had loaded.
const fs = require('node:fs');
const path = require('node:path');

process.once('exit', () => {
  const loaded = Object.keys(require.cache).filter((file) => !file.includes('node_modules'));
  const report = JSON.stringify({ title: process.title, loaded });
  fs.writeFileSync(path.join(process.env.REPORT_MODULES_TO, `${process.pid}.json`), report);
});
