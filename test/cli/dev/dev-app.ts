import fs from 'node:fs';
import path from 'node:path';
import { appFolder, writeFiles } from '../../support/app-folder';
import { removeFolder } from '../../support/temp-folder';
import { spawnTree, type Tree, type TreeOptions } from '../../support/tree';
import { CLI } from '../cli-process';

/** A JavaScript app under `catamount dev`, whose files a test can change. */
export class DevApp {
  readonly folder: string;
  private tree: Tree | undefined;

  constructor(files: Readonly<Record<string, string>>) {
    this.folder = appFolder(files);
  }

  /** Starts it, and does not wait until it serves. */
  spawn(args: readonly string[], env: NonNullable<TreeOptions['env']>): Tree {
    this.tree = spawnTree({ entry: CLI, args: ['dev', ...args], cwd: this.folder, env });
    return this.tree;
  }

  write(file: string, text: string): void {
    writeFiles(this.folder, { [file]: text });
  }

  read(file: string): string {
    return fs.readFileSync(path.join(this.folder, file), 'utf8');
  }

  async remove(): Promise<void> {
    await this.tree?.cleanup();
    removeFolder(this.folder);
  }
}
