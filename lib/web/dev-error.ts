import fs from 'node:fs';
import type Koa from 'koa';
import { ProblemError } from './context';

/** What `catamount dev` (`cli/dev/error-note`) writes while it has an error. */
export interface DevError {
  readonly pid: number;
  readonly title: string;
  readonly text: string;
}

/**
 * Shows the error of `catamount dev`, while there is one, to browsers that request a page. Everything else is served by
 * the code from before the error.
 * @param file the note that `catamount dev` writes. @throws ProblemError with the error.
 */
export function answerWithError(ctx: Koa.Context, file: string): void {
  if (ctx.method !== 'GET' || ctx.accepts('json', 'html') !== 'html') return;
  const note = read(file);
  if (note) throw new ProblemError(500, { title: note.title, detail: note.text });
}

/** @returns undefined if there is no note, or if the process that wrote it has ended without removing it. */
function read(file: string): DevError | undefined {
  try {
    const note = JSON.parse(fs.readFileSync(file, 'utf8')) as DevError;
    process.kill(note.pid, 0);
    return note;
  } catch {
    return undefined;
  }
}
