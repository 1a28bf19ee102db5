import fs from 'node:fs';
import path from 'node:path';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { spawnTree, type Tree, type TreeOptions } from '../../support/tree';

const ROOT = path.resolve(__dirname, '../../..');
export const CLI = path.join(ROOT, 'dist/lib/cli/main.js');

/** A JavaScript app under `catamount dev`, whose files a test can change. */
export class DevApp {
  readonly folder = tempFolder('dev-app');
  private tree: Tree | undefined;

  constructor(files: Readonly<Record<string, string>>) {
    fs.mkdirSync(path.join(this.folder, 'node_modules'));
    fs.symlinkSync(ROOT, path.join(this.folder, 'node_modules/catamount'));
    for (const [file, text] of Object.entries(files)) this.write(file, text);
  }

  /** Starts it, and does not wait until it serves. */
  spawn(args: readonly string[], env: NonNullable<TreeOptions['env']>): Tree {
    this.tree = spawnTree({ entry: CLI, args: ['dev', ...args], cwd: this.folder, env });
    return this.tree;
  }

  write(file: string, text: string): void {
    const whole = path.join(this.folder, file);
    fs.mkdirSync(path.dirname(whole), { recursive: true });
    fs.writeFileSync(whole, text);
  }

  read(file: string): string {
    return fs.readFileSync(path.join(this.folder, file), 'utf8');
  }

  async remove(): Promise<void> {
    await this.tree?.cleanup();
    removeFolder(this.folder);
  }
}
