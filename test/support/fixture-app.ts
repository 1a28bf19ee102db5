import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { LANE_FOLDER } from './temp-folder';

const ROOT = path.resolve(__dirname, '../..');

const building = new Map<string, Promise<string>>();

/**
 * Compiles an app of `test/fixtures` into its own folder, with the built package in node_modules as in any user's app.
 * Each app is built once per lane.
 * @param root the checkout with the app and the package, which must have been built. Default: this one.
 * @returns the path of the app's entry file.
 */
export function buildFixtureApp(name: string, root = ROOT): Promise<string> {
  const key = path.join(root, name);
  const made = building.get(key) ?? build(name, root);
  building.set(key, made);
  return made;
}

async function build(name: string, root: string): Promise<string> {
  const folder = path.join(LANE_FOLDER, root === ROOT ? name : `${name} of ${path.basename(root)}`);
  fs.mkdirSync(path.join(folder, 'node_modules'), { recursive: true });
  fs.symlinkSync(root, path.join(folder, 'node_modules/catamount'));
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  await promisify(execFile)(process.execPath, [tsc, '-p', path.join(root, 'test/fixtures', name), '--outDir', folder]);
  return path.join(folder, 'server.js');
}
