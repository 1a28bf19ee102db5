import vm from 'node:vm';
import { toError } from '../core/errors';

/** A template that does not compile, or fails while it renders. `template` is the file, `line` counts from 1 (null: unknown). */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';

  constructor(
    readonly template: string,
    readonly line: number | null,
    reason: string,
    cause: unknown,
  ) {
    super(`${template}${line === null ? '' : `:${line}`}: ${reason}`, { cause });
  }
}

/** From what EJS throws while it renders: `file:line`, an excerpt, and the reason; once for every include on the way. */
export function renderingError(template: string, thrown: unknown): TemplateError {
  if (thrown instanceof TemplateError) return thrown;
  const error = toError(thrown);
  const places = [...error.message.matchAll(/^(.+\.ejs):(\d+)$/gm)];
  const [, file = template, line] = places.at(-1) ?? [];
  const reason = error.message.split('\n\n').at(-1)?.trim() || error.name;
  return new TemplateError(file, line === undefined ? null : Number(line), reason, thrown);
}

/** EJS does not say where a template does not parse, so its script is parsed again with the lines kept. */
export function compilingError(template: string, source: string, thrown: unknown): TemplateError {
  const error = toError(thrown);
  const reason = error.message.split('\n')[0]?.replace(/ in .*$/, '') ?? error.name;
  return new TemplateError(template, unclosedLine(source) ?? syntaxErrorLine(source), reason, thrown);
}

function unclosedLine(source: string): number | null {
  const open = source.lastIndexOf('<%');
  return open > source.lastIndexOf('%>') ? lineAt(source, open) : null;
}

function lineAt(source: string, index: number): number {
  return source.slice(0, index).split('\n').length;
}

function syntaxErrorLine(source: string): number | null {
  const script = source.replace(/([\s\S]*?)(?:<%([-=_#%]?)([\s\S]*?)[-_]?%>|$)/g, (_, text: string, kind, code) => {
    const breaks = text.replace(/[^\n]/g, '');
    if (code === undefined || kind === '%') return breaks;
    if (kind === '#') return breaks + String(code).replace(/[^\n]/g, '');
    return kind === '=' || kind === '-' ? `${breaks};(${code})` : `${breaks};${code}`;
  });
  try {
    new vm.Script(`(function () {${script}\n})`, { filename: 'template' });
    return null;
  } catch (error) {
    const line = /^template:(\d+)/.exec(toError(error).stack ?? '')?.[1];
    return line === undefined ? null : Math.min(Number(line), source.split('\n').length);
  }
}
