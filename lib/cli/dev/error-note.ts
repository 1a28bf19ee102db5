import fs from 'node:fs';
import path from 'node:path';
import type { DevError } from '../../web/dev-error';

/** A file that says why the new code is not serving. The web workers (`web/dev-error`) read it and show it to browsers. */
export class ErrorNote {
  private readonly file: string;

  constructor(folder: string) {
    this.file = path.join(folder, '.catamount/dev-error.json');
    process.once('exit', () => this.clear());
  }

  write(title: string, text: string): void {
    fs.mkdirSync(path.dirname(this.file), { recursive: true });
    const draft = `${this.file}.next`;
    fs.writeFileSync(draft, JSON.stringify({ pid: process.pid, title, text } satisfies DevError));
    fs.renameSync(draft, this.file);
  }

  clear(): void {
    fs.rmSync(this.file, { force: true });
  }
}
