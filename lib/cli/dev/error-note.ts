import fs from 'node:fs';
import path from 'node:path';

/** Tells the web workers, and so the browsers, what keeps the new code from serving. */
export class ErrorNote {
  private readonly file: string;

  /** @param folder of the app. */
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
