import fs from 'node:fs';
import path from 'node:path';

/** A file from which the web workers learn, and show to browsers, why the new code is not serving. */
export class ErrorNote {
  private readonly file: string;

  /** @param folder the app's folder. */
  constructor(folder: string) {
    this.file = path.join(folder, '.catamount/dev-error.json');
    process.once('exit', () => this.clear());
  }

  write(title: string, text: string): void {
    fs.mkdirSync(path.dirname(this.file), { recursive: true });
    const draft = `${this.file}.next`;
    fs.writeFileSync(draft, JSON.stringify({ pid: process.pid, title, text }));
    fs.renameSync(draft, this.file);
  }

  clear(): void {
    fs.rmSync(this.file, { force: true });
  }
}
