import { execSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { serverPort } from '../../support/server-port';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { startTree, type Tree } from '../../support/tree';
import { BEARER, OPS_TOKEN } from '../ops-web';

const ROOT = path.resolve(__dirname, '../../..');
const GALLERY = path.join(ROOT, 'test/fixtures/gallery');
const COPIED = ['server.ts', 'lib', 'jobs', 'migrations', 'package.json', 'tsconfig.json', '.config'];

/** `npm run dev` in a copy of this repository, whose files a test may change. Its app includes the mails of the gallery. */
export class DevCopy {
  private constructor(
    readonly folder: string,
    readonly tree: Tree,
  ) {}

  static async start(): Promise<DevCopy> {
    const folder = tempFolder('dev');
    for (const name of COPIED) fs.cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
    fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    const mailers = path.join(folder, 'lib/app/mailers');
    fs.cpSync(GALLERY, mailers, { recursive: true });
    for (const [file, index] of [
      ['gallery-mailer.ts', '../../index'],
      ['previews/gallery-mailer-preview.ts', '../../../index'],
    ] as const)
      rewrite(path.join(mailers, file), (text) => text.replace("'catamount'", `'${index}'`));
    // The same as the script `dev` of package.json, but without npm, which would be between the test and the tree.
    const build = 'node .config/build.mjs --if-stale';
    execSync(build, { cwd: folder, stdio: 'ignore' });
    const entry = path.join(folder, 'dist/lib/cli/main.js');
    // Links in mails contain the port, so it must be known beforehand.
    const env = { PORT: String(await serverPort()), OPS_TOKEN };
    const tree = await startTree({ entry, args: ['dev', '--build', build], cwd: folder, env, headers: BEARER });
    return new DevCopy(folder, tree);
  }

  /** Changes a file, as an editor would. @param file below `lib/app`. @returns a function that reverts the change. */
  change(file: string, how: (text: string) => string): () => void {
    const target = path.join(this.folder, 'lib/app', file);
    const before = fs.readFileSync(target, 'utf8');
    rewrite(target, how);
    return () => fs.writeFileSync(target, before);
  }

  async stop(): Promise<void> {
    await this.tree.cleanup();
    removeFolder(this.folder);
  }
}

function rewrite(file: string, how: (text: string) => string): void {
  const before = fs.readFileSync(file, 'utf8');
  const after = how(before);
  if (after === before) throw new Error(`nothing has changed in ${file}`);
  fs.writeFileSync(file, after);
}
