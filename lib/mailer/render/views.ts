import { AsyncLocalStorage } from 'node:async_hooks';
import fs from 'node:fs';
import path from 'node:path';
import ejs, { type TemplateFunction } from 'ejs';
import { compilingError, MissingTemplateError, renderingError } from '../definition/errors';
import type { EscapedValues } from './escaped-values';

interface Compiled {
  readonly file: string;
  readonly modifiedMs: number;
  readonly run: TemplateFunction;
}

/** Where the rendering at hand puts its values. EJS keeps one copy of a partial for all that render in this process. */
const current = new AsyncLocalStorage<EscapedValues>();

/**
 * EJS files by names such as `user_mailer/welcome/html`, each from the first folder that has it. They are compiled once; without
 * `cache`, again when the file changes.
 */
export class Views {
  private readonly compiled = new Map<string, Compiled>();

  /**
   * @param options.cache false: files are checked for changes, and partials are read anew for every mail. For
   * development.
   * @param options.rmWhitespace true: the indentation of a line is left out of what is rendered.
   */
  constructor(
    private readonly roots: readonly string[],
    private readonly options: { readonly cache: boolean; readonly rmWhitespace?: boolean },
  ) {}

  /** @returns the file, or where it is missing. @throws MissingTemplateError for a name that leads out of the folders. */
  file(view: string): string {
    if (view.split('/').some((part) => part === '' || part.startsWith('.') || /[\\\0]/.test(part))) {
      throw new MissingTemplateError(
        `${JSON.stringify(view)} names no template: give a path below ${this.roots.join(' or ')}`,
      );
    }
    const files = this.roots.map((root) => path.join(root, `${view}.ejs`));
    return files.find((file) => fs.existsSync(file)) ?? files[0] ?? '';
  }

  exists(view: string): boolean {
    return this.compiled.has(view) || fs.existsSync(this.file(view));
  }

  /** @param values gets what `<%= %>` writes, and leaves marks. @throws TemplateError with file and line. */
  render(view: string, locals: Readonly<Record<string, unknown>>, values?: EscapedValues): string {
    const run = this.compile(view);
    const work = () => run({ ...locals });
    try {
      return values ? current.run(values, work) : work();
    } catch (thrown) {
      // EJS escapes the file's name in its message, too.
      if (values && thrown instanceof Error) thrown.message = values.fill(thrown.message);
      throw renderingError(this.file(view), thrown);
    }
  }

  /** @returns the source of a view. @throws TemplateError when it cannot be compiled. */
  checked(view: string): string {
    this.compile(view);
    return fs.readFileSync(this.file(view), 'utf8');
  }

  private compile(view: string): TemplateFunction {
    const compiled = this.compiled.get(view);
    if (compiled && this.options.cache) return compiled.run;
    const file = this.file(view);
    const modifiedMs = fs.statSync(file).mtimeMs;
    if (compiled?.modifiedMs === modifiedMs && compiled.file === file) return compiled.run;

    const source = fs.readFileSync(file, 'utf8');
    // Only HTML is escaped: in a text part `<%= %>` writes its value unchanged.
    try {
      const run = ejs.compile(source, {
        filename: file,
        root: [...this.roots],
        views: [...this.roots],
        cache: this.options.cache,
        rmWhitespace: this.options.rmWhitespace ?? false,
        escape: view.endsWith('text') ? plain : escapeHtml,
      });
      this.compiled.set(view, { file, modifiedMs, run });
      return run;
    } catch (thrown) {
      throw compilingError(file, source, thrown);
    }
  }
}

function escapeHtml(value: unknown): string {
  const escaped = ejs.escapeXML(value);
  return current.getStore()?.mark(escaped) ?? escaped;
}

function plain(value: unknown): string {
  return value === undefined || value === null ? '' : String(value);
}
