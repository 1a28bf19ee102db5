import fs from 'node:fs';
import { fileBehind } from '../../core/logging';
import type { Stdio } from '../app/child-process';

/**
 * Standard output of `catamount dev` and of the tree that it starts. The tree appends its log to the file that standard
 * output is, if it is one; whoever wrote to the same file by a descriptor with an offset of its own would overwrite those lines.
 */
export class Output {
  /** For the tree: files are opened for appending, all else is inherited. */
  readonly stdio: Stdio;
  private readonly descriptor: number | undefined;

  constructor() {
    const file = fileBehind(1);
    this.descriptor = file === null ? undefined : fs.openSync(file, 'a');
    const stdout = this.descriptor ?? 'inherit';
    this.stdio = ['inherit', stdout, isStdout(2) ? stdout : 'inherit'];
  }

  write(text: string): void {
    if (this.descriptor === undefined) process.stdout.write(text);
    else fs.writeSync(this.descriptor, text);
  }

  /** Tells what the dev server itself does. */
  say(text: string): void {
    this.write(`* ${text}\n`);
  }
}

/** true for a descriptor that leads to the same file as standard output. */
function isStdout(descriptor: number): boolean {
  const [one, other] = [fs.fstatSync(1), fs.fstatSync(descriptor)];
  return one.dev === other.dev && one.ino === other.ino;
}
