import fs from 'node:fs';
import path from 'node:path';
import { toError } from '../../core/errors';
import { TemplateError } from '../template-error';
import type { PreviewFault } from './preview-order';

/** Lines shown before and after the one at fault. */
const AROUND = 4;

/** Tells where something failed, with the lines around the place. @param root paths are shown relative to it. */
export function faultOf(thrown: unknown, root: string): PreviewFault {
  const error = toError(thrown);
  const place = error instanceof TemplateError ? { file: error.template, line: error.line } : ownFrame(error, root);
  const shown = (text: string) => text.replaceAll(`${root}${path.sep}`, '');
  return {
    kind: 'fault',
    name: error.name,
    message: shown(error.message),
    file: place && shown(place.file),
    line: place?.line ?? null,
    excerpt: place && excerptOf(place.file, place.line),
    stack: shown(error.stack ?? ''),
  };
}

/** The innermost frame in the app's own code. */
function ownFrame(error: Error, root: string): { readonly file: string; readonly line: number } | null {
  for (const line of (error.stack ?? '').split('\n')) {
    const [, file, number] = /\(?((?:file:\/\/)?\/[^():]+):(\d+):\d+\)?$/.exec(line) ?? [];
    const plain = file?.replace(/^file:\/\//, '');
    if (plain?.startsWith(root + path.sep) && !plain.includes('node_modules'))
      return { file: plain, line: Number(number) };
  }
  return null;
}

function excerptOf(file: string, line: number | null): PreviewFault['excerpt'] {
  try {
    const lines = fs.readFileSync(file, 'utf8').split('\n');
    const at = line ?? 1;
    const from = Math.max(1, at - AROUND);
    return { from, lines: lines.slice(from - 1, at + AROUND) };
  } catch {
    return null;
  }
}
