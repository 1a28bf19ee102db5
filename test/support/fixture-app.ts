import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { LANE_FOLDER } from './temp-folder';

const ROOT = path.resolve(__dirname, '../..');

const building = new Map<string, Promise<string>>();

/**
 * Compiles an app of `test/fixtures` into its own folder, with the built package in node_modules as in any user's app.
 * Each app is built once per lane. @returns the path of its entry file.
 */
export function buildFixtureApp(name: string): Promise<string> {
  const made = building.get(name) ?? build(name);
  building.set(name, made);
  return made;
}

async function build(name: string): Promise<string> {
  const folder = path.join(LANE_FOLDER, name);
  fs.mkdirSync(path.join(folder, 'node_modules'), { recursive: true });
  fs.symlinkSync(ROOT, path.join(folder, 'node_modules/catamount'));
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  await promisify(execFile)(process.execPath, [tsc, '-p', path.join(ROOT, 'test/fixtures', name), '--outDir', folder]);
  return path.join(folder, 'server.js');
}
