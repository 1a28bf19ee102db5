import fs from 'node:fs';
import path from 'node:path';
import { toError } from '../../core/errors';
import { TemplateError } from '../template-error';
import type { PreviewFault } from './preview-order';

/** Lines shown before and after the one at fault. */
const AROUND = 4;
/** Where Catamount's code lies as it runs. */
const OWN = path.resolve(__dirname, '../..');

interface Place {
  readonly file: string;
  readonly line: number | null;
}

export interface AppFolders {
  /** What is told is relative to it. */
  readonly root: string;
  /** With code of the app's own. */
  readonly code: readonly string[];
}

/** Tells where something failed, with the lines around the place. */
export function faultOf(thrown: unknown, { root, code }: AppFolders): PreviewFault {
  const error = toError(thrown);
  const sources = (folder: string) => [folder, sourceOf(folder)];
  const roots = sources(root);
  const place =
    error instanceof TemplateError
      ? { file: error.template, line: error.line }
      : appFrame(error, roots, code.flatMap(sources));
  const shown = (text: string) => roots.reduce((rest, folder) => rest.replaceAll(`${folder}${path.sep}`, ''), text);
  return {
    kind: 'fault',
    name: error.name,
    message: withoutPlace(shown(error.message), place && shown(place.file)),
    file: place && shown(place.file),
    line: place?.line ?? null,
    excerpt: place && excerptOf(place.file, place.line),
    stack: shown(error.stack ?? ''),
  };
}

/** A template's error begins with its place, which is told anyway. */
function withoutPlace(message: string, file: string | null): string {
  const rest = file !== null && message.startsWith(`${file}:`) ? message.slice(file.length) : message;
  return rest === message ? message : rest.replace(/^:(\d+:)? */, '');
}

/** The innermost frame that is the app's. Our own sample app lies among our own code. */
function appFrame(error: Error, roots: readonly string[], code: readonly string[]): Place | null {
  const isBelow = (file: string, folders: readonly string[]) =>
    folders.some((folder) => file.startsWith(folder + path.sep));
  const own = [OWN, ownSource()];
  const isApps = (file: string) =>
    isBelow(file, code) ||
    (isBelow(file, roots) && !isBelow(file, own) && !file.includes(`${path.sep}node_modules${path.sep}`));
  return framesOf(error).find(({ file }) => isApps(file)) ?? null;
}

/** Those in files. */
function framesOf({ stack = '' }: Error): Place[] {
  const lines = stack.split('\n').map((line) => /^\s+at .*?(?:file:\/\/)?(\/[^():]+):(\d+):\d+\)?$/.exec(line));
  return lines.flatMap((found) => (found?.[1] ? [{ file: found[1], line: Number(found[2]) }] : []));
}

/** Where our code lies as stacks tell of it: its sources, where a source map leads there. */
function ownSource(): string {
  const [here] = framesOf(new Error('here'));
  return here ? path.resolve(path.dirname(here.file), '../..') : OWN;
}

/** The same for what is compiled along with us, as our sample app is. */
function sourceOf(folder: string): string {
  const built = path.dirname(OWN);
  const isAlong = folder === built || folder.startsWith(built + path.sep);
  return isAlong ? path.join(path.dirname(ownSource()), path.relative(built, folder)) : folder;
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
