// Builds dist/: tsc for the code, a copy for everything else the code reads at run time (templates, locales, pages), and the client
// of Redis in one file.
// `--if-stale` returns at once when every source is older than the last build, and copies only what needs no compiler when
// nothing else has changed. `--bench` builds the benchmarks instead, with
// the lib that they measure.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

/** What the code reads at run time and no compiler touches: templates, texts, pages. Below lib/ only. */
const COPIED = /(?:\.(ejs|json|html|css|svg|js|yml|cjs)|\.d\.cts)$/;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const dist = path.join(root, 'dist');
const stamp = path.join(dist, '.built');
const sources = [
  'server.ts',
  'lib',
  'jobs',
  'migrations',
  'package.json',
  'tsconfig.json',
  '.config/tsconfig.build.json',
  '.config/build.mjs',
];

function* files(entry) {
  if (fs.statSync(entry).isFile()) return yield entry;
  for (const name of fs.readdirSync(entry)) {
    if (name !== 'node_modules') yield* files(path.join(entry, name));
  }
}
const all = sources.flatMap((source) => [...files(path.join(root, source))]);
const list = all
  .map((file) => path.relative(root, file))
  .sort()
  .join('\n');

if (process.argv.includes('--if-stale') && fs.existsSync(stamp)) {
  const built = fs.statSync(stamp).mtimeMs;
  // The list catches a deleted or renamed file, which no time stamp shows.
  const stale =
    fs.readFileSync(stamp, 'utf8') === list ? all.filter((file) => fs.statSync(file).mtimeMs > built) : undefined;
  if (stale?.every(isCopied)) {
    for (const file of stale) replace(file);
    if (stale.length > 0) fs.writeFileSync(stamp, list);
    process.exit(0);
  }
}

/** Whether a file of lib stands in dist/ as it is. */
function isCopied(file) {
  const relative = path.relative(root, file);
  return relative.startsWith('lib') && COPIED.test(relative) && !relative.includes('lib/embedded/binaries');
}

/** Puts a template or a text in its place at once, so that whoever reads it meanwhile reads one of the two whole. */
function replace(file) {
  const next = path.join(dist, '.next');
  fs.copyFileSync(file, next);
  fs.renameSync(next, path.join(dist, path.relative(root, file)));
}

const require = createRequire(import.meta.url);
const tsc = path.join(path.dirname(require.resolve('typescript/package.json')), 'bin/tsc');

/** Compiles a project into a folder and copies what no compiler touches there. Ends this process when tsc finds an error. */
function build(project, out) {
  try {
    execFileSync(process.execPath, [tsc, '-p', path.join(root, project), '--outDir', out], { stdio: 'inherit' });
  } catch (error) {
    process.exit(error.status ?? 1);
  }
  for (const file of all) {
    if (!isCopied(file)) continue;
    const relative = path.relative(root, file);
    fs.mkdirSync(path.join(out, path.dirname(relative)), { recursive: true });
    fs.copyFileSync(file, path.join(out, relative));
  }
  bundleRedisClient(path.join(out, 'lib/internals'));
  const index = path.join(out, 'lib/index.js');
  if (fs.existsSync(index)) fs.writeFileSync(index, loadedOnUse(fs.readFileSync(index, 'utf8')));
}

/** Each process loads the client, which takes half as long from one file as from its 478. lib/internals/redis-client.ts finds it. */
function bundleRedisClient(folder) {
  const ofThePackage = createRequire(require.resolve('redis'));
  const { version, license } = ofThePackage('@redis/client/package.json');
  buildSync({
    entryPoints: [ofThePackage.resolve('@redis/client')],
    outfile: path.join(folder, `redis-client-${version}.js`),
    bundle: true,
    platform: 'node',
    target: 'node20',
    minifyWhitespace: true,
    minifySyntax: true,
    banner: { js: `/*! @redis/client ${version}, ${license}: https://github.com/redis/node-redis */` },
  });
}

/**
 * Has each `export … from` of a module, as tsc compiles it, load its file with the first use of a name. Node finds the names
 * for ES modules by the getters that tsc writes, so these stay.
 */
function loadedOnUse(code) {
  const lazy =
    'const onUse = (load) => { let file; return new Proxy({}, { get: (_, name) => (file ??= load())[name] }); };';
  const files = code.replace(/^(?:var|const) (\w+) = (require\("[^"]+"\));$/gm, 'var $1 = onUse(() => $2);');
  return files.replace(/^(exports\..* = void 0;)$/m, `$1 ${lazy}`);
}

if (process.argv.includes('--bench')) {
  const code = path.join(root, '.catamount/bench/code');
  fs.rmSync(code, { recursive: true, force: true });
  build('test/benchmark', code);
  process.exit(0);
}
// Built beside the old one and put in its place when whole: a running tree may read dist at any moment.
const next = path.join(root, 'dist.next');
fs.rmSync(next, { recursive: true, force: true });
build('.config/tsconfig.build.json', next);
const bin = path.join(next, 'lib/cli/main.js');
if (fs.existsSync(bin)) fs.chmodSync(bin, 0o755);
fs.writeFileSync(path.join(next, '.built'), list);
const old = path.join(root, 'dist.old');
fs.rmSync(old, { recursive: true, force: true });
if (fs.existsSync(dist)) fs.renameSync(dist, old);
fs.renameSync(next, dist);
fs.rmSync(old, { recursive: true, force: true });
