// Before `npm pack`: makes package.json bundle two packages with all that they need, so that the stand-ins beside this file
// travel in the tarball, which overrides do not, and has the compiled files name no source maps, which do not travel either, and
// the guides link to nothing that does not.
// Afterwards, with `--undo`, all is as it was: in a checkout npm refuses to override what is bundled, and `npm install` would
// not end.
import fs from 'node:fs';
import path from 'node:path';
import { restoreGuides, rewriteGuides } from './packed-guides.mjs';

const BUNDLED = ['bee-queue', 'email-templates'];
const LINE = `  "bundledDependencies": ${JSON.stringify(BUNDLED)},\n`;
const BEFORE = '  "devDependencies": {\n';

/** They are the checkout's own: npm 10 would read them of whatever bundles, and fail where they refer to devDependencies. */
const OVERRIDES = ['\n  "overrides": {', '\n  "//overrides": {'];

const root = process.cwd();
const modules = path.join(root, 'node_modules');
const own = path.join(root, 'package.json');
const text = fs.readFileSync(own, 'utf8').replace(LINE, '').replace(OVERRIDES[1], OVERRIDES[0]);
const { dependencies, devDependencies, files, overrides } = JSON.parse(text);

const undo = process.argv.includes('--undo');
for (const file of compiled(path.join(root, 'dist/lib'))) nameMap(file, undo);
// What the registry tells of a package is read after `postpack`.
const isRead = process.env.npm_command !== 'publish' || process.env.npm_lifecycle_event !== 'postpack';
if (!undo || isRead) restoreGuides(root, files);
if (!undo) {
  rewriteGuides(root, files);
  for (const name of BUNDLED) prepare(path.join(modules, name), new Set());
  write(own, text.replace(BEFORE, LINE + BEFORE).replace(OVERRIDES[0], OVERRIDES[1]));
} else if (isRead) write(own, text);

/**
 * Takes out of a bundled package's dependencies what Catamount depends on, too: it stays outside the bundle, so that an app
 * has it once, and a fix of it reaches the app without a release of ours. It must not be named even as a peer: where an app
 * has another version of it, npm would leave the folder empty that ours belongs into. A stand-in is asked for under its own
 * name, since a list of what an app contains (`npm sbom`) would otherwise name the package that it replaces. The same for all
 * that is bundled because of this one.
 */
function prepare(folder, seen) {
  if (seen.has(folder)) return;
  seen.add(folder);
  const file = path.join(folder, 'package.json');
  const manifest = JSON.parse(fs.readFileSync(file, 'utf8'));
  const needs = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });
  const outside = [...needs, ...Object.keys(manifest.peerDependencies ?? {})].filter(
    (name) => name in dependencies && !fs.existsSync(path.join(folder, 'node_modules', name)),
  );
  for (const name of outside)
    for (const kind of ['dependencies', 'optionalDependencies', 'peerDependencies', 'peerDependenciesMeta'])
      delete manifest[kind]?.[name];
  const standIns = needs.filter((name) => overrides[name] === `$${name}` && devDependencies[name]?.startsWith('file:'));
  for (const name of standIns) {
    const standIn = JSON.parse(fs.readFileSync(path.join(find(name, folder), 'package.json'), 'utf8'));
    for (const kind of ['dependencies', 'optionalDependencies'])
      if (manifest[kind]?.[name]) manifest[kind][name] = `npm:${standIn.name}@${standIn.version}`;
  }
  if (outside.length + standIns.length > 0) write(file, `${JSON.stringify(manifest, null, 2)}\n`);
  for (const name of needs) if (!outside.includes(name)) prepare(find(name, folder), seen);
}

/** The files in a folder that have a source map beside them. */
function compiled(folder) {
  const maps = fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.js.map'));
  return maps.map((name) => path.join(folder, name.slice(0, -'.map'.length)));
}

/**
 * Has a compiled file name its source map, or not. In an app a map would only be a third of what is installed: its sources are
 * not there, and stack traces leave packages as they are.
 */
function nameMap(file, named) {
  const code = fs
    .readFileSync(file, 'utf8')
    .replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '')
    .trimEnd();
  write(file, `${code}\n${named ? `//# sourceMappingURL=${path.basename(file)}.map` : ''}`);
}

/** The folder from which a package in `from` loads another: its own, or the one at the top. */
function find(name, from) {
  const found = [from, root].map((folder) => path.join(folder, 'node_modules', name)).find((one) => fs.existsSync(one));
  if (found === undefined)
    throw new Error(`${name}, which ${from} needs, is not in node_modules: npm ci brings it back`);
  return found;
}

/** As a new file: the time of its folder tells npm that what it remembers of the package is old. */
function write(file, content) {
  if (fs.readFileSync(file, 'utf8') === content) return;
  const next = path.join(path.dirname(file), `.package-${process.pid}.json`);
  fs.writeFileSync(next, content);
  fs.renameSync(next, file);
}
